//! Mistaken keys and values in a spec.

use super::{SPEC, Typos, suggestion};

#[test]
fn a_mistaken_key_or_value_gets_the_right_one() {
    let sandbox = Typos::new().sandbox;
    let entry = |lines: &str| format!("{SPEC}  {lines}\n");
    let root = |lines: &str| format!("{SPEC}{lines}\n");
    let mut failures = Vec::new();
    for (spec, typo) in [
        (SPEC.replace("manifests:", "manifest:"), "manifest:"),
        (SPEC.replace("manifests:", "mainfests:"), "mainfests:"),
        (SPEC.replace("manifests:", "Manifests:"), "Manifests:"),
        (SPEC.replace("manifests:", "images:"), "images:"),
        (SPEC.replace("manifests:", "entries:"), "entries:"),
        (SPEC.replacen("image:", "imgae:", 1), "imgae:"),
        (SPEC.replacen("image:", "Image:", 1), "Image:"),
        (SPEC.replacen("image: HOST/app:v2", "target: [HOST/app:v2]", 1), "target:"),
        (SPEC.replacen("- image:", "- img:", 1), "img:"),
        (SPEC.replacen("- image:", "- imge:", 1), "imge:"),
        (SPEC.replacen("- image:", "- images:", 1), "images:"),
        (root("tag: [a]"), "tag:"),
        (root("Tags: [a]"), "Tags:"),
        (root("typ: oci"), "typ:"),
        (root("type: OCI"), "OCI"),
        (root("type: dokcer"), "dokcer"),
        (root("type: docker-list"), "docker-list"),
        (root("append: yes"), "yes"),
        (root("append: No"), "No"),
        (root("attestations: Keep"), "Keep"),
        (root("attestations: dorp"), "dorp"),
        (root("type: oci\nannotation: {a: b}"), "annotation:"),
        (root("type: oci\nartifact_type: application/x.y"), "artifact_type:"),
        (root("tags: [v1.0+build]"), "v1.0+build"),
        (root("platfroms: [linux/amd64]\ntemplate: HOST/app:ARCH"), "platfroms:"),
        (root("platforms: [linux/s390]\ntemplate: HOST/app:ARCH"), "linux/s390"),
        (root("platforms: [linux-s390x]\ntemplate: HOST/app:ARCH"), "linux-s390x"),
        (root("platforms: [s390x]\ntemplate: HOST/app:ARCH"), "s390x"),
        (root("platforms: [linux/s390x]\ntemplat: HOST/app:ARCH"), "templat:"),
        (entry("plattform: {os: linux, architecture: arm64}"), "plattform:"),
        (entry("platforms: {os: linux, architecture: arm64}"), "platforms:"),
        (entry("platform: {os: linux, architecure: arm64}"), "architecure:"),
        (entry("platform: {os: linux, arch: arm64}"), "arch:"),
        (entry("platform: {OS: linux, architecture: arm64}"), "OS:"),
        (entry("platform: {os: linux, architecture: arm, varient: v7}"), "varient:"),
        (entry("platform: {os: windows, architecture: arm64, os_version: 10.0}"), "os_version:"),
        (entry("platform: {os: windows, architecture: arm64, osVersion: 10.0}"), "osVersion:"),
        (entry("platform: linux/arm64"), "linux/arm64"),
        (entry("platform: linux/arm/v7"), "linux/arm/v7"),
        (SPEC.replace("HOST/app:v2", "https://HOST/app:v2"), "https://HOST/app:v2"),
        (SPEC.replace("HOST/app:arm64", "HOST/App:arm64"), "HOST/App:arm64"),
        (SPEC.replace("HOST/app:arm64", "HOST/app@arm64"), "HOST/app@arm64"),
        (SPEC.replace("- image: HOST/app:arm64", "- HOST/app:arm64"), "HOST/app:arm64"),
    ] {
        sandbox.write("s.yaml", &spec);
        let mistaken = sandbox.run(&["lint", "--strict", "s.yaml"]);
        let Some(meant) = suggestion(&mistaken.stderr) else {
            failures.push(format!("{typo}: no suggestion: {mistaken:?}"));
            continue;
        };
        let meant = if typo.ends_with(':') { format!("{meant}:") } else { meant };
        let typo = sandbox.fill(typo);
        // The last place: a key such as `image` may also be correct before the mistake.
        let filled = sandbox.fill(&spec);
        let corrected =
            match filled.match_indices(&*typo).filter(|(at, _)| !filled[..*at].ends_with(char::is_alphanumeric)).last()
            {
                Some((at, _)) if typo.starts_with("images") => {
                    filled[..at].to_owned() + &filled[at..].replacen(&*typo, &meant, 1)
                }
                _ => filled.replacen(&*typo, &meant, 1),
            };
        sandbox.write("s.yaml", &corrected);
        let followed = sandbox.run(&["lint", "--strict", "s.yaml"]);
        if mistaken.exit != 1 || followed.exit != 0 {
            failures.push(format!("{typo}: {mistaken:?}\n{corrected}{followed:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
