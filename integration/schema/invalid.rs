//! Specs that the schema, `lint`, or both reject, and specs that they warn about.

use super::{
    INVALID_YAML, assert_invalid, assert_lint_error, assert_lint_warning, assert_warning, hex_digits, spec_with,
    spec_with_entry, spec_with_images,
};

#[test]
fn a_spec_without_its_required_keys_is_invalid() {
    for (text, path, message) in [
        ("[]", "", "a spec must be a mapping"),
        ("text", "", "a spec must be a mapping"),
        ("image: r.io/a:1", "", "\"manifests\" is missing"),
        ("image: r.io/a:1\nmanifests:", "", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: []", "", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: r.io/b:1", "/manifests", "must be a list"),
        ("image: r.io/a:1\nmanifests: {image: r.io/b:1}", "/manifests", "must be a list"),
        ("image: r.io/a:1\nmanifests: [r.io/b:1]", "/manifests/0", "must be a mapping"),
        ("image: r.io/a:1\nmanifests: [~]", "/manifests/0", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: [{platform: {os: linux}}]", "/manifests/0", "\"image\" is missing"),
        ("manifests: [{image: r.io/b:1}]", "", "\"image\" is missing"),
        ("image: r.io/a:1\nplatforms: [linux/amd64]", "", "\"platforms\" needs a \"template\""),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH", "", "\"template\" needs \"platforms\""),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH\nplatforms: []", "/platforms", "\"platforms\" is empty"),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH\nplatforms:", "/platforms", "\"platforms\" is empty"),
        ("image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate:", "/template", "linux/amd64: "),
        ("image: ~\nmanifests: [{image: r.io/b:1}]", "/image", "it is empty"),
        ("image: 1.5\nmanifests: [{image: r.io/b:1}]", "/image", "has no tag"),
        ("image: [r.io/a:1]\nmanifests: [{image: r.io/b:1}]", "/image", "must be a single value"),
    ] {
        assert_invalid(text, path, message);
    }
}

#[test]
fn invalid_values_of_top_level_keys_are_rejected() {
    let tag_of_129 = format!("tags: [{}]", "t".repeat(129));
    for (lines, path, message) in [
        ("tag: [a]", "", "unknown key \"tag\" in a spec; did you mean \"tags\"?"),
        ("tags: v1", "/tags", "must be a list"),
        ("tags: [-1]", "/tags/0", "invalid tag \"-1\""),
        ("artifactType: json", "/artifactType", "not a media type"),
        ("platforms: [linux/amd65]\ntemplate: r.io/b:ARCH", "/platforms/0", "unsupported platform linux/amd65"),
        ("platforms: []\ntemplate: r.io/b:ARCH", "/platforms", "\"platforms\" is empty"),
        ("tags: [a, -b]", "/tags/1", "invalid tag \"-b\""),
        ("tags: ['']", "/tags/0", "the tag is empty"),
        ("tags: [a/b]", "/tags/0", "invalid tag \"a/b\""),
        ("tags: [[a]]", "/tags/0", "must be a single value"),
        (&tag_of_129, "/tags/0", "longer than 128"),
        ("type: podman", "/type", "expected docker, oci, auto"),
        ("type: OCI", "/type", "expected docker, oci, auto"),
        ("type: ''", "/type", "expected docker, oci, auto"),
        ("type: [oci]", "/type", "must be a single value"),
        ("append: maybe", "/append", "expected true or false"),
        ("append: 1", "/append", "expected true or false"),
        ("append: {}", "/append", "must be a single value"),
        ("type: oci\nannotations: [a]", "/annotations", "must be a mapping"),
        ("type: oci\nannotations: a=b", "/annotations", "must be a mapping"),
        ("type: oci\nannotations: {a: {b: c}}", "/annotations/a", "must be a single value"),
        ("type: oci\nartifactType: 5", "/artifactType", "not a media type"),
        ("type: oci\nartifactType: ''", "/artifactType", "not a media type"),
        ("type: oci\nsubject: ''", "/subject", "it is empty"),
        ("type: oci\nsubject: {}", "/subject", "must be a single value"),
        ("attestations: some", "/attestations", "expected keep, drop"),
        ("attestations: false", "/attestations", "expected keep, drop"),
        ("platforms: [linux/amd64]", "", "\"platforms\" needs a \"template\""),
        ("template: r.io/b:ARCH", "", "\"template\" needs \"platforms\""),
        ("platforms: linux/amd64\ntemplate: r.io/b:ARCH", "/platforms", "must be a list"),
        ("platforms: [linux]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux\""),
        ("platforms: [linux/]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux/\""),
        ("platforms: [linux/arm/v7/x]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux/arm/v7/x\""),
        ("platforms: [~]\ntemplate: r.io/b:ARCH", "/platforms/0", "\"platforms\" is empty"),
        ("platforms: [linux/amd64]\ntemplate: ''", "/template", "it is empty"),
        ("platforms: [linux/amd64]\ntemplate: [r.io/b:ARCH]", "/template", "must be a single value"),
    ] {
        assert_invalid(&spec_with(lines), path, message);
    }
}

