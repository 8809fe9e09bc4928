//! The registries and files that the commands of a page find at its start.

use std::path::Path;
use std::process::Command;

use indoc::indoc;
use serde_json::json;

use crate::support::images::{push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Workspace, external_command, run};

pub const SPEC: &str = indoc! {"
    image: HOST/app:v1
    tags: [latest]
    type: oci
    manifests:
    - image: HOST/app:v1-amd64
    - image: HOST/app:v1-arm64
    - image: HOST/app:v1-s390x
"};

pub fn push_arm_v7(registry: &Registry, repository: &str, tag: &str) {
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(b"layer of armv7")]});
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": rootfs}).to_string();
    push_image_with(registry, repository, tag, config.as_bytes(), b"layer of armv7");
}

/// The registries that replace the example host names, and the folder in which commands run.
pub struct PageFixture {
    pub registry: Registry,
    pub staging: Registry,
    mirror: Registry,
    /// A registry that requires credentials, for commands that sign in.
    protected: Registry,
    pub workspace: Workspace,
}

impl PageFixture {
    pub fn new() -> Self {
        let [registry, staging, mirror] = [Registry::start(), Registry::start(), Registry::start()];
        let workspace = Workspace::new().placeholder("HOST", &registry.host).env("LC_ALL", "C.UTF-8");
        let fixture = Self { registry, staging, mirror, protected: Registry::with_htpasswd(), workspace };
        fixture.push_images();
        fixture.write_files();
        fixture
    }

    fn push_images(&self) {
        for architecture in ["amd64", "arm64", "riscv64", "s390x"] {
            push_image(&self.registry, "app", &format!("v1-{architecture}"), architecture);
        }
        push_arm_v7(&self.registry, "app", "v1-armv7");
        for architecture in ["amd64", "arm64"] {
            push_image(&self.staging, "app", &format!("v1-{architecture}"), architecture);
        }
        let index = "manifest-tool push from-images -t staging.example/app:v1 staging.example/app:v1-amd64 \\
                     staging.example/app:v1-arm64";
        self.run(index).success();
    }

    fn write_files(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = &self.workspace;
        workspace.write("app.yaml", SPEC);
        workspace.write("specs/app.yaml", SPEC);
        workspace.write("more.yaml", &SPEC.replace("app:v1\n", "tools:v1\n").replace("type: oci", "type: docker"));
        workspace.write("sync.yaml", "HOST:\n  images: {app: [v1-amd64, v1-arm64]}\n");
        for (name, file) in [("cosign.key", "p256.key"), ("cosign.pub", "p256.pub")] {
            std::fs::copy(root.join("integration/data/signatures").join(file), workspace.path(name)).unwrap();
        }
        let digest = self.registry.manifest("app", "v1-amd64").unwrap().digest;
        workspace.write(&format!("digests/{}", digest.trim_start_matches("sha256:")), "");
        std::fs::create_dir_all(workspace.path("build")).unwrap();
        for architecture in ["amd64", "arm64"] {
            let (layout, archive) =
                (root.join("examples/layouts").join(architecture), format!("build/{architecture}.tar"));
            let mut tar = Command::new("tar");
            tar.args(["-cf", &archive, "-C"]).arg(layout).arg(".").current_dir(workspace.folder());
            assert!(tar.status().unwrap().success());
            let image = format!("registry.example/app:v1-{architecture}");
            self.run(&format!("manifest-tool copy {image} docker-archive:{architecture}.tar")).success();
        }
        std::os::unix::fs::symlink(root.join("integration"), workspace.path("integration")).unwrap();
    }

    /// Runs shell commands with the tested program on PATH. Example hosts are replaced with the registries, also in
    /// what is printed.
    pub fn run(&self, script: &str) -> Outcome {
        let signs_in = script.contains("login") || script.contains("logout");
        let host = if signs_in { &self.protected.host } else { &self.registry.host };
        let script = [("registry.example", host), ("localhost:5000", host)]
            .into_iter()
            .chain([("staging.example", &self.staging.host), ("mirror.example", &self.mirror.host)])
            .fold(script.replace("--username me", "--username user"), |script, (name, host)| {
                script.replace(name, host)
            });
        let mut shell = external_command("bash".as_ref(), self.workspace.folder(), &["-o", "pipefail", "-c", &script]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
        shell.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        shell.env("PASSWORD", "secret-word").env("LC_ALL", "C.UTF-8");
        run(shell, "")
    }

    /// Replaces the addresses of the registries with the example hosts.
    pub fn with_example_hosts(&self, printed: &str) -> String {
        let hosts = [
            (&self.registry.host, "registry.example"),
            (&self.protected.host, "registry.example"),
            (&self.staging.host, "staging.example"),
            (&self.mirror.host, "mirror.example"),
        ];
        hosts.iter().fold(printed.to_owned(), |printed, (host, name)| printed.replace(*host, name))
    }
}
