//! Workflows, the action and the Makefile pin everything that they download, Dependabot proposes updates, and the
//! release workflow has minimal permissions and attests the packages and the image that it publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use indoc::formatdoc;
use serde_json::{Value, json};

use crate::support::{external_command, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Actions that may be referenced by tag: this project's own, which the documentation shows with its release.
const NAMED_BY_TAG: &[&str] = &["OWNER/manifest-tool"];

/// Folders without workflows, scripts or documentation.
const SKIPPED: &[&str] = &[".git", "target", "src", "artifacts", "corpus", "seeds", "proptest-regressions", "layouts"];

/// Returns the text files of the repository other than Rust sources, by path.
fn files() -> BTreeMap<String, String> {
    fn visit(folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    visit(&path, files);
                }
            } else if !name.ends_with(".rs") && !name.ends_with(".lock") {
                let relative = path.strip_prefix(ROOT).unwrap().display().to_string();
                if let Ok(text) = std::fs::read_to_string(&path) {
                    files.insert(relative, text);
                }
            }
        }
    }
    let mut files = BTreeMap::new();
    visit(Path::new(ROOT), &mut files);
    files
}

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a file is a workflow or action that GitHub reads, or an example of one.
fn is_workflow(path: &str) -> bool {
    let folder = [".github/", "examples/pipelines/"].iter().any(|folder| path.starts_with(folder));
    path == "action.yml" || folder && (path.ends_with(".yml") || path.ends_with(".yaml"))
}

/// Returns the value of each `uses:` key in a text, with the comment on its line.
fn uses(text: &str) -> Vec<&str> {
    let keys = text.lines().filter_map(|line| {
        let line = line.trim_start_matches([' ', '-', '{', '"', '\'']);
        let rest = line.strip_prefix("uses")?.trim_start_matches(['"', '\'', ' ']);
        Some(rest.strip_prefix(':')?.trim())
    });
    keys.collect()
}

/// Splits `actions/checkout@COMMIT # v1.2.3` into action, commit and version.
fn pin(uses: &str) -> Option<(&str, &str, &str)> {
    let (action, rest) = uses.split_once('@')?;
    let (commit, version) = rest.split_once(" # ")?;
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let numbers: Vec<&str> = version.strip_prefix('v')?.split('.').collect();
    let is_version = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
    (is_commit && is_version).then_some((action, commit, version))
}

/// Counts the string values of a key, at any depth.
fn count(value: &Value, key: &str) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| count(item, key)).sum(),
        Value::Object(fields) => {
            let here = usize::from(fields.get(key).is_some_and(Value::is_string));
            fields.values().map(|field| count(field, key)).sum::<usize>() + here
        }
        _ => 0,
    }
}

#[test]
fn only_a_commit_with_a_version_comment_counts_as_a_pin() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (uses, pinned) in [
        (format!("a/b@{commit} # v1.2.3"), true),
        (format!("a/b/c@{commit} # v1.2.3"), true),
        (format!("a/b@{commit}"), false),
        (format!("a/b@{commit} # v1"), false),
        (format!("a/b@{commit} # main"), false),
        (format!("a/b@{} # v1.2.3", &commit[1..]), false),
        (format!("a/b@{} # v1.2.3", commit.to_uppercase()), false),
        ("a/b@v1.2.3 # v1.2.3".to_owned(), false),
        ("a/b@main".to_owned(), false),
        ("docker://alpine:3".to_owned(), false),
    ] {
        assert_eq!(pin(&uses).is_some(), pinned, "{uses}");
    }
}

#[test]
fn third_party_actions_are_pinned_by_commit_with_a_version_comment() {
    let mut pins: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files() {
        let uses = uses(&text);
        if is_workflow(&path) {
            assert_eq!(uses.len(), count(&yaml(&path), "uses"), "{path}: a line with \"uses\" was not parsed");
        }
        for uses in uses {
            // The key also occurs in prose and JSON.
            if !is_workflow(&path) && !uses.contains('@') {
                continue;
            }
            if uses.starts_with("./") || NAMED_BY_TAG.iter().any(|ours| uses.starts_with(&format!("{ours}@"))) {
                continue;
            }
            let (action, commit, version) = pin(uses).unwrap_or_else(|| panic!("{path}: {uses} is not pinned"));
            let pin = format!("{commit} {version}");
            let first = pins.entry(action.to_owned()).or_insert_with(|| pin.clone());
            assert_eq!(*first, pin, "{path}: {action} has two pins");
        }
    }
    assert!(pins.contains_key("actions/checkout"), "{pins:?}");
}

/// Returns each `cargo install` in a text that installs a crate from a registry or from Git without a version.
fn installs_without_version(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let commands = text.lines().flat_map(|line| line.split(['|', ';', '&']));
    commands.filter(|command| is_install_without_version(command)).map(|command| command.trim().to_owned()).collect()
}

