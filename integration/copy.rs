//! `copy`: between registries, layouts and archives in every combination, byte for byte.

mod platforms;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::faults::{Fault, FaultProxy};
use crate::support::images::{DOCKER, OCI_INDEX, descriptor, push_image, push_image_with, push_referrer};
use crate::support::registry::sha256;
use crate::support::scripted_server::ReceivedRequest;
use crate::support::{Outcome, Registry, ScriptedServer, Workspace, run_with_peak_memory};

/// Two registries, `FROM` and `TO`. In the first, `app:v1` is an index of two images and a nested index of a third.
struct CopyFixture {
    workspace: Workspace,
    from: Registry,
    to: Registry,
}

impl CopyFixture {
    fn new() -> Self {
        let (from, to) = (Registry::start(), Registry::start());
        let mut entries = ["amd64", "arm64"].map(|architecture| push_entry(&from, "app", architecture)).to_vec();
        let inner = index(&[push_entry(&from, "app", "riscv64")]);
        from.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
        entries.push(descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes()));
        from.push_manifest("app", "v1", OCI_INDEX, index(&entries).as_bytes());
        let workspace = Workspace::new().flags(&["--plain-http"]);
        let workspace = workspace.placeholder("FROM", &from.host).placeholder("TO", &to.host);
        Self { workspace, from, to }
    }

    fn copy(&self, args: &[&str]) -> Outcome {
        self.workspace.run(&[&["copy"], args].concat())
    }

    /// Asserts that `copy` succeeds, and returns its stdout.
    #[track_caller]
    fn copied(&self, args: &[&str]) -> String {
        self.copy(args).success().stdout
    }
}

/// Pushes an image, and returns its index entry.
fn push_entry(registry: &Registry, repository: &str, architecture: &str) -> Value {
    let mut entry = push_image(registry, repository, architecture, architecture);
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

fn index(entries: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string()
}

/// Asserts that a repository has a manifest with all its children and blobs.
#[track_caller]
fn assert_complete(registry: &Registry, repository: &str, name: &str) {
    let found = registry.manifest(repository, name).unwrap_or_else(|| panic!("{repository}:{name}"));
    let manifest: Value = serde_json::from_slice(&found.bytes).unwrap();
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        assert_complete(registry, repository, child["digest"].as_str().unwrap());
    }
    let blobs = manifest["layers"].as_array().into_iter().flatten().chain(manifest.get("config"));
    for blob in blobs {
        assert!(registry.has_blob(repository, blob["digest"].as_str().unwrap()), "{blob}");
    }
}

#[test]
fn an_index_is_copied_between_registries_layouts_and_archives() {
    let fixture = CopyFixture::new();
    let digest = fixture.from.manifest("app", "v1").unwrap().digest;
    let copies = [
        ("FROM/app:v1", "TO/app:v1"),
        ("TO/app:v1", "TO/other:v2"),
        ("TO/other:v2", "oci:layout:v1"),
        ("oci:layout", "oci-archive:one.tar"),
        ("oci-archive:one.tar", "oci-archive:two.tar:x"),
        ("oci-archive:two.tar:x", "oci:again:v1"),
        ("oci:again:v1", "oci:third"),
        ("oci:third", "docker://FROM/back/app:v1"),
        ("oci-archive:one.tar", "FROM/back/archive:v1"),
        ("FROM/app:v1", "oci-archive:three.tar"),
    ];
    for (from, to) in copies {
        let stdout = fixture.copied(&[from, to]);
        assert_eq!(stdout.split(' ').nth(1), Some(digest.as_str()), "{from} to {to}");
    }
    for (registry, repository, tag) in [
        (&fixture.to, "app", "v1"),
        (&fixture.to, "other", "v2"),
        (&fixture.from, "back/app", "v1"),
        (&fixture.from, "back/archive", "v1"),
    ] {
        assert_eq!(registry.manifest(repository, tag).unwrap().digest, digest);
        assert_complete(registry, repository, tag);
    }
    // A repetition only reads.
    let mark = fixture.to.requests(0).len();
    fixture.copied(&["FROM/app:v1", "TO/app:v1"]);
    let requests = fixture.to.requests(mark);
    assert!(requests.iter().all(|line| line.starts_with("HEAD ")), "{requests:?}");
}

