//! Files that builders write: metadata of buildx and bake, JSON of docker/metadata-action, descriptors, digests.

use serde_json::{Value, json};

use super::{ARCHITECTURES, Fixture, architectures, index};
use crate::support::images::OCI;

/// Returns what `docker buildx build --metadata-file` writes.
fn build(name: &str, digest: &str) -> Value {
    json!({
        "buildx.build.provenance": {"buildType": "https://mobyproject.org/buildkit@v1", "materials": []},
        "buildx.build.ref": "builder/builder0/4wnafe0k7qpcx2ao9x8c2jqsr",
        "containerimage.config.digest": format!("sha256:{}", "0".repeat(64)),
        "containerimage.descriptor": {
            "mediaType": OCI, "digest": digest, "size": 500,
            "platform": {"architecture": "amd64", "os": "linux"},
        },
        "containerimage.digest": digest,
        "image.name": name,
    })
}

impl Fixture {
    /// Writes the metadata file of a build, with `image.name` as a placeholder.
    fn write_build(&self, file: &str, name: &str, digest: &str) {
        self.sandbox.write(file, &build(name, digest).to_string());
    }

    fn check(&self, repository: &str, tag: &str, expected: &[&str]) {
        assert_eq!(architectures(&index(self.registry(), repository, tag)), expected);
    }
}

#[test]
fn metadata_of_buildx_builds_gives_digest_and_repository() {
    let fixture = Fixture::new();
    for (architecture, digest) in ARCHITECTURES.iter().zip(&fixture.digests) {
        let names = "HOST/other/app:v1,HOST/parts,HOST/parts:x";
        fixture.write_build(&format!("meta/{architecture}.json"), names, digest);
    }
    let [one, two, three] = ["meta/amd64.json", "meta/arm64.json", "meta/s390x.json"];
    let repeated = ["-t", "HOST/parts:v1", "--metadata", one, "--metadata", two, "--metadata", three];
    fixture.push(&repeated).success();
    fixture.check("parts", "v1", &ARCHITECTURES);
    // The shell expands meta/*.json to several arguments.
    fixture.push(&["-t", "HOST/parts:v2", "--metadata", one, two, three]).success();
    fixture.check("parts", "v2", &ARCHITECTURES);
    // The name in the target's repository is used.
    let mark = fixture.registry().requests(0).len();
    fixture.push(&["-t", "HOST/parts:v3", "--metadata", one]).success();
    assert!(fixture.registry().requests(mark).iter().all(|request| !request.contains("other/app")));
}

#[test]
fn several_builds_may_be_piped_to_one_file() {
    let fixture = Fixture::new();
    let [amd64, arm64, _] = &fixture.digests;
    let text = format!("{}\n{}\n", build("HOST/parts", amd64), build("HOST/parts", arm64));
    fixture.sandbox.run_with_stdin(&["push", "from-images", "-t", "HOST/parts:v1", "--metadata", "-"], &text).success();
    fixture.check("parts", "v1", &["amd64", "arm64"]);
}

#[test]
fn targets_of_a_bake_file_are_selected() {
    let fixture = Fixture::new();
    let [amd64, arm64, s390x] = &fixture.digests;
    let bake = json!({
        "buildx.build.warnings": [{"vertex": "sha256:x", "level": 1}],
        "web-amd64": build("HOST/parts", amd64),
        "web-arm64": build("HOST/parts:web", arm64),
        "db": build("HOST/db:v1", s390x),
        "lint": {"buildx.build.ref": "x"},
    });
    fixture.sandbox.write("bake.json", &bake.to_string());
    fixture.push(&["-t", "HOST/parts:v1", "--metadata", "bake.json#web-*"]).success();
    fixture.check("parts", "v1", &["amd64", "arm64"]);
    let before = fixture.registry().snapshot();
    fixture
        .push(&["-t", "HOST/parts:v2", "--metadata", "bake.json"])
        .fails(1, "pushed to different repositories")
        .stderr_contains(&fixture.sandbox.fill("db (HOST/db), web-amd64 (HOST/parts), web-arm64 (HOST/parts)"));
    fixture.push(&["-t", "HOST/parts:v2", "--metadata", "bake.json#api"]).fails(1, "no target matches api");
    fixture.push(&["-t", "HOST/parts:v2", "--metadata", "bake.json#lint"]).fails(1, "target lint has no");
    assert_eq!(fixture.registry().snapshot(), before);
    // A file whose name contains # is read whole.
    fixture.write_build("a#b", "HOST/parts", amd64);
    fixture.push(&["-t", "HOST/parts:v3", "--metadata", "a#b"]).success();
}

