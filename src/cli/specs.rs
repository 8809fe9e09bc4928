use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};

use super::console::Console;
use super::credentials::holds_credentials;
use super::failure::Failure;
use super::input_text::{InputError, read_text};
use super::render::{ProblemReport, Rule, STDIN};
use crate::image::{Location, UntrustedText};
use crate::spec::{self, Form, Lookup, MAX_MEMORY, Problem, Spec, YamlRequest};

/// The flags of a push that change its specs.
#[derive(Clone, Copy, Default)]
pub(super) struct SpecFlags {
    /// The type of every index, which overrides the type in the specs.
    pub(super) form: Option<Form>,
    /// Start from the existing indexes of the targets.
    pub(super) append: bool,
    /// Treat warnings as errors.
    pub(super) strict: bool,
    /// Add the labels that all images share as annotations.
    pub(super) annotations_from_labels: bool,
}

/// The flags that apply to all specs of a command line.
pub(super) struct SpecOptions {
    pub(super) flags: SpecFlags,
    pub(super) variables: Variables,
}

/// The sources of values for variables in specs.
#[derive(Debug, clap::Args)]
pub(super) struct Variables {
    /// Fill ${NAME} from the environment; unset is an error
    #[arg(long)]
    env: bool,
    /// Fill ${KEY} with VALUE, overriding --env (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

impl Variables {
    fn are_enabled(&self) -> bool {
        self.env || !self.set.is_empty()
    }

    /// Returns the value of a variable: from the last `--set`, else with `--env` from the environment.
    ///
    /// # Errors
    /// The environment variable contains credentials, which must not be published.
    fn value(&self, name: &str) -> Result<Option<String>, String> {
        let set = self.set.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match set {
            None if self.env && holds_credentials(name) => {
                Err("--env does not read variables that contain manifest-tool's credentials".into())
            }
            None if self.env => Ok(std::env::var(name).ok().filter(|value| !value.is_empty())),
            set => Ok(set),
        }
    }
}

/// A spec, and the file that it came from.
pub(super) type NamedSpec = (Spec, UntrustedText);

/// The maximum total size of the spec files of a run, in bytes. A thousand indexes of a hundred images need less.
const MAX_LENGTH: u64 = 16 << 20;

/// Reads and checks the specs of all files, folders and standard input (`-`) in the given order, before the first
/// request to a registry. Reports all problems in one failure.
///
/// Prints warnings only with a failure; otherwise the push prints them.
pub(super) fn read_specs(paths: &[String], options: &SpecOptions, console: &Console) -> Result<Vec<Spec>, Failure> {
    let read = read_all(paths, options);
    if read.problems.is_empty() {
        return Ok(read.specs.into_iter().map(|(spec, _)| spec).collect());
    }
    warn(console, read.warnings());
    Err(Failure::of_problems(read.problems))
}

/// Prints warnings, one per line.
pub(super) fn warn<'w>(console: &Console, warnings: impl Iterator<Item = &'w Problem>) {
    warnings.for_each(|warning| console.warn_of(&warning.into()));
}

/// The specs of a command line.
#[derive(Default)]
pub(super) struct SpecsRead {
    /// The valid specs.
    pub(super) specs: Vec<NamedSpec>,
    /// The problems of the other specs.
    pub(super) problems: Vec<ProblemReport>,
    /// Warnings about files with problems.
    warnings_of_invalid_files: Vec<Problem>,
}

/// Returns the possible values of `--type`. An empty value, from an unset variable of a pipeline, counts as not given.
pub(super) fn forms() -> PossibleValuesParser {
    let named = ["docker", "oci", "auto"].map(PossibleValue::new);
    named.into_iter().chain([PossibleValue::new("").hide(true)]).into()
}

/// Parses the value of `--type`.
pub(super) fn form(text: Option<&str>) -> Result<Option<Form>, Failure> {
    text.filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(Failure::usage)
}

impl SpecsRead {
    /// Returns the warnings about all specs, valid or not.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.warnings_of_invalid_files.iter().chain(self.specs.iter().flat_map(|(spec, _)| &spec.warnings))
    }
}

