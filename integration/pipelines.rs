//! The pipelines in `examples/pipelines/`: each one parses, and the tests run its commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Workspace, external_command, run};

pub fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Creates a download folder with one release, packed like `release/pack.sh` does, that contains the tested program.
/// Returns its URL.
pub fn release_server(work: &Path) -> String {
    let (version, name) =
        (env!("CARGO_PKG_VERSION"), concat!("manifest-tool-", env!("CARGO_PKG_VERSION"), "-linux-amd64"));
    let release = work.join(format!("releases/OWNER/manifest-tool/releases/download/v{version}"));
    std::fs::create_dir_all(release.join(name)).unwrap();
    let program = release.join(name).join("manifest-tool");
    std::fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_manifest-tool"))).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let pack = format!(
        "tar -czf {name}.tar.gz {name} && echo other >{name}.deb && sha256sum *.gz *.deb >SHA256SUMS && rm *.deb"
    );
    run(external_command("sh".as_ref(), &release, &["-c", &pack]), "").success();
    format!("file://{}/releases", work.display())
}

/// The working folder of a job, with the artifacts of earlier builds, and a registry.
struct Job {
    registry: Registry,
    workspace: Workspace,
}

impl Job {
    fn new() -> Self {
        let (registry, workspace) = (Registry::start(), Workspace::new());
        std::fs::create_dir(workspace.path("dist")).unwrap();
        for architecture in ["amd64", "arm64"] {
            let layout = format!("oci:{}/examples/layouts/{architecture}", env!("CARGO_MANIFEST_DIR"));
            workspace.run(&["copy", &layout, &format!("oci-archive:dist/{architecture}.tar")]).success();
            let entry = push_image(&registry, "app", &format!("v1-{architecture}"), architecture);
            let digest = entry["digest"].as_str().unwrap();
            let metadata = json!({"containerimage.digest": digest, "image.name": format!("{}/app", registry.host)});
            workspace.write(&format!("digests/{architecture}.json"), &metadata.to_string());
        }
        Self { registry, workspace }
    }

    fn run(&self, script: &str, more: &[(&str, &str)]) -> Outcome {
        let outcome = self.try_run(script, more);
        assert_eq!(outcome.exit, 0, "{script}\n{outcome:?}");
        outcome
    }

    fn try_run(&self, script: &str, more: &[(&str, &str)]) -> Outcome {
        let mut command =
            external_command("bash".as_ref(), self.workspace.folder(), &["-e", "-o", "pipefail", "-c", script]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
        command.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        command.env("IMAGE", format!("{}/app", self.registry.host)).env("VERSION", "v1");
        command.envs(more.iter().copied());
        run(command, "")
    }

    /// Checks that the tag points at an index of two images with this digest.
    fn check(&self, digest: &str) {
        let pushed = self.registry.manifest("app", "v1").unwrap();
        let index: Value = serde_json::from_slice(&pushed.bytes).unwrap();
        assert_eq!((index["manifests"].as_array().unwrap().len(), pushed.digest.as_str()), (2, digest));
    }

    fn read(&self, name: &str) -> String {
        self.workspace.read(name)
    }
}

pub fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

#[test]
fn the_shell_script_pushes_and_writes_the_digest() {
    let job = Job::new();
    let outcome = job.run(&read("examples/pipelines/release.sh"), &[]);
    let digest = job.read("digest.txt");
    assert!(outcome.stdout.ends_with(&format!("/app@{digest}\n")), "{outcome:?}");
    job.check(&digest);
    assert!(job.registry.manifest("app", "latest").is_some());
    let metadata: Value = serde_json::from_str(&job.read("index.json")).unwrap();
    assert_eq!(metadata["indexes"][0]["digest"], digest);
}

#[test]
fn the_github_workflow_is_consistent() {
    let workflow = yaml("examples/pipelines/github-actions.yml");
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        assert!(job["runs-on"].is_string() && job["steps"].is_array(), "{name}");
        if let Some(needed) = job["needs"].as_str() {
            assert!(workflow["jobs"][needed].is_object(), "{name} needs {needed}");
        }
        for step in job["steps"].as_array().unwrap() {
            assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{name}: {step}");
        }
    }
}

