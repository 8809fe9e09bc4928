//! Registries that lack, hide or misreport the list of referrers: signatures are copied anyway, or the copy fails.

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX};
use crate::support::scripted_server::{ReceivedRequest, Response, forward_request};
use crate::support::{MemoryRegistry, Outcome, ScriptedServer, Workspace};

const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
const DENIED: &str = r#"{"errors":[{"code":"DENIED"}]}"#;

/// A registry without a referrers API, with the image `app:v1`.
struct ReferrersSource {
    workspace: Workspace,
    registry: MemoryRegistry,
    image: Value,
}

impl ReferrersSource {
    fn new() -> Self {
        let registry = MemoryRegistry::start(false);
        let image = registry.put_manifest("app", "v1", &image(&registry, "image", None));
        Self { workspace: workspace(), registry, image }
    }

    /// Adds a signature of the image, and lists it in the referrers tag.
    fn sign(&self) -> Value {
        let signature = image(&self.registry, "signature", Some(&self.image));
        let signature = self.registry.put_manifest("app", "signature", &signature);
        self.registry.put_manifest("app", &referrers_tag(&self.image), &index(std::slice::from_ref(&signature)));
        signature
    }

    /// Copies the image with its referrers from the source, or from a server in front of it.
    fn copy(&self, from_host: &str, to_host: &str) -> Outcome {
        let (from, to) = (format!("{from_host}/app:v1"), format!("{to_host}/app:v1"));
        self.workspace.run(&["copy", "--referrers", &from, &to])
    }

    fn copy_to(&self, target: &MemoryRegistry) -> Outcome {
        self.copy(&self.registry.server.host, &target.server.host)
    }

    fn inspect_referrers(&self, host: &str) -> Value {
        self.workspace.run(&["inspect", "--output", "json", &format!("{host}/app:v1")]).json()["referrers"].take()
    }

    /// Starts a server in front of the source. Requests that `fault` does not answer go on to the source.
    fn proxy(&self, fault: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static) -> ScriptedServer {
        proxy(&self.registry, fault)
    }
}

fn workspace() -> Workspace {
    Workspace::new().flags(&["--plain-http", "--retries", "0"])
}

fn proxy(
    registry: &MemoryRegistry,
    fault: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static,
) -> ScriptedServer {
    let upstream = registry.server.host.clone();
    ScriptedServer::start(move |request, host| {
        fault(request).unwrap_or_else(|| forward_request(request, &upstream, host))
    })
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

/// Returns the tag of the list of referrers (distribution-spec, "Referrers Tag Schema").
fn referrers_tag(subject: &Value) -> String {
    digest(subject).replace(':', "-")
}

fn html(status: u16, body: &str) -> Response {
    (status, vec![("Content-Type", "text/html".into())], body.into())
}

/// Returns the digests that the referrers tag lists.
fn listed_referrers(registry: &MemoryRegistry, subject: &Value) -> Vec<String> {
    let bytes = registry.manifest("app", &referrers_tag(subject)).unwrap_or_else(|| b"{}".to_vec());
    let list: Value = serde_json::from_slice(&bytes).unwrap();
    list["manifests"].as_array().into_iter().flatten().map(|entry| digest(entry).to_owned()).collect()
}

#[test]
fn the_referrers_tag_is_read_if_the_registry_has_no_referrers_api() {
    let source = ReferrersSource::new();
    let signature = source.sign();
    let errors = [400, 403, 404, 405, 406, 410, 415, 422, 501].map(|status| (status, ""));
    let denied = (403, DENIED);
    let not_a_list = [(200, "<html>hello</html>"), (200, "{}"), (200, ""), (200, "null"), (200, "[]"), (204, "")];
    for (status, body) in errors.into_iter().chain([denied]).chain(not_a_list) {
        let proxy = source.proxy(move |request| request.line.contains("/referrers/").then(|| html(status, body)));
        let target = MemoryRegistry::start(false);
        source.copy(&proxy.host, &target.server.host).success();
        assert!(target.manifest("app", digest(&signature)).is_some(), "{status} {body}");
        assert_eq!(listed_referrers(&target, &source.image), [digest(&signature)], "{status} {body}");
        assert_eq!(source.inspect_referrers(&proxy.host)[0]["digest"], signature["digest"], "{status} {body}");
    }
}

#[test]
fn the_referrers_tag_is_read_if_the_list_is_redirected_to_a_404() {
    let source = ReferrersSource::new();
    let signature = source.sign();
    let storage = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/list", storage.host);
        let proxy = source.proxy(move |request| {
            request.line.contains("/referrers/").then(|| (status, vec![("Location", location.clone())], vec![]))
        });
        let target = MemoryRegistry::start(false);
        source.copy(&proxy.host, &target.server.host).success();
        assert!(target.manifest("app", digest(&signature)).is_some(), "{status}");
    }
}

