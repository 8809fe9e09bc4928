//! Blocks that are not run are valid: shell, YAML, JSON and TOML parse, and specs are specs.

use manifest_tool::spec::{Form, YamlRequest, from_yaml};

use super::command_line;
use super::markdown::{Block, pages};
use crate::support::external_command;

fn bash_problem(script: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let outcome = crate::support::run(external_command("bash".as_ref(), folder.path(), &["-n", "-c", script]), "");
    (outcome.exit != 0).then_some(outcome.stderr)
}

fn yaml_problem(text: &str) -> Option<String> {
    let documents: Vec<serde_json::Value> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => return Some(error.to_string()),
    };
    let is_spec = |document: &serde_json::Value| {
        document.get("image").is_some() && (document.get("manifests").is_some() || document.get("template").is_some())
    };
    if !documents.iter().any(is_spec) {
        return None;
    }
    let lookup = |_: &str| Ok(Some("1.2".to_owned()));
    let (file, form) = ("spec.yaml", Some(Form::Oci));
    let request = YamlRequest { text, file, form, variables: Some(&lookup), ..YamlRequest::default() };
    from_yaml(&request).err().map(|error| error.to_string())
}

fn problems(block: &Block) -> Vec<String> {
    let text = &block.text;
    match block.language() {
        Some("sh") => bash_problem(text).into_iter().chain(command_line::problems(text)).collect(),
        Some("yaml") => yaml_problem(text).into_iter().collect(),
        Some("json") => {
            serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string()).into_iter().collect()
        }
        Some("toml") => text.parse::<toml::Table>().err().map(|error| error.to_string()).into_iter().collect(),
        Some("console" | "text" | "groovy" | "powershell" | "rust,no_run" | "dockerfile") | None => Vec::new(),
        Some(language) => vec![format!("\"{language}\" is not a language of code blocks here")],
    }
}

#[test]
fn blocks_that_are_not_run_are_valid() {
    let mut found: Vec<String> = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            found.extend(problems(&block).iter().map(|problem| format!("{}:{}: {problem}", page.path, block.line)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