/// Reads all specs.
pub(super) fn read_all(paths: &[String], options: &SpecOptions) -> SpecsRead {
    let SpecsRead { mut specs, mut problems, mut warnings_of_invalid_files } = SpecsRead::default();
    let lookup = |name: &str| options.variables.value(name);
    let variables = options.variables.are_enabled().then_some(&lookup as Lookup<'_>);
    let (mut remaining, mut memory) = (MAX_LENGTH, 0);
    // Skip empty arguments, which come from unset variables of a pipeline.
    let given_paths: Vec<String> = paths.iter().filter(|path| !path.trim().is_empty()).cloned().collect();
    if given_paths.is_empty() {
        problems.push(ProblemReport::new(Rule::UnreadableFile, "no spec given: the argument is empty"));
    }
    for path in files(&given_paths, &mut problems) {
        let file = name(&path);
        let parse = |text: String| {
            let SpecFlags { form, append, strict, annotations_from_labels } = options.flags;
            let file = file.as_str();
            let text = text.as_str();
            let request = YamlRequest { text, file, form, append, annotations_from_labels, variables, strict };
            spec::from_yaml(&request)
        };
        match read(&path, &mut remaining).map(parse) {
            Ok(Ok(parsed)) => {
                memory += parsed.iter().map(Spec::memory).sum::<usize>();
                specs.extend(parsed.into_iter().map(|spec| (spec, file.clone())));
            }
            Ok(Err(error)) => {
                problems.extend(error.problems.iter().map(ProblemReport::from));
                warnings_of_invalid_files.extend(error.warnings);
            }
            Err(problem) => problems.push(*problem),
        }
        if memory > MAX_MEMORY {
            let message = format!(
                "the specs of this run take more than {} MiB of memory; give fewer specs per run",
                MAX_MEMORY >> 20
            );
            problems.push(ProblemReport::new(Rule::Content, message).in_file(&file));
            break;
        }
    }
    problems.extend(duplicate_targets(&specs));
    SpecsRead { specs, problems, warnings_of_invalid_files }
}

/// Replaces each folder with its `.yaml` and `.yml` files, sorted by name.
fn files(paths: &[String], problems: &mut Vec<ProblemReport>) -> Vec<String> {
    let mut files = Vec::new();
    for path in paths {
        if path == "-" || !Path::new(path).is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(unreadable(&name(path), |name| format!("cannot read {name}: {error}")));
                continue;
            }
        };
        let is_spec =
            |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml") && !path.is_dir();
        let mut specs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_spec).collect();
        specs.sort();
        if specs.is_empty() {
            problems.push(unreadable(&name(path), |name| format!("{name} contains no .yaml or .yml file")));
        }
        files.extend(specs.into_iter().map(|file| file.to_string_lossy().into_owned()));
    }
    files
}

fn name(file: &str) -> UntrustedText {
    if file == "-" { STDIN.into() } else { file.into() }
}

/// Returns the problem of a file or folder that cannot be read.
fn unreadable(file: &UntrustedText, message: impl Fn(&UntrustedText) -> String) -> ProblemReport {
    ProblemReport::new(Rule::UnreadableFile, message(file)).of_file(file)
}

/// Reads a file of at most `remaining` bytes, and subtracts its size from that.
fn read(file: &str, remaining: &mut u64) -> Result<String, Box<ProblemReport>> {
    let name = name(file);
    let message = match read_text(file, *remaining) {
        Ok((text, length)) => {
            *remaining -= length;
            return Ok(text);
        }
        Err(InputError::Unreadable(error)) => format!("cannot read {name}: {error}"),
        Err(InputError::TooLong) => {
            format!(
                "cannot read {name}: the specs of this run are longer than {MAX_LENGTH} bytes; give fewer files per run"
            )
        }
        Err(InputError::NotText) => format!("{name} is not UTF-8 text"),
    };
    Err(Box::new(ProblemReport::new(Rule::UnreadableFile, message).of_file(&name)))
}

/// Finds tags that two indexes would write. The result would depend on which is written last.
fn duplicate_targets(specs: &[NamedSpec]) -> Vec<ProblemReport> {
    let mut seen: HashMap<Location, &UntrustedText> = HashMap::new();
    let mut problems = Vec::new();
    for (spec, file) in specs {
        for reference in spec.locations() {
            let message = match seen.get(&reference) {
                Some(first) if *first == file => format!("{reference} is written by two of its indexes"),
                Some(first) => format!("{reference} is also written by {first}"),
                None => {
                    seen.insert(reference, file);
                    continue;
                }
            };
            let problem = ProblemReport::new(Rule::DuplicateTarget, message).in_file(file);
            problems.push(problem.with_reference(reference));
        }
    }
    problems
}
