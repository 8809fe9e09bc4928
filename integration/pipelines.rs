//! The pipelines in `examples/pipelines/` and `action.yml`: each can be read, and its commands are run for real.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, manifest_tool, other_command, run};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A place of releases with one package in it, as `release/pack.sh` makes it, whose program is the one that is tested.
fn releases(work: &Path) -> String {
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
    let packed = run(other_command("sh".as_ref(), &release, &["-c", &pack]), "");
    assert_eq!(packed.exit, 0, "{packed:?}");
    format!("file://{}/releases", work.display())
}

/// A job's working folder, with what the builds before it have left.
struct Job {
    registry: Registry,
    work: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let (registry, work) = (Registry::start(), tempfile::tempdir().unwrap());
        std::fs::create_dir(work.path().join("dist")).unwrap();
        for architecture in ["amd64", "arm64"] {
            let layout = format!("oci:{}/examples/layouts/{architecture}", env!("CARGO_MANIFEST_DIR"));
            let copied =
                manifest_tool(work.path(), &["copy", &layout, &format!("oci-archive:dist/{architecture}.tar")]);
            assert_eq!(copied.exit, 0, "{copied:?}");
            let entry = push_image(&registry, "app", &format!("v1-{architecture}"), architecture);
            let digest = entry["digest"].as_str().unwrap();
            std::fs::write(work.path().join(format!("{architecture}.digest")), digest).unwrap();
        }
        Self { registry, work }
    }

    fn run(&self, script: &str, more: &[(&str, &str)]) -> Outcome {
        let outcome = self.try_run(script, more);
        assert_eq!(outcome.exit, 0, "{script}\n{outcome:?}");
        outcome
    }

    fn try_run(&self, script: &str, more: &[(&str, &str)]) -> Outcome {
        let path = self.work.path();
        let mut command = other_command("bash".as_ref(), path, &["-e", "-o", "pipefail", "-c", script]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
        command.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        command.env("IMAGE", format!("{}/app", self.registry.host)).env("VERSION", "v1");
        command.envs(more.iter().copied());
        run(command, "")
    }

    /// The tag points at an index of two images, and that is the digest that was given.
    fn check(&self, digest: &str) {
        let held = self.registry.manifest("app", "v1").unwrap();
        let index: Value = serde_json::from_slice(&held.bytes).unwrap();
        assert_eq!((index["manifests"].as_array().unwrap().len(), held.digest.as_str()), (2, digest));
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.work.path().join(name)).unwrap()
    }
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn plain_shell() {
    let job = Job::new();
    let outcome = job.run(&read("examples/pipelines/release.sh"), &[]);
    let digest = job.file("digest.txt");
    assert!(outcome.stdout.ends_with(&format!("/app@{digest}\n")), "{outcome:?}");
    job.check(&digest);
    assert!(job.registry.manifest("app", "latest").is_some());
    let told: Value = serde_json::from_str(&job.file("index.json")).unwrap();
    assert_eq!(told["indexes"][0]["digest"], digest);
}

#[test]
fn github_actions() {
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
    let release = text(&install["env"]["RELEASE"]).replace("https://github.com", &releases(job.work.path()));
    let env = [("RELEASE", release.as_str()), ("NAME", text(&install["env"]["NAME"])), ("GITHUB_PATH", "path.txt")];
    job.run(text(&install["run"]), &env);
    job.run("$(cat path.txt)/manifest-tool --version", &[]);
    job.run(text(&push["run"]), &[("GITHUB_OUTPUT", "output.txt")]);
    let output = job.file("output.txt");
    job.check(output.strip_prefix("digest=").unwrap().trim());
}

#[test]
fn gitlab() {
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
    let release = text(&variables["RELEASE"]).replace("https://github.com", &releases(job.work.path()));
    job.run(&script.join("\n"), &[("RELEASE", &release), ("NAME", text(&variables["NAME"]))]);
    job.check(&job.file("digest.txt"));
}

