//! Every case recorded from manifest-tool 2.2.1 gives the same exit code, stdout and registry content.

use serde_json::Value;

use crate::support::recorded::{compat_folder, push_recorded, recorded_case};
use crate::support::registry::sha256;
use crate::support::{Outcome, Sandbox};

struct Case {
    sandbox: Sandbox,
    name: String,
}

impl Case {
    /// Compares exit code and stdout of a command line with the recorded ones. JSON is compared as a value.
    fn check_output(&self, command_line: &str, outcome: &Outcome, expected: &Value) {
        let (name, stdout) = (&self.name, expected["stdout"].as_str().unwrap());
        assert_eq!(outcome.exit, expected["exit"].as_i64().unwrap() as i32, "{name}: {command_line}: {outcome:?}");
        let actual = outcome.stdout.replace(&self.sandbox.registry.host, "REGISTRY");
        if command_line.contains("--raw") && !stdout.is_empty() {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(parse(&actual), parse(stdout), "{name}: {command_line}");
        } else {
            assert_eq!(actual, stdout, "{name}: {command_line}: {outcome:?}");
        }
    }

    /// Compares what each reference of the registry points at with the recorded digest, size and media type.
    fn check_registry(&self, after: &Value) {
        for (reference, expected) in after.as_object().unwrap() {
            let (repository, tag) = reference.split_once(':').unwrap();
            let manifest = self.sandbox.registry.manifest(repository, tag);
            let actual = manifest.map(|manifest| (manifest.digest, manifest.bytes.len() as u64, manifest.media_type));
            let expected = expected.as_object().map(|expected| {
                let text = |key: &str| expected[key].as_str().unwrap().to_owned();
                (text("digest"), expected["size"].as_u64().unwrap(), text("mediaType"))
            });
            assert_eq!(actual, expected, "{}: {reference}", self.name);
        }
    }
}

/// The case that fails in the Go program, which replaces only the first placeholder.
const FAILS_IN_GO: &str = "args-os-in-template";

fn run_case(name: &str) {
    let recorded = recorded_case(name);
    let sandbox = Sandbox::new();
    let host = sandbox.registry.host.clone();
    let sandbox = sandbox.with(|workspace| workspace.placeholder("REGISTRY", &host));
    let case = Case { sandbox, name: name.to_owned() };
    let (sandbox, registry) = (&case.sandbox, &case.sandbox.registry);
    if let Ok(spec) = std::fs::read_to_string(compat_folder().join("cases").join(name).join("spec.yaml")) {
        sandbox.write("spec.yaml", &spec);
    }
    push_recorded(registry, &recorded["registry"]);
    let before = registry.snapshot();

    let args: Vec<&str> = recorded["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let outcome = sandbox.run(&args);
    if name == FAILS_IN_GO {
        let index = registry.manifest("linux/app", "v1").expect("every placeholder was replaced");
        assert_eq!(outcome.stdout, format!("Digest: {} {}\n", sha256(&index.bytes), index.bytes.len()), "{outcome:?}");
        return;
    }
    case.check_output(&args.join(" "), &outcome, &recorded);
    case.check_registry(&recorded["after"]);
    if outcome.exit != 0 {
        assert!(outcome.stderr.lines().any(|line| line.starts_with("error: ")), "{name}: {outcome:?}");
        assert!(registry.snapshot() == before, "{name}: the registry was changed");
    }
    if let Some(reference) = recorded["after"].as_object().unwrap().keys().next() {
        let reference = format!("REGISTRY/{reference}");
        for (key, args) in
            [("inspect", &["inspect", &reference][..]), ("inspect_raw", &["inspect", "--raw", &reference])]
        {
            if let Some(expected) = recorded.get(key) {
                case.check_output(&args.join(" "), &sandbox.run(args), expected);
            }
        }
    }
}

macro_rules! cases {
    ($($function:ident $name:literal)*) => {
        $(#[test] fn $function() { run_case($name); })*

        #[test]
        fn every_recorded_case_has_a_test() {
            let mut recorded: Vec<String> = std::fs::read_dir(compat_folder().join("cases")).unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            recorded.sort();
            assert_eq!(recorded, [$($name),*]);
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
