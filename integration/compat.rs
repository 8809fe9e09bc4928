//! Every recorded case of manifest-tool 2.2.1: exit, stdout, and what the registry holds afterwards are equal.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, manifest_tool};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/compat")
}

pub fn blob(digest: &str) -> Vec<u8> {
    std::fs::read(folder().join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// Blobs, then images, then indexes: a registry takes a manifest only when what it names is there.
pub fn fill(registry: &Registry, repositories: &Value) {
    for (repository, content) in repositories.as_object().unwrap() {
        for digest in content["blobs"].as_array().unwrap() {
            registry.push_blob(repository, &blob(digest.as_str().unwrap()));
        }
        let manifests = content["manifests"].as_array().unwrap();
        let is_index = |m: &&Value| ["list", "index"].iter().any(|w| m["mediaType"].as_str().unwrap().contains(w));
        let images = manifests.iter().filter(|m| !is_index(m));
        for manifest in images.chain(manifests.iter().filter(is_index)) {
            let (digest, media_type) = (manifest["digest"].as_str().unwrap(), manifest["mediaType"].as_str().unwrap());
            let tags = manifest["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names = tags.iter().map(|tag| tag.as_str().unwrap()).chain(tags.is_empty().then_some(digest));
            for name in names {
                registry.push_manifest(repository, name, media_type, &blob(digest));
            }
        }
    }
}

struct Case {
    registry: Registry,
    name: String,
    work: tempfile::TempDir,
}

impl Case {
    fn run(&self, args: &[&str]) -> Outcome {
        let args: Vec<String> = args.iter().map(|arg| arg.replace("REGISTRY", &self.registry.host)).collect();
        let args: Vec<&str> = std::iter::once("--plain-http").chain(args.iter().map(String::as_str)).collect();
        manifest_tool(self.work.path(), &args)
    }

    fn check_output(&self, what: &str, outcome: &Outcome, expected: &Value) {
        let (name, stdout) = (&self.name, expected["stdout"].as_str().unwrap());
        assert_eq!(outcome.exit, expected["exit"].as_i64().unwrap() as i32, "{name}: {what}: {outcome:?}");
        if what.contains("--raw") && !stdout.is_empty() {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(parse(&self.neutral(&outcome.stdout)), parse(stdout), "{name}: {what}");
        } else {
            assert_eq!(self.neutral(&outcome.stdout), stdout, "{name}: {what}: {outcome:?}");
        }
    }

    fn neutral(&self, text: &str) -> String {
        text.replace(&self.registry.host, "REGISTRY")
    }

    fn check_after(&self, after: &Value) {
        for (reference, expected) in after.as_object().unwrap() {
            let (repository, tag) = reference.split_once(':').unwrap();
            let found = self.registry.manifest(repository, tag);
            let found = found.map(|found| (found.digest, found.bytes.len() as u64, found.media_type));
            let expected = expected.as_object().map(|expected| {
                let text = |key: &str| expected[key].as_str().unwrap().to_owned();
                (text("digest"), expected["size"].as_u64().unwrap(), text("mediaType"))
            });
            assert_eq!(found, expected, "{}: {reference}", self.name);
        }
    }
}

/// Where the Go program fails and this one rightly does not.
const BETTER: &str = "args-os-in-template";

/// A recorded case: what was done, what the registry held, and what came of it.
pub fn case(name: &str) -> Value {
    let path = folder().join("cases").join(name).join("case.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn run_case(name: &str) {
    let path = folder().join("cases").join(name);
    let recorded = case(name);
    let case = Case { registry: Registry::start(), name: name.to_owned(), work: tempfile::tempdir().unwrap() };
    if let Ok(spec) = std::fs::read_to_string(path.join("spec.yaml")) {
        std::fs::write(case.work.path().join("spec.yaml"), spec.replace("REGISTRY", &case.registry.host)).unwrap();
    }
    fill(&case.registry, &recorded["registry"]);
    let before = case.registry.snapshot();

    let args: Vec<&str> = recorded["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let outcome = case.run(&args);
    if name == BETTER {
        let index = case.registry.manifest("linux/app", "v1").expect("every placeholder was replaced");
        assert_eq!(outcome.stdout, format!("Digest: {} {}\n", sha256(&index.bytes), index.bytes.len()), "{outcome:?}");
        return;
    }
    case.check_output(&args.join(" "), &outcome, &recorded);
    case.check_after(&recorded["after"]);
    if outcome.exit != 0 {
        assert!(outcome.stderr.lines().any(|line| line.starts_with("error: ")), "{name}: {outcome:?}");
        assert!(case.registry.snapshot() == before, "{name}: the registry was touched");
    }
    if let Some(reference) = recorded["after"].as_object().unwrap().keys().next() {
        let reference = format!("REGISTRY/{reference}");
        for (key, args) in
            [("inspect", &["inspect", &reference][..]), ("inspect_raw", &["inspect", "--raw", &reference])]
        {
            if let Some(expected) = recorded.get(key) {
                case.check_output(&args.join(" "), &case.run(args), expected);
            }
        }
    }
}

macro_rules! cases {
    ($($function:ident $name:literal)*) => {
        $(#[test] fn $function() { run_case($name); })*

        #[test]
        fn no_case_is_left_out() {
            let mut found: Vec<String> = std::fs::read_dir(folder().join("cases")).unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            found.sort();
            assert_eq!(found, [$($name),*]);
        }
    };
}

cases! {
    annotations_docker_refused "annotations-docker-refused"
    annotations_oci "annotations-oci"
    architecture_386_unquoted "architecture-386-unquoted"
    args_bad_platform "args-bad-platform"
    args_ignore_missing "args-ignore-missing"
    args_os_in_template "args-os-in-template"
    args_template "args-template"
    args_template_oci_annotations "args-template-oci-annotations"
    attested_sources_docker "attested-sources-docker"
    attested_sources_oci "attested-sources-oci"
    bad_reference "bad-reference"
    bad_yaml "bad-yaml"
    by_digest "by-digest"
    cross_repository_attested "cross-repository-attested"
    cross_repository_docker "cross-repository-docker"
    cross_repository_oci "cross-repository-oci"
    duplicate_platform "duplicate-platform"
    ignore_missing "ignore-missing"
    ignore_missing_all "ignore-missing-all"
    inspect_expand_config_alone "inspect-expand-config-alone"
    inspect_image_docker "inspect-image-docker"
    inspect_image_oci "inspect-image-oci"
    inspect_image_windows "inspect-image-windows"
    inspect_list_annotated "inspect-list-annotated"
    inspect_list_attested "inspect-list-attested"
    inspect_list_docker "inspect-list-docker"
    inspect_missing "inspect-missing"
    inspect_no_tag "inspect-no-tag"
    inspect_raw_config_image_docker "inspect-raw-config-image-docker"
    inspect_raw_config_image_oci "inspect-raw-config-image-oci"
    inspect_raw_config_image_windows "inspect-raw-config-image-windows"
    inspect_raw_image_docker "inspect-raw-image-docker"
    inspect_raw_image_oci "inspect-raw-image-oci"
    inspect_raw_image_windows "inspect-raw-image-windows"
    inspect_raw_list_annotated "inspect-raw-list-annotated"
    inspect_raw_list_attested "inspect-raw-list-attested"
    inspect_raw_list_docker "inspect-raw-list-docker"
    missing "missing"
    nested_index "nested-index"
    other_registry_refused "other-registry-refused"
    platform_from_config "platform-from-config"
    platform_variant_from_config "platform-variant-from-config"
    spec_docker "spec-docker"
    spec_docker_of_oci_images "spec-docker-of-oci-images"
    spec_oci "spec-oci"
    spec_oci_of_oci_images "spec-oci-of-oci-images"
    unsupported_platform "unsupported-platform"
    unsupported_variant "unsupported-variant"
    windows_os_version "windows-os-version"
}
