//! `copy`: byte for byte, from everywhere to everywhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::faults::{Fault, Faulty};
use crate::support::images::{DOCKER, OCI, OCI_INDEX, descriptor, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Scripted, command, manifest_tool, peak_of};

struct Scene {
    folder: tempfile::TempDir,
    from: Registry,
    to: Registry,
}

const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

impl Scene {
    /// `app:v1` is an index of two images, with an index in it that holds a third.
    fn new() -> Self {
        let (folder, from, to) = (tempfile::tempdir().unwrap(), Registry::start(), Registry::start());
        let mut entries: Vec<Value> = PLATFORMS.iter().map(|arch| entry(&from, "app", arch)).collect();
        let inner = index(&[entry(&from, "app", "riscv64")]);
        from.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
        entries.push(descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes()));
        from.push_manifest("app", "v1", OCI_INDEX, index(&entries).as_bytes());
        Self { folder, from, to }
    }

    fn copy(&self, args: &[&str]) -> Outcome {
        let (from, to) = (&self.from.host, &self.to.host);
        let args: Vec<String> = args.iter().map(|arg| arg.replace("FROM", from).replace("TO", to)).collect();
        let args: Vec<&str> = ["--plain-http", "copy"].into_iter().chain(args.iter().map(String::as_str)).collect();
        manifest_tool(self.folder.path(), &args)
    }

    #[track_caller]
    fn copied(&self, args: &[&str]) -> String {
        let outcome = self.copy(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
        outcome.stdout
    }
}

fn entry(registry: &Registry, repository: &str, architecture: &str) -> Value {
    let mut entry = push_image(registry, repository, architecture, architecture);
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

fn index(entries: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string()
}

/// Everything below a manifest is there.
fn whole(registry: &Registry, repository: &str, name: &str) {
    let found = registry.manifest(repository, name).unwrap_or_else(|| panic!("{repository}:{name}"));
    let manifest: Value = serde_json::from_slice(&found.bytes).unwrap();
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        whole(registry, repository, child["digest"].as_str().unwrap());
    }
    let blobs = manifest["layers"].as_array().into_iter().flatten().chain(manifest.get("config"));
    for blob in blobs {
        assert!(registry.has_blob(repository, blob["digest"].as_str().unwrap()), "{blob}");
    }
}

