//! `--digest-file`, `--metadata-file`, and the flags that they conflict with.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::ResultsFixture;

#[test]
fn conflicting_flags_are_rejected_before_and_after_the_subcommand() {
    let fixture = ResultsFixture::new();
    let registry = &fixture.sandbox.registry;
    let push = |before: &[&str], after: &[&str]| {
        let from_spec = ["from-spec", "--ignore-missing", "spec.yaml"];
        fixture.sandbox.run(&[&["push"], before, &from_spec, after].concat())
    };
    let before = registry.snapshot();
    for (flag, other, part) in [
        (&["--digest-file", "f"][..], &["--dry-run"][..], "--digest-file cannot be used with --dry-run"),
        (&["--force"], &["--append"], "--force and --append cannot be combined"),
        (&["--exit-code"], &[], "--exit-code requires --dry-run"),
        (&["--digest-file", "f"], &["--metadata-file", "f"], "name the same file; use two"),
    ] {
        push(flag, other).fails(2, part);
        push(other, flag).fails(2, part);
    }
    push(&["--exit-code"], &["--dry-run"]).exits(4);
    push(&["--dry-run"], &["--exit-code"]).exits(4);
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn an_unwritable_result_file_is_an_error_before_the_push() {
    let fixture = ResultsFixture::new();
    let before = fixture.sandbox.registry.snapshot();
    for path in ["none/meta.json", "."] {
        fixture
            .push(&["--metadata-file", path, "--output", "json"])
            .fails(1, &format!("error: cannot write {path}: "))
            .stderr_lacks(".tmp");
    }
    assert_eq!(fixture.sandbox.registry.snapshot(), before);
}

#[test]
fn result_files_follow_links_and_respect_the_umask() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    sandbox.write("real", "old");
    std::os::unix::fs::symlink("real", sandbox.path("link")).unwrap();
    let program = env!("CARGO_BIN_EXE_manifest-tool");
    let script = format!(
        "umask 027; {program} --plain-http push --metadata-file /dev/stdout --digest-file link from-spec \
         --ignore-missing spec.yaml"
    );
    let folder = sandbox.folder();
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder).env("HOME", folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sandbox.read("real"), sandbox.registry.manifest("whole", "v1").unwrap().digest);
    assert!(std::fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink());
    let mode = std::fs::metadata(sandbox.path("real")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("\"version\": 1") && stdout.contains("Digest: sha256:"), "{stdout}");
}
