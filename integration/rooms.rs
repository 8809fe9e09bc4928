//! Who may import whom, as the README's architecture part says it. Any other arrow fails.

use std::path::{Path, PathBuf};

/// A room and the rooms and crates that it may name. `*` is any crate from outside.
const ALLOWED: &[(&str, &[&str])] = &[
    ("main.rs", &["cli", "*"]),
    (
        "cli",
        &[
            "assemble", "copy", "delete", "inspect", "probe", "query", "verify", "output", "store", "registry",
            "event", "spec", "image", "links", "*",
        ],
    ),
    ("links.rs", &["*"]),
    ("memory.rs", &["*"]),
    ("single_flight.rs", &["*"]),
    ("assemble", &["memory", "single_flight", "store", "registry", "event", "spec", "image", "*"]),
    ("copy", &["store", "registry", "event", "image", "*"]),
    ("delete.rs", &["store", "image", "*"]),
    ("inspect.rs", &["store", "image", "*"]),
    ("probe", &["store", "registry", "event", "image", "*"]),
    ("query.rs", &["store", "image", "*"]),
    ("verify", &["single_flight", "store", "registry", "image", "*"]),
    ("output", &["assemble", "inspect", "probe", "query", "verify", "store", "event", "image", "*"]),
    ("store", &["links", "memory", "single_flight", "registry", "layout", "event", "image", "*"]),
    ("layout", &["image", "links", "memory", "*"]),
    ("registry", &["memory", "single_flight", "event", "image", "*"]),
    ("event", &["spec", "image", "*"]),
    ("spec", &["image"]),
    ("image", &[]),
];

/// What the pure rooms never name, in a `use` or by path.
const IMPURE: &[&str] = &["tokio", "reqwest", "clap", "std::fs", "std::env", "std::net", "std::process"];

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| files(&entry.unwrap().path(), out));
    } else {
        out.push(path.to_owned());
    }
}

/// The code of a file: without comments, and without the tests at its end.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Rooms named by `crate::ROOM`, `crate::{ROOM, ...}` and, in main.rs, `manifest_tool::ROOM`.
fn rooms_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for start in ["crate::", "manifest_tool::"] {
        for tail in code.split(start).skip(1) {
            match tail.strip_prefix('{') {
                // Depth one of the braces: what stands before `::` or `,`.
                Some(list) => {
                    let mut depth = 1;
                    let mut item = String::new();
                    for c in list.chars() {
                        match c {
                            '{' => depth += 1,
                            '}' => depth -= 1,
                            ',' if depth == 1 => found.push(word(std::mem::take(&mut item).trim())),
                            _ => {}
                        }
                        if depth == 0 {
                            break;
                        }
                        if depth == 1 && c != ',' {
                            item.push(c);
                        }
                    }
                    found.push(word(item.trim()));
                }
                None => found.push(word(tail)),
            }
        }
    }
    found.retain(|room| !room.is_empty());
    found
}

fn violations(room: &str, code: &str) -> Vec<String> {
    let (_, allowed) = ALLOWED.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{room} is a new room"));
    let own = room.trim_end_matches(".rs");
    let mut found: Vec<String> =
        rooms_named(code).into_iter().filter(|named| named != own && !allowed.contains(&named.as_str())).collect();
    if !allowed.contains(&"*") {
        found.extend(IMPURE.iter().filter(|name| code.contains(*name)).map(|name| (*name).to_owned()));
    }
    found
}

#[test]
fn no_room_imports_against_the_direction() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 20, "the sources are found");
    for path in all {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        if room == "lib.rs" {
            continue; // names every room, to declare it
        }
        let found = violations(room, &code(&path));
        assert!(found.is_empty(), "{} may not name {}", inside.display(), found.join(", "));
    }
}

#[test]
fn a_wrong_arrow_is_found() {
    assert_eq!(violations("image", "use crate::registry::Client;"), ["registry"]);
    assert_eq!(
        violations("registry", "use crate::{image::Digest, assemble::{Plan, Event}, cli};"),
        ["assemble", "cli"]
    );
    assert_eq!(violations("spec", "let x = std::fs::read(path);"), ["std::fs"]);
    assert_eq!(violations("output", "crate::registry::Error"), ["registry"]);
    assert!(violations("assemble", "use crate::{image, spec::Spec};").is_empty());
}
