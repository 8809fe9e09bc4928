//! `inspect --tree`.

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

use crate::support::images::{
    DOCKER, OCI, OCI_INDEX, days_ago, descriptor, push_image, push_image_with, push_index, push_referrer,
};
use crate::support::registry::sha256;
use crate::support::{MemoryRegistry, Registry, Sandbox, ScriptedServer, Workspace};

const SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const SPDX: &str = "application/spdx+json";

/// Returns the digest of an entry.
fn digest(entry: &Value) -> &str {
    entry["digest"].as_str().unwrap()
}

/// Returns the short form of the digest of an entry.
fn short(entry: &Value) -> &str {
    &digest(entry)[..19]
}

/// Pushes an image with a layer of 20,000 bytes, and returns its entry.
fn push_sized(registry: &Registry, architecture: &str, created: &str) -> Value {
    let config = json!({"os": "linux", "architecture": architecture, "created": created}).to_string();
    let layer = architecture.repeat(4000);
    let mut entry = push_image_with(registry, "app", architecture, config.as_bytes(), layer.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

/// Pushes an attestation with these predicate types, and returns its entry.
fn push_attestation(registry: &Registry, image: &str, predicates: &[&str]) -> Value {
    let config = descriptor("application/vnd.oci.image.config.v1+json", &registry.push_blob("app", b"{}"), b"{}");
    let layers: Vec<Value> = predicates
        .iter()
        .map(|predicate| {
            let mut layer = descriptor(
                "application/vnd.in-toto+json",
                &registry.push_blob("app", predicate.as_bytes()),
                predicate.as_bytes(),
            );
            layer["annotations"] = json!({"in-toto.io/predicate-type": predicate});
            layer
        })
        .collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
    let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    registry.push_manifest("app", digest(&entry), OCI, manifest.as_bytes());
    entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    entry["annotations"] =
        json!({"vnd.docker.reference.digest": image, "vnd.docker.reference.type": "attestation-manifest"});
    entry
}

/// Pushes the image that cosign stores under a tag named after a digest.
fn push_cosign_tag(registry: &Registry, subject: &str, suffix: &str) -> Value {
    let tag = format!("{}.{suffix}", subject.replace(':', "-"));
    push_image_with(registry, "app", &tag, b"{}", b"payload")
}

/// `app:v1` is an index of two images. The first has an attestation, an SBOM with a signature, and the second a
/// signature in cosign's tag. The index itself is signed.
struct TreeFixture {
    sandbox: Sandbox,
    index: Value,
    images: [Value; 2],
    attestation: Value,
    sbom: Value,
    sbom_signature: Value,
    tag_signature: Value,
    index_signature: Value,
}

impl TreeFixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let registry = &sandbox.registry;
        let images =
            [push_sized(registry, "amd64", &days_ago(3)), push_sized(registry, "arm64", "1970-01-01T00:00:00Z")];
        let predicates = ["https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2", "https://example.org/test"];
        let attestation = push_attestation(registry, digest(&images[0]), &predicates);
        let subject =
            |entry: &Value| json!({"mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"]});
        let sbom = push_referrer(registry, "app", &subject(&images[0]), SPDX);
        let sbom_signature = push_referrer(registry, "app", &subject(&sbom), SIGNATURE);
        let tag_signature = push_cosign_tag(registry, digest(&images[1]), "sig");
        // The attestation precedes its image.
        let entries = [attestation.clone(), images[0].clone(), images[1].clone()];
        let index = push_index(registry, "app", "v1", &entries);
        let bytes = registry.manifest("app", "v1").unwrap().bytes;
        let index = descriptor(OCI_INDEX, &index, &bytes);
        let index_signature = push_referrer(registry, "app", &index, SIGNATURE);
        Self { sandbox, index, images, attestation, sbom, sbom_signature, tag_signature, index_signature }
    }

    fn tree(&self, name: &str) -> String {
        let [amd64, arm64] = &self.images;
        // The size of a referrer counts its config, `{}`, and its layer.
        let size =
            |subject: &Value, artifact_type: &str| format!("{artifact_type} of \"{}\"", digest(subject)).len() + 2;
        formatdoc! {"
            {name}  OCI index  {index}  39.3 KiB  3 days
            ├─ linux/amd64  OCI image  {amd64}  19.6 KiB  3 days
            │  ├─ attestation  {attestation}  83 bytes  SBOM, provenance, https://example.org/test
            │  └─ SBOM ({SPDX})  {sbom}  {sbom_size} bytes
            │     └─ cosign signature  {sbom_signature}  {signature_size} bytes
            ├─ linux/arm64  OCI image  {arm64}  19.6 KiB  created 1970-01-01
            │  └─ cosign signature (tag .sig)  {tag_signature}  9 bytes
            └─ cosign signature  {index_signature}  {signature_size} bytes
            ",
            index = short(&self.index), amd64 = short(amd64), arm64 = short(arm64),
            attestation = short(&self.attestation), sbom = short(&self.sbom),
            sbom_signature = short(&self.sbom_signature), tag_signature = short(&self.tag_signature),
            index_signature = short(&self.index_signature), sbom_size = size(amd64, SPDX),
            signature_size = size(&self.sbom, SIGNATURE),
        }
    }
}

