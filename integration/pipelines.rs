//! The pipelines in `examples/pipelines/` and `action.yml`: each one parses, and the tests run its commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use indoc::formatdoc;
use serde_json::Value;

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Workspace, external_command, run};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Creates a download folder with one release, packed like `release/pack.sh` does, that contains the tested program.
/// Returns its URL.
fn release_server(work: &Path) -> String {
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
            workspace.write(&format!("{architecture}.digest"), digest);
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

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> &str {
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
fn the_github_workflow_installs_pushes_and_outputs_the_digest() {
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
    let steps = workflow["jobs"]["assemble"]["steps"].as_array().unwrap();
    let push = steps.iter().find(|step| step["id"] == "push").unwrap();
    let install = steps.iter().find(|step| step["name"] == "Install manifest-tool").unwrap();
    let job = Job::new();
    let release =
        text(&install["env"]["RELEASE"]).replace("https://github.com", &release_server(job.workspace.folder()));
    let env = [("RELEASE", release.as_str()), ("NAME", text(&install["env"]["NAME"])), ("GITHUB_PATH", "path.txt")];
    job.run(text(&install["run"]), &env);
    job.run("$(cat path.txt)/manifest-tool --version", &[]);
    job.run(text(&push["run"]), &[("GITHUB_OUTPUT", "output.txt")]);
    let output = job.read("output.txt");
    job.check(output.strip_prefix("digest=").unwrap().trim());
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

#[test]
fn the_action_passes_inputs_through_the_environment() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    for step in steps {
        assert_eq!(step["shell"], "bash");
        // Scripts read inputs from their environment, and the password is never on a command line.
        assert!(!text(&step["run"]).contains("${{") && !text(&step["run"]).contains("PASSWORD"), "{step}");
        for (_, value) in step["env"].as_object().into_iter().flatten() {
            let named = text(value).trim_start_matches("${{ ").trim_end_matches(" }}");
            let input = named.strip_prefix("inputs.");
            assert!(input.is_none_or(|input| action["inputs"][input].is_object()), "{value}");
        }
    }
}

/// Arguments of `push` for the images in `dist/`, without the target.
const PUSH_ARGS: &str = "--type oci from-args --platforms linux/amd64,linux/arm64 --template oci-archive:dist/ARCH.tar";

impl Job {
    /// Runs the last step of the action with a manifest-tool that also prints a line that looks like a digest. Returns
    /// the outputs of the step as well.
    fn run_action(&self, args: &str) -> (Outcome, String) {
        let script = formatdoc! {r#"
            #!/bin/sh
            echo Digest: sha256:{} 7
            exec {} "$@"
        "#, "0".repeat(64), env!("CARGO_BIN_EXE_manifest-tool")};
        let noisy = self.workspace.write("noisy/manifest-tool", &script);
        std::fs::set_permissions(noisy, PermissionsExt::from_mode(0o755)).unwrap();
        self.workspace.write("output.txt", "");
        let folder = self.workspace.folder();
        let path = format!("{}/noisy:{}", folder.display(), std::env::var("PATH").unwrap());
        let args = args.replace("TARGET", &format!("{}/app:v1", self.registry.host));
        let env = [
            ("ARGS", args.as_str()),
            ("GITHUB_OUTPUT", "output.txt"),
            ("RUNNER_TEMP", folder.to_str().unwrap()),
            ("PATH", &path),
        ];
        let outcome = self.try_run(text(&yaml("action.yml")["runs"]["steps"][1]["run"]), &env);
        (outcome, self.read("output.txt"))
    }
}

#[test]
fn the_action_outputs_the_pushed_digest_even_if_stdout_contains_another() {
    let job = Job::new();
    for name in ["a=1", "a=2"] {
        // A shell that expands `a=*` in the arguments finds these files.
        job.workspace.write(name, "");
    }
    for args in [
        "push PUSH_ARGS --target TARGET --annotations a=*",
        "push --output json PUSH_ARGS --target TARGET --annotations a=*",
        "--quiet --username nobody --password none push PUSH_ARGS --target TARGET",
        "push --digest-file own.txt PUSH_ARGS --target TARGET",
        "push PUSH_ARGS --target TARGET --digest-file=own.txt",
        "push -digest-file own.txt PUSH_ARGS --target TARGET",
        "push\n  PUSH_ARGS\n  --target TARGET\n",
        "copy -- TARGET oci:copied",
    ] {
        let (outcome, output) = job.run_action(&args.replace("PUSH_ARGS", PUSH_ARGS));
        assert_eq!(outcome.exit, 0, "{args}: {outcome:?}");
        job.check(output.strip_prefix("digest=").unwrap_or_else(|| panic!("{args}: {outcome:?}")).trim());
    }
}

#[test]
fn the_action_outputs_no_digest_unless_exactly_one_was_pushed() {
    let job = Job::new();
    let push = format!("push {PUSH_ARGS} --target TARGET");
    let (pushed, output) = job.run_action(&push);
    assert!(pushed.exit == 0 && output.starts_with("digest=sha256:"), "{pushed:?}");
    let spec = |tag: &str| {
        formatdoc! {"
            image: {host}/app:{tag}
            type: oci
            manifests:
            - image: oci:{root}/examples/layouts/amd64
        ", host = job.registry.host, root = env!("CARGO_MANIFEST_DIR")}
    };
    job.workspace.write("two.yaml", &format!("{}---\n{}", spec("one"), spec("two")));
    for (args, exit) in [
        (format!("{push} --dry-run"), 0),
        (format!("{push} -dry-run --wait"), 0),
        (format!("{push} --dry-run=true"), 0),
        ("verify TARGET".to_owned(), 0),
        ("push from-spec two.yaml".to_owned(), 0),
        ("push from-spec absent.yaml".to_owned(), 1),
        (format!("{push} --no-such-flag"), 2),
        ("verify --digest-file own.txt TARGET".to_owned(), 2),
    ] {
        let (outcome, output) = job.run_action(&args);
        assert_eq!((outcome.exit, output.as_str()), (exit, ""), "{args}: {outcome:?}");
    }
    assert!(job.registry.manifest("app", "one").is_some() && job.registry.manifest("app", "two").is_some());
}

/// The action adds `--digest-file` to the commands that have this flag.
#[test]
fn the_action_lists_every_command_that_writes_an_image() {
    let commands = manifest_tool::cli::command();
    let has_flag = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some("digest-file"));
    let mut names: Vec<&str> = commands.get_subcommands().filter(has_flag).map(clap::Command::get_name).collect();
    names.sort_unstable();
    let pattern = format!("\n        {})\n", names.join(" | "));
    let action = yaml("action.yml");
    assert!(text(&action["runs"]["steps"][1]["run"]).contains(&pattern), "{pattern}");
}

/// Commands that only read use the credentials only for the registry that is named with them.
#[test]
fn pipelines_name_the_registry_of_their_credentials() {
    for path in [
        ".github/workflows/release.yml",
        "action.yml",
        "examples/pipelines/github-actions.yml",
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
fn the_pipeline_snippets_of_the_readme_work() {
    let readme = read("README.md");
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let block = |start: &str| *blocks.iter().find(|block| block.starts_with(start)).unwrap();

    let steps: Value = serde_saphyr::from_str(block("\n- uses:")).unwrap();
    let action = yaml("action.yml");
    for (input, _) in steps[0]["with"].as_object().unwrap() {
        assert!(action["inputs"][input].is_object(), "{input}");
    }
    assert_eq!(steps[0]["uses"], concat!("OWNER/manifest-tool@v", env!("CARGO_PKG_VERSION")));

    let job = Job::new();
    let fetch = block("\nrelease=").replace("https://github.com", &release_server(job.workspace.folder()));
    job.run(&format!("{fetch}./manifest-tool --version"), &[]);
}

#[test]
fn the_action_installs_its_version_unless_it_is_on_path_and_rejects_a_wrong_checksum() {
    let action = yaml("action.yml");
    let install = text(&action["runs"]["steps"][0]["run"]);
    let (job, root) = (Job::new(), env!("CARGO_MANIFEST_DIR"));
    let temporary = job.workspace.path("temporary");
    let server = release_server(job.workspace.folder());
    let path = format!("{}/path.txt", job.workspace.folder().display());
    let env = [
        ("ACTION", root),
        ("REPOSITORY", "OWNER/manifest-tool"),
        ("GITHUB_SERVER_URL", &server),
        ("GITHUB_PATH", &path),
        ("RUNNER_OS", "Linux"),
        ("RUNNER_ARCH", "X64"),
        ("RUNNER_TEMP", temporary.to_str().unwrap()),
    ];
    job.run(install, &env);
    assert!(!job.workspace.path("path.txt").exists(), "a program of this version is on PATH already");

    // This PATH has the tools that the script needs, without manifest-tool.
    let link_tools = "mkdir tools; for tool in bash sh cat cut tr grep mkdir curl sha256sum tar gzip; do \
                      ln -s $(command -v $tool) tools/; done";
    job.run(link_tools, &[]);
    let tools = job.workspace.path("tools");
    let without_tool = [&env[..], &[("PATH", tools.to_str().unwrap())]].concat();
    let installed = job.run(install, &without_tool);
    let bin = job.read("path.txt");
    let version = job.run(&format!("{}/manifest-tool --version", bin.trim()), &[]);
    assert_eq!(version.stdout, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")), "{installed:?}");

    let folder = format!("releases/OWNER/manifest-tool/releases/download/v{}", env!("CARGO_PKG_VERSION"));
    job.run(&format!("echo x >>{folder}/*.tar.gz; rm -r temporary"), &[]);
    let corrupted = job.try_run(install, &without_tool);
    assert!(corrupted.exit != 0 && !temporary.join("manifest-tool/bin/manifest-tool").exists(), "{corrupted:?}");
}
