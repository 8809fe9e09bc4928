//! Uses the crate as a library, as other programs do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use manifest_tool::assemble::{PushOptions, RemoveOptions, RemoveRequest, Selector, push, remove};
use manifest_tool::copy::{CopyOptions, CopyRequest, copy};
use manifest_tool::delete::{DeleteOptions, DeletionOutcome, TagDeletion, TagRules};
use manifest_tool::event::{Event, Events};
use manifest_tool::image::{Location, Manifest, Platform, Reference};
use manifest_tool::inspect::{InspectOptions, TreeOptions};
use manifest_tool::probe::ProbeOptions;
use manifest_tool::registry::{Client, ClientConfig, RetryPolicy};
use manifest_tool::spec::{Form, Spec};
use manifest_tool::store::Store;
use manifest_tool::verify::{Verifier, VerifyOptions};
use manifest_tool::{delete, inspect, probe, query, verify};

#[test]
fn an_index_from_a_spec_in_code_is_pushed_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let layout = |name: &str| format!("oci:{}/{name}", folder.path().display());
    let images = ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"];
    let mut spec = Spec::new(&layout("app:v1"), Form::Oci, &images).unwrap();
    spec.target.tags.push("latest".into());
    let client = Client::new(ClientConfig::default());
    let store = Store::new(client.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(push(&store, &spec, &PushOptions::default())).unwrap();
    let target = &outcome.targets[0];
    assert_eq!((target.tags.len(), target.plan.entries.len()), (2, 2));

    let store = Store::new(client.clone());
    let read = async {
        let location: Location = layout("app:latest").parse().unwrap();
        let fetched = store.fetch_manifest(&location).await?;
        let Manifest::Index(index) = &fetched.manifest else { panic!("{:?}", fetched.manifest) };
        let image = store.fetch_child(&location, &index.manifests[0]).await?;
        let Manifest::Image(image) = &image.manifest else { panic!("{:?}", image.manifest) };
        assert!(store.fetch_blob(&location, &image.layers[0], 10).await.is_err(), "the blob is longer than 10 bytes");
        store.fetch_blob(&location, &image.layers[0], 1 << 20).await
    };
    assert!(!runtime.block_on(read).unwrap().is_empty());
}

/// The archive is complete when each call returns.
#[test]
fn each_copy_adds_its_tags_to_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive =
        |name: &str| -> Location { format!("oci-archive:{}/app.tar{name}", folder.path().display()).parse().unwrap() };
    let request = |from: &str, to: &str, tags: &[&str]| CopyRequest {
        from: format!("oci:examples/layouts/{from}").parse().unwrap(),
        to: archive(to),
        tags: tags.iter().map(|tag| archive(tag)).collect(),
    };
    let client = Client::new(ClientConfig::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tags = || runtime.block_on(Store::new(client.clone()).tags(&archive(""), usize::MAX)).unwrap();

    let store = Store::new(client.clone());
    let dry_run = CopyOptions { dry_run: true, ..CopyOptions::default() };
    let report = runtime.block_on(copy(&store, &request("amd64", ":v1", &[":v2"]), &dry_run)).unwrap();
    assert_eq!(
        (report.tags.len(), std::fs::read_dir(folder.path()).unwrap().count()),
        (2, 0),
        "a dry run writes no file"
    );
    runtime.block_on(copy(&store, &request("amd64", ":v1", &[":v2"]), &CopyOptions::default())).unwrap();
    assert_eq!(tags(), ["v1", "v2"]);
    runtime.block_on(copy(&store, &request("arm64", ":v3", &[]), &CopyOptions::default())).unwrap();
    assert_eq!(tags(), ["v1", "v2", "v3"]);
}

