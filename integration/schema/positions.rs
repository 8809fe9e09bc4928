//! The position of each problem that `lint` reports.

use super::{lint, spec_with, spec_with_entry, spec_with_images};

#[test]
fn each_problem_is_reported_with_its_line_and_column() {
    let keys = "image, targets, tags, type, append, annotations, annotationsFrom, artifactType, subject, attestations, platforms, template, manifests";
    let docker_annotations = "a Docker manifest list has no annotations; use --type oci, or remove the annotations";
    let platform = "expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm/v7";
    let no_tag = "manifest-tool does not default to \"latest\"";
    for (text, position, problem) in [
        ("\n\n- image: r.io/a:1", "3:1", &*format!("a spec must be a mapping with the keys {keys}")),
        (
            "{image: r.io/a:1, manifests: [{image: r.io/b:1}], x-é: 1, täags: 1}",
            "1:59",
            "unknown key \"täags\" in a spec; did you mean \"tags\"?",
        ),
        (
            "# a comment\nimage: r.io/a:1\n\nmanifests: []\n",
            "4:12",
            "\"manifests\" is empty: an index needs at least one image",
        ),
        (
            "image: r.io/a:1\nmanifests:\n- x-é: 1\n",
            "3:3",
            "\"image\" is missing: the reference of the image to put into the index",
        ),
        (&spec_with("type: podman"), "3:7", "\"type\" is \"podman\"; expected docker, oci, auto"),
        (&spec_with("append: maybe"), "3:9", "\"append\" is \"maybe\"; expected true or false"),
        (&spec_with("attestations: [keep]"), "3:15", "\"attestations\" must be a single value, not a list or mapping"),
        (
            &spec_with("type: oci\nartifactType: json"),
            "4:15",
            "\"json\" is not a media type, such as application/vnd.example.v1",
        ),
        (&spec_with("annotations:\n  a: b"), "4:3", docker_annotations),
        (
            &spec_with("platforms: [linux/amd64, linux]\ntemplate: a:1"),
            "3:26",
            &format!("invalid platform \"linux\": {platform}"),
        ),
        (
            &spec_with_entry("platform: {osversion: 1, os.version: 2}"),
            "4:40",
            "\"os.version\" is given twice, in both spellings",
        ),
        (
            &spec_with_entry("platform: {os.features: [1], osfeatures: [2]}"),
            "4:44",
            "\"os.features\" is given twice, in both spellings",
        ),
        (&spec_with_images("oci:out", "r.io/b:1"), "1:8", &format!("target \"oci:out\" has no tag; {no_tag}")),
        (&spec_with_images("r.io/a:1", "r.io/b"), "2:21", &format!("source \"r.io/b\" has no tag or digest; {no_tag}")),
    ] {
        assert_eq!(
            lint(&[], text).stderr,
            format!("error: 1 problem found\n<stdin>:{position}: {problem}\n"),
            "{text}"
        );
    }
}
