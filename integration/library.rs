//! The crate as other programs use it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use manifest_tool::assemble::{PushOptions, RemoveOptions, RemoveRequest, Selector, push, remove};
use manifest_tool::copy::{CopyOptions, CopyRequest, copy};
use manifest_tool::delete::DeleteOptions;
use manifest_tool::event::{Event, Events};
use manifest_tool::image::{Location, Manifest, Platform, Reference};
use manifest_tool::inspect::InspectOptions;
use manifest_tool::probe::ProbeOptions;
use manifest_tool::registry::{Client, ClientConfig, RetryPolicy};
use manifest_tool::spec::{Form, Spec};
use manifest_tool::store::Store;
use manifest_tool::verify::VerifyOptions;
use manifest_tool::{delete, inspect, probe, query, verify};

/// A program that has its spec in code, and reads what it has pushed.
#[test]
fn an_index_made_in_code() {
    let folder = tempfile::tempdir().unwrap();
    let layout = |name: &str| format!("oci:{}/{name}", folder.path().display());
    let images = ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"];
    let mut spec = Spec::new(&layout("app:v1"), Form::Oci, &images).unwrap();
    spec.tags.push("latest".into());
    let client = Client::new(ClientConfig::default());
    let store = Store::new(client.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(push(&store, &spec, &PushOptions::default())).unwrap();
    assert_eq!((outcome.tags.len(), outcome.plan.entries.len()), (2, 2));

    let store = Store::new(client.clone());
    let read = async {
        let of: Location = layout("app:latest").parse().unwrap();
        let fetched = store.fetch_manifest(&of).await?;
        let Manifest::Index(index) = &fetched.manifest else { panic!("{:?}", fetched.manifest) };
        let image = store.fetch_child(&of, &index.manifests[0]).await?;
        let Manifest::Image(image) = &image.manifest else { panic!("{:?}", image.manifest) };
        assert!(store.fetch_blob(&of, &image.layers[0], 10).await.is_err(), "it is longer");
        store.fetch_blob(&of, &image.layers[0], 1 << 20).await
    };
    assert!(!runtime.block_on(read).unwrap().is_empty());
}

/// One call is one complete copy: the archive is in its place when it returns, and a later copy adds to it.
#[test]
fn copies_into_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive =
        |name: &str| -> Location { format!("oci-archive:{}/app.tar{name}", folder.path().display()).parse().unwrap() };
    let copied = |from: &str, to: &str, tags: &[&str]| CopyRequest {
        from: format!("oci:examples/layouts/{from}").parse().unwrap(),
        to: archive(to),
        tags: tags.iter().map(|tag| archive(tag)).collect(),
    };
    let client = Client::new(ClientConfig::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let names = || runtime.block_on(Store::new(client.clone()).tags(&archive(""), usize::MAX)).unwrap();

    let store = Store::new(client.clone());
    let dry = CopyOptions { dry_run: true, ..CopyOptions::default() };
    let report = runtime.block_on(copy(&store, &copied("amd64", ":v1", &[":v2"]), &dry)).unwrap();
    assert_eq!((report.tags.len(), std::fs::read_dir(folder.path()).unwrap().count()), (2, 0), "nothing is written");
    runtime.block_on(copy(&store, &copied("amd64", ":v1", &[":v2"]), &CopyOptions::default())).unwrap();
    assert_eq!(names(), ["v1", "v2"]);
    runtime.block_on(copy(&store, &copied("arm64", ":v3", &[]), &CopyOptions::default())).unwrap();
    assert_eq!(names(), ["v1", "v2", "v3"]);
}

/// Every job owns what it works with, so that it can run as a task of its own on a runtime of several threads.
#[test]
fn every_job_can_be_spawned() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let events_of_client = Events::new(move |event: &Event| sink.lock().unwrap().push(event.to_string()));
    let store = Store::new(Client::new(ClientConfig { events: events_of_client, ..ClientConfig::default() }));
    let at = |name: &str| -> Location { format!("oci:{}/app:{name}", folder.path().display()).parse().unwrap() };
    let images = ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"];
    let spec = Spec::new(&at("v1").to_string(), Form::Oci, &images).unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = |job: BoxFuture<'static, ()>| runtime.block_on(runtime.spawn(job)).unwrap();
    let (job, pushed) = (store.clone(), at("v1"));
    run(async move { drop(push(&job, &spec, &PushOptions::default()).await.unwrap()) }.boxed());
    let (job, of) = (store.clone(), pushed.clone());
    run(async move { assert!(inspect::inspect(&job, &of, &InspectOptions::default()).await.is_ok()) }.boxed());
    let (job, of) = (store.clone(), pushed.clone());
    run(async move { assert_eq!(query::query(&job, &of).await.unwrap().platforms.len(), 2) }.boxed());
    let (job, of) = (store.clone(), pushed.clone());
    run(async move { assert!(verify::verify(&job, &of, &VerifyOptions { layers: true }).await.unwrap().is_sound()) }
        .boxed());
    let (job, copied) = (store.clone(), CopyRequest { from: pushed.clone(), to: at("v2"), tags: vec![at("v3")] });
    run(async move { assert_eq!(copy(&job, &copied, &CopyOptions::default()).await.unwrap().tags.len(), 2) }.boxed());
    let selectors = vec![Selector::Platform("linux/amd64".parse::<Platform>().unwrap())];
    let (job, removed) = (store.clone(), RemoveRequest { target: pushed.clone(), selectors });
    let settle = Duration::ZERO;
    run(async move {
        let report = remove(&job, &removed, &RemoveOptions { settle, ..RemoveOptions::default() }).await.unwrap();
        assert_eq!(report.plan.entries.len(), 1);
    }
    .boxed());
    for dry_run in [true, false] {
        let (job, of, options) = (store.clone(), at("v3"), DeleteOptions { dry_run, ..DeleteOptions::default() });
        run(async move { assert_eq!(delete::delete(&job, &of, &options).await.unwrap().location, of) }.boxed());
        let read = runtime.block_on(store.digest(&at("v3")));
        assert_eq!(read.is_ok(), dry_run, "a dry run deletes nothing: {read:?}");
    }
    let nothing_listens: Reference = "localhost:1/app:v1".parse().unwrap();
    run(async move {
        let client =
            ClientConfig { retry: RetryPolicy { retries: 0, ..RetryPolicy::default() }, ..ClientConfig::default() };
        let store = Store::new(Client::new(client));
        assert!(probe::probe(&store, &[nothing_listens], &ProbeOptions::default()).await.is_err());
    }
    .boxed());

    let events = events.lock().unwrap();
    let pushed = format!("pushed {pushed}");
    assert!(events.contains(&pushed), "the client's events tell of jobs: {events:?}");
}
