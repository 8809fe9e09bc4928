//! Everything that workflows and the action fetch has a fixed version.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Actions that may be named by a tag: this project's own, which README shows by its release.
const NAMED_BY_TAG: &[&str] = &["OWNER/manifest-tool"];

/// Folders without workflows, scripts or documentation.
const SKIPPED: &[&str] = &[".git", "target", "src", "artifacts", "corpus", "seeds", "proptest-regressions", "layouts"];

/// The text files of the repository other than Rust sources, by path.
fn files() -> BTreeMap<String, String> {
    fn visit(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    visit(&path, found);
                }
            } else if !name.ends_with(".rs") && !name.ends_with(".lock") {
                let relative = path.strip_prefix(ROOT).unwrap().display().to_string();
                if let Ok(text) = std::fs::read_to_string(&path) {
                    found.insert(relative, text);
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(Path::new(ROOT), &mut found);
    found
}

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a file is read by GitHub, or is an example of such a file.
fn is_workflow(path: &str) -> bool {
    let folder = [".github/", "examples/pipelines/"].iter().any(|folder| path.starts_with(folder));
    path == "action.yml" || folder && (path.ends_with(".yml") || path.ends_with(".yaml"))
}

/// What stands behind each `uses:` of a text, with the comment of its line.
fn uses(text: &str) -> Vec<&str> {
    let keys = text.lines().filter_map(|line| {
        let line = line.trim_start_matches([' ', '-', '{', '"', '\'']);
        let rest = line.strip_prefix("uses")?.trim_start_matches(['"', '\'', ' ']);
        Some(rest.strip_prefix(':')?.trim())
    });
    keys.collect()
}

/// Action, commit and version of `actions/checkout@COMMIT # v1.2.3`.
fn pin(uses: &str) -> Option<(&str, &str, &str)> {
    let (action, rest) = uses.split_once('@')?;
    let (commit, version) = rest.split_once(" # ")?;
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let numbers: Vec<&str> = version.strip_prefix('v')?.split('.').collect();
    let is_version = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
    (is_commit && is_version).then_some((action, commit, version))
}

/// How often a key has a string as its value, at any depth.
fn count(value: &Value, key: &str) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| count(item, key)).sum(),
        Value::Object(fields) => {
            let here = usize::from(fields.get(key).is_some_and(Value::is_string));
            fields.values().map(|field| count(field, key)).sum::<usize>() + here
        }
        _ => 0,
    }
}

#[test]
fn pins_are_told_from_tags() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (uses, pinned) in [
        (format!("a/b@{commit} # v1.2.3"), true),
        (format!("a/b/c@{commit} # v1.2.3"), true),
        (format!("a/b@{commit}"), false),
        (format!("a/b@{commit} # v1"), false),
        (format!("a/b@{commit} # main"), false),
        (format!("a/b@{} # v1.2.3", &commit[1..]), false),
        (format!("a/b@{} # v1.2.3", commit.to_uppercase()), false),
        ("a/b@v1.2.3 # v1.2.3".to_owned(), false),
        ("a/b@main".to_owned(), false),
        ("docker://alpine:3".to_owned(), false),
    ] {
        assert_eq!(pin(&uses).is_some(), pinned, "{uses}");
    }
}

#[test]
fn actions_of_others_are_pinned_by_commit_with_their_version_beside() {
    let mut pins: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files() {
        let uses = uses(&text);
        if is_workflow(&path) {
            assert_eq!(uses.len(), count(&yaml(&path), "uses"), "{path}: a line with \"uses\" is not understood");
        }
        for uses in uses {
            // Prose and JSON have the word too.
            if !is_workflow(&path) && !uses.contains('@') {
                continue;
            }
            if uses.starts_with("./") || NAMED_BY_TAG.iter().any(|ours| uses.starts_with(&format!("{ours}@"))) {
                continue;
            }
            let (action, commit, version) = pin(uses).unwrap_or_else(|| panic!("{path}: {uses} is not pinned"));
            let pin = format!("{commit} {version}");
            let first = pins.entry(action.to_owned()).or_insert_with(|| pin.clone());
            assert_eq!(*first, pin, "{path}: {action} has two pins");
        }
    }
    assert!(pins.contains_key("actions/checkout"), "{pins:?}");
}
