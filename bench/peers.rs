//! The programs that are compared, with the command line that each one's documentation gives for a task. Programs that
//! are not on PATH are skipped.

use std::path::Path;
use std::process::Command;

use crate::task::{Action, Task};

pub struct Program {
    pub name: &'static str,
    /// The command for a task; `None` if the program cannot do it.
    pub command: fn(&Task) -> Option<Command>,
}

pub fn programs() -> Vec<Program> {
    let all = [
        Program { name: "manifest-tool (this)", command: this },
        Program { name: "manifest-tool (Go)", command: go },
        Program { name: "crane", command: crane },
        Program { name: "regctl", command: regctl },
        Program { name: "docker-buildx", command: buildx },
        Program { name: "oras", command: oras },
        Program { name: "buildah", command: buildah },
        Program { name: "skopeo", command: skopeo },
    ];
    all.into_iter().filter(|program| program.name.ends_with("(this)") || is_installed(program.name)).collect()
}

fn is_installed(name: &str) -> bool {
    let program = name.split(' ').next().unwrap_or(name);
    Command::new(program).arg("--version").output().is_ok()
}

fn with(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn this(task: &Task) -> Option<Command> {
    manifest_tool(env!("CARGO_BIN_EXE_manifest-tool"), task)
}

fn go(task: &Task) -> Option<Command> {
    match task.action {
        Action::Assemble { .. } | Action::Inspect => manifest_tool("manifest-tool", task),
        _ => None,
    }
}

fn manifest_tool(program: &str, task: &Task) -> Option<Command> {
    let mut command = with(program, &["--plain-http"]);
    if let Some((user, password)) = task.login {
        command.args(["--username", user, "--password", password]);
    }
    match task.action {
        Action::Assemble { template, platforms } => {
            let platforms = platforms.iter().map(|name| format!("linux/{name}")).collect::<Vec<_>>().join(",");
            command.args(["push", "--type", "oci", "from-args", "--platforms", &platforms]);
            command.args(["--template", &task.reference(template), "--target", &task.target()]);
        }
        Action::Merge(digests) => {
            command.args(["push", "from-images", "--target", &task.target()]).args(digests);
        }
        Action::Inspect => {
            command.args(["inspect", &task.target()]);
        }
        Action::Query => {
            command.args(["query", &task.target()]);
        }
        Action::Verify => {
            command.args(["verify", &task.target()]);
        }
        Action::Tags(_) => {
            command.args(["tags", "--platforms", &task.reference("whole")]);
        }
        Action::Copy(from) => {
            command.args(["copy", from, &task.target()]);
        }
        Action::Recompress(from, "tar") => {
            command.args(["copy", "--decompress", from, &task.target()]);
        }
        Action::Recompress(from, compression) => {
            command.args(["copy", "--compress", compression, from, &task.target()]);
        }
        Action::Specs(file) => {
            command.args(["push", "--type", "oci", "from-spec"]).arg(file);
        }
    }
    Some(command)
}

fn sources(task: &Task) -> Option<Vec<String>> {
    match task.action {
        Action::Assemble { template, platforms } if task.login.is_none() => {
            Some(platforms.iter().map(|name| task.reference(&template.replace("ARCH", name))).collect())
        }
        Action::Merge(digests) => {
            Some(digests.iter().map(|digest| task.reference(&format!("whole@{digest}"))).collect())
        }
        _ => None,
    }
}

fn crane(task: &Task) -> Option<Command> {
    match task.action {
        Action::Copy(from) if !is_layout(from) => Some(with("crane", &["copy", "--insecure", from, &task.target()])),
        Action::Verify => Some(with("crane", &["validate", "--insecure", "--fast", "--remote", &task.target()])),
        _ => {
            let mut command = with("crane", &["index", "append", "--insecure", "--tag", &task.target()]);
            command.args(sources(task)?.iter().flat_map(|source| ["--manifest", source]));
            Some(command)
        }
    }
}

fn regctl(task: &Task) -> Option<Command> {
    let mut command = Command::new("regctl");
    let mut plain_http = |host: &str| {
        command.args(["--host", &format!("reg={host},tls=disabled")]);
    };
    plain_http(task.host);
    match task.action {
        Action::Copy(from) => {
            let from = match from.strip_prefix("oci:") {
                Some(layout) => format!("ocidir://{layout}"),
                None => {
                    plain_http(from.split('/').next().unwrap_or_default());
                    from.to_owned()
                }
            };
            command.args(["image", "copy", &from, &task.target()]);
        }
        _ => {
            let sources = sources(task)?;
            command.args(["index", "create", &task.target()]);
            command.args(sources.iter().flat_map(|source| ["--ref", source]));
        }
    }
    Some(command)
}

/// Oras takes the images of an index by digest or tag, from the repository of the index.
fn oras(task: &Task) -> Option<Command> {
    let images: Vec<String> = match task.action {
        Action::Merge(digests) => digests.to_vec(),
        Action::Assemble { template, platforms } => {
            let tag = template.strip_prefix("whole:")?;
            platforms.iter().map(|name| tag.replace("ARCH", name)).collect()
        }
        Action::Copy(from) => {
            let mut command = with("oras", &["copy", "--to-plain-http"]);
            match from.strip_prefix("oci:") {
                Some(layout) => command.args(["--from-oci-layout", layout]),
                None => command.args(["--from-plain-http", from]),
            };
            command.arg(task.target());
            return Some(command);
        }
        _ => return None,
    };
    let mut command = with("oras", &["manifest", "index", "create", "--plain-http"]);
    if let Some((user, password)) = task.login {
        command.args(["--username", user, "--password", password]);
    }
    command.arg(task.target()).args(images);
    Some(command)
}

fn is_layout(from: &str) -> bool {
    from.starts_with("oci:")
}

fn buildx(task: &Task) -> Option<Command> {
    match task.action {
        Action::Inspect => Some(with("docker-buildx", &["imagetools", "inspect", &task.target()])),
        Action::Copy(_) | Action::Recompress(..) | Action::Query | Action::Verify | Action::Tags(_) => None,
        _ => {
            let mut command = with("docker-buildx", &["imagetools", "create", "--tag", &task.target()]);
            command.args(sources(task)?);
            Some(command)
        }
    }
}

/// Buildah creates a list in its own storage, adds each image to it from the registry, and pushes the list.
fn buildah(task: &Task) -> Option<Command> {
    let sources = sources(task)?;
    let storage = Path::new(task.scratch).join("buildah");
    let global = format!("--storage-driver vfs --root {0}/root --runroot {0}/run", storage.display());
    let mut script = format!("rm -rf {0}; b='buildah {global}'; $b manifest create list >&2", storage.display());
    for source in sources {
        script += &format!(" && $b manifest add --tls-verify=false list docker://{source} >&2");
    }
    script += &format!(" && $b manifest push --all --tls-verify=false list docker://{} >&2", task.target());
    Some(with("sh", &["-c", &script]))
}

/// Skopeo does not assemble indexes; it inspects an image or an index, and copies.
fn skopeo(task: &Task) -> Option<Command> {
    match task.action {
        Action::Query => {
            Some(with("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", task.target())]))
        }
        Action::Tags(tags) => {
            let one = format!("skopeo inspect --raw --tls-verify=false docker://{}:$tag", task.reference("whole"));
            Some(with("sh", &["-ec", &format!("for tag in {}; do {one}; done", tags.join(" "))]))
        }
        Action::Inspect => {
            Some(with("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{}", task.target())]))
        }
        Action::Copy(from) => {
            let from = if is_layout(from) { from.to_owned() } else { format!("docker://{from}") };
            let insecure = ["--insecure-policy", "copy", "--all", "--quiet", "--dest-tls-verify=false"];
            let mut command = with("skopeo", &insecure);
            if from.starts_with("docker:") {
                command.arg("--src-tls-verify=false");
            }
            command.args([from, format!("docker://{}", task.target())]);
            Some(command)
        }
        Action::Recompress(from, compression) => {
            let mut command = with("skopeo", &["--insecure-policy", "copy", "--all", "-q", "--dest-tls-verify=false"]);
            match compression {
                "tar" => command.arg("--dest-decompress"),
                format => command.args(["--dest-compress", "--dest-compress-format", format]),
            };
            command.args([from, &format!("docker://{}", task.target())]);
            Some(command)
        }
        _ => None,
    }
}
