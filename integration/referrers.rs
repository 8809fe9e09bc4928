//! Lists of referrers that registries do not have, hide, or answer for with something else: signatures are found where they
//! are, and are never lost in silence.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX};
use crate::support::scripted::{Answer, Asked, forward};
use crate::support::{MemoryRegistry, Outcome, Scripted, manifest_tool};

const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

struct Scene {
    folder: tempfile::TempDir,
    from: MemoryRegistry,
    image: Value,
}

impl Scene {
    /// `app:v1` is an image without referrers.
    fn new() -> Self {
        let from = MemoryRegistry::start(false);
        let image = from.put_manifest("app", "v1", &image(&from, "image", None));
        Self { folder: tempfile::tempdir().unwrap(), from, image }
    }

    /// Puts a signature of the image into the tag of referrers.
    fn sign(&self) -> Value {
        let signature = image(&self.from, "signature", Some(&self.image));
        let signature = self.from.put_manifest("app", "signature", &signature);
        self.from.put_manifest("app", &tag(&self.image), &index(std::slice::from_ref(&signature)));
        signature
    }

    fn run(&self, args: &[&str]) -> Outcome {
        manifest_tool(self.folder.path(), &[&["--plain-http", "--retries", "0"], args].concat())
    }

    fn copy(&self, from: &str, to: &str) -> Outcome {
        self.run(&["copy", "--referrers", from, to])
    }

    /// Starts a server in front of the source. Requests that `fault` does not answer go on to the source.
    fn front(&self, fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Scripted {
        before(&self.from, fault)
    }
}

fn before(registry: &MemoryRegistry, fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Scripted {
    let behind = registry.server.host.clone();
    Scripted::start(move |asked, host| fault(asked).unwrap_or_else(|| forward(asked, &behind, host)))
}

fn image(registry: &MemoryRegistry, name: &str, subject: Option<&Value>) -> Value {
    let config = registry.put_blob("app", "application/vnd.oci.image.config.v1+json", b"{}");
    let layer = registry.put_blob("app", "application/vnd.oci.image.layer.v1.tar", name.as_bytes());
    let mut image = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [layer]});
    if let Some(subject) = subject {
        image["subject"] = subject.clone();
    }
    image
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
}

fn digest(entry: &Value) -> &str {
    entry["digest"].as_str().unwrap()
}

/// The tag that stands for the list of referrers.
fn tag(subject: &Value) -> String {
    digest(subject).replace(':', "-")
}

fn html(status: u16, body: &str) -> Answer {
    (status, vec![("Content-Type", "text/html".into())], body.into())
}

fn listed(registry: &MemoryRegistry, subject: &Value) -> Vec<String> {
    let bytes = registry.manifest("app", &tag(subject)).unwrap_or_else(|| b"{}".to_vec());
    let list: Value = serde_json::from_slice(&bytes).unwrap();
    list["manifests"].as_array().into_iter().flatten().map(|entry| digest(entry).to_owned()).collect()
}

#[test]
fn the_tag_is_read_whatever_a_registry_without_a_list_answers() {
    let scene = Scene::new();
    let signature = scene.sign();
    let errors = [400, 403, 404, 405, 406, 410, 415, 422, 501].map(|status| (status, ""));
    let denied = (403, r#"{"errors":[{"code":"DENIED"}]}"#);
    let others = [(200, "<html>hello</html>"), (200, "{}"), (200, ""), (200, "null"), (200, "[]"), (204, "")];
    for (status, body) in errors.into_iter().chain([denied]).chain(others) {
        let front = scene.front(move |asked| asked.line.contains("/referrers/").then(|| html(status, body)));
        let to = MemoryRegistry::start(false);
        let outcome = scene.copy(&format!("{}/app:v1", front.host), &format!("{}/app:v1", to.server.host));
        assert_eq!(outcome.exit, 0, "{status} {body}: {outcome:?}");
        assert!(to.manifest("app", digest(&signature)).is_some(), "{status} {body}");
        assert_eq!(listed(&to, &scene.image), [digest(&signature)], "{status} {body}");
        let shown = scene.run(&["inspect", "--output", "json", &format!("{}/app:v1", front.host)]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown["referrers"][0]["digest"], signature["digest"], "{status} {body}");
    }
}

#[test]
fn the_tag_is_read_where_the_list_is_redirected_to_a_host_without_it() {
    let scene = Scene::new();
    let signature = scene.sign();
    let storage = Scripted::start(|_, _| (404, vec![], vec![]));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/list", storage.host);
        let front = scene.front(move |asked| {
            asked.line.contains("/referrers/").then(|| (status, vec![("Location", location.clone())], vec![]))
        });
        let to = MemoryRegistry::start(false);
        let outcome = scene.copy(&format!("{}/app:v1", front.host), &format!("{}/app:v1", to.server.host));
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        assert!(to.manifest("app", digest(&signature)).is_some(), "{status}");
    }
}

