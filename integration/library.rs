//! The crate as other programs use it.

use manifest_tool::assemble::{PushOptions, Selector, push, remove};
use manifest_tool::copy::{CopyOptions, copy};
use manifest_tool::image::{Location, Manifest, Platform, Reference};
use manifest_tool::inspect::InspectOptions;
use manifest_tool::probe::ProbeOptions;
use manifest_tool::registry::{Client, Options};
use manifest_tool::spec::{Form, Spec, YamlRequest, from_yaml};
use manifest_tool::store::{Placed, Store};
use manifest_tool::{delete, inspect, probe, query, verify};

/// A program that has its spec in code, and reads what it has pushed.
#[test]
fn an_index_made_in_code() {
    let folder = tempfile::tempdir().unwrap();
    let layout = |name: &str| format!("oci:{}/{name}", folder.path().display());
    let images = ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"];
    let mut spec = Spec::new(&layout("app:v1"), Form::Oci, &images).unwrap();
    spec.tags.push("latest".into());
    let client = Client::new(Options::default());
    let store = Store::new(&client);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(push(&store, &spec, PushOptions::default(), &|_| {})).unwrap();
    assert_eq!((outcome.tags.len(), outcome.plan.index.manifests.len()), (2, 2));

    let store = Store::new(&client);
    let read = async {
        let of: Location = layout("app:latest").parse().unwrap();
        let fetched = store.fetch_manifest(&of, None).await?;
        let Manifest::Index(index) = &fetched.manifest else { panic!("{:?}", fetched.manifest) };
        let image = store.fetch_child(&of, &index.manifests[0], None).await?;
        let Manifest::Image(image) = &image.manifest else { panic!("{:?}", image.manifest) };
        assert!(store.fetch_blob(&of, &image.layers[0], 10).await.is_err(), "it is longer");
        store.fetch_blob(&of, &image.layers[0], 1 << 20).await
    };
    assert!(!runtime.block_on(read).unwrap().is_empty());
}

fn is_send(_: impl Future + Send) {}

/// Every job may run on a runtime of several threads.
#[test]
fn the_jobs_can_be_spawned() {
    let client = Client::new(Options::default());
    let store = Store::new(&client);
    let at: Location = "oci:examples/layouts/amd64".parse().unwrap();
    let to: Reference = "r.io/app:v1".parse().unwrap();
    let text = "image: r.io/app:v1\nmanifests:\n- image: r.io/app:v1-amd64\n";
    let spec = from_yaml(&YamlRequest { text, file: "app.yaml", ..YamlRequest::default() }).unwrap().remove(0);
    is_send(push(&store, &spec, PushOptions::default(), &|_| {}));
    let selectors = [Selector::Platform("linux/amd64".parse::<Platform>().unwrap())];
    is_send(remove(&store, &at, &selectors, &PushOptions::default(), &|_| {}));
    let placed = Placed::default();
    is_send(copy(&store, &placed, &at, &at, &[], &CopyOptions::default(), &|_| {}));
    is_send(inspect::inspect(&store, &at, &InspectOptions::default()));
    is_send(query::query(&store, &at));
    is_send(verify::verify(&store, &at, true));
    is_send(delete::delete(&store, &at, false));
    is_send(probe::probe(&client, &[to], &ProbeOptions::default(), |_| {}));
}
