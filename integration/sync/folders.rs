//! Folders of layouts, as sources and as targets.

use super::{APP_TAGS, SyncFixture, TOOL_TAGS};
use crate::support::images::push_image;

#[test]
fn a_folder_of_layouts_restores_what_a_sync_wrote_into_it() {
    let fixture = SyncFixture::new();
    push_image(&fixture.from, "team/app/tools", "v1", "amd64");
    let text = "FROM:\n  images: {team/app: [], tool: [], team/app/tools: []}\n";
    let host = fixture.from.host.replace(':', "_");
    for (scoped, folder, repositories) in [
        (
            &["--scoped"][..],
            "oci:scoped",
            [format!("{host}/team/app"), format!("{host}/tool"), format!("{host}/team/app/tools")],
        ),
        (&[], "oci:./flat/", ["app", "tool", "tools"].map(str::to_owned)),
    ] {
        let outcome = fixture.sync_file(text, &[&[folder], scoped].concat()).success();
        assert!(outcome.stderr.ends_with("8 tags: 8 done, 0 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
        let again = fixture.sync_file(text, &[&[folder], scoped].concat()).success();
        assert!(again.stderr.ends_with("8 tags: 0 done, 8 unchanged, 0 failed, 0 skipped\n"), "{again:?}");
        let prefix = if scoped.is_empty() { "flat" } else { "scoped" };
        let target = format!("TO/{prefix}");
        fixture.sync(&[&[folder, &target], scoped].concat()).success();
        for (repository, (source, tags)) in
            repositories.iter().zip([("team/app", &APP_TAGS[..]), ("tool", &TOOL_TAGS), ("team/app/tools", &["v1"])])
        {
            fixture.assert_mirrored(source, &format!("{prefix}/{repository}"), tags);
        }
        let mark = fixture.to.requests(0).len();
        fixture.sync(&[&[folder, &target], scoped].concat()).success();
        let requests = fixture.to.requests(mark);
        assert!(requests.len() == 8 && requests.iter().all(|line| line.starts_with("HEAD ")), "{requests:?}");
    }
}

#[test]
fn a_single_layout_is_a_repository_of_its_name() {
    let fixture = SyncFixture::new();
    fixture.sync(&["FROM/tool", "oci:mirror"]).success();
    fixture.sync(&["oci:mirror/tool", "TO"]).success();
    fixture.assert_mirrored("tool", "tool", &TOOL_TAGS);
    fixture.sync(&["oci:mirror/tool:3.11", "TO/one"]).success();
    fixture.assert_mirrored("tool", "one/tool", &["3.11"]);
    fixture.workspace.run(&["copy", "oci:mirror/tool:3.12", "oci-archive:archived.tar:3.12"]).success();
    fixture.sync(&["oci-archive:archived.tar", "TO"]).success();
    fixture.assert_mirrored("tool", "archived", &["3.12"]);
    // A name that is not a tag cannot be copied to a registry: the sync copies no image.
    fixture.workspace.run(&["copy", "oci:mirror/tool:3.12", "oci:names/tool:a/b"]).success();
    fixture.sync(&["oci:names", "TO/names"]).fails(1, "cannot copy oci:names/tool:a/b: its name is not a tag");
    fixture.sync(&["oci:names", "oci:other"]).success().stdout_contains(" oci:other/tool:a/b\n");
    // A digest has no name in a layout.
    let digest = fixture.from.manifest("tool", "latest").unwrap().digest;
    fixture.sync(&[&format!("FROM/tool@{digest}"), "oci:digests"]).success();
    fixture.workspace.run(&["verify", &format!("oci:digests/tool@{digest}")]).success();
    fixture.sync(&["oci:digests", "TO/digests"]).fails(1, "no tag to copy");
}

/// `skopeo sync` writes each image into a folder of `dir:` that is named after it.
#[test]
fn folders_of_dir_are_those_of_skopeo_in_both_directions() {
    let fixture = SyncFixture::new();
    let skopeo = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| fixture.workspace.fill(arg)).collect();
        let mut command = std::process::Command::new("skopeo");
        command.args([
            "--insecure-policy",
            "sync",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ]);
        let output = command.args(&args).current_dir(fixture.workspace.folder()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    };
    fixture.sync(&["FROM/tool", "dir:ours"]).success();
    skopeo(&["--src", "docker", "--dest", "dir", "FROM/tool", "theirs"]);
    for tag in TOOL_TAGS {
        let [ours, theirs] =
            ["ours", "theirs"].map(|folder| fixture.workspace.read(&format!("{folder}/tool:{tag}/manifest.json")));
        assert!(ours == theirs, "{tag}");
    }
    let again = fixture.sync(&["FROM/tool", "dir:ours"]).success();
    assert!(again.stderr.ends_with("4 tags: 0 done, 4 unchanged, 0 failed, 0 skipped\n"), "{again:?}");
    fixture.sync(&["dir:theirs", "TO/a"]).success();
    fixture.assert_mirrored("tool", "a/tool", &TOOL_TAGS);
    skopeo(&["--src", "dir", "--dest", "docker", "ours", "TO/b"]);
    fixture.assert_mirrored("tool", "b/tool", &TOOL_TAGS);
    // An image by digest has no tag.
    let digest = fixture.from.manifest("tool", "latest").unwrap().digest;
    fixture.sync(&[&format!("FROM/tool@{digest}"), "dir:ours"]).success();
    fixture.sync(&["dir:ours", "TO/d"]).success();
    fixture.assert_mirrored("tool", "d/tool", &TOOL_TAGS);
    // With the path of the source, and a single image.
    fixture.sync(&["--scoped", "FROM/team/app", "dir:scoped"]).success();
    fixture.sync(&["dir:scoped", "TO/c"]).success();
    fixture.assert_mirrored("team/app", "c/app", &APP_TAGS);
    fixture.sync(&["dir:theirs/tool:3.11", "TO/one"]).success();
    fixture.assert_mirrored("tool", "one/tool", &["3.11"]);
}

#[test]
fn a_folder_without_the_name_of_an_image_is_an_error() {
    let fixture = SyncFixture::new();
    fixture.workspace.run(&["copy", "FROM/tool:3.11", "dir:folder/tool"]).success();
    fixture.sync(&["dir:folder", "TO"]).fails(1, "the name of its folder has no tag, as in app:v1");
    std::fs::create_dir(fixture.workspace.path("empty")).unwrap();
    fixture.sync(&["dir:empty", "TO"]).fails(1, "contains no image: no folder below it has a file manifest.json");
    fixture.sync(&["FROM/tool", "dir:out", "--delete"]).fails(2, "--delete needs a target in a registry or oci:");
    fixture.sync(&["docker-archive:x.tar", "TO"]).fails(2, "is neither a registry nor oci: nor dir:; use copy");
    fixture.sync(&["FROM/tool", "docker-archive:x.tar"]).fails(2, "cannot hold several repositories");
}

#[test]
fn each_side_has_its_own_credentials() {
    let fixture = SyncFixture::new();
    let protected = crate::support::Registry::with_htpasswd();
    let target = format!("{}/mirror", protected.host);
    let args = ["FROM/tool", &target, "--target-username", "user", "--target-password-stdin"];
    let run = |password: &str| fixture.workspace.run_with_stdin(&[&["sync"][..], &args].concat(), password);
    run("secret-word\n").success();
    assert!(protected.manifest("mirror/tool", "3.11").is_some());
    assert_ne!(run("wrong\n").exit, 0);
}
