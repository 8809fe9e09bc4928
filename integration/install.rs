//! The installed files: the binary, shell completions and man pages. The shells and `man` load them without errors.

use std::path::{Path, PathBuf};
use std::process::Command;

use indoc::formatdoc;

use crate::support::manifest_tool;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Generates the man pages like `make man`, and returns their paths.
fn generate_man_pages(folder: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    clap_mangen::generate_to(manifest_tool::cli::command(), folder).unwrap();
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

fn completion(shell: &str) -> String {
    let outcome = manifest_tool(Path::new("/"), &["completion", shell]);
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    outcome.stdout
}

/// Command lines to complete, with candidates that must be among the completions. The last word is incomplete.
const COMPLETED: &[(&str, &[&str])] = &[
    ("manifest-tool ver", &["verify"]),
    ("manifest-tool push ", &["from-spec", "from-args", "from-images"]),
    ("manifest-tool push --type ", &["docker", "oci", "auto"]),
    ("manifest-tool push --type oci from-i", &["from-images"]),
    ("manifest-tool push from-args --pl", &["--platforms", "--plain-http"]),
    ("manifest-tool push from-images --type d", &["docker"]),
    ("manifest-tool push from-images --platform ", &["linux/amd64", "linux/arm/v7"]),
    ("manifest-tool copy --platform linux/arm", &["linux/arm64", "linux/arm/v6"]),
];

#[track_caller]
fn check_completions(shell: &str, complete: impl Fn(&str) -> String) {
    for (line, expected) in COMPLETED {
        let completed = complete(line);
        let candidates: Vec<&str> = completed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let missing: Vec<_> = expected.iter().filter(|candidate| !candidates.contains(candidate)).collect();
        assert!(missing.is_empty(), "{shell}: {line:?} lacks {missing:?}: {candidates:?}");
    }
}

#[test]
fn bash_completes_every_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifest-tool.bash");
    std::fs::write(&file, completion("bash")).unwrap();
    check_completions("bash", |line| {
        let words: Vec<&str> = line.split(' ').collect();
        let script = formatdoc! {"
            set -e
            source {}
            complete -p manifest-tool >/dev/null
            COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))
            _manifest__tool manifest-tool \"${{@: -1}}\" \"${{@: -2:1}}\"
            printf '%s\\n' \"${{COMPREPLY[@]}}\"
        ", file.display()};
        run(Command::new("bash").args(["--norc", "-c", &script, "bash"]).args(words))
    });
}

#[test]
fn fish_completes_every_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifest-tool.fish");
    std::fs::write(&file, completion("fish")).unwrap();
    check_completions("fish", |line| {
        let script = format!("source {}; complete -C '{line}'", file.display());
        run(Command::new("fish").args(["--no-config", "-c", &script]).env("HOME", folder.path()))
    });
}

#[test]
fn zsh_completes_every_word() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("_manifest-tool"), completion("zsh")).unwrap();
    std::fs::write(folder.path().join("zshrc"), ZSH_SETTINGS).unwrap();
    check_completions("zsh", |line| {
        let mut zsh = Command::new("zsh");
        let printed = run(zsh.args(["-f", "-c", TYPE_IN_ZSH, "zsh", line]).env("FOLDER", folder.path()));
        printed.lines().filter_map(|line| line.trim_end().strip_prefix("candidate ")).collect::<Vec<_>>().join("\n")
    });
}

/// Settings of a zsh that prints the candidates of a completion, and then exits.
const ZSH_SETTINGS: &str = r#"
PROMPT=
fpath=($FOLDER $fpath)
autoload -Uz compinit
compinit -D -u
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
    local -a found
    builtin compadd -O found "$@"
    print -rl -- '' ${found/#/candidate }
    builtin compadd "$@"
}
comppostfuncs=(exit)
print READY
"#;

/// Types a line and a tab in a pseudo-terminal, because zsh completes only what is typed. Prints what the terminal shows
/// until that zsh exits.
const TYPE_IN_ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'source $FOLDER/zshrc'
zpty -r shell output '*READY*'
zpty -w -n shell "$1"$'\t'
while zpty -r shell output; do print -rn -- "$output"; done
"#;

#[test]
fn completion_scripts_are_printed_for_other_shells() {
    for shell in ["powershell", "elvish"] {
        assert!(completion(shell).contains("verify"), "{shell}");
    }
    assert_eq!(manifest_tool(Path::new("/"), &["completion", "tcsh"]).exit, 2);
}