#[test]
fn tree_shows_images_attestations_and_referrers_with_few_requests() {
    let fixture = TreeFixture::new();
    let registry = &fixture.sandbox.registry;
    let mark = registry.requests(0).len();
    let outcome = fixture.sandbox.run(&["inspect", "--tree", "HOST/app:v1"]).success();
    let expected = fixture.tree(&fixture.sandbox.fill("HOST/app:v1"));
    assert_eq!((&*outcome.stdout, &*outcome.stderr), (&*expected, ""));
    assert!(expected.lines().all(|line| line.chars().count() <= 100), "{expected}");
    let mut requests = registry.requests(mark);
    requests.retain(|request| request != "GET /v2/");
    let count = |part: &str| requests.iter().filter(|request| request.contains(part)).count();
    // This registry has no referrers API. Its tags tell which lists of referrers and signatures exist.
    let manifests = 1 + 3 + 3 + 3 + 1;
    let expected = [1, 2, manifests, 5];
    assert_eq!(
        [count("/tags/list"), count("/blobs/"), count("/manifests/"), count("/referrers/")],
        expected,
        "{requests:?}"
    );
    assert_eq!(requests.len(), expected.iter().sum::<usize>(), "{requests:?}");
}

#[test]
fn tree_of_a_layout_equals_that_of_the_registry() {
    let fixture = TreeFixture::new();
    fixture.sandbox.run(&["copy", "--referrers", "HOST/app:v1", "oci:out:v1"]).success();
    fixture.sandbox.run(&["copy", "--referrers", "HOST/app:v1", "oci-archive:out.tar:v1"]).success();
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        let outcome = fixture.sandbox.run(&["inspect", "--tree", target]).success();
        assert_eq!(outcome.stdout, fixture.tree(target));
    }
}

#[test]
fn tree_of_a_platform_shows_only_that_image() {
    let fixture = TreeFixture::new();
    let tree = |platform: &str, image: &str| fixture.sandbox.run(&["inspect", "--tree", "--platform", platform, image]);
    let whole = fixture.tree(&fixture.sandbox.fill("HOST/app:v1"));
    let lines: Vec<&str> = whole.lines().collect();
    let index = lines[0].replace("  39.3 KiB  3 days", "");
    let amd64 = lines[1..5].join("\n").replace("├─ linux", "└─ linux").replace('│', " ");
    assert_eq!(tree("linux/amd64", "HOST/app:v1").success().stdout, format!("{index}  3 days\n{amd64}\n"));
    let arm64 = lines[5..7].join("\n").replace("├─ linux", "└─ linux").replace('│', " ");
    assert_eq!(
        tree("linux/arm64/v8", "HOST/app:v1").success().stdout,
        format!("{index}  created 1970-01-01\n{arm64}\n")
    );
    let missing = tree("linux/s390x", "HOST/app:v1").fails(1, "no image for linux/s390x; available: linux/amd64");
    assert_eq!(missing.stdout, "");
    tree("linux/s390x", "HOST/app:arm64").fails(1, "it is a single image for linux/arm64, not for linux/s390x");
    let image = tree("linux/arm64", "HOST/app:arm64").success().stdout;
    assert!(image.starts_with(&fixture.sandbox.fill("HOST/app:arm64  linux/arm64  OCI image  sha256:")), "{image}");
    assert!(image.contains("\n└─ cosign signature (tag .sig)  "), "{image}");
}

