//! Images outside of registries: Docker's archives and engine, `dir:` folders, and archives on standard input and output.

mod dir;
mod docker_archive;
mod engine;
mod hostile;
mod oci_archive;
mod streams;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::images::{push_index, push_loadable_image};
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox};

/// A registry with an image for each of two platforms, `HOST/app:amd64` and `HOST/app:arm64`, and an index of both,
/// `HOST/app:v1`. `FOLDER` is the path of the working folder.
struct Images {
    sandbox: Sandbox,
    index: String,
    amd64: String,
}

impl Images {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder().display().to_string();
        let sandbox = sandbox.with(|workspace| workspace.placeholder("FOLDER", &folder));
        let mut entries = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut entry = push_loadable_image(&sandbox.registry, "app", architecture, architecture);
            entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
            entries.push(entry);
        }
        let index = push_index(&sandbox.registry, "app", "v1", &entries);
        let amd64 = entries[0]["digest"].as_str().unwrap().to_owned();
        Self { sandbox, index, amd64 }
    }

    fn registry(&self) -> &Registry {
        &self.sandbox.registry
    }

    /// Returns the digest of a location.
    fn digest(&self, location: &str) -> String {
        self.sandbox.run(&["digest", location]).success().stdout.trim().to_owned()
    }

    /// Copies with skopeo.
    fn skopeo(&self, args: &[&str]) {
        let args: Vec<String> = args.iter().map(|arg| self.sandbox.fill(arg)).collect();
        run(Command::new("skopeo").args(["--insecure-policy", "copy", "-q"]).args(&args));
    }

    /// Returns the digest of the image's config.
    fn config(&self, location: &str) -> String {
        let manifest = self.sandbox.run(&["inspect", "--manifest", location]).success().stdout;
        serde_json::from_str::<serde_json::Value>(&manifest).unwrap()["config"]["digest"].as_str().unwrap().to_owned()
    }
}

/// Runs a program, which must succeed. Returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

/// Podman with its own storage in a folder.
fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.args(["--storage-driver", "vfs", "--root"]).arg(folder.join("podman-root"));
    command.arg("--runroot").arg(folder.join("podman-run"));
    command
}

/// An entry of an archive that a test makes.
enum File<'a> {
    Content(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
}

/// Returns a tar archive.
fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let (name, content) = match file {
            File::Content(name, content) => {
                header.set_size(content.len() as u64);
                (name, *content)
            }
            File::Link(name, target) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                (name, &b""[..])
            }
        };
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Returns the config of an image with these layers.
fn config(layers: &[&[u8]]) -> String {
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    serde_json::json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
}
