//! Other programs that do the same work, each as its own documentation says. Those on PATH are run.

use std::path::Path;
use std::process::Command;

use crate::work::{What, Work};

pub struct Program {
    pub name: &'static str,
    /// The command for a piece of work, or none where the program cannot do it.
    pub command: fn(&Work) -> Option<Command>,
}

pub fn programs() -> Vec<Program> {
    let all = [
        Program { name: "manifest-tool (this)", command: this },
        Program { name: "manifest-tool (Go)", command: go },
        Program { name: "crane", command: crane },
        Program { name: "regctl", command: regctl },
        Program { name: "docker-buildx", command: buildx },
        Program { name: "buildah", command: buildah },
        Program { name: "skopeo", command: skopeo },
    ];
    all.into_iter().filter(|program| program.name.ends_with("(this)") || is_there(program.name)).collect()
}

fn is_there(name: &str) -> bool {
    let program = name.split(' ').next().unwrap_or(name);
    Command::new(program).arg("--version").output().is_ok()
}

fn with(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn this(work: &Work) -> Option<Command> {
    manifest_tool(env!("CARGO_BIN_EXE_manifest-tool"), work)
}

fn go(work: &Work) -> Option<Command> {
    match work.what {
        What::Assemble { .. } | What::Inspect => manifest_tool("manifest-tool", work),
        _ => None,
    }
}

fn manifest_tool(program: &str, work: &Work) -> Option<Command> {
    let mut command = with(program, &["--plain-http"]);
    if let Some((user, password)) = work.login {
        command.args(["--username", user, "--password", password]);
    }
    match work.what {
        What::Assemble { template, platforms } => {
            let platforms = platforms.iter().map(|name| format!("linux/{name}")).collect::<Vec<_>>().join(",");
            command.args(["push", "--type", "oci", "from-args", "--platforms", &platforms]);
            command.args(["--template", &work.reference(template), "--target", &work.target()]);
        }
        What::Inspect => {
            command.args(["inspect", &work.target()]);
        }
        What::Query => {
            command.args(["query", &work.target()]);
        }
        What::Verify => {
            command.args(["verify", &work.target()]);
        }
        What::Tags(_) => {
            command.args(["tags", "--platforms", &work.reference("whole")]);
        }
        What::Copy(from) => {
            command.args(["copy", from, &work.target()]);
        }
        What::Specs(file) => {
            command.args(["push", "--type", "oci", "from-spec"]).arg(file);
        }
    }
    Some(command)
}

fn sources(work: &Work) -> Option<Vec<String>> {
    match work.what {
        What::Assemble { template, platforms } if work.login.is_none() => {
            Some(platforms.iter().map(|name| work.reference(&template.replace("ARCH", name))).collect())
        }
        _ => None,
    }
}

fn crane(work: &Work) -> Option<Command> {
    let mut command = with("crane", &["index", "append", "--insecure", "--tag", &work.target()]);
    command.args(sources(work)?.iter().flat_map(|source| ["--manifest", source]));
    Some(command)
}

fn regctl(work: &Work) -> Option<Command> {
    let host = format!("reg={},tls=disabled", work.host);
    let mut command = with("regctl", &["--host", &host, "index", "create", &work.target()]);
    command.args(sources(work)?.iter().flat_map(|source| ["--ref", source]));
    Some(command)
}

fn buildx(work: &Work) -> Option<Command> {
    match work.what {
        What::Inspect => Some(with("docker-buildx", &["imagetools", "inspect", &work.target()])),
        What::Copy(_) | What::Query | What::Verify | What::Tags(_) => None,
        _ => {
            let mut command = with("docker-buildx", &["imagetools", "create", "--tag", &work.target()]);
            command.args(sources(work)?);
            Some(command)
        }
    }
}

/// Buildah makes a list in its own storage, adds each image to it from the registry, and pushes it.
fn buildah(work: &Work) -> Option<Command> {
    let sources = sources(work)?;
    let storage = Path::new(work.scratch).join("buildah");
    let global = format!("--storage-driver vfs --root {0}/root --runroot {0}/run", storage.display());
    let mut script = format!("rm -rf {0}; b='buildah {global}'; $b manifest create list >&2", storage.display());
    for source in sources {
        script += &format!(" && $b manifest add --tls-verify=false list docker://{source} >&2");
    }
    script += &format!(" && $b manifest push --all --tls-verify=false list docker://{} >&2", work.target());
    Some(with("sh", &["-c", &script]))
}

/// Skopeo assembles nothing; it shows one image of an index, or the index itself, and copies.
fn skopeo(work: &Work) -> Option<Command> {
    match work.what {
        What::Query => {
            Some(with("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", work.target())]))
        }
        What::Tags(tags) => {
            let one = format!("skopeo inspect --raw --tls-verify=false docker://{}:$tag", work.reference("whole"));
            Some(with("sh", &["-ec", &format!("for tag in {}; do {one}; done", tags.join(" "))]))
        }
        What::Inspect => {
            Some(with("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{}", work.target())]))
        }
        What::Copy(from) => {
            let from = if from.starts_with("oci:") { from.to_owned() } else { format!("docker://{from}") };
            let insecure = ["--insecure-policy", "copy", "--all", "--quiet", "--dest-tls-verify=false"];
            let mut command = with("skopeo", &insecure);
            if from.starts_with("docker:") {
                command.arg("--src-tls-verify=false");
            }
            command.args([from, format!("docker://{}", work.target())]);
            Some(command)
        }
        _ => None,
    }
}