#[test]
fn the_gitlab_pipeline_installs_pushes_and_writes_the_digest() {
    let pipeline = yaml("examples/pipelines/gitlab-ci.yml");
    let script: Vec<&str> = pipeline["assemble"]["script"].as_array().unwrap().iter().map(text).collect();
    for (name, job) in pipeline.as_object().unwrap() {
        let stages = pipeline["stages"].as_array().unwrap();
        assert!(job["stage"].is_null() || stages.contains(&job["stage"]), "{name}");
    }
    let job = Job::new();
    let before = pipeline["assemble"]["before_script"].as_array().unwrap().iter().map(text);
    let script: Vec<&str> = before.chain(script).collect();
    let variables = &pipeline["assemble"]["variables"];
    let release = text(&variables["RELEASE"]).replace("https://github.com", &release_server(job.workspace.folder()));
    job.run(&script.join("\n"), &[("RELEASE", &release), ("NAME", text(&variables["NAME"]))]);
    job.check(&job.read("digest.txt"));
}

#[test]
fn the_tekton_task_pushes_and_writes_its_result() {
    let task = yaml("examples/pipelines/tekton-task.yaml");
    assert_eq!((&task["apiVersion"], &task["kind"]), (&"tekton.dev/v1".into(), &"Task".into()));
    let step = &task["spec"]["steps"][0];
    // Tekton would insert parameters into the script unquoted, so values come from the environment.
    assert!(!text(&step["script"]).contains("$(params"), "{step}");
    let names: Vec<&str> = step["env"].as_array().unwrap().iter().map(|entry| text(&entry["name"])).collect();
    assert_eq!(names, ["IMAGE", "VERSION", "PLATFORMS", "DOCKER_CONFIG", "DIGEST"]);
    let job = Job::new();
    job.run(text(&step["script"]), &[("PLATFORMS", "linux/amd64,linux/arm64"), ("DIGEST", "result")]);
    job.check(&job.read("result"));
}

/// Without a Groovy parser, the test only compares the numbers of opening and closing brackets, and runs the commands.
#[test]
fn the_jenkins_pipeline_pushes_and_writes_the_digest() {
    let pipeline = read("examples/pipelines/Jenkinsfile");
    let count = |bracket: char| pipeline.chars().filter(|c| *c == bracket).count();
    assert_eq!((count('{'), count('(')), (count('}'), count(')')));
    let script = pipeline.split("sh '''").last().unwrap().split("'''").next().unwrap();
    let job = Job::new();
    job.run(script, &[]);
    job.check(&job.read("digest.txt"));
}

/// Commands that only read use the credentials only for the registry that is named with them.
#[test]
fn pipelines_name_the_registry_of_their_credentials() {
    for path in [
        ".github/workflows/release.yml",
        "action.yml",
        "examples/pipelines/gitlab-ci.yml",
        "examples/pipelines/Jenkinsfile",
        "examples/pipelines/release.sh",
    ] {
        let file = read(path);
        let count = |name: &str| file.matches(&format!("MANIFEST_TOOL_{name}")).count();
        assert_eq!((count("USERNAME"), count("PASSWORD")), (count("REGISTRY"), count("REGISTRY")), "{path}");
        assert!(count("USERNAME") > 0, "{path}");
    }
}

#[test]
fn the_download_commands_of_the_documentation_work() {
    let page = read("docs/install.md");
    let block = page.split("```").find(|block| block.starts_with("sh\nrelease=")).unwrap();

    let job = Job::new();
    let fetch = block.trim_start_matches("sh").replace("https://github.com", &release_server(job.workspace.folder()));
    // The last command needs root.
    let fetch =
        fetch.replace("sudo install \"$name/manifest-tool\" /usr/local/bin/", "install \"$name/manifest-tool\" .");
    job.run(&format!("{fetch}./manifest-tool --version"), &[]);
}