fn is_install_without_version(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    // `$(CARGO)`, `"$CARGO"` and `~/.cargo/bin/cargo` also run cargo, and its own flags may precede the subcommand.
    let is_cargo = |word: &&str| {
        let program = word.rsplit('/').next().unwrap_or(word);
        program.trim_matches(|c: char| !c.is_ascii_alphabetic()).eq_ignore_ascii_case("cargo")
    };
    let is_flag = |word: &&&str| word.starts_with(['-', '+']);
    let install = words.iter().enumerate().find(|(position, word)| {
        ["install", "binstall"].contains(*word)
            && words[..*position].iter().rev().find(|word| !is_flag(word)).is_some_and(is_cargo)
    });
    let Some((position, _)) = install else { return false };
    let arguments = &words[position + 1..];
    if arguments.iter().any(|word| word.starts_with("--path")) {
        return false;
    }
    let has_flag =
        arguments.iter().any(|word| ["--version", "--rev", "--tag"].contains(&word.split('=').next().unwrap_or(word)));
    let mut crates = arguments.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).peekable();
    !has_flag && (crates.peek().is_none() || crates.any(|word| !word.contains('@')))
}

#[test]
fn cargo_installs_without_a_version_are_detected() {
    for (command, is_detected) in [
        ("cargo install cargo-deny", true),
        ("cargo install --locked cargo-deny", true),
        ("cargo +nightly install cargo-fuzz", true),
        ("cargo --quiet install cargo-deny", true),
        ("\t@$(CARGO) install --locked cargo-deb", true),
        ("cargo deny --version || $(CARGO) install \\\n    cargo-deny", true),
        ("- run: \"$CARGO\" install cargo-deny@0.20.2 cargo-deb && make", true),
        ("~/.cargo/bin/cargo install just", true),
        ("cargo binstall just", true),
        ("cargo install --git https://example.com/tool", true),
        ("cargo install --locked cargo-deny@0.20.2", false),
        ("$(CARGO) install cargo-$(1)@$(cargo-$(1)-version)", false),
        ("cargo install just --version 1.2.3", false),
        ("cargo install --git https://example.com/tool --rev 0123abc", false),
        ("cargo install --git https://example.com/tool --tag v1.2.3", false),
        ("cargo install --locked --path .", false),
        ("rustup toolchain install nightly", false),
        ("apt-get install -y cargo", false),
    ] {
        assert_eq!(!installs_without_version(command).is_empty(), is_detected, "{command}");
    }
}

#[test]
fn every_cargo_install_names_a_version() {
    for (path, text) in files() {
        assert_eq!(installs_without_version(&text), Vec::<String>::new(), "{path}");
    }
}

/// Returns the command lines with which `make TARGET` calls cargo, which has either all subcommands or none.
fn cargo_calls(target: &str, has_subcommands: bool) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    let exit = i32::from(!has_subcommands);
    let script = formatdoc! {r#"
        #!/bin/sh
        echo "$*" >>"$0.log"
        [ "$2" != --version ] || exit {exit}
    "#};
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
    // The stub builds nothing, so later commands fail. --ignore-errors continues after them.
    let cargo = format!("CARGO={}", cargo.display());
    let args = ["-s", "--ignore-errors", "-o", "build", "-o", "man", "-o", "completions", target, &cargo];
    let mut make = external_command("make".as_ref(), Path::new(ROOT), &args);
    make.env("CARGO_TARGET_DIR", folder.path()).env_remove("MAKEFLAGS");
    run(make, "");
    let log = std::fs::read_to_string(folder.path().join("cargo.log")).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn make_installs_a_missing_cargo_subcommand_by_version() {
    let makefile = std::fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    for (target, subcommand) in [("deny", "deny"), ("deb", "deb"), ("sbom", "cyclonedx"), ("fuzz", "fuzz")] {
        let name = format!("cargo-{subcommand}-version = ");
        let version = makefile.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert!(pin(&format!("a@{} # v{version}", "0".repeat(40))).is_some(), "{version} is not an exact version");
        let install = format!("install --locked cargo-{subcommand}@{version}");
        let calls = cargo_calls(target, false);
        assert!(calls.contains(&install), "{calls:?}");
        let calls = cargo_calls(target, true);
        assert!(!calls.iter().any(|call| call.starts_with("install")), "{calls:?}");
        assert!(calls.iter().any(|call| call.contains(&format!("{subcommand} "))), "{calls:?}");
    }
    let mdbook = makefile.lines().find_map(|line| line.strip_prefix("mdbook-version = ")).unwrap();
    assert!(pin(&format!("a@{} # v{mdbook}", "0".repeat(40))).is_some(), "{mdbook} is not an exact version");
    assert!(makefile.contains("install --locked mdbook@$(mdbook-version)"));
}

#[test]
fn jobs_have_only_the_permissions_they_need() {
    let read = json!({"contents": "read"});
    let attest = |other: &str, access: &str| json!({other: access, "id-token": "write", "attestations": "write"});
    let expected: BTreeMap<&str, Value> = [
        ("packages", attest("contents", "read")),
        ("image", attest("packages", "write")),
        ("draft", json!({"contents": "write"})),
        ("publish", json!({"contents": "write"})),
    ]
    .into();
    for name in ["ci.yml", "release.yml"] {
        let workflow = yaml(&format!(".github/workflows/{name}"));
        assert_eq!(workflow["permissions"], json!({}), "{name}");
        for (job, definition) in workflow["jobs"].as_object().unwrap() {
            assert_eq!(&definition["permissions"], expected.get(job.as_str()).unwrap_or(&read), "{name}: {job}");
        }
    }
}

/// Whether a job waits for another job, directly or through further jobs.
fn waits_for(jobs: &Value, job: &str, other: &str) -> bool {
    let needs = jobs[job]["needs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    needs.into_iter().any(|needed| needed == other || waits_for(jobs, needed, other))
}

#[test]
fn a_release_checks_its_dependencies_before_it_publishes() {
    let release = yaml(".github/workflows/release.yml");
    let jobs = &release["jobs"];
    let checks = jobs["dependencies"]["steps"].as_array().unwrap().iter();
    assert_eq!(checks.filter(|step| step["run"] == "make deny ADVISORIES=1").count(), 1);
    let writers = jobs
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, job)| job["permissions"].as_object().unwrap().values().any(|access| access == "write"));
    let names: Vec<&String> = writers.map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        assert!(waits_for(jobs, name, "dependencies"), "{name}");
    }
}

