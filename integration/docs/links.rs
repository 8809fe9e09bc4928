//! Links of pages lead to files and headings that exist, and the table of contents lists every page.

use std::collections::BTreeSet;

use super::markdown::{Page, pages, root};

/// Returns the path of a link's file from the root of the repository, without `.` and `..`.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => assert!(parts.pop().is_some(), "{page}: {link} leaves the repository"),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn problem(page: &Page, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return url::Url::parse(link).err().map(|error| error.to_string());
    }
    if link.contains("://") {
        return Some("not https".to_owned());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
    if !root().join(&path).exists() {
        return Some("does not exist".to_owned());
    }
    let anchor = anchor?;
    (!Page::read(&path).anchors().iter().any(|known| known == anchor)).then(|| format!("{path} has no such heading"))
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut problems = Vec::new();
    for page in pages() {
        for (line, link) in page.links() {
            problems.extend(problem(&page, &link).map(|problem| format!("{}:{line}: {link}: {problem}", page.path)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_table_of_contents_lists_every_page_once() {
    let summary = Page::read("docs/SUMMARY.md");
    let listed: Vec<String> = summary.links().into_iter().map(|(_, link)| format!("docs/{link}")).collect();
    let unique: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page is listed twice");
    for page in pages() {
        let is_page = page.path.starts_with("docs/") && page.path != "docs/SUMMARY.md";
        assert_eq!(is_page, listed.contains(&page.path), "{}", page.path);
    }
}

#[test]
fn every_page_starts_with_its_only_title() {
    for page in pages().iter().filter(|page| page.path != "docs/SUMMARY.md") {
        assert!(page.text.starts_with("# "), "{}", page.path);
        let (levels, _): (Vec<usize>, Vec<String>) = page.leveled_headings().into_iter().unzip();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{}", page.path);
    }
}
