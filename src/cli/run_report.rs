//! `--report` and `--resume`: a file with a line for each target that a run has finished, so that a later run can skip
//! it.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::render::is_archive;
use crate::assemble::TargetReport;
use crate::image::{Digest, Location, UntrustedText};
use crate::links;

/// The version of the lines that this program writes and reads.
const VERSION: u64 = 1;
/// The beginning of every line.
const LINE_START: &[u8] = b"{\"version\":1,\"references\":[";
/// The length of a beginning that is unlikely in another file.
const MIN_START: usize = b"{\"version\":".len();
/// The maximum size of a report, in bytes. A report of 10,000 indexes takes about 3 MB.
const MAX_LENGTH: u64 = 64 << 20;

/// The flags for reports of runs.
#[derive(Debug, Default, Args)]
pub(super) struct ReportFlags {
    /// Append a JSON line for each finished target to FILE
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Skip targets that FILE lists with the same digest
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

/// The digests of the tags that earlier runs have finished.
pub(super) type Finished = HashMap<Location, Digest>;

/// A report that lines are appended to.
pub(super) struct RunReport {
    path: PathBuf,
    file: File,
    /// Whether the file already lists the targets that the run skips.
    lists_skipped: bool,
    /// Whether a line could not be written whole. A line after it could not be read.
    is_broken: bool,
}

/// A target that a run has finished: an index or image that is complete there, with the tags that point at it.
pub(super) struct FinishedTarget {
    pub(super) references: Vec<Location>,
    pub(super) digest: Digest,
    /// The size and media type of the manifest, if it was read.
    pub(super) manifest: Option<(u64, String)>,
    pub(super) changed: bool,
    /// Whether an earlier run had finished it.
    pub(super) was_finished: bool,
}

/// A line of a report: a finished target.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    version: u64,
    references: Vec<String>,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    changed: bool,
}

impl ReportFlags {
    /// Reads the report to resume from, and opens the report to append to. Checks both before the run.
    ///
    /// # Errors
    /// A file cannot be read or written, is not a report, or is a report of another version.
    pub(super) fn open(&self, dry_run: bool) -> Result<(Finished, Option<RunReport>), Failure> {
        if dry_run && self.report.is_some() {
            return Err(Failure::usage("--report cannot be used with --dry-run, which finishes no target"));
        }
        let report = self.report.as_deref().map(RunReport::open).transpose()?;
        let Some(resume) = &self.resume else { return Ok((Finished::new(), report.map(|(report, _)| report))) };
        let is_same = |report: &RunReport| is_same_file(&report.path, resume);
        match report {
            // With one file for both, the first run starts from an empty report.
            Some((report, finished)) if is_same(&report) => {
                Ok((finished, Some(RunReport { lists_skipped: true, ..report })))
            }
            report => Ok((read(resume)?, report.map(|(report, _)| report))),
        }
    }
}

impl RunReport {
    /// Opens a report for appending, and returns what it lists. Creates the file if it does not exist.
    fn open(path: &Path) -> Result<(Self, Finished), Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
        let target = links::resolve_file(path).map_err(failed)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&target).map_err(failed)?;
        let mut bytes = read_bytes(&file, path)?;
        let complete = complete_length(&bytes);
        let is_cut_off = complete < bytes.len();
        bytes.truncate(complete);
        let finished = parse(&bytes, path)?;
        if is_cut_off {
            // On Windows, a file that is open for appending cannot be cut.
            let cut = OpenOptions::new().write(true).open(&target);
            cut.and_then(|file| file.set_len(complete as u64)).map_err(failed)?;
        }
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok((Self { path: path.to_owned(), file, lists_skipped: false, is_broken: false }, finished))
    }

    /// Appends the lines of finished targets. Leaves out archives, which are complete only at the end of the run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn append(&mut self, targets: impl IntoIterator<Item = FinishedTarget>) -> Result<(), Failure> {
        let targets = targets.into_iter().filter(|target| !target.references.iter().any(is_archive));
        let targets = targets.filter(|target| !(self.lists_skipped && target.was_finished));
        if self.is_broken {
            return Err(self.failure("an earlier line could not be written"));
        }
        let mut text = String::new();
        for target in targets {
            let line = serde_json::to_string(&Line::from(target)).map_err(|error| self.failure(&error.to_string()))?;
            text = text + &line + "\n";
        }
        // One write for each item, so that a killed run leaves at most one incomplete line.
        self.file.write_all(text.as_bytes()).map_err(|error| {
            self.is_broken = true;
            self.failure(&error.to_string())
        })
    }

    fn failure(&self, error: &str) -> Failure {
        Failure::new(format!("the target is written, but {} cannot be written: {error}", self.path.display()))
    }
}

