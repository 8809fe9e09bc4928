//! Platforms that are selected from indexes: `--platform`, and `select` in a spec.

use serde_json::json;

use super::{Fixture, architectures, index};
use crate::support::Sandbox;
use crate::support::images::{push_attested_index, push_image, push_index};

#[test]
fn only_selected_platforms_of_an_index_are_read_and_listed() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/parts:all", "HOST/parts:amd64", "HOST/parts:arm64", "HOST/parts:s390x"]).success();
    let mark = fixture.registry().requests(0).len();
    fixture.push(&["-t", "HOST/app:v1", "--platform", "linux/s390x,linux/amd64", "HOST/parts:all"]).success();
    assert_eq!(architectures(&index(fixture.registry(), "app", "v1")), ["amd64", "s390x"]);
    let requests = fixture.registry().requests(mark);
    assert!(requests.iter().all(|request| !request.contains(&fixture.digests[1])), "{requests:#?}");
}

#[test]
fn attestations_go_along_with_their_image() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let [amd64, arm64] = ["amd64", "arm64"].map(|name| push_attested_index(registry, "app", name, name));
    sandbox.run(&["push", "from-images", "-t", "HOST/app:all", "HOST/app:amd64", "HOST/app:arm64"]).success();
    sandbox.run(&["push", "from-images", "-t", "HOST/to:v1", "--platform", "linux/arm64", "HOST/app:all"]).success();
    let pushed = index(registry, "to", "v1");
    let digests: Vec<&str> =
        pushed["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [&arm64.image, &arm64.attestation]);
    assert!(registry.manifest("to", &amd64.attestation).is_none());
}

#[test]
fn a_platform_that_no_source_offers_is_an_error_with_what_is_offered() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/parts:two", "HOST/parts:amd64", "HOST/parts:arm64"]).success();
    let before = fixture.registry().snapshot();
    let args = ["-t", "HOST/parts:v1", "--platform", "linux/amd64,linux/riscv64,linux/ppc64le", "HOST/parts:two"];
    fixture
        .push(&[&args[..], &["HOST/parts:s390x"]].concat())
        .fails(1, "no source offers linux/riscv64, linux/ppc64le; available: linux/amd64, linux/arm64, linux/s390x");
    fixture.push(&["-t", "HOST/parts:v1", "--platform", "linux/amd65", "HOST/parts:two"]).fails(2, "linux/amd65");
    assert_eq!(fixture.registry().snapshot(), before);
}

#[test]
fn an_image_that_is_not_selected_is_kept_with_a_warning() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/parts:two", "HOST/parts:amd64", "HOST/parts:arm64"]).success();
    let args = ["-t", "HOST/parts:v1", "--platform", "linux/amd64", "HOST/parts:two", "HOST/parts:s390x"];
    fixture.push(&args).success().stderr_contains("is an image for linux/s390x, which is not selected; it is kept");
    assert_eq!(architectures(&index(fixture.registry(), "parts", "v1")), ["amd64", "s390x"]);
    fixture.push_with(&["--strict"], &args).fails(1, "which is not selected");
}

#[test]
fn variants_and_entries_without_a_platform_are_found() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let mut entries = ["v6", "v7"].map(|variant| {
        let mut entry = push_image(registry, "app", variant, "arm");
        entry["platform"] = json!({"os": "linux", "architecture": "arm", "variant": variant});
        entry
    });
    push_index(registry, "app", "arm", &entries);
    for (platform, expected) in [("linux/arm/v6", "v6"), ("linux/arm", "v7"), ("linux/arm/v7", "v7")] {
        sandbox.run(&["push", "from-images", "-t", "HOST/to:v1", "--platform", platform, "HOST/app:arm"]).success();
        let pushed = index(registry, "to", "v1");
        assert_eq!(pushed["manifests"].as_array().unwrap().len(), 1, "{platform}");
        assert_eq!(pushed["manifests"][0]["platform"]["variant"], expected, "{platform}");
    }
    entries[0] = push_image(registry, "app", "unnamed", "s390x");
    push_index(registry, "app", "unnamed", &entries);
    let args = ["push", "from-images", "-t", "HOST/to:v2", "--platform", "linux/s390x", "HOST/app:unnamed"];
    sandbox.run(&args).success();
    assert_eq!(architectures(&index(registry, "to", "v2")), ["s390x"]);
}

#[test]
fn an_entry_of_a_spec_selects_its_own_platforms() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/parts:all", "HOST/parts:amd64", "HOST/parts:arm64", "HOST/parts:s390x"]).success();
    let push = |select: &str| {
        let spec = format!(
            "image: HOST/app:v1\ntype: oci\nmanifests:\n- image: HOST/parts:all\n  select: [{select}]\n- image: HOST/parts:s390x\n"
        );
        fixture.sandbox.run_with_stdin(&["push", "from-spec", "-"], &spec)
    };
    push("linux/arm64").success();
    assert_eq!(architectures(&index(fixture.registry(), "app", "v1")), ["arm64", "s390x"]);
    push("linux/riscv64").fails(1, "parts:all has no image for linux/riscv64; available: linux/amd64, linux/arm64");
    push("linux").fails(1, "<stdin>:5:12: invalid platform \"linux\"");
    push("").fails(1, "<stdin>:5:11: \"select\" is empty");
    let image = "image: HOST/app:v1\ntype: oci\nmanifests: [{image: HOST/parts:s390x, select: [linux/amd64]}]\n";
    fixture
        .sandbox
        .run_with_stdin(&["push", "from-spec", "-"], image)
        .fails(1, "parts:s390x has no image for linux/amd64; available: linux/s390x");
}