#[test]
fn an_index_goes_round_through_every_kind_of_place() {
    let scene = Scene::new();
    let digest = scene.from.manifest("app", "v1").unwrap().digest;
    let ways = [
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
    for (from, to) in ways {
        let said = scene.copied(&[from, to]);
        assert_eq!(said.split(' ').nth(1), Some(digest.as_str()), "{from} to {to}");
    }
    for (registry, repository, tag) in [
        (&scene.to, "app", "v1"),
        (&scene.to, "other", "v2"),
        (&scene.from, "back/app", "v1"),
        (&scene.from, "back/archive", "v1"),
    ] {
        assert_eq!(registry.manifest(repository, tag).unwrap().digest, digest);
        whole(registry, repository, tag);
    }
    // Again: nothing is written.
    let mark = scene.to.requests(0).len();
    scene.copied(&["FROM/app:v1", "TO/app:v1"]);
    let again = scene.to.requests(mark);
    assert!(again.iter().all(|line| line.starts_with("HEAD ")), "{again:?}");
}

#[test]
fn a_single_image_of_dockers_type() {
    let scene = Scene::new();
    let registry = &scene.from;
    let image: Value = serde_json::from_slice(&registry.manifest("app", "amd64").unwrap().bytes).unwrap();
    let mut image = image;
    image["mediaType"] = DOCKER.into();
    image["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    let bytes = image.to_string();
    registry.push_manifest("app", "docker", DOCKER, bytes.as_bytes());
    // Without a name it keeps its own; further tags go beside it.
    scene.copied(&["FROM/app:docker", "TO/app", "--tags", "a,b"]);
    for tag in ["docker", "a", "b"] {
        let found = scene.to.manifest("app", tag).unwrap();
        assert_eq!((found.bytes.as_slice(), found.media_type.as_str()), (bytes.as_bytes(), DOCKER));
        whole(&scene.to, "app", tag);
    }
    let digest = sha256(bytes.as_bytes());
    scene.copied(&[&format!("FROM/app@{digest}"), "TO/byname:v1"]);
    scene.copied(&[&format!("FROM/app@{digest}"), "TO/bydigest"]);
    assert!(scene.to.manifest("byname", "v1").is_some() && scene.to.manifest("bydigest", &digest).is_some());
}

#[test]
fn one_platform_out_of_an_index() {
    let scene = Scene::new();
    let arm64 = scene.from.manifest("app", "arm64").unwrap().digest;
    let said = scene.copied(&["FROM/app:v1", "TO/app:v1", "--platform", "linux/arm64"]);
    assert!(said.contains(&arm64) && scene.to.manifest("app", "v1").unwrap().digest == arm64, "{said}");
    assert!(scene.to.manifest("app", &scene.from.manifest("app", "amd64").unwrap().digest).is_none());
    let outcome = scene.copy(&["FROM/app:v1", "TO/x:v1", "--platform", "linux/s390x"]);
    let part = "it holds no image for linux/s390x; it holds linux/amd64, linux/arm64";
    assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{outcome:?}");
    scene.copied(&["FROM/app:amd64", "TO/y:v1", "--platform", "linux/amd64"]);
    let outcome = scene.copy(&["FROM/app:amd64", "TO/z:v1", "--platform", "linux/arm64"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("it is one image, for linux/amd64 and not"), "{outcome:?}");
    assert!(scene.to.manifest("z", "v1").is_none());
}

#[test]
fn many_tags() {
    let scene = Scene::new();
    let shown = scene.copied(&["FROM/app", "TO/app", "--tags", "a*,v?", "--dry-run"]);
    let lines: Vec<&str> = shown.lines().map(|line| line.rsplit(':').next().unwrap()).collect();
    assert_eq!(lines, ["amd64", "arm64", "v1"], "{shown}");
    assert!(scene.to.manifest("app", "v1").is_none(), "nothing is written");
    let said = scene.copied(&["FROM/app", "TO/app", "--tags", "a*,v?"]);
    assert_eq!(said.lines().count(), 3);
    for tag in ["amd64", "arm64", "v1"] {
        assert_eq!(scene.to.manifest("app", tag).unwrap().digest, scene.from.manifest("app", tag).unwrap().digest);
        whole(&scene.to, "app", tag);
    }
    assert!(scene.to.manifest("app", "inner").is_none());
    let outcome = scene.copy(&["FROM/app", "TO/app", "--tags", "v1,gone,x*"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("no tag matches gone, x*"), "{outcome:?}");
    for (args, part) in [
        (["FROM/app", "TO/app", "--quiet"], "has no tag or digest; name a tag, or choose"),
        (["FROM/app", "TO/app:v1", "--tags=v1"], "has a tag or digest; with a repository as source"),
        (["FROM/app:v1", "TO/app", "--tags=v*"], "invalid tag \"v*\""),
    ] {
        let outcome = scene.copy(&args);
        assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{outcome:?}");
    }
}

/// Whether the tag would move is then not known.
#[test]
fn a_dry_run_fails_if_the_target_cannot_be_read() {
    let scene = Scene::new();
    let broken = Scripted::start(|_, _| (500, vec![], vec![]));
    let target = format!("{}/app:v1", broken.host);
    let outcome = scene.copy(&["FROM/app:v1", &target, "--dry-run", "--retries", "0"]);
    assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{outcome:?}");
    assert!(outcome.stderr.contains(&target) && outcome.stderr.contains("500"), "{outcome:?}");
}

/// Pages are followed at the registry itself, and nowhere else; null is no tags.
#[test]
fn tags_in_pages() {
    let elsewhere = Scripted::start(|_, _| (200, vec![], br#"{"tags":["stolen"]}"#.to_vec()));
    let thief = elsewhere.host.clone();
    let server = Scripted::start(move |asked, host| {
        let (tags, next) = match asked.line.rsplit('?').next().unwrap() {
            "last=a" => ("null", Some("?last=b".to_owned())),
            "last=b" => (r#"["v2","../x"]"#, None),
            _ if asked.line.contains("/evil/") => (r#"["v1"]"#, Some(format!("http://{thief}/v2/x/tags/list"))),
            _ => (r#"["v1"]"#, Some(format!("http://{host}/v2/app/tags/list?last=a"))),
        };
        if !asked.line.contains("/tags/list") {
            let manifest = index(&[]).into_bytes();
            return (200, vec![("Content-Type", OCI_INDEX.into())], manifest);
        }
        let link = next.map(|next| ("Link", format!("<{next}>; rel=\"next\"")));
        (200, link.into_iter().collect(), format!(r#"{{"name":"app","tags":{tags}}}"#).into_bytes())
    });
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str| {
        let from = format!("{}/{from}", server.host);
        manifest_tool(folder.path(), &["--plain-http", "copy", "--dry-run", "--tags", "*", &from, "oci:x"])
    };
    let outcome = copy("app");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
    assert!(outcome.stdout.contains("/app:v1 -> oci:x:v1") && outcome.stdout.contains("/app:v2 -> "), "{outcome:?}");
    let outcome = copy("evil");
    assert!(outcome.exit == 1 && outcome.stderr.contains("at another host, which is not asked"), "{outcome:?}");
    assert!(elsewhere.asked().is_empty());
}

/// A signature of an image, an SBOM of the index, a signature of the SBOM; and what cosign keeps in tags of its own.
#[test]
fn referrers_go_along() {
    let scene = Scene::new();
    let refer = |subject: &Value, name: &str| {
        let config = scene.from.push_blob("app", b"{}");
        let layer = scene.from.push_blob("app", name.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI, "artifactType": format!("application/{name}"),
            "config": descriptor("application/vnd.oci.empty.v1+json", &config, b"{}"),
            "layers": [descriptor("text/plain", &layer, name.as_bytes())],
            "subject": subject,
        })
        .to_string();
        let entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
        scene.from.push_manifest("app", entry["digest"].as_str().unwrap(), OCI, manifest.as_bytes());
        // docker-registry has no list of referrers: whoever pushes one puts it into the tag of its subject.
        let tag = subject["digest"].as_str().unwrap().replace(':', "-");
        scene.from.push_manifest("app", &tag, OCI_INDEX, index(std::slice::from_ref(&entry)).as_bytes());
        entry
    };
    let of = |tag: &str| {
        let found = scene.from.manifest("app", tag).unwrap();
        descriptor(&found.media_type, &found.digest, &found.bytes)
    };
    let signature = refer(&of("amd64"), "signature");
    let sbom = refer(&of("v1"), "sbom");
    let of_sbom = refer(&sbom, "signature of the sbom");
    let cosign = format!("{}.sig", of("v1")["digest"].as_str().unwrap().replace(':', "-"));
    push_image(&scene.from, "app", &cosign, "amd64");
    let all = [&signature, &sbom, &of_sbom].map(|entry| entry["digest"].as_str().unwrap().to_owned());

    scene.copied(&["FROM/app:v1", "TO/plain:v1"]);
    assert!(all.iter().all(|digest| scene.to.manifest("plain", digest).is_none()));
    scene.copied(&["FROM/app:v1", "TO/app:v1", "--referrers"]);
    scene.copied(&["FROM/app:v1", "oci:layout:v1", "--referrers"]);
    scene.copied(&["oci:layout:v1", "TO/back:v1", "--referrers"]);
    for repository in ["app", "back"] {
        for digest in &all {
            whole(&scene.to, repository, digest);
        }
        for (subject, referrer) in [(of("amd64"), &all[0]), (of("v1"), &all[1]), (sbom.clone(), &all[2])] {
            let tag = subject["digest"].as_str().unwrap().replace(':', "-");
            let list: Value = serde_json::from_slice(&scene.to.manifest(repository, &tag).unwrap().bytes).unwrap();
            assert_eq!(list["manifests"][0]["digest"], **referrer, "{list}");
        }
    }
    whole(&scene.to, "app", &cosign);
    // Again, with another referrer that is there already: it stays.
    scene.copied(&["FROM/app:v1", "TO/app:v1", "--referrers"]);
}

/// A blob that breaks off, or comes with other bytes, is fetched again from its beginning; one that always does is an
/// error, and nothing that refers to it is written.
#[test]
fn blobs_that_break_off() {
    let scene = Scene::new();
    for (fault, once) in [
        (Fault::Truncated, true),
        (Fault::ResetMiddle, true),
        (Fault::WrongBody, true),
        (Fault::Truncated, false),
        (Fault::WrongBody, false),
        (Fault::Endless, false),
    ] {
        for to in ["TO/NAME:v1", "oci:out-NAME:v1", "oci-archive:NAME.tar:v1"] {
            let shown = format!("{fault:?} {once} {to}");
            let name = format!("n{}", &sha256(shown.as_bytes())[7..15]);
            let (fault, fired) = (fault.clone(), AtomicUsize::new(0));
            let front = Faulty::before(&scene.from, Clone::clone, move |asked| {
                let wanted = asked.line.starts_with("GET /v2/app/blobs/");
                (wanted && (fired.fetch_add(1, Ordering::SeqCst) == 0 || !once)).then(|| fault.clone())
            });
            let to = to.replace("NAME", &name);
            let args = [&format!("{}/app:amd64", front.host), to.as_str(), "--retries", "2", "--max-wait", "50ms"];
            let outcome = scene.copy(&args);
            assert_eq!(outcome.exit, i32::from(!once), "{shown}: {outcome:?}");
            let place = to.replace("TO", &scene.to.host);
            let read = manifest_tool(scene.folder.path(), &["--plain-http", "inspect", &place]);
            assert_eq!(read.exit, i32::from(!once), "{shown}: {read:?}");
            assert!(once || outcome.stderr.contains("no tag was written"), "{shown}: {outcome:?}");
        }
    }
}

/// Registries that list referrers themselves: the list is read from the source, and the target needs no tag for it.
#[test]
fn referrers_that_registries_list() {
    let scene = Scene::new();
    let signature = push_image(&scene.from, "app", "signature", "amd64");
    let digest = scene.from.manifest("app", "v1").unwrap().digest;
    let (listed, of) = (index(std::slice::from_ref(&signature)), format!("/v2/app/referrers/{digest}"));
    let answer = |body: String| (200, vec![("Content-Type", OCI_INDEX.to_owned())], body.into_bytes());
    let from = Scripted::before(&scene.from, move |asked| {
        let body = if asked.line.ends_with(&of) { listed.clone() } else { index(&[]) };
        asked.line.contains("/referrers/").then(|| answer(body))
    });
    let to = Scripted::before(&scene.to, move |asked| asked.line.contains("/referrers/").then(|| answer(index(&[]))));
    let (source, target) = (format!("{}/app:v1", from.host), format!("{}/app:v1", to.host));
    scene.copied(&[&source, &target, "--referrers"]);
    whole(&scene.to, "app", signature["digest"].as_str().unwrap());
    let tags: Vec<_> = to
        .asked()
        .into_iter()
        .filter(|asked| asked.line.starts_with("PUT ") && asked.line.contains("/sha256-"))
        .collect();
    assert!(tags.is_empty(), "{tags:?}");
}

/// Layers pass by: they are never whole in memory.
#[test]
fn large_layers_take_little_memory() {
    let scene = Scene::new();
    let mut entries = Vec::new();
    for (number, architecture) in ["amd64", "arm64", "s390x", "ppc64le"].iter().enumerate() {
        let config = json!({"os": "linux", "architecture": architecture}).to_string();
        let layer = vec![u8::try_from(number).unwrap(); 24 << 20];
        entries.push(push_image_with(&scene.from, "large", architecture, config.as_bytes(), &layer));
    }
    scene.from.push_manifest("large", "v1", OCI_INDEX, index(&entries).as_bytes());
    let from = format!("{}/large:v1", scene.from.host);
    for to in [format!("{}/large:v1", scene.to.host), "oci:large:v1".into(), "oci-archive:large.tar:v1".into()] {
        let (outcome, peak) = peak_of(command(scene.folder.path(), &["--plain-http", "copy", &from, &to]));
        assert_eq!(outcome.exit, 0, "{to}: {outcome:?}");
        assert!(peak > 1024 && peak <= 64 << 10, "{peak} kB for 96 MB of layers to {to}");
    }
}