#[test]
fn tekton() {
    let task = yaml("examples/pipelines/tekton-task.yaml");
    assert_eq!((&task["apiVersion"], &task["kind"]), (&"tekton.dev/v1".into(), &"Task".into()));
    let step = &task["spec"]["steps"][0];
    // What is put in the place of parameters is a value of the environment, and never part of the script.
    assert!(!text(&step["script"]).contains("$(params"), "{step}");
    let names: Vec<&str> = step["env"].as_array().unwrap().iter().map(|entry| text(&entry["name"])).collect();
    assert_eq!(names, ["IMAGE", "VERSION", "PLATFORMS", "DOCKER_CONFIG", "DIGEST"]);
    let job = Job::new();
    job.run(text(&step["script"]), &[("PLATFORMS", "linux/amd64,linux/arm64"), ("DIGEST", "result")]);
    job.check(&job.file("result"));
}

/// There is no parser for it here but its braces; its commands are run.
#[test]
fn jenkins() {
    let pipeline = read("examples/pipelines/Jenkinsfile");
    let count = |c: char| pipeline.chars().filter(|found| *found == c).count();
    assert_eq!((count('{'), count('(')), (count('}'), count(')')));
    let script = pipeline.split("sh '''").last().unwrap().split("'''").next().unwrap();
    let job = Job::new();
    job.run(script, &[]);
    job.check(&job.file("digest.txt"));
}

#[test]
fn the_action() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    for step in steps {
        assert_eq!(step["shell"], "bash");
        // Inputs reach a script through its environment, and the password never reaches a command line.
        assert!(!text(&step["run"]).contains("${{") && !text(&step["run"]).contains("PASSWORD"), "{step}");
        for (_, value) in step["env"].as_object().into_iter().flatten() {
            let named = text(value).trim_start_matches("${{ ").trim_end_matches(" }}");
            let input = named.strip_prefix("inputs.");
            assert!(input.is_none_or(|input| action["inputs"][input].is_object()), "{value}");
        }
    }
}

/// Images in `dist/`, as arguments of `push` before the target.
const PLATFORMS: &str = "--type oci from-args --platforms linux/amd64,linux/arm64 --template oci-archive:dist/ARCH.tar";

