//! The headings of `docs/troubleshooting.md` are texts that the program prints.

use std::path::Path;

use super::markdown::Page;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// A heading counts if the sources contain its text, apart from escaped quotes and line breaks.
#[test]
fn headings_are_error_messages_of_the_program() {
    let mut text = String::new();
    sources(&super::markdown::root().join("src"), &mut text);
    let text = text.replace("\\\"", "\"").split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", "");
    let page = Page::read("docs/troubleshooting.md");
    let entries: Vec<&str> =
        page.text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert!(entries.len() >= 30, "{} entries", entries.len());
    let unknown: Vec<&&str> = entries.iter().filter(|entry| !text.contains(**entry)).collect();
    assert!(unknown.is_empty(), "not in the sources: {unknown:#?}");
}