#[test]
fn tree_conflicts_with_other_forms_of_output() {
    let workspace = Workspace::new();
    for flag in ["--raw", "--manifest", "--config", "--layers", "--annotations", "--expand-config"] {
        workspace.run(&["inspect", "--tree", flag, "r.example/app:v1"]).fails(2, "cannot be used with");
    }
    workspace
        .run(&["inspect", "--tree", "-o", "json", "r.example/app:v1"])
        .fails(2, "--tree conflicts with --output json");
}

#[test]
fn tree_uses_the_referrers_api_and_finds_tags_without_a_list_of_tags() {
    let registry = MemoryRegistry::start(true);
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &registry.server.host);
    let config = json!({"os": "linux", "architecture": "amd64", "created": days_ago(1)}).to_string();
    let config = registry.put_blob("app", "application/vnd.docker.container.image.v1+json", config.as_bytes());
    let image = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []});
    let image = registry.put_manifest("app", "v1", &image);
    let empty = registry.put_blob("app", "application/vnd.oci.empty.v1+json", b"{}");
    let referrer = |subject: &Value, artifact_type: &str, annotations: Value| {
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "artifactType": artifact_type, "config": empty,
            "layers": [], "subject": subject, "annotations": annotations});
        registry.put_manifest("app", &format!("x-{}", manifest.to_string().len()), &manifest)
    };
    // This registry omits artifact types in its lists, as old ones do.
    let bundle = referrer(
        &image,
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        json!({
            "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
            "org.opencontainers.image.created": days_ago(5),
        }),
    );
    let of_bundle = referrer(&bundle, "application/vnd.example", json!({}));
    referrer(&of_bundle, "application/vnd.example.too-deep", json!({}));
    let cosign = json!({"schemaVersion": 2, "mediaType": OCI, "config": empty, "layers": []});
    let tag = format!("{}.att", digest(&image).replace(':', "-"));
    let cosign = registry.put_manifest("app", &tag, &cosign);
    let outcome = workspace.run(&["inspect", "--tree", "HOST/app:v1"]).success();
    let expected = workspace.fill(&formatdoc! {"
        HOST/app:v1  linux/amd64  Docker image  {image}  {size} bytes  1 day
        ├─ provenance (application/vnd.dev.sigstore.bundle.v0.3+json)  {bundle}  2 bytes  5 days
        │  └─ application/vnd.example  {of_bundle}  2 bytes
        └─ attestation (cosign tag .att)  {cosign}  2 bytes
        ", image = short(&image), size = config["size"], bundle = short(&bundle), of_bundle = short(&of_bundle),
        cosign = short(&cosign),
    });
    assert_eq!((&*outcome.stdout, &*outcome.stderr), (&*expected, ""));
    let requests = registry.server.requests();
    let count = |part: &str| requests.iter().filter(|request| request.line.contains(part)).count();
    assert_eq!(
        [count("/tags/list"), count("/referrers/"), count("/blobs/"), count("/manifests/sha256-")],
        [1, 2, 1, 3]
    );
}

