//! The results of `lint` in the Static Analysis Results Interchange Format (SARIF 2.1.0, OASIS).

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::annotation::Severity;
use super::problem::{ProblemReport, Rule};

/// Returns the SARIF log of a run with these problems and warnings. Paths below `folder`, the current one, become
/// relative.
pub(in crate::cli) fn sarif_log(problems: &[ProblemReport], warnings: &[ProblemReport], folder: &Path) -> Value {
    let errors = problems.iter().map(|problem| result(Severity::Error, problem, folder));
    let warnings = warnings.iter().map(|warning| result(Severity::Warning, warning, folder));
    let rule = |rule: &Rule| json!({"id": rule.id(), "shortDescription": {"text": rule.description()}});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "manifest-tool",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": Rule::ALL.iter().map(rule).collect::<Vec<_>>(),
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": errors.chain(warnings).collect::<Vec<_>>(),
        }],
    })
}

/// A result of a run: a problem or a warning.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: &'static str,
    level: &'static str,
    message: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Value>,
}

/// A place in a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
    start_column: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u64>,
}

fn result(severity: Severity, problem: &ProblemReport, folder: &Path) -> SarifResult {
    let (mut locations, mut fixes) = (Vec::new(), Vec::new());
    if let Some(path) = problem.path() {
        let artifact_location = json!({"uri": uri(path, folder)});
        let region = problem.position().map(|(start_line, start_column)| {
            let end_column = problem.replacement().map(|(_, length)| start_column + length);
            Region { start_line, start_column, end_column }
        });
        if let (Some(region), Some((replacement, _))) = (region, problem.replacement()) {
            let replacement = json!({"deletedRegion": region, "insertedContent": {"text": replacement}});
            fixes.push(json!({
                "description": {"text": "Replace it with the text that was probably meant."},
                "artifactChanges": [{"artifactLocation": artifact_location, "replacements": [replacement]}],
            }));
        }
        locations.push(json!({"physicalLocation": PhysicalLocation { artifact_location, region }}));
    }
    let (rule_id, level) = (problem.rule().id(), severity.name());
    SarifResult { rule_id, level, message: json!({"text": problem.text_at_position()}), locations, fixes }
}

/// Returns the URI of a file: relative for a relative path and for one below `folder`, and else a `file:` URI.
fn uri(path: &str, folder: &Path) -> String {
    let path = Path::new(path).strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or(path);
    let path = if std::path::MAIN_SEPARATOR == '\\' { path.replace('\\', "/") } else { path.to_owned() };
    let path = path.trim_start_matches("./");
    let is_drive = cfg!(windows) && path.get(1..3) == Some(":/");
    match path.strip_prefix("//") {
        Some(share) if cfg!(windows) => format!("file://{}", encoded(share, false)),
        _ if path.starts_with('/') => format!("file://{}", encoded(path, false)),
        _ if is_drive => format!("file:///{}", encoded(path, true)),
        _ => encoded(path, false),
    }
}

/// Percent-encodes everything except slashes and characters that have no meaning in a URI. A colon is encoded because
/// the start of a relative reference would otherwise be a scheme.
fn encoded(path: &str, keeps_colon: bool) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        b':' if keeps_colon => ":".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Problem, YamlRequest, from_yaml};

    /// Returns the problems of a spec.
    fn problems_of(file: &str, text: &str) -> Vec<ProblemReport> {
        let error = from_yaml(&YamlRequest { text, file, ..YamlRequest::default() }).unwrap_err();
        error.problems.iter().map(ProblemReport::from).collect()
    }

    #[test]
    fn file_names_become_relative_uris() {
        let folder = Path::new("/work");
        for (path, expected) in [
            ("specs/app.yaml", "specs/app.yaml"),
            ("./specs/app.yaml", "specs/app.yaml"),
            ("../app.yaml", "../app.yaml"),
            ("a b,c:d%ä.yaml", "a%20b%2Cc%3Ad%25%C3%A4.yaml"),
            ("#?.yaml", "%23%3F.yaml"),
            ("a\nb.yaml", "a%0Ab.yaml"),
            #[cfg(unix)]
            ("/work/specs/app.yaml", "specs/app.yaml"),
            #[cfg(unix)]
            ("/other/a b.yaml", "file:///other/a%20b.yaml"),
            #[cfg(unix)]
            (r"a\b.yaml", "a%5Cb.yaml"),
            #[cfg(windows)]
            (r"specs\app.yaml", "specs/app.yaml"),
            #[cfg(windows)]
            (r"C:\specs\app.yaml", "file:///C:/specs/app.yaml"),
        ] {
            assert_eq!(uri(path, folder), expected, "{path}");
        }
    }

    #[test]
    fn a_misspelled_key_has_a_region_and_a_fix() {
        let problems = problems_of("ä.yaml", "image: r.io/a:1\n'tag': []\ntäags: []\nmanifests: [{image: r.io/b:1}]");
        let log = sarif_log(&problems, &[], Path::new("/"));
        let results = &log["runs"][0]["results"];
        assert_eq!(results.as_array().unwrap().len(), 2);
        let region = |at: usize| results[at]["locations"][0]["physicalLocation"]["region"].clone();
        assert_eq!(region(0), json!({"startLine": 2, "startColumn": 1}), "the quotes are not part of the key");
        assert_eq!(results[0].get("fixes"), None);
        assert_eq!(region(1), json!({"startLine": 3, "startColumn": 1, "endColumn": 6}));
        let replacement = &results[1]["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(replacement, &json!({"deletedRegion": region(1), "insertedContent": {"text": "tags"}}));
        assert_eq!(results[1]["message"]["text"], "unknown key \"täags\" in a spec; did you mean \"tags\"?");
    }

    #[test]
    fn a_problem_without_a_file_has_no_location() {
        let problem = Problem::of_arguments("no spec given".into());
        let stdin = Problem { file: "<stdin>".into(), at: Some((2, 1)), ..Problem::of_arguments("bad".into()) };
        let log = sarif_log(&[(&problem).into()], &[(&stdin).into()], Path::new("/"));
        let results = &log["runs"][0]["results"];
        assert_eq!(results[0], json!({"ruleId": "content", "level": "error", "message": {"text": "no spec given"}}));
        let text = "<stdin>:2:1: bad";
        assert_eq!(results[1], json!({"ruleId": "content", "level": "warning", "message": {"text": text}}));
    }
}
