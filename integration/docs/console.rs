//! Runs the `console` blocks of every page, and compares what is printed with what the page shows.
//!
//! In such a block, a line that starts with `$ ` is a command, and the lines below it are what it prints: stdout, then
//! stderr. `...` stands for any text in a line, or for any lines if it has a line of its own. A command without output
//! may print anything. A command succeeds, unless the output shown starts with `error:`.

use super::fixture::PageFixture;
use super::markdown::{Block, BlockKind, Page, pages};

/// A command of a page, with the output that the page shows for it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    expected: String,
}

fn steps(block: &Block) -> Vec<Step> {
    if block.kind == BlockKind::Hidden {
        return vec![Step { line: block.line, command: format!("set -e\n{}", block.text), expected: String::new() }];
    }
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in block.text.lines().enumerate() {
        let is_continued = steps.last().is_some_and(|step| step.expected.is_empty() && step.command.ends_with('\\'));
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                let (line, command) = (block.line + 1 + number, command.to_owned());
                steps.push(Step { line, command, expected: String::new() });
            }
            (None, Some(step)) if is_continued => step.command += &format!("\n{line}"),
            (None, Some(step)) => step.expected += &format!("{line}\n"),
            (None, None) => panic!("line {}: a console block starts with a command", block.line),
        }
    }
    steps
}

/// Returns a regular expression for output in which `...` stands for any text.
fn pattern(expected: &str) -> regex_lite::Regex {
    let lines = expected.lines().map(|line| match line {
        "..." => r"(?:[^\n]*\n)*".to_owned(),
        line => line.split("...").map(regex_lite::escape).collect::<Vec<_>>().join(r"[^\n]*") + r"\n",
    });
    regex_lite::Regex::new(&format!("^{}$", lines.collect::<String>())).unwrap()
}

/// Returns what is wrong with the result of a step.
fn mismatch(fixture: &PageFixture, step: &Step) -> Option<String> {
    let outcome = fixture.run(&step.command);
    let printed = fixture.with_example_hosts(&(outcome.stdout + &outcome.stderr));
    let should_fail = step.expected.starts_with("error: ");
    let shown = step.expected.replace("localhost:5000", "registry.example");
    let is_as_shown = shown.is_empty() || pattern(&shown).is_match(&printed);
    let problem = match (outcome.exit != 0, should_fail) {
        (true, false) => format!("exit code {}", outcome.exit),
        (false, true) => "it succeeds".to_owned(),
        _ if !is_as_shown => "it prints something else".to_owned(),
        _ => return None,
    };
    Some(format!("line {}: {problem}\n$ {}\n{printed}", step.line, step.command))
}

fn check_page(path: &str) {
    let page = Page::read(path);
    let blocks = page.blocks();
    let is_run = |block: &&Block| block.language().is_none_or(|language| language == "console");
    let steps: Vec<Step> = blocks.iter().filter(is_run).flat_map(steps).collect();
    assert!(!steps.is_empty(), "{path} has no commands");
    let fixture = PageFixture::new();
    let mismatches: Vec<String> = steps.iter().filter_map(|step| mismatch(&fixture, step)).collect();
    assert!(mismatches.is_empty(), "{path}:\n{}", mismatches.join("\n"));
}

/// One test for each page, so that they run at the same time.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        $(
            #[test]
            fn $name() {
                check_page($path);
            }
        )*
        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    readme: "README.md",
    faq: "docs/faq.md",
    guide_change_an_index: "docs/guides/change-an-index.md",
    guide_copy_and_air_gap: "docs/guides/copy-and-air-gap.md",
    guide_github_actions: "docs/guides/github-actions.md",
    guide_gitlab_ci: "docs/guides/gitlab-ci.md",
    guide_inspect_and_list: "docs/guides/inspect-and-list.md",
    guide_large_runs: "docs/guides/large-runs.md",
    guide_other_ci: "docs/guides/other-ci.md",
    guide_push_an_index: "docs/guides/push-an-index.md",
    guide_sign: "docs/guides/sign.md",
    guide_verify_and_delete: "docs/guides/verify-and-delete.md",
    install: "docs/install.md",
    from_crane: "docs/migrate/crane.md",
    from_docker_manifest: "docs/migrate/docker-manifest.md",
    from_estesp: "docs/migrate/estesp.md",
    from_imagetools: "docs/migrate/imagetools.md",
    from_oras: "docs/migrate/oras.md",
    from_regctl: "docs/migrate/regctl.md",
    from_skopeo: "docs/migrate/skopeo.md",
    quickstart: "docs/quickstart.md",
    authentication_and_tls: "docs/reference/authentication-and-tls.md",
    exit_codes_and_environment: "docs/reference/exit-codes-and-environment.md",
    json_output: "docs/reference/json-output.md",
    mirrors: "docs/reference/mirrors.md",
    references: "docs/reference/references.md",
    reliability: "docs/reference/reliability.md",
    spec: "docs/reference/spec.md",
    registries: "docs/registries/README.md",
    registry_distribution: "docs/registries/distribution.md",
    troubleshooting: "docs/troubleshooting.md",
}

#[test]
fn every_page_with_commands_has_a_test() {
    for page in pages() {
        let has_commands = page.blocks().iter().any(|block| block.language() == Some("console"));
        assert_eq!(has_commands, PAGES.contains(&&*page.path), "{}", page.path);
    }
}

#[test]
fn every_command_is_shown_in_a_page() {
    let is_run = |block: &Block| block.language() == Some("console");
    let blocks = pages().into_iter().flat_map(|page| page.blocks()).filter(is_run);
    let text: String = blocks.map(|block| block.text).collect();
    for subcommand in manifest_tool::cli::command().get_subcommands() {
        let name = subcommand.get_name();
        assert!(text.contains(&format!("manifest-tool {name} ")), "no page shows {name}");
    }
}

#[test]
fn output_shown_with_dots_matches_any_text_there_and_no_other_output() {
    for (expected, printed, matches) in [
        ("a\n", "a\n", true),
        ("a\n", "b\n", false),
        ("a\n", "a\nb\n", false),
        ("sha256:01ab... 12\n", "sha256:01abff 12\n", true),
        ("sha256:01ab... 12\n", "sha256:01abff 13\n", false),
        ("a\n...\nd\n", "a\nb\nc\nd\n", true),
        ("a\n...\n", "a\n", true),
        ("a\n...\nd\n", "a\nb\n", false),
        ("(a) [b] $ c.d\n", "(a) [b] $ cxd\n", false),
    ] {
        assert_eq!(pattern(expected).is_match(printed), matches, "{expected:?} {printed:?}");
    }
}