#[test]
fn the_json_of_metadata_action_gives_tags_and_annotations() {
    let fixture = Fixture::new();
    let meta = json!({
        "tags": ["HOST/parts:v1", "HOST/parts:latest", "HOST/mirror:v1"],
        "labels": {"org.opencontainers.image.title": "app"},
        "annotations": ["manifest:org.opencontainers.image.title=app", "index:org.opencontainers.image.title=my app"],
    });
    fixture.sandbox.write("meta.json", &meta.to_string());
    let outcome = fixture.push(&["--metadata", "meta.json", "HOST/parts:amd64", "HOST/parts:arm64"]).success();
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
    assert_eq!(outcome.stderr, "", "annotations of the images are not for this program");
    let digests = [("parts", "v1"), ("parts", "latest"), ("mirror", "v1")].map(|(repository, tag)| {
        let index = index(fixture.registry(), repository, tag);
        assert_eq!(index["annotations"], json!({"org.opencontainers.image.title": "my app"}));
        fixture.registry().manifest(repository, tag).unwrap().digest
    });
    assert_eq!(digests[0], digests[2]);
    // The tags may be given as arguments as well.
    let given = ["--metadata", "meta.json", "--tags", "HOST/parts:latest", "-t", "HOST/parts:v1", "HOST/parts:amd64"];
    let outcome = fixture.push(&given).success();
    assert!(!outcome.stderr.contains("twice"), "{outcome:?}");
}

#[test]
fn descriptors_name_images_in_the_repository_of_the_target() {
    let fixture = Fixture::new();
    let [amd64, arm64, _] = &fixture.digests;
    let descriptor = |digest: &str| json!({"mediaType": OCI, "digest": digest, "size": 500});
    let mut with_platform = descriptor(arm64);
    with_platform["platform"] = json!({"os": "linux", "architecture": "arm64", "os.version": "1.2"});
    with_platform["annotations"] = json!({"org.example.a": "b"});
    fixture.sandbox.write("list.json", &json!([descriptor(amd64), with_platform]).to_string());
    fixture.push(&["-t", "HOST/parts:v1", "--metadata", "list.json"]).success();
    let pushed = index(fixture.registry(), "parts", "v1");
    assert_eq!(architectures(&pushed), ["amd64", "arm64"]);
    assert_eq!(pushed["manifests"][1]["platform"]["os.version"], "1.2");
    assert_eq!(pushed["manifests"][1]["annotations"], json!({"org.example.a": "b"}));
}

#[test]
fn a_folder_of_digests_is_read_with_one_level_of_subfolders_in_any_order() {
    let fixture = Fixture::new();
    let [amd64, arm64, s390x] = &fixture.digests;
    let hex = |digest: &str| digest.strip_prefix("sha256:").unwrap().to_owned();
    fixture.sandbox.write(&format!("flat/{}", hex(amd64)), "");
    fixture.sandbox.write("flat/arm64.txt", &format!("{arm64}\n"));
    fixture.sandbox.write("flat/z", &format!("HOST/parts@{s390x}"));
    fixture.sandbox.write("flat/.hidden", "x");
    fixture.sandbox.write(&format!("deep/digests-1/{}", hex(s390x)), "");
    fixture.sandbox.write(&format!("deep/digests-2/{}", hex(arm64)), "");
    fixture.sandbox.write(&format!("deep/digests-3/{}", hex(amd64)), amd64);
    fixture.push(&["-t", "HOST/parts:flat", "--digests", "flat"]).success();
    fixture.push(&["-t", "HOST/parts:deep", "--digests", "deep"]).success();
    // The shell expands deep/digests-* to several arguments.
    let folders = ["deep/digests-1", "deep/digests-2", "deep/digests-3"];
    fixture.push(&["-t", "HOST/parts:each", "--digests", folders[0], folders[1], folders[2]]).success();
    let digest = |tag: &str| fixture.registry().manifest("parts", tag).unwrap().digest;
    assert_eq!((digest("flat"), digest("each")), (digest("deep"), digest("deep")));
}

#[test]
fn unusable_files_are_named_with_what_was_expected() {
    let fixture = Fixture::new();
    let write = |name: &str, text: &str| fixture.sandbox.write(name, text);
    write("folder/words", "hello");
    write("nested/a/b/c", "");
    std::fs::create_dir(fixture.sandbox.path("empty")).unwrap();
    write("hidden/.gitkeep", "");
    write("text.json", "hello");
    write("other.json", r#"{"name": "app"}"#);
    write("no-digest.json", r#"{"image.name": "HOST/parts"}"#);
    write("long.json", &" ".repeat((4 << 20) + 1));
    let before = fixture.registry().snapshot();
    for (flag, path, part) in [
        ("--digests", "folder", "folder/words: \"hello\" is not a digest (sha256:...)"),
        ("--digests", "nested", "nested/a/b: a folder of digests may have one level of subfolders"),
        ("--digests", "empty", "empty: it has no digests: expected files"),
        ("--digests", "hidden", "hidden: it has no digests"),
        ("--digests", "gone", "gone: it cannot be read: No such file"),
        ("--metadata", "gone.json", "gone.json: it cannot be read: No such file"),
        ("--metadata", "text.json", "text.json: not valid JSON"),
        ("--metadata", "other.json", "other.json: unknown content; expected the file of docker buildx build"),
        ("--metadata", "no-digest.json", "no-digest.json: it has no \"containerimage.digest\": push the image"),
        ("--metadata", "other.json#x", "other.json: it has no bake targets"),
        ("--metadata", "long.json", "long.json: it is longer than 4194304 bytes"),
        ("--metadata", "folder", "folder: it cannot be read"),
    ] {
        fixture.push(&["-t", "HOST/parts:v1", flag, path]).fails(1, part);
    }
    let all = ["-t", "HOST/parts:v1", "--digests", "folder", "--metadata", "other.json", "--metadata", "text.json"];
    fixture.push(&all).fails(1, "3 problems found");
    assert_eq!(fixture.registry().snapshot(), before);
}