#[test]
fn invalid_entries_and_platforms_are_rejected() {
    for (lines, path, message) in [
        (
            "plattform: {os: linux}",
            "",
            "unknown key \"plattform\" in an entry of \"manifests\"; did you mean \"platform\"?",
        ),
        ("annotations: a", "/annotations", "must be a mapping"),
        ("platform: linux/amd64", "/platform", "must be a mapping"),
        ("platform: [linux, amd64]", "/platform", "must be a mapping"),
        ("platform: {arch: amd64}", "/platform", "unknown key \"arch\" in \"platform\""),
        ("platform: {os: linux, architecture: amd65}", "/platform", "unsupported platform linux/amd65"),
        ("platform: {os: linux, architecture: x86_64}", "/platform", "unsupported platform linux/x86_64"),
        ("platform: {os: linux, architecture: 387}", "/platform", "unsupported platform linux/387"),
        ("platform: {os: Linux, architecture: amd64}", "/platform", "unsupported platform Linux/amd64"),
        ("platform: {os: linux, architecture: arm, variant: v10}", "/platform", "unsupported platform linux/arm/v10"),
        ("platform: {os: linux, architecture: arm, variant: 7}", "/platform", "unsupported platform linux/arm/7"),
        ("platform: {os: [linux], architecture: arm}", "/platform", "must be a single value"),
        ("platform: {os.version: [10]}", "/platform", "must be a single value"),
        ("platform: {os.features: win32k}", "/platform", "must be a list"),
        ("platform: {osfeatures: [[win32k]]}", "/platform", "must be a single value"),
    ] {
        assert_invalid(&spec_with_entry(lines), &format!("/manifests/0{path}"), message);
    }
    for platform in
        ["{osversion: 5, os.version: }", "{os.version: , osversion: 5}", "{osfeatures: [], os.features: [a]}"]
    {
        assert_invalid(
            &spec_with_entry(&format!("platform: {platform}")),
            "/manifests/0/platform",
            "in both spellings",
        );
    }
    assert_invalid(&spec_with_entry("platform: {variant: v10}"), "/manifests/0/platform", "unsupported variant v10");
    assert_invalid(
        &spec_with_entry("platform: {architecture: amd65}"),
        "/manifests/0/platform",
        "unsupported platform /amd65",
    );
}

#[test]
fn invalid_references_are_rejected() {
    let short = format!("r.io/a@sha256:{}", hex_digits(62));
    let capitals = format!("r.io/a@sha256:{}", hex_digits(64).to_uppercase());
    for (image, message) in [
        ("", "it is empty"),
        ("a", "has no tag"),
        ("r.io/a", "has no tag"),
        ("r.io:5000/a", "has no tag"),
        ("r.io/App:1", "repository names are lowercase"),
        ("App:1", "repository names are lowercase"),
        ("r.io/a:", "the tag is empty"),
        ("r.io/a:-1", "a tag may have only"),
        ("r.io/a:1:2", "may have only"),
        ("r.io/a b:1", "may have only"),
        ("r.io/a/:1", "may have only"),
        ("r.io/é:1", "may have only"),
        ("r.io:port/a:1", "is not a port"),
        ("http://r.io/a:1", "leave out the \"http://\""),
        ("./layout", "an image is HOST/REPOSITORY:TAG, oci:FOLDER, oci-archive:FILE"),
        ("r.io/a:1\n", "it starts or ends with whitespace"),
        ("r.io/a:${V", "fill variables with --env or --set"),
        ("r.io/a:${1V}", "fill variables with --env or --set"),
        ("oci:", "it has no path"),
        (&short, "invalid digest"),
        (&capitals, "invalid digest"),
    ] {
        assert_invalid(&spec_with_images(image, "r.io/b:1"), "/image", message);
        assert_invalid(&spec_with_images("r.io/a:1", image), "/manifests/0/image", message);
    }
    for (target, message) in [
        ("oci:out".to_owned(), "has no tag"),
        ("oci-archive:app.tar".to_owned(), "has no tag"),
        (format!("oci:out:v1@sha256:{}", hex_digits(64)), "has a digest"),
        (format!("r.io/a:1@sha256:{}", hex_digits(64)), "has a digest"),
        ("-r.io/a:1".to_owned(), "is not"),
        ("r.io//a:1".to_owned(), "may have only"),
        ("r.io/a___b:1".to_owned(), "may have only"),
    ] {
        assert_invalid(&spec_with_images(&target, "r.io/b:1"), "/image", message);
    }
    for tags in ["[]", "~"] {
        let text = format!("image: r.io/a\ntags: {tags}\nmanifests: [{{image: r.io/b:1}}]\n");
        assert_invalid(&text, "/image", "has no tag");
    }
    for image in ["r.io/a", "r.io/a:1"].map(|image| format!("{image}@sha256:{}", hex_digits(64))) {
        assert_invalid(&spec_with_images(&image, "r.io/b:1"), "/image", "has a digest");
    }
}

#[test]
fn text_that_is_not_yaml_is_rejected() {
    for broken in ["image: [r.io/a:1", "image: r.io/a:1\nimage: r.io/a:2\n", "image: r.io/a:1\n\tmanifests: []"] {
        assert_invalid(broken, INVALID_YAML, "not valid YAML");
    }
}