/// A registry that fails to produce its list has a referrers API, so the tag may lack what the list has.
#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let source = ReferrersSource::new();
    source.sign();
    let invalid_lists = [
        r#"{"manifests":7}"#,
        r#"{"manifests":[{"digest":"x"}]}"#,
        r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:"#,
        r#"{"manifests":[],"manifests":[]}"#,
        r#"{"manifests":[]} and more"#,
    ];
    let invalid_lists = invalid_lists.map(|body| (200, body));
    let failures = [401, 408, 429, 500, 502, 503, 504].map(|status| (status, ""));
    for (status, body) in failures.into_iter().chain(invalid_lists) {
        let proxy = source.proxy(move |request| request.line.contains("/referrers/").then(|| html(status, body)));
        let target = MemoryRegistry::start(false);
        source.copy(&proxy.host, &target.server.host).fails(1, "no tag was written");
        assert!(target.manifest("app", "v1").is_none(), "{status} {body}");
        // Null means unknown, and an empty list means that the image has no referrers.
        let referrers = source.inspect_referrers(&proxy.host);
        assert!(referrers.is_null(), "{status} {body}: {referrers}");
    }
}

/// The tag may list signatures, which an error response or invalid content does not rule out.
#[test]
fn a_referrers_tag_that_cannot_be_read_is_an_error_and_is_not_overwritten() {
    for (status, body) in
        [(200, "<html>hello</html>"), (200, r#"{"manifests":7}"#), (403, ""), (404, DENIED), (500, ""), (401, "")]
    {
        let source = ReferrersSource::new();
        source.sign();
        let tag = referrers_tag(&source.image);
        let path = format!("/v2/app/manifests/{tag}");
        let path_at_target = path.clone();
        let proxy_of_source = source.proxy(move |request| request.line.ends_with(&path).then(|| html(status, body)));
        let target = MemoryRegistry::start(false);
        source.copy(&proxy_of_source.host, &target.server.host).exits(1);
        assert!(target.manifest("app", "v1").is_none(), "{status} {body}");
        let proxy_of_target = proxy(&target, move |request| {
            let reads_tag = request.line.starts_with("GET ") && request.line.ends_with(&path_at_target);
            reads_tag.then(|| html(status, body))
        });
        source.copy(&source.registry.server.host, &proxy_of_target.host).exits(1);
        assert!(target.manifest("app", "v1").is_none(), "{status} {body}");
        let writes = proxy_of_target.requests().into_iter().filter(|request| request.writes_manifest(&tag));
        assert_eq!(writes.count(), 0, "{status} {body}");
    }
}

/// GitLab resolves the referrers tag to the subject, because it reads the tag as a digest (oras#2148).
#[test]
fn a_referrers_tag_that_resolves_to_the_subject_lists_no_referrers() {
    let (from, workspace) = (MemoryRegistry::start(false), workspace());
    let image = from.put_manifest("app", "image", &image(&from, "image", None));
    let content = serde_json::from_slice(&from.manifest("app", "image").unwrap()).unwrap();
    from.put_manifest("app", &referrers_tag(&image), &content);
    let list = index(std::slice::from_ref(&image));
    let whole = from.put_manifest("app", "v1", &list);
    from.put_manifest("app", &referrers_tag(&whole), &list);
    for tag in ["image", "v1"] {
        let target = MemoryRegistry::start(false);
        let (from, to) = (format!("{}/app:{tag}", from.server.host), format!("{}/app:{tag}", target.server.host));
        workspace.run(&["copy", "--referrers", &from, &to]).success();
        for subject in [&image, &whole] {
            assert!(target.manifest("app", &referrers_tag(subject)).is_none(), "{tag}: no list is written");
        }
        let document = workspace.run(&["inspect", "--output", "json", &from]).json();
        assert_eq!(document["referrers"], json!([]), "{tag}");
    }
}

#[test]
fn a_referrers_tag_that_resolves_to_the_subject_at_the_target_is_replaced_with_the_list() {
    let source = ReferrersSource::new();
    let signature = source.sign();
    let target = MemoryRegistry::start(false);
    let image = source.registry.manifest("app", "v1").unwrap();
    target.put_manifest("app", &referrers_tag(&source.image), &serde_json::from_slice(&image).unwrap());
    source.copy_to(&target).success();
    assert_eq!(listed_referrers(&target, &source.image), [digest(&signature)]);
}

#[test]
fn a_referrers_tag_that_is_not_a_list_is_an_error_and_is_not_overwritten() {
    let source = ReferrersSource::new();
    let tag = referrers_tag(&source.image);
    let artifact = json!({"mediaType": ARTIFACT, "blobs": []});
    for other in [image(&source.registry, "other", None), artifact] {
        // At the source, it may be a signature.
        source.registry.put_manifest("app", &tag, &other);
        let target = MemoryRegistry::start(false);
        source.copy_to(&target).fails(1, "points at other content");
        assert!(target.manifest("app", "v1").is_none());
        // At the target, it is kept.
        source.sign();
        let target = MemoryRegistry::start(false);
        target.put_manifest("app", &tag, &other);
        let before = target.manifest("app", &tag);
        source.copy_to(&target).fails(1, "points at other content");
        assert!(target.manifest("app", &tag) == before && target.manifest("app", "v1").is_none());
    }
}

#[test]
fn the_list_at_the_target_keeps_its_entries_and_annotations() {
    let source = ReferrersSource::new();
    let signature = source.sign();
    let target = MemoryRegistry::start(false);
    let existing = target.put_manifest("app", "own", &image(&source.registry, "own", Some(&source.image)));
    let mut list = index(std::slice::from_ref(&existing));
    list["annotations"] = json!({"kept": "yes"});
    target.put_manifest("app", &referrers_tag(&source.image), &list);
    source.copy_to(&target).success();
    assert_eq!(listed_referrers(&target, &source.image), [digest(&existing), digest(&signature)]);
    let bytes = target.manifest("app", &referrers_tag(&source.image)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["annotations"], json!({"kept": "yes"}));
}

#[test]
fn a_listed_referrer_that_is_missing_is_an_error() {
    let source = ReferrersSource::new();
    let signature = source.sign();
    let path = format!("/v2/app/manifests/{}", digest(&signature));
    let proxy = source.proxy(move |request| request.line.ends_with(&path).then(|| html(404, "")));
    let target = MemoryRegistry::start(false);
    source.copy(&proxy.host, &target.server.host).fails(1, "not found");
    assert!(target.manifest("app", "v1").is_none());
}

/// Puts an image with an SBOM as artifact manifest, and a signature of the SBOM as another.
fn put_image_with_artifacts(registry: &MemoryRegistry) -> (Value, [Value; 2]) {
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

/// `verify` cannot check its blobs, which does not make it unsound.
#[test]
fn verify_of_an_artifact_manifest_is_an_error_and_not_a_finding() {
    let registry = MemoryRegistry::start(true);
    put_image_with_artifacts(&registry);
    let reference = format!("{}/app:sbom", registry.server.host);
    workspace()
        .run(&["verify", &reference])
        .fails(1, &format!("{reference}: media type \"{ARTIFACT}\" is neither"))
        .stdout_is("");
}

#[test]
fn artifact_manifests_are_copied_with_their_blobs() {
    let (from, workspace) = (MemoryRegistry::start(true), workspace());
    let (subject, artifacts) = put_image_with_artifacts(&from);
    let [with_api, without_api, last] = [true, false, true].map(MemoryRegistry::start);
    let reference = |registry: &MemoryRegistry, repository: &str| format!("{}/{repository}:v1", registry.server.host);
    for (from, to) in [
        (reference(&from, "app"), reference(&with_api, "app")),
        (reference(&with_api, "app"), reference(&with_api, "other")),
        (reference(&with_api, "other"), reference(&without_api, "app")),
        (reference(&without_api, "app"), "oci:layout:v1".into()),
        ("oci:layout:v1".into(), "oci-archive:archive.tar:v1".into()),
        ("oci-archive:archive.tar:v1".into(), reference(&last, "app")),
    ] {
        workspace.run(&["copy", "--referrers", &from, &to]).success();
    }
    for (registry, repository) in [(&with_api, "app"), (&with_api, "other"), (&without_api, "app"), (&last, "app")] {
        for artifact in &artifacts {
            let bytes = registry.manifest(repository, digest(artifact)).unwrap();
            assert_eq!(Some(&bytes), from.manifest("app", digest(artifact)).as_ref(), "byte for byte");
            let manifest: Value = serde_json::from_slice(&bytes).unwrap();
            for blob in manifest["blobs"].as_array().unwrap() {
                assert!(registry.blob(repository, digest(blob)).is_some(), "{repository}: {blob}");
            }
        }
    }
    assert_eq!(listed_referrers(&without_api, &subject), [digest(&artifacts[0])]);
    assert_eq!(listed_referrers(&without_api, &artifacts[0]), [digest(&artifacts[1])]);
}

#[test]
fn an_artifact_manifest_that_cannot_be_copied_completely_is_an_error() {
    for (kind, response, part) in [
        ("blobs", html(404, ""), "not found"),
        ("manifests", html(404, ""), "not found"),
        ("manifests", (200, vec![("Content-Type", ARTIFACT.into())], b"{}".to_vec()), "bytes"),
        ("manifests", html(500, ""), "HTTP 500"),
    ] {
        let (from, target) = (MemoryRegistry::start(true), MemoryRegistry::start(true));
        let (_, artifacts) = put_image_with_artifacts(&from);
        let manifest: Value = serde_json::from_slice(&from.manifest("app", digest(&artifacts[0])).unwrap()).unwrap();
        let failing = if kind == "blobs" { digest(&manifest["blobs"][0]) } else { digest(&artifacts[0]) };
        let path = format!("/v2/app/{kind}/{failing}");
        let proxy = proxy(&from, move |request| {
            (request.line.starts_with("GET ") && request.line.ends_with(&path)).then(|| response.clone())
        });
        let (source, to) = (format!("{}/app:v1", proxy.host), format!("{}/app:v1", target.server.host));
        workspace().run(&["copy", "--referrers", &source, &to]).fails(1, part);
        assert!(target.manifest("app", "v1").is_none() && target.manifest("app", digest(&artifacts[0])).is_none());
    }
}

/// An unnamed entry of a layout may be the requested signature.
#[test]
fn an_unreadable_unnamed_manifest_in_a_layout_is_an_error_only_with_referrers() {
    let (from, workspace) = (MemoryRegistry::start(true), workspace());
    let (_, artifacts) = put_image_with_artifacts(&from);
    workspace.run(&["copy", "--referrers", &format!("{}/app:v1", from.server.host), "oci:layout:v1"]).success();
    let hex = digest(&artifacts[0]).trim_start_matches("sha256:");
    let file = workspace.write(&format!("layout/blobs/sha256/{hex}"), "other");
    for is_missing in [false, true] {
        if is_missing {
            std::fs::remove_file(&file).unwrap();
        }
        let to = format!("oci:out-{is_missing}:v1");
        workspace.run(&["copy", "--referrers", "oci:layout:v1", &to]).fails(1, digest(&artifacts[0]));
        workspace.run(&["copy", "oci:layout:v1", &to]).success();
    }
}