impl From<&TargetReport> for FinishedTarget {
    fn from(report: &TargetReport) -> Self {
        let descriptor = &report.plan.descriptor;
        Self {
            references: report.tags.iter().map(|tag| tag.location.clone()).collect(),
            digest: descriptor.digest.clone(),
            manifest: Some((descriptor.size, descriptor.media_type.to_string())),
            changed: report.has_written_tags(),
            was_finished: report.was_finished,
        }
    }
}

impl From<FinishedTarget> for Line {
    fn from(FinishedTarget { references, digest, manifest, changed, .. }: FinishedTarget) -> Self {
        let references = references.iter().map(ToString::to_string).collect();
        let (size, media_type) = manifest.unzip();
        Self { version: VERSION, references, digest, size, media_type, changed }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let resolve = |path: &Path| links::resolve_file(path).ok();
    resolve(one).is_some_and(|path| Some(path) == resolve(other))
}

fn read(path: &Path) -> Result<Finished, Failure> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut bytes = read_bytes(&file, path)?;
    bytes.truncate(complete_length(&bytes));
    parse(&bytes, path)
}

fn read_bytes(file: &File, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(cannot_read(path, &format_args!("it is longer than {} MiB; start a new report", MAX_LENGTH >> 20)));
    }
    Ok(bytes)
}

fn cannot_read(path: &Path, reason: &dyn Display) -> Failure {
    Failure::new(format!("cannot read {}: {reason}", path.display()))
}

/// Parses the lines of a report. A later line about a tag replaces an earlier one.
fn parse(bytes: &[u8], path: &Path) -> Result<Finished, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| cannot_read(path, &"it is not UTF-8 text"))?;
    let mut finished = Finished::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let failed = |reason: String| Failure::new(format!("{}:{}: {reason}", path.display(), number + 1));
        let line = parse_line(line).map_err(failed)?;
        for reference in line.references {
            let location = reference.parse::<Location>();
            let location = location
                .map_err(|_| failed(format!("\"{}\" is not a reference", UntrustedText::from(reference.as_str()))))?;
            finished.insert(location, line.digest.clone());
        }
    }
    Ok(finished)
}

fn parse_line(line: &str) -> Result<Line, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let is_no_report = |_| "not a line of a report that --report has written".to_owned();
    let version = serde_json::from_str::<Versioned>(line).map_err(is_no_report)?.version;
    if version != VERSION {
        return Err(format!(
            "the report has version {version}, but this program knows only version {VERSION}; start a new report"
        ));
    }
    serde_json::from_str(line).map_err(is_no_report)
}

