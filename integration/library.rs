//! The crate as other programs use it.

use manifest_tool::assemble::{PushOptions, Selector, push, remove};
use manifest_tool::copy::{CopyOptions, copy};
use manifest_tool::image::{Location, Platform, Reference};
use manifest_tool::inspect::InspectOptions;
use manifest_tool::probe::ProbeOptions;
use manifest_tool::registry::{Client, Options};
use manifest_tool::spec::{YamlRequest, from_yaml};
use manifest_tool::store::{Placed, Store};
use manifest_tool::{delete, inspect, probe, query, verify};

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