/// A registry that fails at its list has one: the tag would not show what is in it.
#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let scene = Scene::new();
    scene.sign();
    let bad_lists = [
        r#"{"manifests":7}"#,
        r#"{"manifests":[{"digest":"x"}]}"#,
        r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:"#,
        r#"{"manifests":[],"manifests":[]}"#,
        r#"{"manifests":[]} and more"#,
    ];
    let bad_lists = bad_lists.map(|body| (200, body));
    let failures = [401, 408, 429, 500, 502, 503, 504].map(|status| (status, ""));
    for (status, body) in failures.into_iter().chain(bad_lists) {
        let front = scene.front(move |asked| asked.line.contains("/referrers/").then(|| html(status, body)));
        let to = MemoryRegistry::start(false);
        let outcome = scene.copy(&format!("{}/app:v1", front.host), &format!("{}/app:v1", to.server.host));
        assert!(outcome.exit == 1 && outcome.stderr.contains("no tag was written"), "{status} {body}: {outcome:?}");
        assert!(to.manifest("app", "v1").is_none(), "{status} {body}");
        let shown = scene.run(&["inspect", "--output", "json", &format!("{}/app:v1", front.host)]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert!(shown["referrers"].is_null(), "{status} {body}: not known is not none: {shown}");
    }
}