#[test]
fn a_docker_image_is_copied_by_tag_and_by_digest() {
    let fixture = CopyFixture::new();
    let registry = &fixture.from;
    let mut image: Value = serde_json::from_slice(&registry.manifest("app", "amd64").unwrap().bytes).unwrap();
    image["mediaType"] = DOCKER.into();
    image["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    let bytes = image.to_string();
    registry.push_manifest("app", "docker", DOCKER, bytes.as_bytes());
    // A target without a tag takes the tag of the source, besides those of --tags.
    fixture.copied(&["FROM/app:docker", "TO/app", "--tags", "a,b"]);
    for tag in ["docker", "a", "b"] {
        let found = fixture.to.manifest("app", tag).unwrap();
        assert_eq!((found.bytes.as_slice(), found.media_type.as_str()), (bytes.as_bytes(), DOCKER));
        assert_complete(&fixture.to, "app", tag);
    }
    let digest = sha256(bytes.as_bytes());
    fixture.copied(&[&format!("FROM/app@{digest}"), "TO/byname:v1"]);
    fixture.copied(&[&format!("FROM/app@{digest}"), "TO/bydigest"]);
    assert!(fixture.to.manifest("byname", "v1").is_some() && fixture.to.manifest("bydigest", &digest).is_some());
}

#[test]
fn platform_copies_one_image_of_an_index() {
    let fixture = CopyFixture::new();
    let arm64 = fixture.from.manifest("app", "arm64").unwrap().digest;
    let stdout = fixture.copied(&["FROM/app:v1", "TO/app:v1", "--platform", "linux/arm64"]);
    assert!(stdout.contains(&arm64), "{stdout}");
    assert_eq!(fixture.to.manifest("app", "v1").unwrap().digest, arm64);
    assert!(fixture.to.manifest("app", &fixture.from.manifest("app", "amd64").unwrap().digest).is_none());
    fixture
        .copy(&["FROM/app:v1", "TO/x:v1", "--platform", "linux/s390x"])
        .fails(1, "no image for linux/s390x; available: linux/amd64, linux/arm64");
    fixture.copied(&["FROM/app:amd64", "TO/y:v1", "--platform", "linux/amd64"]);
    fixture
        .copy(&["FROM/app:amd64", "TO/z:v1", "--platform", "linux/arm64"])
        .fails(1, "it is a single image for linux/amd64, not");
    assert!(fixture.to.manifest("z", "v1").is_none());
}

#[test]
fn tags_of_a_repository_are_copied_by_pattern() {
    let fixture = CopyFixture::new();
    let planned = fixture.copied(&["FROM/app", "TO/app", "--tags", "a*,v?", "--dry-run"]);
    let created = planned.lines().filter(|line| line.starts_with("  + created "));
    let tags: Vec<&str> = created.map(|line| line.rsplit(':').next().unwrap()).collect();
    assert_eq!(tags, ["amd64", "arm64", "v1"], "{planned}");
    assert!(planned.ends_with("\nplan: 3 tags to create\n"), "{planned}");
    assert!(fixture.to.manifest("app", "v1").is_none(), "the dry run writes no tag");
    let stdout = fixture.copied(&["FROM/app", "TO/app", "--tags", "a*,v?"]);
    assert_eq!(stdout.lines().count(), 3);
    for tag in ["amd64", "arm64", "v1"] {
        assert_eq!(fixture.to.manifest("app", tag).unwrap().digest, fixture.from.manifest("app", tag).unwrap().digest);
        assert_complete(&fixture.to, "app", tag);
    }
    assert!(fixture.to.manifest("app", "inner").is_none());
    fixture.copy(&["FROM/app", "TO/app", "--tags", "v1,gone,x*"]).fails(1, "no tag matches gone, x*");
    for (args, part) in [
        (["FROM/app", "TO/app", "--quiet"], "has no tag or digest; add a tag, or select"),
        (["FROM/app", "TO/app:v1", "--tags=v1"], "has a tag or digest; copying a repository keeps"),
        (["FROM/app:v1", "TO/app", "--tags=v*"], "invalid tag \"v*\""),
    ] {
        fixture.copy(&args).fails(2, part);
    }
}

/// The dry run cannot tell whether the tag would change.
#[test]
fn a_dry_run_fails_if_the_target_cannot_be_read() {
    let fixture = CopyFixture::new();
    let server = ScriptedServer::start(|_, _| (500, vec![], vec![]));
    let target = format!("{}/app:v1", server.host);
    fixture
        .copy(&["FROM/app:v1", &target, "--dry-run", "--retries", "0"])
        .fails(1, "500")
        .stderr_contains(&target)
        .stdout_is("");
}

/// A page may have `null` for no tags. A link to another host is not followed.
#[test]
fn tag_pages_are_followed_only_at_the_registry_itself() {
    let other_host = ScriptedServer::start(|_, _| (200, vec![], br#"{"tags":["foreign"]}"#.to_vec()));
    let other_address = other_host.host.clone();
    let server = ScriptedServer::start(move |request, host| {
        let (tags, next) = match request.line.rsplit('?').next().unwrap() {
            "last=a" => ("null", Some("?last=b".to_owned())),
            "last=b" => (r#"["v2","../x"]"#, None),
            _ if request.line.contains("/foreign/") => {
                (r#"["v1"]"#, Some(format!("http://{other_address}/v2/x/tags/list")))
            }
            _ => (r#"["v1"]"#, Some(format!("http://{host}/v2/app/tags/list?last=a"))),
        };
        if !request.line.contains("/tags/list") {
            let manifest = index(&[]).into_bytes();
            return (200, vec![("Content-Type", OCI_INDEX.into())], manifest);
        }
        let link = next.map(|next| ("Link", format!("<{next}>; rel=\"next\"")));
        (200, link.into_iter().collect(), format!(r#"{{"name":"app","tags":{tags}}}"#).into_bytes())
    });
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let copy =
        |repository: &str| workspace.run(&["copy", "--dry-run", "--tags", "*", &format!("HOST/{repository}"), "oci:x"]);
    let outcome = copy("app");
    assert_eq!(outcome.stdout.matches("  + created ").count(), 2, "{outcome:?}");
    outcome.stdout_contains("  + created    oci:x:v1\n").stdout_contains("  + created    oci:x:v2\n");
    copy("foreign").fails(1, "at another host, which is not contacted");
    assert!(other_host.requests().is_empty());
}

/// The referrers are a signature of an image, an SBOM of the index, and a signature of the SBOM. cosign uses tags too.
#[test]
fn referrers_copies_referrers_of_every_level_and_cosign_tags() {
    let fixture = CopyFixture::new();
    let push_referrer =
        |subject: &Value, name: &str| push_referrer(&fixture.from, "app", subject, &format!("application/{name}"));
    let descriptor_of = |tag: &str| {
        let manifest = fixture.from.manifest("app", tag).unwrap();
        descriptor(&manifest.media_type, &manifest.digest, &manifest.bytes)
    };
    let signature = push_referrer(&descriptor_of("amd64"), "signature");
    let sbom = push_referrer(&descriptor_of("v1"), "sbom");
    let sbom_signature = push_referrer(&sbom, "sbom.signature");
    let cosign = format!("{}.sig", descriptor_of("v1")["digest"].as_str().unwrap().replace(':', "-"));
    push_image(&fixture.from, "app", &cosign, "amd64");
    let referrers = [&signature, &sbom, &sbom_signature].map(|entry| entry["digest"].as_str().unwrap().to_owned());

    fixture.copied(&["FROM/app:v1", "TO/plain:v1"]);
    assert!(referrers.iter().all(|digest| fixture.to.manifest("plain", digest).is_none()));
    fixture.copied(&["FROM/app:v1", "TO/app:v1", "--referrers"]);
    fixture.copied(&["FROM/app:v1", "oci:layout:v1", "--referrers"]);
    fixture.copied(&["oci:layout:v1", "TO/back:v1", "--referrers"]);
    for repository in ["app", "back"] {
        for digest in &referrers {
            assert_complete(&fixture.to, repository, digest);
        }
        for (subject, referrer) in [
            (descriptor_of("amd64"), &referrers[0]),
            (descriptor_of("v1"), &referrers[1]),
            (sbom.clone(), &referrers[2]),
        ] {
            let tag = subject["digest"].as_str().unwrap().replace(':', "-");
            let list: Value = serde_json::from_slice(&fixture.to.manifest(repository, &tag).unwrap().bytes).unwrap();
            assert_eq!(list["manifests"][0]["digest"], **referrer, "{list}");
        }
    }
    assert_complete(&fixture.to, "app", &cosign);
    // A repetition finds every referrer at the target.
    fixture.copied(&["FROM/app:v1", "TO/app:v1", "--referrers"]);
}

/// An incomplete or corrupted blob is fetched again from its beginning. If every attempt fails, no manifest that refers
/// to it is written.
#[test]
fn a_broken_blob_download_is_retried_and_fails_if_every_attempt_breaks() {
    let fixture = CopyFixture::new();
    for (fault, once) in [
        (Fault::TruncatedResponse, true),
        (Fault::ResetMidResponse, true),
        (Fault::WrongBody, true),
        (Fault::TruncatedResponse, false),
        (Fault::WrongBody, false),
        (Fault::EndlessBody, false),
    ] {
        for to in ["TO/NAME:v1", "oci:out-NAME:v1", "oci-archive:NAME.tar:v1"] {
            let case = format!("{fault:?} {once} {to}");
            let name = format!("n{}", &sha256(case.as_bytes())[7..15]);
            let (fault, fired) = (fault.clone(), AtomicUsize::new(0));
            let proxy = FaultProxy::in_front_of(&fixture.from, Clone::clone, move |request| {
                let is_blob = request.line.starts_with("GET /v2/app/blobs/");
                (is_blob && (fired.fetch_add(1, Ordering::SeqCst) == 0 || !once)).then(|| fault.clone())
            });
            let to = to.replace("NAME", &name);
            let args = [&format!("{}/app:amd64", proxy.host), to.as_str(), "--retries", "2", "--max-wait", "50ms"];
            let outcome = fixture.copy(&args).exits(i32::from(!once));
            fixture.workspace.run(&["inspect", &to]).exits(i32::from(!once));
            assert!(once || outcome.stderr.contains("no tag was written"), "{case}: {outcome:?}");
        }
    }
}

/// The target has a referrers API too, so the referrers tag is not written.
#[test]
fn referrers_from_a_referrers_api_are_copied() {
    let fixture = CopyFixture::new();
    let signature = push_image(&fixture.from, "app", "signature", "amd64");
    let digest = fixture.from.manifest("app", "v1").unwrap().digest;
    let (list, path) = (index(std::slice::from_ref(&signature)), format!("/v2/app/referrers/{digest}"));
    let respond = move |request: &ReceivedRequest| {
        let body = if request.line.ends_with(&path) { list.clone() } else { index(&[]) };
        let response = (200, vec![("Content-Type", OCI_INDEX.to_owned())], body.into_bytes());
        request.line.contains("/referrers/").then_some(response)
    };
    let from = ScriptedServer::in_front_of(&fixture.from, respond.clone());
    let to = ScriptedServer::in_front_of(&fixture.to, respond);
    let (source, target) = (format!("{}/app:v1", from.host), format!("{}/app:v1", to.host));
    fixture.copied(&[&source, &target, "--referrers"]);
    assert_complete(&fixture.to, "app", signature["digest"].as_str().unwrap());
    let tags: Vec<_> = to
        .requests()
        .into_iter()
        .filter(|request| request.line.starts_with("PUT ") && request.line.contains("/sha256-"))
        .collect();
    assert!(tags.is_empty(), "{tags:?}");
}

/// Layers are streamed, never held completely in memory.
#[test]
fn a_copy_of_96_mib_takes_at_most_64_mib_of_memory() {
    let fixture = CopyFixture::new();
    let mut entries = Vec::new();
    for (number, architecture) in ["amd64", "arm64", "s390x", "ppc64le"].iter().enumerate() {
        let config = json!({"os": "linux", "architecture": architecture}).to_string();
        let layer = vec![u8::try_from(number).unwrap(); 24 << 20];
        entries.push(push_image_with(&fixture.from, "large", architecture, config.as_bytes(), &layer));
    }
    fixture.from.push_manifest("large", "v1", OCI_INDEX, index(&entries).as_bytes());
    let from = format!("{}/large:v1", fixture.from.host);
    for to in [format!("{}/large:v1", fixture.to.host), "oci:large:v1".into(), "oci-archive:large.tar:v1".into()] {
        let (outcome, peak) = run_with_peak_memory(fixture.workspace.command(&["copy", &from, &to]));
        outcome.success();
        assert!(peak > 1024 && peak <= 64 << 10, "{peak} kB to {to}");
    }
}

#[test]
fn a_copy_with_if_match_writes_only_over_the_named_digest() {
    let fixture = CopyFixture::new();
    let digest = |name: &str| fixture.from.manifest("app", name).unwrap().digest;
    fixture.copied(&["FROM/app:v1", "TO/kept:v1", "--if-match", "none"]);
    let before = fixture.to.snapshot();
    let other = digest("amd64");
    for (args, exit) in [
        (&["FROM/app:amd64", "TO/kept:v1", "--if-match", "none"][..], 3),
        (&["FROM/app:amd64", "TO/kept:v1", "--if-match", other.as_str()], 3),
        (&["FROM/app:amd64", "TO/kept:v1", "--if-match", "none", "--dry-run"], 3),
        (&["FROM/app:amd64", "TO/kept:v1", "--no-clobber", "--dry-run"], 3),
        (&["FROM/app:amd64", "TO/kept:new", "--tags", "v1", "--no-clobber"], 3),
        // The tag already points at the copied digest.
        (&["FROM/app:v1", "TO/kept:v1", "--if-match", "none"], 0),
        (&["FROM/app:v1", "TO/kept:v1", "--no-clobber"], 0),
        (&["FROM/app:v1", "TO/kept:v1", "--no-clobber", "--if-match", "none"], 2),
        (&["FROM/app", "TO/kept", "--tags", "v*", "--if-match", other.as_str()], 2),
    ] {
        fixture.copy(args).exits(exit);
        assert_eq!(fixture.to.snapshot(), before, "{args:?}");
    }
    fixture.copied(&["FROM/app:amd64", "TO/kept:v1", "--if-match", &digest("v1")]);
    assert_eq!(fixture.to.manifest("kept", "v1").unwrap().digest, digest("amd64"));
}

#[test]
fn no_clobber_copies_the_tags_of_a_repository_that_do_not_exist() {
    let fixture = CopyFixture::new();
    fixture.copied(&["FROM/app:arm64", "TO/some:amd64"]);
    let kept = fixture.to.manifest("some", "amd64").unwrap().digest;
    fixture.copy(&["FROM/app", "TO/some", "--tags", "amd64,v1", "--no-clobber"]).exits(1);
    assert_eq!(fixture.to.manifest("some", "amd64").unwrap().digest, kept);
    assert_complete(&fixture.to, "some", "v1");
    fixture.copied(&["FROM/app", "TO/some", "--tags", "v1", "--no-clobber"]);
    // A specific exit code means that nothing was written.
    fixture.copy(&["FROM/app", "TO/some", "--tags", "amd64", "--no-clobber"]).exits(3);
}