#[test]
fn mistakes_that_2_2_1_ignores_are_warnings() {
    for (text, path, message) in [
        (spec_with("name: app"), "", "<stdin>:3:1: unknown key \"name\" in a spec is ignored"),
        (spec_with("é: 1"), "", "<stdin>:3:1: unknown key \"é\" in a spec is ignored"),
        (spec_with("tags: [~]"), "/tags/0", "<stdin>:3:8: an empty item of \"tags\" is dropped"),
        (spec_with_entry("tags: [a]"), "/manifests/0", "unknown key \"tags\" in an entry"),
        (spec_with_entry("arch: amd64"), "/manifests/0", "unknown key \"arch\" in an entry"),
        (spec_with_entry("platform: {version: 5}"), "/manifests/0/platform", "unknown key \"version\" in \"platform\""),
        (
            spec_with_entry("platform: {features: [a]}"),
            "/manifests/0/platform",
            "unknown key \"features\" in \"platform\"",
        ),
        (format!("{}- ~\n", spec_with_entry("")), "/manifests/1", "an empty entry of \"manifests\" is dropped"),
    ] {
        assert_warning(&text, path, message);
    }
    for (text, message) in [
        (spec_with("tags: [1, '1']"), "tag \"1\" is given twice"),
        (spec_with("tags: [a, b, a]"), "<stdin>:3:14: tag \"a\" is given twice"),
        (spec_with_entry("platform: {os: windows, architecture: s390x}"), "Go does not support windows/s390x"),
        (spec_with("platforms: [plan9/arm64]\ntemplate: r.io/c:1"), "Go does not support plan9/arm64"),
        (spec_with("platforms: [linux/amd64, linux/arm64]\ntemplate: r.io/c:1"), "it has no ARCH"),
        (
            spec_with_entry("platform: {os: linux, architecture: arm}\n- image: r.io/b:1"),
            "r.io/b:1 is given for two platforms, linux/arm and that of its config",
        ),
    ] {
        assert_lint_warning(&text, message);
    }
}

#[test]
fn rules_that_a_schema_cannot_express_are_checked_by_lint() {
    let entries = |platforms: &[&str]| {
        let entry = |(n, platform): (usize, &&str)| format!("- {{image: r.io/b:{n}, platform: {{{platform}}}}}\n");
        format!("image: r.io/a:1\nmanifests:\n{}", platforms.iter().enumerate().map(entry).collect::<String>())
    };
    let amd64 = "os: linux, architecture: amd64";
    let arm = "os: linux, architecture: arm, variant: v7";
    for (args, text, message) in [
        // Values that conflict with each other.
        (
            &[][..],
            entries(&[amd64, "os: linux, architecture: arm64, variant: v7"]),
            "unsupported platform linux/arm64/v7",
        ),
        (&[], entries(&["os: linux, architecture: arm, variant: v9"]), "unsupported platform linux/arm/v9"),
        (&[], spec_with("type: oci\nsubject: r.io/b:1"), "is not in the target's repository"),
        (&[], spec_with_images("oci-archive:a.tar:1", "r.io/b:1") + "append: true", "cannot append to an archive"),
        // Duplicate and incomplete platforms.
        (&[], spec_with_entry("platform: {os: linux}"), "unsupported platform linux/"),
        (&[], entries(&[amd64, arm, amd64]), "r.io/b:2: another entry has the same platform linux/amd64"),
        (&[], entries(&[arm, amd64, arm]), "r.io/b:2: another entry has the same platform linux/arm/v7"),
        (
            &[],
            spec_with("platforms: [linux/386, ' linux/386']\ntemplate: r.io/c:1"),
            "another entry has the same platform linux/386",
        ),
        (
            &[],
            entries(&[amd64]) + "platforms: [linux/amd64]\ntemplate: r.io/c:1",
            "r.io/b:0: another entry has the same platform",
        ),
        // Rules that depend on the command line.
        (&[], spec_with("annotations: {a: b}"), "a Docker manifest list has no annotations"),
        (&[], spec_with("subject: r.io/a:0"), "a Docker manifest list has no subject"),
        (&[], spec_with("artifactType: application/vnd.x"), "a Docker manifest list has no artifactType"),
        (
            &["--type", "docker"],
            spec_with("type: oci\nannotations: {a: b}"),
            "a Docker manifest list has no annotations",
        ),
        (&["--append"], spec_with_images("oci-archive:a.tar:1", "r.io/b:1"), "cannot append to an archive"),
        (&[], spec_with("type: ${V}"), "fill variables with --env or --set"),
        (&["--set", "V=podman"], spec_with("type: ${V}"), "expected docker, oci, auto"),
        // References made from a template.
        (&[], spec_with("platforms: [linux/amd64]\ntemplate: r.io/ARCH"), "source \"r.io/amd64\" has no tag"),
        (&[], spec_with("platforms: [linux/amd64]\ntemplate: r.io/App:ARCH"), "repository names are lowercase"),
    ] {
        assert_lint_error(args, &text, message);
    }
}