/// The tag may hold signatures: neither its errors nor content that is not a manifest mean that it holds none.
#[test]
fn a_tag_of_referrers_that_cannot_be_read_is_an_error_and_is_not_overwritten() {
    for (status, body) in
        [(200, "<html>hello</html>"), (200, r#"{"manifests":7}"#), (403, ""), (404, DENIED), (500, ""), (401, "")]
    {
        let scene = Scene::new();
        scene.sign();
        let of = format!("/v2/app/manifests/{}", tag(&scene.image));
        let (of_source, of_target) = (of.clone(), of.clone());
        let front = scene.front(move |asked| asked.line.ends_with(&of_source).then(|| html(status, body)));
        let to = MemoryRegistry::start(false);
        let outcome = scene.copy(&format!("{}/app:v1", front.host), &format!("{}/app:v1", to.server.host));
        assert!(outcome.exit == 1 && to.manifest("app", "v1").is_none(), "{status} {body}: {outcome:?}");
        let front = before(&to, move |asked| {
            (asked.line.starts_with("GET ") && asked.line.ends_with(&of_target)).then(|| html(status, body))
        });
        let outcome = scene.copy(&format!("{}/app:v1", scene.from.server.host), &format!("{}/app:v1", front.host));
        assert!(outcome.exit == 1 && to.manifest("app", "v1").is_none(), "{status} {body}: {outcome:?}");
        let written = front.asked().into_iter().filter(|asked| asked.puts(&tag(&scene.image)));
        assert_eq!(written.count(), 0, "{status} {body}");
    }
}

const DENIED: &str = r#"{"errors":[{"code":"DENIED"}]}"#;

/// GitLab takes the tag for the digest that it spells (oras#2148).
#[test]
fn a_tag_that_is_the_subject_itself_lists_no_referrers() {
    let from = MemoryRegistry::start(false);
    let folder = tempfile::tempdir().unwrap();
    let image = from.put_manifest("app", "image", &image(&from, "image", None));
    from.put_manifest("app", &tag(&image), &serde_json::from_slice(&from.manifest("app", "image").unwrap()).unwrap());
    let list = index(std::slice::from_ref(&image));
    let whole = from.put_manifest("app", "v1", &list);
    from.put_manifest("app", &tag(&whole), &list);
    for name in ["image", "v1"] {
        let to = MemoryRegistry::start(false);
        let (from, target) = (format!("{}/app:{name}", from.server.host), format!("{}/app:{name}", to.server.host));
        let copied = manifest_tool(folder.path(), &["--plain-http", "copy", "--referrers", &from, &target]);
        assert_eq!(copied.exit, 0, "{copied:?}");
        for subject in [&image, &whole] {
            assert!(to.manifest("app", &tag(subject)).is_none(), "{name}: no list is made of it");
        }
        let shown = manifest_tool(folder.path(), &["--plain-http", "inspect", "--output", "json", &from]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown["referrers"], json!([]), "{name}");
    }
}

/// Where the tag is the subject itself at the target, the list takes its place.
#[test]
fn a_list_is_written_where_the_tag_is_the_subject_itself() {
    let scene = Scene::new();
    let signature = scene.sign();
    let to = MemoryRegistry::start(false);
    let bytes = scene.from.manifest("app", "v1").unwrap();
    to.put_manifest("app", &tag(&scene.image), &serde_json::from_slice(&bytes).unwrap());
    let outcome = scene.copy(&format!("{}/app:v1", scene.from.server.host), &format!("{}/app:v1", to.server.host));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(listed(&to, &scene.image), [digest(&signature)]);
}

#[test]
fn a_tag_that_holds_something_else_is_an_error_and_is_not_overwritten() {
    let scene = Scene::new();
    let artifact = json!({"mediaType": ARTIFACT, "blobs": []});
    for other in [image(&scene.from, "other", None), artifact] {
        // At the source: it may be a signature.
        scene.from.put_manifest("app", &tag(&scene.image), &other);
        let to = MemoryRegistry::start(false);
        let (source, target) = (format!("{}/app:v1", scene.from.server.host), format!("{}/app:v1", to.server.host));
        let outcome = scene.copy(&source, &target);
        assert!(outcome.exit == 1 && outcome.stderr.contains("holds something else"), "{outcome:?}");
        assert!(to.manifest("app", "v1").is_none());
        // At the target: it stays.
        scene.sign();
        let to = MemoryRegistry::start(false);
        to.put_manifest("app", &tag(&scene.image), &other);
        let before = to.manifest("app", &tag(&scene.image));
        let outcome = scene.copy(&source, &format!("{}/app:v1", to.server.host));
        assert!(outcome.exit == 1 && outcome.stderr.contains("holds something else"), "{outcome:?}");
        assert!(to.manifest("app", &tag(&scene.image)) == before && to.manifest("app", "v1").is_none());
    }
}

#[test]
fn what_the_list_of_the_target_holds_stays() {
    let scene = Scene::new();
    let signature = scene.sign();
    let to = MemoryRegistry::start(false);
    let own = to.put_manifest("app", "own", &image(&scene.from, "own", Some(&scene.image)));
    let mut list = index(std::slice::from_ref(&own));
    list["annotations"] = json!({"kept": "yes"});
    to.put_manifest("app", &tag(&scene.image), &list);
    let outcome = scene.copy(&format!("{}/app:v1", scene.from.server.host), &format!("{}/app:v1", to.server.host));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(listed(&to, &scene.image), [digest(&own), digest(&signature)]);
    let bytes = to.manifest("app", &tag(&scene.image)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["annotations"], json!({"kept": "yes"}));
}

/// A referrer that is listed and is not there.
#[test]
fn a_referrer_that_is_lost_is_an_error() {
    let scene = Scene::new();
    let signature = scene.sign();
    let of = format!("/v2/app/manifests/{}", digest(&signature));
    let front = scene.front(move |asked| asked.line.ends_with(&of).then(|| html(404, "")));
    let to = MemoryRegistry::start(false);
    let outcome = scene.copy(&format!("{}/app:v1", front.host), &format!("{}/app:v1", to.server.host));
    assert!(outcome.exit == 1 && outcome.stderr.contains("not found"), "{outcome:?}");
    assert!(to.manifest("app", "v1").is_none());
}

/// An image with an SBOM in an artifact manifest, and a signature of that in another.
fn with_artifacts(registry: &MemoryRegistry) -> (Value, [Value; 2]) {
    let subject = registry.put_manifest("app", "v1", &image(registry, "image", None));
    let artifact = |name: &str, subject: &Value| {
        let blobs =
            ["one", "two"].map(|blob| registry.put_blob("app", "text/plain", format!("{name} {blob}").as_bytes()));
        let manifest = json!({
            "mediaType": ARTIFACT, "artifactType": "application/x", "blobs": blobs, "subject": subject,
            "annotations": {"name": name},
        });
        registry.put_manifest("app", name, &manifest)
    };
    let sbom = artifact("sbom", &subject);
    let signature = artifact("signature", &sbom);
    (subject, [sbom, signature])
}

/// Its blobs cannot be judged, which does not make it unsound.
#[test]
fn an_artifact_manifest_under_its_own_tag_is_not_called_unsound() {
    let registry = MemoryRegistry::start(true);
    with_artifacts(&registry);
    let name = format!("{}/app:sbom", registry.server.host);
    let outcome = manifest_tool(Path::new("/"), &["--plain-http", "verify", &name]);
    assert_eq!((outcome.exit, &*outcome.stdout), (1, ""), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("{name}: media type \"{ARTIFACT}\" is neither")), "{outcome:?}");
}

#[test]
fn artifact_manifests_are_copied_with_their_blobs() {
    let (from, folder) = (MemoryRegistry::start(true), tempfile::tempdir().unwrap());
    let (subject, artifacts) = with_artifacts(&from);
    let [listing, tagging, last] = [true, false, true].map(MemoryRegistry::start);
    let name = |registry: &MemoryRegistry, repository: &str| format!("{}/{repository}:v1", registry.server.host);
    for (from, to) in [
        (name(&from, "app"), name(&listing, "app")),
        (name(&listing, "app"), name(&listing, "other")),
        (name(&listing, "other"), name(&tagging, "app")),
        (name(&tagging, "app"), "oci:layout:v1".into()),
        ("oci:layout:v1".into(), "oci-archive:archive.tar:v1".into()),
        ("oci-archive:archive.tar:v1".into(), name(&last, "app")),
    ] {
        let outcome = manifest_tool(folder.path(), &["--plain-http", "copy", "--referrers", &from, &to]);
        assert_eq!(outcome.exit, 0, "{from} to {to}: {outcome:?}");
    }
    for (registry, repository) in [(&listing, "app"), (&listing, "other"), (&tagging, "app"), (&last, "app")] {
        for artifact in &artifacts {
            let bytes = registry.manifest(repository, digest(artifact)).unwrap();
            assert_eq!(Some(&bytes), from.manifest("app", digest(artifact)).as_ref(), "byte for byte");
            let manifest: Value = serde_json::from_slice(&bytes).unwrap();
            for blob in manifest["blobs"].as_array().unwrap() {
                assert!(registry.blob(repository, digest(blob)).is_some(), "{repository}: {blob}");
            }
        }
    }
    assert_eq!(listed(&tagging, &subject), [digest(&artifacts[0])]);
    assert_eq!(listed(&tagging, &artifacts[0]), [digest(&artifacts[1])]);
}

#[test]
fn an_artifact_manifest_that_cannot_be_copied_whole_is_an_error() {
    for (part, answer, said) in [
        ("blobs", html(404, ""), "not found"),
        ("manifests", html(404, ""), "not found"),
        ("manifests", (200, vec![("Content-Type", ARTIFACT.into())], b"{}".to_vec()), "bytes"),
        ("manifests", html(500, ""), "HTTP 500"),
    ] {
        let (from, to, folder) =
            (MemoryRegistry::start(true), MemoryRegistry::start(true), tempfile::tempdir().unwrap());
        let (_, artifacts) = with_artifacts(&from);
        let manifest: Value = serde_json::from_slice(&from.manifest("app", digest(&artifacts[0])).unwrap()).unwrap();
        let name = if part == "blobs" { digest(&manifest["blobs"][0]) } else { digest(&artifacts[0]) };
        let of = format!("/v2/app/{part}/{name}");
        let front = before(&from, move |asked| {
            (asked.line.starts_with("GET ") && asked.line.ends_with(&of)).then(|| answer.clone())
        });
        let (source, target) = (format!("{}/app:v1", front.host), format!("{}/app:v1", to.server.host));
        let args = ["--plain-http", "--retries", "0", "copy", "--referrers", &source, &target];
        let outcome = manifest_tool(folder.path(), &args);
        assert!(outcome.exit == 1 && outcome.stderr.contains(said), "{part} {said}: {outcome:?}");
        assert!(to.manifest("app", "v1").is_none() && to.manifest("app", digest(&artifacts[0])).is_none());
    }
}

/// What a layout lists without a name may be the signature that is asked for.
#[test]
fn a_referrer_in_a_layout_that_cannot_be_read_is_an_error() {
    let (from, folder) = (MemoryRegistry::start(true), tempfile::tempdir().unwrap());
    let (_, artifacts) = with_artifacts(&from);
    let run = |args: &[&str]| manifest_tool(folder.path(), &[&["--plain-http", "copy"], args].concat());
    let copied = run(&["--referrers", &format!("{}/app:v1", from.server.host), "oci:layout:v1"]);
    assert_eq!(copied.exit, 0, "{copied:?}");
    let hex = digest(&artifacts[0]).trim_start_matches("sha256:");
    let file = folder.path().join("layout/blobs/sha256").join(hex);
    std::fs::write(&file, "other").unwrap();
    for lost in [false, true] {
        if lost {
            std::fs::remove_file(&file).unwrap();
        }
        let to = format!("oci:out-{lost}:v1");
        let outcome = run(&["--referrers", "oci:layout:v1", &to]);
        assert!(outcome.exit == 1 && outcome.stderr.contains(digest(&artifacts[0])), "{outcome:?}");
        assert_eq!(run(&["oci:layout:v1", &to]).exit, 0, "it is not needed without --referrers");
    }
}