#[test]
fn a_release_attests_its_packages_and_its_image() {
    let release = yaml(".github/workflows/release.yml");
    let attested_after = |job: &str, after: &str| {
        let steps = release["jobs"][job]["steps"].as_array().unwrap();
        let position = steps.iter().position(|step| step["name"] == after).unwrap();
        let attest = |step: &Value| {
            let uses = step["uses"].as_str().unwrap_or_default();
            uses.starts_with("actions/attest-build-provenance@")
        };
        steps[position..].iter().find(|step| attest(step)).unwrap()["with"].clone()
    };
    assert_eq!(attested_after("packages", "Packages"), json!({"subject-path": "packages/*"}));
    // release.rs tests the outputs of the step `image`.
    assert_eq!(
        release["jobs"]["image"]["steps"].as_array().unwrap().iter().filter(|step| step["id"] == "image").count(),
        1
    );
    let image = json!({
        "subject-name": "${{ steps.image.outputs.name }}",
        "subject-digest": "${{ steps.image.outputs.digest }}",
        "push-to-registry": true,
        "create-storage-record": false,
    });
    assert_eq!(attested_after("image", "Sign in"), image);
}

/// Returns the folders of an entry in `dependabot.yml`, relative to the root of the repository.
fn directories(update: &Value) -> Vec<String> {
    let listed = update["directories"].as_array().into_iter().flatten();
    let all = listed.chain(Some(&update["directory"])).filter_map(Value::as_str);
    all.map(|directory| directory.trim_matches('/').to_owned()).collect()
}

#[test]
fn dependabot_proposes_updates_each_week_in_groups() {
    let config = yaml(".github/dependabot.yml");
    assert_eq!(config["version"], 2);
    let mut ecosystems = BTreeMap::new();
    for update in config["updates"].as_array().unwrap() {
        let name = update["package-ecosystem"].as_str().unwrap();
        assert_eq!(update["schedule"], json!({"interval": "weekly"}), "{name}");
        assert!((1..=10).contains(&update["open-pull-requests-limit"].as_u64().unwrap()), "{name}");
        assert!(!update["groups"].as_object().unwrap().is_empty(), "{name}");
        // GitHub rejects the other keys of `cooldown` for ecosystems without semantic versions.
        assert_eq!(update["cooldown"], json!({"default-days": 7}), "{name}");
        assert_eq!(ecosystems.insert(name, directories(update)), None, "{name} has two entries");
    }
    let folders_of = |filter: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        let paths = files().into_keys().filter(|path| filter(path)).map(PathBuf::from);
        paths.map(|path| path.parent().unwrap().display().to_string()).collect()
    };
    let set = |name: &str| -> BTreeSet<String> { ecosystems[name].iter().cloned().collect() };
    assert_eq!(set("cargo"), folders_of(&|path| path.ends_with("Cargo.toml")));
    assert_eq!(set("gomod"), folders_of(&|path| path.ends_with("go.mod")));
    assert_eq!(set("docker"), folders_of(&|path| path.ends_with("Dockerfile")));
    let texts = files();
    let has_uses = |path: &str| is_workflow(path) && !uses(&texts[path]).is_empty();
    let folders = folders_of(&has_uses).into_iter();
    // For the root folder, Dependabot reads `.github/workflows/` and `action.yml`.
    let expected: BTreeSet<String> = folders.map(|folder| folder.replace(".github/workflows", "")).collect();
    assert_eq!(set("github-actions"), expected);
}

/// Dependabot does not resolve variables.
#[test]
fn the_dockerfile_names_its_base_images_without_variables() {
    let dockerfile = std::fs::read_to_string(Path::new(ROOT).join("Dockerfile")).unwrap();
    let images = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    let images = images.map(|rest| rest.split(' ').find(|word| !word.starts_with("--")).unwrap());
    let others: Vec<&str> = images.filter(|image| *image != "scratch").collect();
    assert!(!others.is_empty() && others.iter().all(|image| !image.contains('$') && image.contains(':')), "{others:?}");
}