#[test]
fn refused_referrers_and_missing_parts_are_shown_on_their_lines() {
    let fixture = TreeFixture::new();
    let (attestation, arm64) = (digest(&fixture.attestation).to_owned(), digest(&fixture.images[1]).to_owned());
    let amd64 = digest(&fixture.images[0]).to_owned();
    let manifest = fixture.sandbox.registry.manifest("app", "amd64").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let config = digest(&manifest["config"]).to_owned();
    let proxy = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let error = |status, code: &str| (status, vec![], json!({"errors": [{"code": code}]}).to_string().into_bytes());
        let ends_with = |digest: &str| request.line.ends_with(digest);
        if request.line.contains("/manifests/") && (ends_with(&attestation) || ends_with(&arm64)) {
            return Some(error(404, "MANIFEST_UNKNOWN"));
        }
        if request.line.contains("/referrers/") && ends_with(&amd64) {
            return Some(error(500, "UNKNOWN"));
        }
        (request.line.contains("/blobs/") && ends_with(&config)).then(|| error(404, "BLOB_UNKNOWN"))
    });
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("HOST", &proxy.host);
    let outcome = workspace.run(&["inspect", "--tree", "HOST/app:v1"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let (amd64, arm64) = (short(&fixture.images[0]), short(&fixture.images[1]));
    assert!(lines[0].ends_with(&format!("OCI index  {}", short(&fixture.index))), "{lines:#?}");
    let start = format!("├─ linux/amd64  OCI image  {amd64}  19.6 KiB  config missing  referrers cannot be read: ");
    assert!(lines[1].starts_with(&start) && lines[1].contains("500"), "{lines:#?}");
    assert_eq!(lines[2], format!("│  └─ attestation  {}  missing", short(&fixture.attestation)));
    assert_eq!(lines[3], format!("├─ linux/arm64  OCI image  {arm64}  missing"));
    // The signature is looked up by the digest in the index.
    assert!(
        lines[4].starts_with("│  └─ cosign signature (tag .sig)  ") && lines[5].starts_with("└─ cosign signature  "),
        "{lines:#?}"
    );
    let message = workspace.fill("error: HOST/app:v1: 3 of its manifests and configs cannot be read\n");
    assert!(outcome.stderr.starts_with(&message), "{}", outcome.stderr);
    workspace.run(&["inspect", "--tree", "HOST/app:none"]).fails(1, "app:none not found").stdout_is("");
}

#[test]
fn tree_shows_nested_indexes_artifacts_and_dangling_attestations() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let image = push_sized(registry, "amd64", &days_ago(2));
    let nested_digest = push_index(registry, "app", "nested", std::slice::from_ref(&image));
    let nested = descriptor(OCI_INDEX, &nested_digest, &registry.manifest("app", "nested").unwrap().bytes);
    let bare = push_image(registry, "app", "bare", "s390x");
    let artifact = push_referrer(registry, "app", &image, "application/vnd.example.artifact");
    let dangling = push_attestation(registry, &sha256(b"gone"), &[]);
    let nameless = {
        let mut entry = push_attestation(registry, "nonsense\u{1b}[31m\n", &["a\nb\u{1b}[2J"]);
        entry["annotations"].as_object_mut().unwrap().remove("vnd.docker.reference.digest");
        entry
    };
    let mut listed = artifact.clone();
    listed.as_object_mut().unwrap().remove("artifactType");
    let layer =
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &registry.push_blob("app", b"cache"), b"cache");
    let entries = [nested, bare.clone(), listed, dangling.clone(), nameless.clone(), layer.clone()];
    let index = push_index(registry, "app", "v1", &entries);
    let outcome = sandbox.run(&["inspect", "--tree", "HOST/app:v1"]).success();
    let size = format!("application/vnd.example.artifact of \"{}\"", digest(&image)).len() + 2;
    let expected = sandbox.fill(&formatdoc! {"
        HOST/app:v1  OCI index  {index}  19.9 KiB  2 days
        ├─ OCI index  {nested}  19.6 KiB  2 days
        │  └─ linux/amd64  OCI image  {image}  19.6 KiB  2 days
        ├─ linux/s390x  OCI image  {bare}  {bare_size} bytes
        ├─ artifact (application/vnd.example.artifact)  {artifact}  {size} bytes
        ├─ application/vnd.oci.image.layer.v1.tar+gzip  {layer}  5 bytes
        ├─ attestation of {gone}, which is not listed  {dangling}  2 bytes
        └─ attestation  {nameless}  9 bytes  a b [2J
        ", index = &index[..19], nested = &nested_digest[..19], image = short(&image), bare = short(&bare),
        artifact = short(&artifact), layer = short(&layer), gone = &sha256(b"gone")[..19], dangling = short(&dangling),
        nameless = short(&nameless),
        bare_size = registry_size(registry, "bare"),
    });
    assert_eq!(outcome.stdout, expected);
}

