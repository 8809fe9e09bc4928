use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::image::{IndexKind, Location};
use crate::spec::{self, Spec};

/// A file longer than this is not read: a thousand indexes of a hundred images are shorter.
const MAX_LENGTH: u64 = 64 << 20;

/// Reads and checks the specs of all files, folders and standard input (`-`), in that order. All that is wrong with
/// any of them is one failure: nothing is asked of a registry before all are good.
pub(super) fn read_specs(paths: &[String], kind: IndexKind) -> Result<Vec<Spec>, Failure> {
    let mut specs: Vec<(Spec, String)> = Vec::new();
    let mut problems = Vec::new();
    for file in files(paths, &mut problems) {
        match read(&file).and_then(|text| spec::from_yaml(&text, name(&file), kind).map_err(|error| error.to_string()))
        {
            Ok(found) => specs.extend(found.into_iter().map(|spec| (spec, name(&file).to_owned()))),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(written_twice(&specs));
    match problems.as_slice() {
        [] => Ok(specs.into_iter().map(|(spec, _)| spec).collect()),
        [only] if !only.contains('\n') => Err(Failure::new(only.clone())),
        _ => {
            let what = if paths.len() > 1 { "the specs are not usable" } else { "the spec is not usable" };
            Err(Failure::new(format!("{what}\n{}", problems.join("\n"))))
        }
    }
}

/// The files that are meant: a folder means the `.yaml` and `.yml` files in it, by name.
fn files(paths: &[String], problems: &mut Vec<String>) -> Vec<String> {
    let mut files = Vec::new();
    for path in paths {
        if path == "-" || !Path::new(path).is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(format!("cannot read {path}: {error}"));
                continue;
            }
        };
        let is_spec = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_spec).collect();
        found.sort();
        if found.is_empty() {
            problems.push(format!("{path} holds no .yaml or .yml file"));
        }
        files.extend(found.into_iter().map(|file| file.to_string_lossy().into_owned()));
    }
    files
}

fn name(file: &str) -> &str {
    if file == "-" { "<stdin>" } else { file }
}

fn read(file: &str) -> Result<String, String> {
    let name = name(file);
    let failed = |error: std::io::Error| format!("cannot read {name}: {error}");
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(format!("{name} is longer than {MAX_LENGTH} bytes, no spec is"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8 text"))
}

/// Which of two indexes a tag would point at in the end would be a matter of luck.
fn written_twice(specs: &[(Spec, String)]) -> Vec<String> {
    let mut seen: HashMap<Location, &str> = HashMap::new();
    let mut problems = Vec::new();
    for (spec, file) in specs {
        let tags = spec.tags.iter().map(|tag| spec.target.with_tag(tag));
        for reference in std::iter::once(spec.target.clone()).chain(tags) {
            match seen.get(&reference) {
                Some(first) if *first == file => {
                    problems.push(format!("{file}: {reference} is written by two indexes of it"));
                }
                Some(first) => problems.push(format!("{file}: {reference} is written by {first} as well")),
                None => {
                    seen.insert(reference, file);
                }
            }
        }
    }
    problems
}
