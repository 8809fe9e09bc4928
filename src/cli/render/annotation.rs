//! Annotations of GitHub Actions: workflow commands that a step prints to stdout or stderr.

use super::problem::ProblemReport;
use crate::image::visible;

/// How serious a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// Returns the name, which GitHub Actions and SARIF share.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Returns the workflow command for a problem, on one line. `hints` follow its message.
pub(in crate::cli) fn problem_annotation(severity: Severity, problem: &ProblemReport, hints: &[String]) -> String {
    let mut properties = Vec::new();
    if let Some(path) = problem.path() {
        properties.push(format!("file={}", property(path)));
        if let Some((line, column)) = problem.position() {
            properties.push(format!("line={line},col={column}"));
        }
    }
    command(severity, properties, &problem.text_at_position(), hints)
}

/// Returns the workflow command for a message without a position, on one line.
pub(in crate::cli) fn text_annotation(severity: Severity, text: &str, hints: &[String]) -> String {
    command(severity, Vec::new(), text, hints)
}

fn command(severity: Severity, mut properties: Vec<String>, text: &str, hints: &[String]) -> String {
    properties.push("title=manifest-tool".to_owned());
    let hints = hints.iter().map(|hint| format!("hint: {hint}"));
    let lines: Vec<String> = text.split('\n').map(str::to_owned).chain(hints).map(|line| data(&line)).collect();
    format!("::{} {}::{}", severity.name(), properties.join(","), lines.join("%0A"))
}

/// Escapes a line of a message, as GitHub's toolkit does.
fn data(line: &str) -> String {
    visible(line).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, as GitHub's toolkit does.
fn property(value: &str) -> String {
    data(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::problem::Rule;
    use super::*;
    use crate::spec::Problem;

    fn at(file: &str, position: Option<(u64, u64)>, message: &str) -> ProblemReport {
        let problem = Problem::of_arguments(message.to_owned());
        (&Problem { file: file.into(), at: position, ..problem }).into()
    }

    #[test]
    fn a_problem_becomes_one_escaped_line() {
        for (problem, expected) in [
            (
                at("specs/app.yaml", Some((3, 5)), "100% wrong: a, b"),
                "::error file=specs/app.yaml,line=3,col=5,title=manifest-tool::100%25 wrong: a, b",
            ),
            (at("a, b:c%.yaml", None, "bad"), "::error file=a%2C b%3Ac%25.yaml,title=manifest-tool::bad"),
            (at(r"C:\specs\ä.yaml", None, "bad"), r"::error file=C%3A\specs\ä.yaml,title=manifest-tool::bad"),
            (at("<stdin>", Some((1, 2)), "bad"), "::error title=manifest-tool::<stdin>:1:2: bad"),
            (at("", None, "::warning ::x"), "::error title=manifest-tool::\"::warning ::x\""),
            (at("\n::x##[y.yaml", None, "bad"), "::error file= %3A%3Ax# #[y.yaml,title=manifest-tool::bad"),
            (
                ProblemReport::new(Rule::UnreadableFile, "cannot read a").of_file(&"a".into()),
                "::error file=a,title=manifest-tool::cannot read a",
            ),
        ] {
            assert_eq!(problem_annotation(Severity::Error, &problem, &[]), expected);
        }
        let hints = ["sign in".to_owned(), "or not".to_owned()];
        assert_eq!(
            text_annotation(Severity::Warning, "one\n  two\r", &hints),
            "::warning title=manifest-tool::one%0A  two %0Ahint: sign in%0Ahint: or not"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_starts_a_command_of_its_own(file in "(.|\n|\r|:|,|#|\\[){0,20}", text in "(.|\n|\r|::|#|\\[){0,20}") {
            for line in [
                problem_annotation(Severity::Warning, &at(&file, Some((1, 1)), &text), std::slice::from_ref(&text)),
                text_annotation(Severity::Warning, &text, &[]),
            ] {
                proptest::prop_assert!(!line.contains(['\n', '\r']) && !line.contains("##["), "{}", line);
                let rest = line.strip_prefix("::warning ").unwrap();
                let (properties, _) = rest.split_once("::").unwrap();
                proptest::prop_assert!(properties.ends_with("title=manifest-tool"), "{}", line);
            }
        }
    }
}