/// Returns the total size of the config and the layers of a manifest.
fn registry_size(registry: &Registry, tag: &str) -> u64 {
    let manifest: Value = serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.chain([&manifest["config"]]).map(|blob| blob["size"].as_u64().unwrap()).sum()
}

#[test]
fn the_locale_and_the_terminal_decide_on_characters_and_colours() {
    let sandbox = Sandbox::new();
    let entries = [push_sized(&sandbox.registry, "amd64", &days_ago(2)), push_sized(&sandbox.registry, "arm64", "x")];
    push_index(&sandbox.registry, "app", "v1", &entries);
    let sandbox = sandbox.with(|workspace| workspace.env("LC_ALL", "C"));
    let ascii = sandbox.run(&["inspect", "--tree", "HOST/app:v1"]).success().stdout;
    let starts: Vec<&str> = ascii.lines().skip(1).map(|line| &line[..14]).collect();
    assert_eq!(starts, ["|- linux/amd64", "`- linux/arm64"]);
    let sandbox = sandbox.with(|workspace| workspace.env("LC_ALL", "C.UTF-8"));
    let terminal = sandbox.run_in_terminal(120, &["inspect", "--tree", "HOST/app:v1"]);
    assert!(
        terminal.output.contains("├─ \u{1b}[1;32mlinux/amd64\u{1b}[0m  OCI image  \u{1b}[1;33msha256:"),
        "{terminal:?}",
        terminal = terminal.output
    );
    let piped = sandbox.run(&["inspect", "--tree", "HOST/app:v1"]).success().stdout;
    assert_eq!(terminal.screen(), piped.trim_end());
}

#[test]
fn registries_that_list_referrers_in_circles_do_not_make_the_tree_endless() {
    let image = indoc! {r#"
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
         "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}
    "#};
    let others: Vec<String> = (0..40).map(|number| format!("{image}{}", " ".repeat(number + 1))).collect();
    let entries: Vec<Value> = others
        .iter()
        .chain([&image.to_owned()])
        .map(|text| descriptor(OCI, &sha256(text.as_bytes()), text.as_bytes()))
        .collect();
    // Every manifest is listed as a referrer of every manifest, twice.
    let twice = [&entries[..], &entries[..]].concat();
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": twice});
    let server = ScriptedServer::start(move |request, _| {
        let content_type = |text: &str| vec![("Content-Type", text.to_owned())];
        if request.line.contains("/referrers/") {
            return (200, content_type(OCI_INDEX), list.to_string().into_bytes());
        }
        let manifest = others.iter().find(|text| request.line.ends_with(&sha256(text.as_bytes())));
        match (manifest, request.line.as_str()) {
            (Some(manifest), _) => (200, content_type(OCI), manifest.clone().into_bytes()),
            (None, "GET /v2/app/manifests/v1") => (200, content_type(OCI), image.as_bytes().to_vec()),
            _ => (404, vec![], vec![]),
        }
    });
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let outcome = workspace.run(&["inspect", "--tree", "HOST/app:v1"]).success();
    assert_eq!(outcome.stdout.lines().count(), 1 + 40 + 40 * 40);
    assert!(outcome.stdout.lines().next().unwrap().contains("  artifact (application/vnd.oci.empty.v1+json)  sha256:"));
}
