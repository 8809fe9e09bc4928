//! Writers that cannot be sure at first that the index keeps their change. The simulation in `src/assemble/converge/`
//! found these cases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{READ_INDEX, append, architectures, index_writes, push, registry_with_parts, remove};
use crate::support::{Registry, ScriptedServer};

/// Starts a server that responds to the first write of `whole:v1` with a 504, after calling `carry_out` with the
/// registry and the written index.
fn with_lost_response(
    registry: &Arc<Registry>,
    carry_out: impl Fn(&Registry, &[u8]) + Send + Sync + 'static,
) -> ScriptedServer {
    let (writer, writes) = (Arc::clone(registry), AtomicUsize::new(0));
    ScriptedServer::in_front_of(registry, move |request| {
        let is_first = request.writes_manifest("v1") && writes.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| {
            carry_out(&writer, &request.body);
            (504, vec![], vec![])
        })
    })
}

fn index_reads(server: &ScriptedServer) -> usize {
    server.requests().iter().filter(|request| request.line == READ_INDEX).count()
}

/// Another writer changes the index after the append, and a third one, which had read an older index, overwrites both.
#[test]
fn an_append_is_repeated_when_it_is_overwritten_after_another_writer_built_on_it() {
    let registry = registry_with_parts(&["amd64", "arm64", "s390x"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let old = registry.manifest("whole", "v1").unwrap();
    let (writer, reads) = (Arc::clone(&registry), AtomicUsize::new(0));
    let server = ScriptedServer::in_front_of(&registry, move |request| {
        if request.line == READ_INDEX {
            match reads.fetch_add(1, Ordering::SeqCst) + 1 {
                2 => drop(append(&writer.host, "linux/s390x", &[]).success()),
                3 => writer.push_manifest("whole", "v1", &old.media_type, &old.bytes),
                _ => {}
            }
        }
        None
    });
    append(&server.host, "linux/arm64", &[]).success();
    assert_eq!((architectures(&registry, "v1"), index_writes(&server)), (vec!["amd64".into(), "arm64".into()], 2));
}

#[test]
fn a_write_whose_response_was_lost_is_not_reported_as_not_written() {
    let registry = registry_with_parts(&["amd64", "arm64", "s390x"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let old = registry.manifest("whole", "v1").unwrap();
    let start = || {
        registry.push_manifest("whole", "v1", &old.media_type, &old.bytes);
        let media_type = old.media_type.clone();
        with_lost_response(&registry, move |registry, index| {
            registry.push_manifest("whole", "v1", &media_type, index);
            append(&registry.host, "linux/s390x", &[]).success();
        })
    };
    append(&start().host, "linux/arm64", &["--if-match", &old.digest])
        .fails(1, "an earlier attempt to write it may have succeeded")
        .stderr_contains("not known: ");
    let server = start();
    let result = append(&server.host, "linux/arm64", &["--output", "json"]).success().json();
    assert_eq!(
        (architectures(&registry, "v1"), index_writes(&server)),
        (["amd64", "arm64", "s390x"].map(str::to_owned).into(), 1)
    );
    let index = &result["indexes"][0];
    let tag = &index["tags"][0];
    assert_eq!((&tag["state"], &tag["was"], &index["changed"]), (&json!("updated"), &json!(old.digest), &json!(true)));
}

/// The registry may carry out the first attempt late, which would hide that another writer replaced the index.
#[test]
fn an_append_that_was_sent_twice_is_read_back_twice() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let old = registry.manifest("whole", "v1").unwrap();
    for (is_lost, reads) in [(false, 2), (true, 3)] {
        registry.push_manifest("whole", "v1", &old.media_type, &old.bytes);
        let server = match is_lost {
            true => with_lost_response(&registry, |_, _| {}),
            false => ScriptedServer::in_front_of(&registry, |_| None),
        };
        append(&server.host, "linux/arm64", &[]).success();
        assert_eq!((index_reads(&server), architectures(&registry, "v1").len()), (reads, 2), "lost: {is_lost}");
    }
}

#[test]
fn if_match_does_not_exit_with_3_after_an_extra_tag_was_written() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    push(&registry.host, "linux/amd64,linux/arm64", &[]).success();
    let before = registry.manifest("whole", "v1").unwrap().digest;
    let writer = Arc::clone(&registry);
    let server = ScriptedServer::in_front_of(&registry, move |request| {
        if request.writes_manifest("latest") {
            remove(&writer.host, &["--platform", "linux/arm64"]).success();
        }
        None
    });
    // Exit code 3 would mean that no tag was written.
    append(&server.host, "linux/arm64", &["--tags", "latest", "--if-match", &before])
        .fails(1, "not known: ")
        .stderr_contains("/whole:latest");
    assert_eq!(registry.manifest("whole", "latest").unwrap().digest, before);
}