impl Job {
    /// Runs the action's last step with a manifest-tool that also prints what looks like a digest; gives what the step
    /// wrote to its outputs.
    fn run_action(&self, args: &str) -> (Outcome, String) {
        let work = self.work.path();
        let noisy = format!(
            "#!/bin/sh\necho Digest: sha256:{} 7\nexec {} \"$@\"\n",
            "0".repeat(64),
            env!("CARGO_BIN_EXE_manifest-tool")
        );
        std::fs::create_dir_all(work.join("noisy")).unwrap();
        std::fs::write(work.join("noisy/manifest-tool"), noisy).unwrap();
        std::fs::set_permissions(work.join("noisy/manifest-tool"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(work.join("output.txt"), "").unwrap();
        let path = format!("{}/noisy:{}", work.display(), std::env::var("PATH").unwrap());
        let args = args.replace("TARGET", &format!("{}/app:v1", self.registry.host));
        let env = [
            ("ARGS", args.as_str()),
            ("GITHUB_OUTPUT", "output.txt"),
            ("RUNNER_TEMP", work.to_str().unwrap()),
            ("PATH", &path),
        ];
        let outcome = self.try_run(text(&yaml("action.yml")["runs"]["steps"][1]["run"]), &env);
        (outcome, self.file("output.txt"))
    }
}

#[test]
fn the_action_gives_the_digest_of_what_was_written_whatever_stdout_says() {
    let job = Job::new();
    for name in ["a=1", "a=2"] {
        std::fs::write(job.work.path().join(name), "what a=* would become").unwrap();
    }
    for args in [
        "push PLATFORMS --target TARGET --annotations a=*",
        "push --output json PLATFORMS --target TARGET --annotations a=*",
        "--quiet --username nobody --password none push PLATFORMS --target TARGET",
        "push --digest-file own.txt PLATFORMS --target TARGET",
        "push PLATFORMS --target TARGET --digest-file=own.txt",
        "push -digest-file own.txt PLATFORMS --target TARGET",
        "push\n  PLATFORMS\n  --target TARGET\n",
        "copy -- TARGET oci:copied",
    ] {
        let (outcome, output) = job.run_action(&args.replace("PLATFORMS", PLATFORMS));
        assert_eq!(outcome.exit, 0, "{args}: {outcome:?}");
        job.check(output.strip_prefix("digest=").unwrap_or_else(|| panic!("{args}: {outcome:?}")).trim());
    }
}

#[test]
fn the_action_gives_no_digest_where_there_is_not_exactly_one() {
    let job = Job::new();
    let push = format!("push {PLATFORMS} --target TARGET");
    let (pushed, output) = job.run_action(&push);
    assert!(pushed.exit == 0 && output.starts_with("digest=sha256:"), "{pushed:?}");
    let spec = |tag: &str| {
        let host = &job.registry.host;
        let source = format!("oci:{}/examples/layouts/amd64", env!("CARGO_MANIFEST_DIR"));
        format!("image: {host}/app:{tag}\ntype: oci\nmanifests:\n- image: {source}\n")
    };
    std::fs::write(job.work.path().join("two.yaml"), format!("{}---\n{}", spec("one"), spec("two"))).unwrap();
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

/// The action adds `--digest-file` to the commands that take it.
#[test]
fn the_action_knows_the_commands_that_write_an_image() {
    let commands = manifest_tool::cli::command();
    let takes_it = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some("digest-file"));
    let mut names: Vec<&str> = commands.get_subcommands().filter(takes_it).map(clap::Command::get_name).collect();
    names.sort_unstable();
    let pattern = format!("\n        {})\n", names.join(" | "));
    let action = yaml("action.yml");
    assert!(text(&action["runs"]["steps"][1]["run"]).contains(&pattern), "{pattern}");
}

/// Commands that only read use the pair only where its registry is named.
#[test]
fn user_and_password_stand_beside_the_registry_they_are_for() {
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

/// What the README shows to be pasted into a pipeline.
#[test]
fn what_the_readme_shows_for_pipelines() {
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
    let fetch = block("\nrelease=").replace("https://github.com", &releases(job.work.path()));
    job.run(&format!("{fetch}./manifest-tool --version"), &[]);
}

#[test]
fn what_the_action_installs() {
    let action = yaml("action.yml");
    let install = text(&action["runs"]["steps"][0]["run"]);
    let (job, root) = (Job::new(), env!("CARGO_MANIFEST_DIR"));
    let temporary = job.work.path().join("temporary");
    let server = releases(job.work.path());
    let path = format!("{}/path.txt", job.work.path().display());
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
    assert!(!job.work.path().join("path.txt").exists(), "that of this version is on PATH");

    // A PATH with what it needs and no manifest-tool.
    let tools = "mkdir tools; for tool in bash sh cat cut tr grep mkdir curl sha256sum tar gzip; do ln -s $(command -v $tool) tools/; done";
    job.run(tools, &[]);
    let tools = job.work.path().join("tools");
    let elsewhere = [&env[..], &[("PATH", tools.to_str().unwrap())]].concat();
    let installed = job.run(install, &elsewhere);
    let bin = job.file("path.txt");
    let version = job.run(&format!("{}/manifest-tool --version", bin.trim()), &[]);
    assert_eq!(version.stdout, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")), "{installed:?}");

    let folder = format!("releases/OWNER/manifest-tool/releases/download/v{}", env!("CARGO_PKG_VERSION"));
    job.run(&format!("echo x >>{folder}/*.tar.gz; rm -r temporary"), &[]);
    let forged = job.try_run(install, &elsewhere);
    assert!(forged.exit != 0 && !temporary.join("manifest-tool/bin/manifest-tool").exists(), "{forged:?}");
}
