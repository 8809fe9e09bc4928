//! The crate as other programs use it.

use manifest_tool::assemble::{PushOptions, Selector, push, remove};
use manifest_tool::copy::{CopyOptions, copy, copy_unfinished};
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

/// One call is one complete copy. A run of several puts the archive in its place at the end.
#[test]
fn copies_into_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive =
        |name: &str| -> Location { format!("oci-archive:{}/{name}", folder.path().display()).parse().unwrap() };
    let from = |name: &str| -> Location { format!("oci:examples/layouts/{name}").parse().unwrap() };
    let client = Client::new(Options::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = CopyOptions::default();
    let names = |file: &str| runtime.block_on(Store::new(&client).tags(&archive(file), usize::MAX));

    let store = Store::new(&client);
    let (amd64, to) = (from("amd64"), archive("one.tar:v1"));
    runtime.block_on(copy(&store, &amd64, &to, &[archive("one.tar:v2")], &options, &|_| {})).unwrap();
    assert_eq!(names("one.tar").unwrap(), ["v1", "v2"]);
    runtime.block_on(copy(&store, &from("arm64"), &archive("one.tar:v3"), &[], &options, &|_| {})).unwrap();
    assert_eq!(names("one.tar").unwrap(), ["v1", "v2", "v3"], "a later copy adds to it");

    let (store, placed) = (Store::new(&client), Placed::default());
    for name in ["amd64", "arm64"] {
        let to = archive(&format!("several.tar:{name}"));
        runtime.block_on(copy_unfinished(&store, &placed, &from(name), &to, &[], &options, &|_| {})).unwrap();
        assert!(!folder.path().join("several.tar").exists(), "not before all is done");
    }
    runtime.block_on(store.finish()).unwrap();
    assert_eq!(names("several.tar").unwrap(), ["amd64", "arm64"]);
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
    is_send(copy(&store, &at, &at, &[], &CopyOptions::default(), &|_| {}));
    is_send(copy_unfinished(&store, &placed, &at, &at, &[], &CopyOptions::default(), &|_| {}));
    is_send(inspect::inspect(&store, &at, &InspectOptions::default()));
    is_send(query::query(&store, &at));
    is_send(verify::verify(&store, &at, true));
    is_send(delete::delete(&store, &at, false));
    is_send(probe::probe(&client, &[to], &ProbeOptions::default(), |_| {}));
}