#[test]
fn man_pages_have_no_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let pages = generate_man_pages(folder.path());
    let names: Vec<_> = pages.iter().map(|page| page.file_stem().unwrap().to_str().unwrap()).collect();
    assert!(names.contains(&"manifest-tool") && names.contains(&"manifest-tool-push-from-spec"), "{names:?}");
    for page in &pages {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(page).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        // The seccomp sandbox of man does not work in every container.
        man.env("MAN_DISABLE_SECCOMP", "1");
        let text = run(&mut man);
        assert!(text.contains("Example:"), "{}: {text}", page.display());
    }
}

/// Creates the files that `make dist man completions` writes to the target folder.
fn build_dist(target: &Path) {
    let dist = target.join("dist");
    std::fs::create_dir_all(dist.join("completions")).unwrap();
    let program = dist.join("manifest-tool");
    run(Command::new("strip").arg("-o").arg(program).arg(env!("CARGO_BIN_EXE_manifest-tool")));
    generate_man_pages(&dist.join("man"));
    for (name, shell) in [("manifest-tool.bash", "bash"), ("_manifest-tool", "zsh"), ("manifest-tool.fish", "fish")] {
        std::fs::write(dist.join("completions").join(name), completion(shell)).unwrap();
    }
}

/// Returns a `make` command that does not rebuild the binary, man pages and completions.
fn make(target: &Path, args: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
    make.args(["-s", "-o", "dist", "-o", "man", "-o", "completions"]).args(args);
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(name);
    }
    make
}

/// Asserts that all files are installed and the program runs.
fn check_installed(usr: &Path, zsh: &str) {
    for file in [
        "bin/manifest-tool",
        "share/man/man1/manifest-tool.1",
        "share/man/man1/manifest-tool-verify.1",
        "share/bash-completion/completions/manifest-tool",
        zsh,
        "share/fish/vendor_completions.d/manifest-tool.fish",
    ] {
        assert!(usr.join(file).metadata().is_ok_and(|metadata| metadata.len() > 100), "{file}");
    }
    let version = run(Command::new(usr.join("bin/manifest-tool")).arg("--version"));
    assert_eq!(version, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn make_install_installs_all_files_below_destdir() {
    let folder = tempfile::tempdir().unwrap();
    let (target, root) = (folder.path().join("target"), folder.path().join("a root"));
    build_dist(&target);
    run(&mut make(&target, &["install", "PREFIX=/usr", &format!("DESTDIR={}", root.display())]));
    check_installed(&root.join("usr"), "share/zsh/site-functions/_manifest-tool");
}

#[test]
fn the_debian_package_installs_into_a_separate_root() {
    let folder = tempfile::tempdir().unwrap();
    let (target, root) = (folder.path().join("target"), folder.path().join("root"));
    build_dist(&target);
    let has_cargo_deb = Command::new(env!("CARGO")).args(["deb", "--version"]).output().unwrap();
    assert!(has_cargo_deb.status.success(), "cargo-deb is missing: make test installs it");
    let output = make(&target, &["deb"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let packages: Vec<_> =
        std::fs::read_dir(target.join("debian")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [package] = packages.as_slice() else { panic!("{packages:?}") };
    let field = |name: &str| run(Command::new("dpkg-deb").arg("-f").arg(package).arg(name));
    assert_eq!(field("Package"), "manifest-tool\n");
    let depends = field("Depends");
    assert!(depends.contains("libc6 (>= ") && depends.contains("ca-certificates"), "{depends}");

    std::fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
    std::fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display()));
    dpkg.arg(format!("--log={}", folder.path().join("dpkg.log").display()));
    // The separate root lacks the dependencies, and PATH may lack /sbin.
    dpkg.args(["--force-depends", "--force-not-root", "--force-bad-path", "-i"]).arg(package);
    let installed = dpkg.output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    check_installed(&root.join("usr"), "share/zsh/vendor-completions/_manifest-tool");
    for file in ["copyright", "README.md", "docs/guides/sign.md", "docs/pictures/terminal.svg"] {
        assert!(root.join("usr/share/doc/manifest-tool").join(file).is_file(), "{file}");
    }
    let page = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let installed = page(root.join("usr/share/man/man1/manifest-tool-verify.1"));
    assert_eq!(installed, page(target.join("dist/man/manifest-tool-verify.1")));
}
