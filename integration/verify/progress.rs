use super::VerifyFixture;
use crate::support::Sandbox;

/// Returns the lines of a run whose stderr is a terminal and whose stdout is a file.
fn lines_on_stderr(sandbox: &Sandbox, exit: i32, args: &[&str]) -> (Vec<String>, String) {
    let outcome = sandbox.run_with_stderr_on_terminal(200, args);
    assert_eq!(outcome.exit, exit, "{}", outcome.output);
    let mut lines: Vec<String> = outcome.screen().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort_unstable();
    (lines, outcome.stdout)
}

#[test]
fn verify_names_each_checked_image_on_a_terminal() {
    let fixture = VerifyFixture::new();
    let sandbox = &fixture.sandbox;
    let sizes = |image: usize| {
        let manifest = &fixture.manifests[image];
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.chain([&manifest["config"]]).map(|blob| blob["size"].as_u64().unwrap()).sum::<u64>()
    };
    let line = |image: usize, name: &str, layers: &str| {
        format!("checked {name} {}: config and {layers}, {} bytes", &fixture.entry_digest(image)[..19], sizes(image))
    };
    let mut expected = vec![
        line(0, "linux/amd64", "3 layers"),
        line(1, "linux/arm64/v8", "3 layers"),
        line(2, "linux/arm/v7", "3 layers"),
        line(3, "attestation", "1 layer"),
    ];
    expected.sort_unstable();
    let piped = sandbox.run(&["verify", "HOST/app:v1"]).success();
    assert_eq!(piped.stderr, "");
    let (lines, stdout) = lines_on_stderr(sandbox, 0, &["verify", "HOST/app:v1"]);
    assert_eq!((lines, &*stdout), (expected.clone(), &*piped.stdout));
    let (lines, stdout) = lines_on_stderr(sandbox, 0, &["verify", "-o", "json", "HOST/app:v1"]);
    assert!(lines == expected && stdout.starts_with('{'), "{lines:?}");
    for flag in ["--quiet", "--no-progress"] {
        assert_eq!(lines_on_stderr(sandbox, 0, &["verify", flag, "HOST/app:v1"]), (vec![], piped.stdout.clone()));
    }
    // With several references, each line names its reference.
    fixture.push_changed_index("v2", |entries| entries.reverse());
    let (lines, _) = lines_on_stderr(sandbox, 0, &["verify", "HOST/app:v1", "HOST/app:v2"]);
    let count = |tag: &str| {
        let prefix = sandbox.fill(&format!("HOST/app:{tag}: checked "));
        lines.iter().filter(|line| line.starts_with(&prefix)).count()
    };
    assert_eq!((count("v1"), count("v2"), lines.len()), (4, 4, 8), "{lines:?}");
}

#[test]
fn verify_counts_findings_and_unreadable_parts_of_each_image_on_a_terminal() {
    let fixture = VerifyFixture::new();
    fixture.remove_from_storage(&fixture.layer_digest(0, 1));
    fixture.remove_from_storage(&fixture.layer_digest(0, 2));
    fixture.remove_from_storage(&fixture.entry_digest(1));
    let (lines, _) = lines_on_stderr(&fixture.sandbox, 5, &["verify", "HOST/app:v1"]);
    let line = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(line("checked linux/amd64 ").ends_with(", 2 findings"), "{lines:?}");
    let missing = format!("checked linux/arm64/v8 {}: 1 finding", &fixture.entry_digest(1)[..19]);
    assert_eq!(line("checked linux/arm64/v8"), &missing);
    assert!(line("checked linux/arm/v7 ").ends_with(" bytes"), "{lines:?}");
}
