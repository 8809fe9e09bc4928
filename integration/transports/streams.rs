//! Archives on standard input and output.

use std::fs::File;
use std::process::Stdio;

use super::Images;

/// Runs a command with a file as its standard input, and returns what it prints.
fn with_input(images: &Images, args: &[&str], input: File) -> (bool, String) {
    let output = images.sandbox.command(args).stdin(input).output().unwrap();
    (
        output.status.success(),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn an_archive_is_written_to_standard_output_and_text_to_stderr() {
    let images = Images::new();
    for (transport, source, digest) in
        [("oci-archive", "HOST/app:v1", &images.index), ("docker-archive", "HOST/app:amd64", &images.amd64)]
    {
        images.sandbox.run(&["copy", source, &format!("{transport}:file.tar")]).success();
        let copy = images.sandbox.command(&["copy", source, &format!("{transport}:-")]).output().unwrap();
        assert!(copy.status.success(), "{copy:?}");
        assert!(copy.stdout == std::fs::read(images.sandbox.path("file.tar")).unwrap(), "{transport}");
        assert!(String::from_utf8_lossy(&copy.stderr).contains(&format!("Digest: {digest}")), "{copy:?}");
    }
    let push = ["push", "from-images", "-t", "oci-archive:-:v1", "HOST/app:amd64", "HOST/app:arm64"];
    let pushed = images.sandbox.command(&push).output().unwrap();
    std::fs::write(images.sandbox.path("pushed.tar"), &pushed.stdout).unwrap();
    let digest = images.digest("oci-archive:pushed.tar:v1");
    assert!(String::from_utf8_lossy(&pushed.stderr).contains(&format!("Digest: {digest}")), "{pushed:?}");
    let json = images.sandbox.run(&["--output", "json", "copy", "HOST/app:v1", "oci-archive:-"]);
    json.fails(2, "oci-archive:- is written to standard output, where --output json prints");
    // Nothing is left of a failed run.
    let failed = images.sandbox.command(&["copy", "HOST/app:gone", "oci-archive:-"]).output().unwrap();
    assert!(!failed.status.success() && failed.stdout.is_empty(), "{failed:?}");
}

#[test]
fn an_archive_is_read_from_a_pipe_and_from_a_file() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "oci-archive:a.tar"]).success();
    let path = images.sandbox.path("a.tar");
    let (is_ok, printed) = with_input(&images, &["digest", "oci-archive:-"], File::open(&path).unwrap());
    assert!(is_ok && printed.trim() == images.index, "{printed}");
    let mut cat = std::process::Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let pipe = cat.stdout.take().unwrap();
    let copy = images.sandbox.command(&["copy", "oci-archive:-", "HOST/piped:v1"]).stdin(pipe).output().unwrap();
    assert!(copy.status.success() && cat.wait().unwrap().success(), "{copy:?}");
    assert_eq!(images.digest("HOST/piped:v1"), images.index);
    let (is_ok, printed) = with_input(&images, &["inspect", "oci-archive:-"], File::open("/dev/null").unwrap());
    assert!(!is_ok && printed.contains("oci-archive:-"), "{printed}");
}

#[test]
fn a_filter_reads_and_writes_an_archive() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "oci-archive:a.tar"]).success();
    let input = File::open(images.sandbox.path("a.tar")).unwrap();
    let filter = ["copy", "--platform", "linux/arm64", "oci-archive:-", "oci-archive:-"];
    let filtered = images.sandbox.command(&filter).stdin(input).output().unwrap();
    assert!(filtered.status.success(), "{filtered:?}");
    std::fs::write(images.sandbox.path("b.tar"), &filtered.stdout).unwrap();
    assert_eq!(images.digest("oci-archive:b.tar"), images.digest("HOST/app:arm64"));
}

#[test]
fn one_archive_at_most_goes_to_standard_output() {
    let images = Images::new();
    let push = ["push", "from-images", "-t", "oci-archive:-:v1", "-t", "docker-archive:-:app:v1", "HOST/app:amd64"];
    let outcome = images.sandbox.run(&push);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
}
