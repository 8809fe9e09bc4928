//! What is installed: binary, completions, man pages; and that the shells and man take them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::manifest_tool;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// As `examples/man_pages.rs` writes them.
fn man_pages(folder: &Path) -> Vec<PathBuf> {
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

#[test]
fn completions_load_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_manifest-tool");
    std::fs::write(&file, completion("bash")).unwrap();
    let words = "COMP_WORDS=(manifest-tool ver) COMP_CWORD=1; _manifest__tool manifest-tool ver manifest-tool; echo ${COMPREPLY[*]}";
    let script = format!("set -e; source {}; complete -p manifest-tool >/dev/null; {words}", file.display());
    assert_eq!(run(Command::new("bash").args(["--norc", "-c", &script])), "verify\n");

    std::fs::write(&file, completion("zsh")).unwrap();
    let script = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -D -u; autoload +X _manifest-tool; print ${{_comps[manifest-tool]}}",
        folder.path().display()
    );
    assert_eq!(run(Command::new("zsh").args(["-f", "-c", &script])), "_manifest-tool\n");
    for shell in ["fish", "powershell", "elvish"] {
        assert!(completion(shell).contains("verify"), "{shell}");
    }
    assert_eq!(manifest_tool(Path::new("/"), &["completion", "tcsh"]).exit, 2);
}

#[test]
fn man_pages_have_no_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let pages = man_pages(folder.path());
    let names: Vec<_> = pages.iter().map(|page| page.file_stem().unwrap().to_str().unwrap()).collect();
    assert!(names.contains(&"manifest-tool") && names.contains(&"manifest-tool-push-from-spec"), "{names:?}");
    for page in &pages {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(page).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        // Its sandbox needs what not every container has.
        man.env("MAN_DISABLE_SECCOMP", "1");
        let text = run(&mut man);
        assert!(text.contains("Example:"), "{}: {text}", page.display());
    }
}

/// `make install`, with what it would build put in place.
#[test]
fn everything_is_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::create_dir_all(target.join("release")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_manifest-tool"), target.join("release/manifest-tool")).unwrap();
    man_pages(&target.join("man"));
    std::fs::create_dir(target.join("completions")).unwrap();
    for (name, shell) in [("manifest-tool.bash", "bash"), ("_manifest-tool", "zsh"), ("manifest-tool.fish", "fish")] {
        std::fs::write(target.join("completions").join(name), completion(shell)).unwrap();
    }
    let root = folder.path().join("a root");
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "-s",
        "-o",
        "build",
        "-o",
        "man",
        "-o",
        "completions",
        "install",
        "PREFIX=/usr",
    ]);
    make.arg(format!("TARGET={}", target.display())).arg(format!("DESTDIR={}", root.display()));
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(name);
    }
    run(&mut make);
    for file in [
        "bin/manifest-tool",
        "share/man/man1/manifest-tool.1",
        "share/man/man1/manifest-tool-verify.1",
        "share/bash-completion/completions/manifest-tool",
        "share/zsh/site-functions/_manifest-tool",
        "share/fish/vendor_completions.d/manifest-tool.fish",
    ] {
        assert!(root.join("usr").join(file).metadata().unwrap().len() > 100, "{file}");
    }
    let version = run(Command::new(root.join("usr/bin/manifest-tool")).arg("--version"));
    assert_eq!(version, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")));
}