/// The futures are `Send` and `'static`, so they can be spawned on a multi-threaded runtime.
#[test]
fn every_command_can_be_spawned_as_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let client_events = Events::new(move |event: &Event| sink.lock().unwrap().push(event.to_string()));
    let store = Store::new(Client::new(ClientConfig { events: client_events, ..ClientConfig::default() }));
    let location = |tag: &str| -> Location { format!("oci:{}/app:{tag}", folder.path().display()).parse().unwrap() };
    let images = ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"];
    let spec = Spec::new(&location("v1").to_string(), Form::Oci, &images).unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = |task: BoxFuture<'static, ()>| runtime.block_on(runtime.spawn(task)).unwrap();
    let (task_store, pushed) = (store.clone(), location("v1"));
    run(async move { drop(push(&task_store, &spec, &PushOptions::default()).await.unwrap()) }.boxed());
    let (task_store, image) = (store.clone(), pushed.clone());
    run(async move { assert!(inspect::inspect(&task_store, &image, &InspectOptions::default()).await.is_ok()) }.boxed());
    let (task_store, image) = (store.clone(), pushed.clone());
    run(async move { assert!(inspect::tree(&task_store, &image, &TreeOptions::default()).await.is_ok()) }.boxed());
    let (task_store, image) = (store.clone(), pushed.clone());
    run(async move { assert!(query::query_created(&task_store, &image).await.is_ok()) }.boxed());
    let (task_store, image) = (store.clone(), pushed.clone());
    run(async move { assert_eq!(query::query(&task_store, &image).await.unwrap().platforms.len(), 2) }.boxed());
    let (task_store, image) = (store.clone(), pushed.clone());
    run(async move {
        assert!(
            verify::verify(&task_store, &image, &VerifyOptions { layers: true, ..VerifyOptions::default() })
                .await
                .unwrap()
                .is_sound()
        )
    }
    .boxed());
    let (task_store, copied) =
        (store.clone(), CopyRequest { from: pushed.clone(), to: location("v2"), tags: vec![location("v3")] });
    run(async move { assert_eq!(copy(&task_store, &copied, &CopyOptions::default()).await.unwrap().tags.len(), 2) }
        .boxed());
    let selectors = vec![Selector::Platform("linux/amd64".parse::<Platform>().unwrap())];
    let (task_store, removed) = (store.clone(), RemoveRequest { target: pushed.clone(), selectors });
    let settle = Duration::ZERO;
    run(async move {
        let report =
            remove(&task_store, &removed, &RemoveOptions { settle, ..RemoveOptions::default() }).await.unwrap();
        assert_eq!(report.plan.entries.len(), 1);
    }
    .boxed());
    for dry_run in [true, false] {
        let (task_store, image, options) =
            (store.clone(), location("v3"), DeleteOptions { dry_run, ..DeleteOptions::default() });
        run(async move { assert_eq!(delete::delete(&task_store, &image, &options).await.unwrap().location, image) }
            .boxed());
        let read = runtime.block_on(store.digest(&location("v3")));
        assert_eq!(read.is_ok(), dry_run, "only a dry run keeps the tag: {read:?}");
    }
    let (task_store, repository) = (store.clone(), pushed.without_name());
    run(async move {
        let rules = TagRules { patterns: vec!["v*".into()], keep: 1, ..TagRules::default() };
        let plan = delete::plan_tags(&task_store, &repository, &rules).await.unwrap();
        let deletion = TagDeletion::new(&task_store, &plan);
        for planned in &plan.deletions {
            assert_eq!(deletion.delete(planned).await.unwrap(), DeletionOutcome::Tag);
        }
        let verifier = Verifier::new(&task_store, &VerifyOptions::default());
        assert!(verifier.verify(&repository.with_tag("v2")).await.unwrap().is_sound());
        assert!(verifier.verify(&repository.with_tag("v1")).await.is_err());
    }
    .boxed());
    let unreachable: Reference = "localhost:1/app:v1".parse().unwrap();
    run(async move {
        let client =
            ClientConfig { retry: RetryPolicy { retries: 0, ..RetryPolicy::default() }, ..ClientConfig::default() };
        let store = Store::new(Client::new(client));
        assert!(probe::probe(&store, &[unreachable], &ProbeOptions::default()).await.is_err());
    }
    .boxed());

    let events = events.lock().unwrap();
    let pushed = format!("pushed {pushed}");
    assert!(events.contains(&pushed), "events of commands reach the client's sink: {events:?}");
}
