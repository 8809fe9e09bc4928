//! Bad input changes nothing in any registry, and all problems are reported at once.

use indoc::indoc;

use super::Fixture;
use crate::support::images::OCI;
use crate::support::{external_command, run_with_peak_memory};

#[test]
fn all_problems_of_the_command_line_are_reported_before_any_request() {
    let fixture = Fixture::new();
    let mark = fixture.registry().requests(0).len();
    fixture.sandbox.write("meta.json", "{}");
    let args = ["-t", "HOST/a:v1", "-t", "HOST/A:v1", "nope", "--metadata", "meta.json", "--digests", "none"];
    let more = ["--platform", "linux", "--annotation", "x", "--tags=-bad", "sha256:12"];
    let outcome = fixture.push(&[&args[..], &more].concat()).fails(2, "8 problems found");
    for part in [
        "none: it cannot be read",
        "meta.json: unknown content",
        "/A:v1\": repository names are lowercase",
        "invalid tag \"-bad\"",
        "source \"nope\" has no tag or digest",
        "image \"sha256:12\": ",
        "invalid platform \"linux\"",
        "invalid annotation \"x\"",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    assert_eq!(fixture.registry().requests(mark), Vec::<String>::new());
}

#[test]
fn missing_images_and_targets_are_usage_errors() {
    let fixture = Fixture::new();
    fixture.sandbox.write("file", "");
    fixture.sandbox.write("spec.yaml", "");
    fixture.sandbox.write("app.tar", "");
    fixture.sandbox.write("folder/file", "");
    for (args, part) in [
        (&[][..], "2 problems found\nno target given; name one with --target\nno images given; "),
        (&["-t", "HOST/a:v1"], "no images given; name them, or use --metadata or --digests"),
        (&["HOST/parts:amd64"], "no target given; name one with --target"),
        (&["-t", "HOST/a:v1", "", "HOST/parts:amd64"], "an image is empty, as from a variable that is not set"),
        (&["-t", "HOST/a:v1", "--metadata", "", "HOST/parts:amd64"], "the name of a metadata file is empty"),
        (&["-t", "HOST/a:v1", "--digests", "", "HOST/parts:amd64"], "the name of a folder of digests is empty"),
        (&["-t", "HOST/a:v1", "app.tar"], "use oci-archive:app.tar or docker-archive:app.tar"),
        (
            &["-t", "HOST/a:v1", "spec.yaml"],
            "\"spec.yaml\" is a file or folder, not an image; use push from-spec spec.yaml",
        ),
        (&["-t", "HOST/a:v1", "file"], "\"file\" is a file or folder, not an image; use --metadata file"),
        (&["-t", "HOST/a:v1", "folder"], "\"folder\" is a file or folder, not an image; use --digests folder"),
        (&["-t", "HOST/a", "HOST/parts:amd64"], "has no tag"),
        (&["-t", "HOST/a:v1", "-t", "HOST/a:v1", "HOST/parts:amd64"], "is given twice"),
        (&["-t", "HOST/a:v1@sha256:0", "HOST/parts:amd64"], "invalid reference"),
        (&["-t", "HOST/a:v1", "-t", "", "HOST/parts:amd64"], "invalid reference"),
    ] {
        fixture.push(args).fails(2, part);
    }
}

#[test]
fn a_missing_metadata_file_among_several_is_reported_as_a_file() {
    let fixture = Fixture::new();
    fixture.sandbox.write("one.json", &format!("{{\"containerimage.digest\": \"{}\"}}", fixture.digests[0]));
    let outcome = fixture.push(&["-t", "HOST/parts:v1", "--metadata", "one.json", "missing.json"]);
    assert_ne!(outcome.exit, 0, "{outcome:?}");
    outcome.stderr_contains("missing.json: it cannot be read");

    // A tag may end like the name of a file.
    fixture.sandbox.run(&["copy", "HOST/parts:arm64", "HOST/parts:v1.json"]).success();
    fixture.push(&["-t", "HOST/parts:v1", "--metadata", "one.json", "HOST/parts:v1.json"]).success();
}

#[test]
fn problems_of_a_list_have_line_numbers() {
    let fixture = Fixture::new();
    let list = indoc! {"
        # images
        HOST/parts:amd64
        HOST/parts
        HOST/Parts:arm64
    "};
    let args = ["push", "from-images", "-t", "HOST/a:v1", "-"];
    let outcome = fixture.sandbox.run_with_stdin(&args, list).fails(1, "2 problems found");
    outcome.stderr_contains("<stdin>:3:1: source").stderr_contains("<stdin>:4:1: invalid reference");
    fixture.sandbox.run_with_stdin(&args, "# nothing\n").fails(1, "<stdin>: it lists no images");
    let twice = [&args[..], &["-"]].concat();
    fixture.sandbox.run_with_stdin(&twice, "HOST/parts:amd64\n").fails(2, "standard input can be used only once");
    let password = ["--username", "u", "--password-stdin", "push", "from-images", "-t", "HOST/a:v1", "-"];
    fixture.sandbox.run_with_stdin(&password, "secret\n").fails(2, "standard input can be used only once");
}

#[test]
fn a_digest_that_is_nowhere_is_an_error_and_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.registry().snapshot();
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let other = format!("sha256:{}", "1".repeat(64));
    let outcome = fixture.push(&["-t", "HOST/parts:v1", "HOST/parts:amd64", &nowhere, &other]);
    outcome.fails(1, "2 sources cannot be used").stderr_contains(&nowhere).stderr_contains(&other);
    assert_eq!(fixture.registry().snapshot(), before);
}

#[test]
fn large_files_and_lists_are_refused_within_the_memory_limit() {
    let fixture = Fixture::new();
    let write = |name: &str, text: &str| fixture.sandbox.write(name, text);
    let descriptor = format!(r#"{{"mediaType":"{OCI}","digest":"sha256:{}","size":1}},"#, "0".repeat(64));
    write("arrays.json", &format!("[{}[]]", "[],".repeat(1_300_000)));
    write("numbers.json", &format!("{{\"a\":[{}0]}}", "0,".repeat(2_000_000)));
    write("descriptors.json", &format!("[{}]", descriptor.repeat(20_000).trim_end_matches(',')));
    write("list", &"a:1\n".repeat(4_000_000));
    write("digests/all", &format!("sha256:{}\n", "0".repeat(64)).repeat(900));
    for (args, part) in [
        ("--metadata arrays.json", "arrays.json: unknown content"),
        ("--metadata numbers.json", "numbers.json: unknown content"),
        ("--metadata descriptors.json", "not found"),
        ("- <list", "<stdin>: it lists more than 100000 images"),
        ("--digests digests", "not found"),
    ] {
        let script = format!("exec {} push from-images -t HOST/a:v1 {args}", env!("CARGO_BIN_EXE_manifest-tool"));
        let script = fixture.sandbox.fill(&script);
        let command = external_command("sh".as_ref(), fixture.sandbox.folder(), &["-c", &script]);
        let (outcome, peak) = run_with_peak_memory(command);
        let outcome = outcome.fails(1, part);
        assert!(peak < 300 << 10, "{args}: {peak} kB");
        assert!(outcome.stderr.len() < 200_000, "{args}: {}", outcome.stderr.len());
    }
}
