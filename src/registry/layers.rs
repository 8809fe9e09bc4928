//! Checks which files of this folder import which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers, each of which imports only from those after it.
const LAYERS: [&str; 5] = ["api", "client", "auth", "transport", "error"];

/// The files of a folder, by their module paths, such as `transport::tls::config`, with their code without tests.
fn modules(folder: &Path, path: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry: PathBuf = entry.unwrap().path();
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
        if entry.is_dir() {
            modules(&entry, &path, found);
        } else if !matches!(name.as_str(), "mod" | "tests" | "layers" | "fuzzing") {
            let text = std::fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            let code = code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            found.insert(path, code);
        }
    }
}

/// The module paths that code names, by `super::` or `crate::registry::`.
fn named(module: &str, code: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let path = |tail: &str| {
        let end = tail.find(|c: char| !c.is_ascii_lowercase() && !matches!(c, '_' | ':')).unwrap_or(tail.len());
        tail[..end].trim_end_matches(':').to_owned()
    };
    let of_super = code.split("super::").skip(1).map(|tail| format!("{parent}::{}", path(tail)));
    let of_crate = code.split("crate::registry::").skip(1).map(path);
    of_super.chain(of_crate).collect()
}

/// The modules that each module imports.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry"), "", &mut found);
    assert!(found.len() > 60, "the sources are found");
    let files_of = |path: &str| -> Vec<String> {
        let parts: Vec<&str> = path.split("::").collect();
        let file = (1..=parts.len()).rev().map(|count| parts[..count].join("::")).find(|path| found.contains_key(path));
        // A folder stands for all of its files.
        let folder = format!("{path}::");
        file.map_or_else(|| found.keys().filter(|path| path.starts_with(&folder)).cloned().collect(), |file| vec![file])
    };
    let of = |(module, code): (&String, &String)| {
        let files = named(module, code).into_iter().flat_map(|path| files_of(&path));
        (module.clone(), files.filter(|path| path != module).collect())
    };
    found.iter().map(of).collect()
}

#[test]
fn layers_import_only_from_those_below() {
    let layer = |path: &str| LAYERS.iter().position(|layer| path.split("::").next() == Some(layer));
    for (module, imported) in imports() {
        for path in imported {
            assert!(layer(&path) >= layer(&module), "{module} imports {path}");
        }
    }
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let mut left = imports();
    // Files whose imports are all gone are no part of a circle.
    while let Some(module) = left.iter().find(|(_, of)| of.iter().all(|path| !left.contains_key(path))) {
        let module = module.0.clone();
        left.remove(&module);
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:#?}");
}