/// Returns the length of a report without an incomplete last line, which a killed run may leave.
fn complete_length(bytes: &[u8]) -> usize {
    let start = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let last = bytes.get(start..).unwrap_or_default();
    // Any other text is not from a report, and must not be removed from its file.
    let is_beginning = LINE_START.starts_with(last) && (start > 0 || last.len() >= MIN_START);
    let is_of_report = last.starts_with(LINE_START) || is_beginning;
    let is_cut_off = serde_json::from_slice::<serde_json::Value>(last).is_err_and(|error| error.is_eof());
    if is_cut_off && is_of_report { start } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reference: &str, content: &str) -> String {
        let digest = Digest::sha256(content.as_bytes());
        let line = Line {
            version: VERSION,
            references: vec![reference.to_owned(), format!("{reference}-also")],
            digest,
            size: Some(7),
            media_type: Some("application/x".to_owned()),
            changed: true,
        };
        serde_json::to_string(&line).unwrap() + "\n"
    }

    fn read_text(text: &str) -> Result<Finished, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        std::fs::write(&path, text).unwrap();
        let failure = |failure: Failure| failure.text().replace(&path.display().to_string(), "FILE");
        let read = read(&path).map_err(failure);
        let opened = RunReport::open(&path).map_err(failure).map(|(_, finished)| finished);
        assert_eq!(
            read.clone().map_err(|error| error.replace("read", "")),
            opened.map_err(|error| error.replace("read", ""))
        );
        if read.is_err() {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a file with a problem is not changed");
        }
        read
    }

    #[test]
    fn every_tag_of_every_line_is_finished_and_the_last_line_counts() {
        let finished =
            read_text(&(line("r.io/a:1", "x") + "\n" + &line("r.io/b:1", "y") + &line("r.io/a:1", "z"))).unwrap();
        let at = |reference: &str| finished.get(&reference.parse::<Location>().unwrap()).cloned();
        assert_eq!(at("r.io/a:1"), Some(Digest::sha256(b"z")));
        assert_eq!(at("r.io/a:1-also"), Some(Digest::sha256(b"z")));
        assert_eq!(at("r.io/b:1"), Some(Digest::sha256(b"y")));
        assert_eq!(finished.len(), 4);
        assert!(read_text("").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_was_cut_off_anywhere_is_ignored() {
        let (first, second) = (line("r.io/a:1", "x"), line("r.io/b:1", "y"));
        for end in 0..second.len() {
            let text = first.clone() + &second[..end];
            let is_complete = end == second.len() - 1;
            assert_eq!(read_text(&text).unwrap().len(), if is_complete { 4 } else { 2 }, "{text}");
        }
    }

    #[test]
    fn lines_are_appended_after_an_incomplete_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        for (before, after) in [
            (line("r.io/a:1", "x"), line("r.io/a:1", "x")),
            (line("r.io/a:1", "x").trim_end().to_owned(), line("r.io/a:1", "x")),
            (line("r.io/a:1", "x") + "{\"vers", line("r.io/a:1", "x")),
            ("{\"version\":1".to_owned(), String::new()),
        ] {
            std::fs::write(&path, &before).unwrap();
            RunReport::open(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after, "{before}");
        }
    }

    #[test]
    fn other_content_is_an_error_with_its_line() {
        let good = line("r.io/a:1", "x");
        let other_version = good.replace("\"version\":1", "\"version\":2");
        for (text, error) in [
            (
                good.clone() + &other_version,
                "FILE:2: the report has version 2, but this program knows only version 1; start a new report",
            ),
            (good.clone() + "x\n", "FILE:2: not a line of a report that --report has written"),
            ("x".to_owned(), "FILE:1: not a line of a report that --report has written"),
            ("[1]\n".to_owned(), "FILE:1: not a line of a report that --report has written"),
            ("{\"indexes\":[]}".to_owned(), "FILE:1: not a line of a report that --report has written"),
            ("{\"".to_owned(), "FILE:1: not a line of a report that --report has written"),
            ("{\"name\": \"x".to_owned(), "FILE:1: not a line of a report that --report has written"),
            ("{\"version\":1}\n".to_owned(), "FILE:1: not a line of a report that --report has written"),
            (good.replace("sha256:", "sha:"), "FILE:1: not a line of a report that --report has written"),
            (
                good.replace("r.io/a:1\"", "r.io/a::1\u{1b}\""),
                "FILE:1: not a line of a report that --report has written",
            ),
            (good.replace("r.io/a:1\"", "r.io/a::1\""), "FILE:1: \"r.io/a::1\" is not a reference"),
        ] {
            assert_eq!(read_text(&text).unwrap_err(), error, "{text}");
        }
    }
}
