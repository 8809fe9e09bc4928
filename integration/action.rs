//! The GitHub action: runs the steps of `action.yml` as GitHub does, with the scripts in `action/`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

use crate::docs::markdown::Page;
use crate::from_images::{ARCHITECTURES, Fixture, architectures, index};
use crate::pipelines::{read, release_server, text, yaml};
use crate::support::images::{push_attested_index, push_image, push_index};
use crate::support::{Outcome, external_command, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The images of [`Fixture`], and a job's folder in which steps run.
struct Job {
    fixture: Fixture,
}

/// What a step did.
#[derive(Debug)]
struct Step {
    outcome: Outcome,
    outputs: BTreeMap<String, String>,
    summary: String,
}

impl Step {
    #[track_caller]
    fn success(self) -> Self {
        assert_eq!(self.outcome.exit, 0, "{self:?}");
        self
    }

    /// Asserts the exit code, a part of stderr, and that the step has no outputs and no summary.
    #[track_caller]
    fn fails(self, exit: i32, part: &str) {
        assert_eq!((self.outcome.exit, self.summary.as_str()), (exit, ""), "{self:?}");
        assert!(self.outcome.stderr.contains(part) && self.outputs.is_empty(), "{self:?}");
    }

    fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    fn result(&self) -> Value {
        serde_json::from_str(self.output("result")).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Job {
    fn new() -> Self {
        let job = Self { fixture: Fixture::new() };
        // Its first line looks like the digest of a push.
        let script = formatdoc! {r#"
            #!/bin/sh
            echo Digest: sha256:{} 7
            exec {} "$@"
        "#, "0".repeat(64), env!("CARGO_BIN_EXE_manifest-tool")};
        job.write_program("bin/manifest-tool", &script);
        job
    }

    fn write_program(&self, name: &str, script: &str) {
        let path = self.fixture.sandbox.write(name, script);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs the action's second step with these inputs, and manifest-tool from the folder `bin`.
    fn run(&self, inputs: &[(&str, &str)]) -> Step {
        let sandbox = &self.fixture.sandbox;
        let inputs: BTreeMap<&str, String> = inputs.iter().map(|(name, value)| (*name, sandbox.fill(value))).collect();
        let action = yaml("action.yml");
        let step = &action["runs"]["steps"][1];
        for name in inputs.keys() {
            assert!(action["inputs"][*name].is_object(), "{name}");
        }
        let [output, summary] = ["output.txt", "summary.md"].map(|name| sandbox.write(name, ""));
        let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = bash(sandbox.folder(), text(&step["run"]));
        for (name, value) in step["env"].as_object().unwrap() {
            let input = text(value).strip_prefix("${{ inputs.").unwrap().split(' ').next().unwrap();
            let default = text(&action["inputs"][input]["default"]);
            command.env(name, inputs.get(input).map_or(default, String::as_str));
        }
        command.env("GITHUB_OUTPUT", output).env("GITHUB_STEP_SUMMARY", summary);
        command.env("RUNNER_TEMP", sandbox.path("temporary folder")).env("PATH", path);
        let outcome = run(command, "");
        let line = |line: &str| {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert_eq!(text(&action["outputs"][name]["value"]), format!("${{{{ steps.run.outputs.{name} }}}}"));
            (name.to_owned(), value.to_owned())
        };
        let outputs = sandbox.read("output.txt").lines().map(line).collect();
        Step { outcome, outputs, summary: sandbox.read("summary.md") }
    }

    fn run_command(&self, command: &str) -> Step {
        self.run(&[("command", command)])
    }

    /// Returns the architectures of the index at a tag.
    fn architectures(&self, repository: &str, tag: &str) -> Vec<String> {
        architectures(&index(self.fixture.registry(), repository, tag)).into_iter().map(str::to_owned).collect()
    }

    fn digest(&self, repository: &str, tag: &str) -> String {
        self.fixture.registry().manifest(repository, tag).unwrap().digest
    }

    fn fill(&self, text: &str) -> String {
        self.fixture.sandbox.fill(text)
    }
}

/// Returns the command that GitHub runs for a step with `shell: bash`.
fn bash(folder: &Path, script: &str) -> std::process::Command {
    let args = ["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script];
    let mut command = external_command("bash".as_ref(), folder, &args);
    command.env("GITHUB_ACTION_PATH", ROOT);
    command
}

const ALL: &str = "HOST/parts:amd64\nHOST/parts:arm64\nHOST/parts:s390x\n";

#[test]
fn every_input_reaches_the_script_through_the_environment() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    let mut passed = Vec::new();
    for step in steps {
        assert_eq!(step["shell"], "bash");
        // The password is never on a command line.
        assert!(!text(&step["run"]).contains("${{") && !text(&step["run"]).contains("PASSWORD"), "{step}");
        passed.extend(step["env"].as_object().unwrap().values().map(text));
    }
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert_eq!(input["default"], "", "{name}");
        let expression = format!("${{{{ inputs.{name} ");
        assert!(passed.iter().any(|value| value.starts_with(&expression)), "{name}");
    }
    // Without these inputs, the job's variables apply.
    for name in ["MANIFEST_TOOL_USERNAME", "MANIFEST_TOOL_PASSWORD", "MANIFEST_TOOL_REGISTRY"] {
        let value = text(&steps[1]["env"][name]);
        assert!(value.contains(&format!("env.{name} ")), "{value}");
    }
    let run = read("action/run.sh");
    assert!(!run.contains("PASSWORD") && !run.contains("eval"));
}

#[test]
fn images_are_pushed_as_an_index_with_outputs() {
    let job = Job::new();
    let images = "# built today\nHOST/parts:amd64\r\n\n  HOST/parts:arm64  # second\nHOST/parts:s390x";
    let step = job.run(&[("images", images), ("target", "HOST/parts:v1")]).success();
    assert_eq!(job.architectures("parts", "v1"), ARCHITECTURES);
    let digest = job.digest("parts", "v1");
    assert_eq!(
        (step.output("digest"), step.output("reference")),
        (&*digest, &*job.fill(&format!("HOST/parts@{digest}")))
    );
    assert_eq!(step.result()["indexes"][0]["digest"], digest);
    assert_eq!(step.outputs.len(), 3);
}

#[test]
fn digests_and_metadata_of_builds_are_pushed() {
    let job = Job::new();
    let (sandbox, [amd64, arm64, s390x]) = (&job.fixture.sandbox, &job.fixture.digests);
    sandbox.write(&format!("some digests/{}", amd64.strip_prefix("sha256:").unwrap()), "");
    sandbox.write(&format!("more/{}", arm64.strip_prefix("sha256:").unwrap()), "");
    let build = |digest: &str| json!({"containerimage.digest": digest, "image.name": "HOST/parts"});
    sandbox.write("bake.json", &json!({"web": build(s390x), "db": build(amd64)}).to_string());
    job.run(&[("digests", "some digests\nmore\n"), ("target", "HOST/parts:digests")]).success();
    assert_eq!(job.architectures("parts", "digests"), ["amd64", "arm64"]);
    job.run(&[("metadata", "bake.json#we*"), ("target", "HOST/parts:metadata")]).success();
    assert_eq!(job.architectures("parts", "metadata"), ["s390x"]);
    let all = [("images", arm64.as_str()), ("metadata", "bake.json#web"), ("digests", "some digests")];
    job.run(&[&all[..], &[("target", "HOST/parts:all")]].concat()).success();
    assert_eq!(job.architectures("parts", "all"), ["arm64", "s390x", "amd64"]);
}

#[test]
fn lists_have_one_item_per_line_or_between_commas() {
    let job = Job::new();
    let target = ("target", "\n# public\nHOST/parts:v1\n\nHOST/mirror:v1\n");
    let step = job.run(&[
        ("images", ALL),
        target,
        ("tags", "# not: old, older\nv1.2, latest\nHOST/other:v1,\n"),
        ("platforms", "\n"),
    ]);
    let digest = job.digest("parts", "v1");
    for (repository, tag) in
        [("parts", "v1.2"), ("parts", "latest"), ("mirror", "v1"), ("mirror", "latest"), ("other", "v1")]
    {
        assert_eq!(job.digest(repository, tag), digest, "{repository}:{tag}");
    }
    assert!(job.fixture.registry().manifest("parts", "older").is_none(), "a comment may have commas");
    let step = step.success();
    assert_eq!(
        (step.output("digest"), step.output("reference")),
        (&*digest, &*job.fill(&format!("HOST/parts@{digest}")))
    );
    assert_eq!(step.result()["indexes"].as_array().unwrap().len(), 3);
    let platforms = ("platforms", "linux/amd64,\n linux/s390x");
    job.run(&[("images", "HOST/parts:v1"), ("target", "HOST/parts:v2"), platforms, ("type", "docker")]).success();
    let pushed = index(job.fixture.registry(), "parts", "v2");
    assert_eq!(architectures(&pushed), ["amd64", "s390x"]);
    assert_eq!(pushed["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
}

#[test]
fn outputs_of_metadata_action_give_tags_and_annotations() {
    let job = Job::new();
    let annotations = indoc! {r#"
        manifest:org.opencontainers.image.title=app
        index:org.opencontainers.image.title=app
        index:org.opencontainers.image.description=An app, with "quotes", $(touch created), `touch created` & more = less
    "#};
    let tags = "HOST/parts:v1\nHOST/parts:latest\nHOST/mirror:v1";
    let step = job.run(&[("images", ALL), ("tags", tags), ("annotations", annotations)]).success();
    let expected = json!({
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.description":
            r#"An app, with "quotes", $(touch created), `touch created` & more = less"#,
    });
    for (repository, tag) in [("parts", "v1"), ("parts", "latest"), ("mirror", "v1")] {
        assert_eq!(index(job.fixture.registry(), repository, tag)["annotations"], expected);
    }
    step.outcome.stderr_contains("1 annotation of level manifest or index-descriptor is ignored");
    assert!(!job.fixture.sandbox.path("created").exists());
}

#[test]
fn an_item_that_looks_like_a_flag_is_no_flag() {
    let job = Job::new();
    let before = job.fixture.registry().snapshot();
    for (name, exit) in
        [("images", 1), ("digests", 1), ("target", 2), ("tags", 2), ("platforms", 2), ("annotations", 2), ("type", 2)]
    {
        let mut inputs = BTreeMap::from([("images", ALL), ("target", "HOST/parts:v1")]);
        inputs.insert(name, "--dry-run");
        let inputs: Vec<_> = inputs.into_iter().collect();
        job.run(&inputs).fails(exit, "--dry-run");
    }
    assert_eq!(job.fixture.registry().snapshot(), before);
}

#[test]
fn a_command_is_split_like_a_shell_does_but_never_expanded() {
    let job = Job::new();
    job.write_program("bin/manifest-tool", "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\n");
    // A shell that expands patterns finds these files.
    job.fixture.sandbox.write("a=1", "");
    job.fixture.sandbox.write("a=2", "");
    for (command, words) in [
        ("lint  a\tb\nc \r\n d\n", "<lint><a><b><c><d>"),
        (r#"lint 'a  b' "c  'd'" '"e"'"#, r#"<lint><a  b><c  'd'><"e">"#),
        (r#"lint --set=A="x y"'z'  '' """#, "<lint><--set=A=x yz><><>"),
        ("lint 'a\nb'", "<lint><a\nb>"),
        (
            "lint $HOME ${HOME} $(touch x) `touch x` \"$(touch x)\"",
            "<lint><$HOME><${HOME}><$(touch><x)><`touch><x`><$(touch x)>",
        ),
        ("lint a=* ? [a]* ~ {a,b} #c", "<lint><a=*><?><[a]*><~><{a,b}><#c>"),
        ("lint a;touch x & touch x | touch x >x", "<lint><a;touch><x><&><touch><x><|><touch><x><>x>"),
        ("lint a \\\n  b \\\r\n  c", "<lint><a><b><c>"),
        (r#"lint dist\amd64 "dist\arm64" 'a\b' "a\"b\\" \ x\"#, r#"<lint><dist\amd64><dist\arm64><a\b><a"b\><\><x\>"#),
        ("lint Käse '👩 x'", "<lint><Käse><👩 x>"),
        ("-u copy -p push --quiet lint copy", "<-u><copy><-p><push><--quiet><lint><copy>"),
        ("copy a b", "<copy><--metadata-file><DOCUMENT><a><b>"),
        (
            "--username copy -retries 3 --debug push -- copy",
            "<--username><copy><-retries><3><--debug><push><--metadata-file><DOCUMENT><--><copy>",
        ),
        ("remove --metadata-file 'own file' a", "<remove><--metadata-file><own file><a>"),
        ("remove a -metadata-file=own", "<remove><a><-metadata-file=own>"),
    ] {
        let step = job.run_command(command).success();
        let document = job.fixture.sandbox.path("temporary folder/manifest-tool/document.json");
        assert_eq!(step.outcome.stdout.replace(document.to_str().unwrap(), "DOCUMENT"), words, "{command}");
    }
    assert!(!job.fixture.sandbox.path("x").exists());
    for command in ["lint 'a", "lint \"a", "lint 'a\""] {
        job.run_command(command).fails(2, "that is not closed");
    }
}

/// Arguments of `push` for all images, without the target.
const FROM_ARGS: &str = "--type oci from-args --platforms linux/amd64,linux/arm64 --template HOST/parts:ARCH";

#[test]
fn the_digest_is_output_even_if_stdout_contains_another() {
    let job = Job::new();
    for (at, command) in [
        "push FROM_ARGS --target TARGET",
        "push --output json FROM_ARGS --target TARGET --annotations 'a=x y'",
        "--quiet --username nobody --password none push FROM_ARGS --target TARGET",
        "push --digest-file own.txt FROM_ARGS --target TARGET",
        "push --metadata-file=own.json FROM_ARGS --target TARGET",
        "push -digest-file own.txt FROM_ARGS --target TARGET -metadata-file own.json",
        "push\n  FROM_ARGS \\\n  --target TARGET\n",
        "copy -- HOST/parts:all TARGET",
        "push --append --settle 1ms from-images -t TARGET HOST/parts:amd64 HOST/parts:arm64",
    ]
    .into_iter()
    .enumerate()
    {
        job.fixture.push(&["-t", "HOST/parts:all", "HOST/parts:amd64", "HOST/parts:arm64"]).success();
        let tag = format!("v{at}");
        let filled = command.replace("FROM_ARGS", FROM_ARGS).replace("TARGET", &format!("HOST/parts:{tag}"));
        let step = job.run_command(&filled).success();
        assert_eq!(
            (step.output("digest"), job.architectures("parts", &tag)),
            (&*job.digest("parts", &tag), vec!["amd64".into(), "arm64".into()]),
            "{command}"
        );
    }
    let sandbox = &job.fixture.sandbox;
    assert_eq!(sandbox.read("own.txt"), job.digest("parts", "v5"));
    assert!(sandbox.read("own.json").contains("HOST/parts:v5".replace("HOST", &job.fixture.registry().host).as_str()));
}

#[test]
fn without_a_single_digest_the_output_is_empty() {
    let job = Job::new();
    let spec = |tag: &str, image: &str| {
        format!("image: HOST/parts:{tag}\ntype: oci\nmanifests:\n- image: HOST/parts:{image}\n")
    };
    job.fixture.sandbox.write("two.yaml", &format!("{}---\n{}", spec("one", "amd64"), spec("two", "arm64")));
    let two = job.run_command("push from-spec two.yaml").success();
    assert_eq!((two.output("digest"), two.output("reference")), ("", ""));
    assert_eq!(two.result()["indexes"][1]["digest"], job.digest("parts", "two"));
    let counts =
        ["### Image indexes\n", "parts:one`", "parts:two`", "| `linux/a"].map(|part| two.summary.matches(part).count());
    assert_eq!(counts, [1, 1, 1, 2], "{}", two.summary);

    let layout = job.run(&[("images", ALL), ("target", "oci:a folder:v1")]).success();
    assert_eq!((layout.output("digest").len(), layout.output("reference")), (71, ""));

    let verify = job.run_command("verify HOST/parts:one").success();
    assert!(verify.outputs.is_empty() && verify.summary.is_empty(), "{verify:?}");
}

#[test]
fn a_dry_run_outputs_only_its_result() {
    let job = Job::new();
    let before = job.fixture.registry().snapshot();
    for (flags, exit) in [("--dry-run", 0), ("--dry-run=true", 0), ("--dry-run --exit-code", 4)] {
        let step = job.run_command(&format!("push {flags} {FROM_ARGS} --target HOST/parts:v1"));
        assert_eq!((step.outcome.exit, step.outputs.len(), step.summary.as_str()), (exit, 1, ""), "{step:?}");
        assert_eq!(step.result()["dryRun"], true);
    }
    assert_eq!(job.fixture.registry().snapshot(), before);
}

#[test]
fn a_failed_push_keeps_its_exit_code_and_sets_no_outputs() {
    let job = Job::new();
    job.run(&[("images", ALL), ("target", "HOST/parts:v1")]).success();
    // The files of earlier steps stay in place.
    job.fixture.sandbox.write("own.json", "{\n  \"version\": 1,\n");
    for (command, exit, part) in [
        ("push from-images -t HOST/parts:v2 HOST/parts:absent", 1, "not found"),
        ("push --metadata-file own.json from-images -t HOST/parts:v2 HOST/parts:absent", 1, "not found"),
        ("push from-spec absent.yaml", 1, "absent.yaml"),
        ("push --no-such-flag", 2, "--no-such-flag"),
        ("push --if-match none from-images -t HOST/parts:v1 HOST/parts:amd64", 3, "HOST/parts:v1"),
        ("verify --metadata-file own.txt HOST/parts:v1", 2, "--metadata-file"),
        ("push --metadata-file", 2, "--metadata-file"),
    ] {
        job.run_command(command).fails(exit, &job.fill(part));
    }
    job.run(&[("images", "HOST/parts:absent"), ("target", "HOST/parts:v2")]).fails(1, "not found");
    assert!(job.fixture.registry().manifest("parts", "v2").is_none());
}

#[test]
fn without_command_and_images_nothing_runs() {
    let job = Job::new();
    let step = job.run(&[("username", "user"), ("images", " \n# none\n")]).success();
    assert!(step.outputs.is_empty() && step.outcome.stdout.starts_with("Installed manifest-tool."), "{step:?}");
}

#[test]
fn inputs_that_do_not_fit_together_are_an_error() {
    let job = Job::new();
    let command = ("command", "push from-spec app.yaml");
    job.run(&[command, ("images", ALL)]).fails(2, "\"command\" cannot be combined with other inputs: images\n");
    job.run(&[command, ("type", "oci"), ("tags", "a")]).fails(2, "cannot be combined with other inputs: tags, type\n");
    job.run(&[("target", "HOST/parts:v1"), ("images", "# none")])
        .fails(2, "needs one of the inputs images, digests and");
    job.run(&[("images", ALL), ("tags", "v1")]).fails(2, "no target given");
    job.run(&[("images", ALL), ("target", "HOST/parts:v1"), ("type", "oic")]).fails(2, "oic");
}

#[test]
fn the_summary_lists_references_and_platforms_without_attestations() {
    let job = Job::new();
    let registry = job.fixture.registry();
    let image = push_attested_index(registry, "parts", "attested", "riscv64").image;
    let images = "HOST/parts:amd64\nHOST/parts:attested";
    let target = "HOST/parts:v1\nHOST/mirror:v1";
    let step = job.run(&[("images", images), ("target", target), ("tags", "latest")]).success();
    assert_eq!(step.result()["indexes"][0]["entries"].as_array().unwrap().len(), 3);
    let (digest, amd64) = (job.digest("parts", "v1"), &job.fixture.digests[0]);
    let expected = formatdoc! {"
        ### Image index

        | Reference | Digest |
        | --- | --- |
        | `HOST/parts:v1` | `{digest}` |
        | `HOST/parts:latest` | `{digest}` |
        | `HOST/mirror:v1` | `{digest}` |
        | `HOST/mirror:latest` | `{digest}` |

        | Platform | Digest |
        | --- | --- |
        | `linux/amd64` | `{amd64}` |
        | `linux/riscv64` | `{image}` |
    "};
    assert_eq!(step.summary, job.fill(&expected));
}

#[test]
fn text_from_a_registry_is_plain_text_in_the_summary() {
    let job = Job::new();
    let registry = job.fixture.registry();
    let mut entry = push_image(registry, "parts", "windows", "amd64");
    let hostile = "10.0`|\n| <img src=x> [a](b) \\ \u{202e}\"digest\": ::error::";
    entry["platform"] = json!({"architecture": "amd64", "os": "windows", "os.version": hostile});
    entry["annotations"] = json!({"os": "x", "digest": "sha256:0", "attests": "y", "a": "\n      \"digest\": \"x\""});
    push_index(registry, "parts", "hostile", &[entry.clone()]);
    let inputs = [("images", "HOST/parts:hostile"), ("target", "HOST/parts:v1")];
    let step = job.run(&inputs).success();
    assert_eq!(step.result()["indexes"][0]["entries"][0]["platform"]["os.version"], hostile, "{step:?}");
    let row = step.summary.lines().last().unwrap();
    assert_eq!(
        row,
        format!("| `windows/amd64:10.0?n?img?src?x?a?b?u202e?digest?:?::error::` | `{}` |", text(&entry["digest"]))
    );
    assert_eq!(step.summary.lines().count(), 9, "{}", step.summary);
}

#[test]
fn the_summary_of_a_large_index_is_cut() {
    let job = Job::new();
    let registry = job.fixture.registry();
    let image = push_image(registry, "parts", "many", "amd64");
    let entry = |at: usize| {
        let mut entry = image.clone();
        entry["platform"] = json!({"architecture": "amd64", "os": "windows", "os.version": format!("10.0.{at}")});
        entry
    };
    push_index(registry, "parts", "large", &(0..203).map(entry).collect::<Vec<_>>());
    let step = job.run(&[("images", "HOST/parts:large"), ("target", "HOST/parts:v1")]).success();
    assert!(step.summary.ends_with("\n\n3 more images are not shown.\n"), "{step:?}");
    assert_eq!(step.summary.matches("| `windows/").count(), 200);
}

/// The script finds the command behind the global flags, and adds `--metadata-file` to the commands that have it.
#[test]
fn the_script_lists_the_commands_and_flags_of_the_program() {
    let commands = manifest_tool::cli::command();
    let has_flag =
        |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some("metadata-file"));
    let mut names: Vec<&str> = commands.get_subcommands().filter(has_flag).map(clap::Command::get_name).collect();
    names.sort_unstable();
    let script = read("action/run.sh");
    let pattern = format!("case $command in {}) write_document ;; esac", names.join(" | "));
    assert!(script.contains(&pattern), "{pattern}");

    let takes_next = |arg: &&clap::Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
    let mut flags: Vec<String> = Vec::new();
    for arg in commands.get_arguments().filter(takes_next) {
        flags.extend(arg.get_long().map(str::to_owned));
        flags.extend(arg.get_short().map(String::from));
    }
    flags.sort_unstable();
    let pattern = format!("\n            {})\n", flags.join(" | "));
    assert!(script.contains(&pattern), "{pattern}");
}

/// Runs the action's first step.
struct Installation {
    job: Job,
    server: String,
}

impl Installation {
    /// Creates a release to download, and a PATH with the tools that the script needs, without manifest-tool.
    fn new() -> Self {
        let job = Job::new();
        let server = release_server(job.fixture.sandbox.folder());
        let link_tools = "mkdir tools; for tool in bash sh cat cut tr grep mkdir curl sha256sum tar gzip; do \
                          ln -s $(command -v $tool) tools/; done";
        run(bash(job.fixture.sandbox.folder(), link_tools), "").success();
        Self { job, server }
    }

    fn run(&self, path: &str, variables: &[(&str, &str)]) -> Outcome {
        let sandbox = &self.job.fixture.sandbox;
        let action = yaml("action.yml");
        let step = &action["runs"]["steps"][0];
        assert_eq!(step["env"]["ACTION_REPOSITORY"], "${{ github.action_repository }}");
        let mut command = bash(sandbox.folder(), text(&step["run"]));
        command.env("ACTION_REPOSITORY", "OWNER/manifest-tool").env("GITHUB_SERVER_URL", &self.server);
        command.env("RUNNER_OS", "Linux").env("RUNNER_ARCH", "X64").env("PATH", path);
        command.env("GITHUB_PATH", sandbox.path("path.txt")).env("RUNNER_TEMP", sandbox.path("temporary"));
        command.envs(variables.iter().copied());
        run(command, "")
    }

    fn tools(&self) -> String {
        self.job.fixture.sandbox.path("tools").display().to_string()
    }

    /// Adds a cargo to the tools that only writes its arguments to a file.
    fn add_cargo(&self) {
        let script = format!("#!/bin/sh\necho \"$@\" >{}\n", self.job.fixture.sandbox.path("cargo.txt").display());
        self.job.write_program("tools/cargo", &script);
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.job.fixture.sandbox.path(name)).ok()
    }
}

const VERSION: &str = concat!("manifest-tool ", env!("CARGO_PKG_VERSION"), "\n");

#[test]
fn the_release_is_installed() {
    let installation = Installation::new();
    installation.add_cargo();
    installation.run(&installation.tools(), &[]).success();
    let bin = installation.read("path.txt").unwrap();
    let folder = installation.job.fixture.sandbox.folder();
    let version = run(external_command(&Path::new(bin.trim()).join("manifest-tool"), folder, &["--version"]), "");
    assert_eq!((version.stdout.as_str(), installation.read("cargo.txt")), (VERSION, None));
}

#[test]
fn an_installed_version_is_used_and_another_version_is_replaced() {
    let installation = Installation::new();
    installation.add_cargo();
    let script = format!("#!/bin/sh\necho {VERSION}");
    installation.job.write_program("installed/manifest-tool", &script);
    let path = format!("{}:{}", installation.job.fixture.sandbox.path("installed").display(), installation.tools());
    // Nothing can be downloaded from this server.
    installation.run(&path, &[("GITHUB_SERVER_URL", "file:///absent")]).success().stdout_is("");
    assert_eq!((installation.read("path.txt"), installation.read("cargo.txt")), (None, None));

    installation.job.write_program("installed/manifest-tool", "#!/bin/sh\necho manifest-tool 0.0.1\n");
    installation.run(&path, &[]).success();
    assert!(installation.read("path.txt").is_some());
}

#[test]
fn a_release_with_a_wrong_checksum_is_an_error() {
    let installation = Installation::new();
    installation.add_cargo();
    let folder = format!("releases/OWNER/manifest-tool/releases/download/v{}", env!("CARGO_PKG_VERSION"));
    let archive = format!("{folder}/manifest-tool-{}-linux-amd64.tar.gz", env!("CARGO_PKG_VERSION"));
    let sandbox = &installation.job.fixture.sandbox;
    let sums = installation.read(&format!("{folder}/SHA256SUMS")).unwrap();
    sandbox.write(&format!("{folder}/SHA256SUMS"), &sums.replace("-linux-amd64", "-linux-arm64"));
    installation.run(&installation.tools(), &[]).fails(1, "SHA256SUMS does not list manifest-tool-");
    sandbox.write(&format!("{folder}/SHA256SUMS"), &sums);
    let mut bytes = std::fs::read(sandbox.path(&archive)).unwrap();
    bytes.push(b'x');
    std::fs::write(sandbox.path(&archive), bytes).unwrap();
    installation.run(&installation.tools(), &[]).fails(1, "does not match its checksum");
    let installed = ["path.txt", "cargo.txt", "temporary/manifest-tool/bin/manifest-tool"];
    assert_eq!(installed.map(|name| installation.read(name)), [const { None }; 3]);
}

#[test]
fn without_a_release_the_source_is_built() {
    let installation = Installation::new();
    let other_system = [("RUNNER_OS", "macOS"), ("RUNNER_ARCH", "ARM64")];
    let missing = installation.run(&installation.tools(), &other_system);
    let reason = "-darwin-arm64.tar.gz (not found), so manifest-tool is built from source.";
    missing.fails(1, "needs cargo on PATH").stdout_contains(reason);
    installation.add_cargo();
    installation.run(&installation.tools(), &other_system).success();
    assert_eq!(installation.read("cargo.txt").unwrap(), format!("install --locked --path {ROOT} --root .\n"));
    assert!(installation.read("path.txt").is_some());
    let local = installation.run(&installation.tools(), &[("ACTION_REPOSITORY", "")]).success();
    assert_eq!(local.stderr, "");
}

#[test]
fn a_download_that_fails_is_an_error_and_an_annotation() {
    let installation = Installation::new();
    installation.add_cargo();
    // The port 1 refuses connections.
    let variables = [("GITHUB_SERVER_URL", "http://127.0.0.1:1/100%"), ("GITHUB_ACTIONS", "true")];
    let failed = installation.run(&installation.tools(), &variables);
    failed
        .fails(1, "error: could not download http://127.0.0.1:1/100%/OWNER/")
        .stderr_contains("\n::error title=manifest-tool::could not download http://127.0.0.1:1/100%25/OWNER/");
    assert_eq!(installation.read("cargo.txt"), None);
}

/// Returns the steps of a workflow or a part of it that use this action.
fn action_steps(value: &Value) -> Vec<&Value> {
    let is_action = value["uses"].as_str().is_some_and(|uses| uses.starts_with("OWNER/manifest-tool@"));
    let inner =
        value.as_array().into_iter().flatten().chain(value.as_object().into_iter().flat_map(|map| map.values()));
    is_action.then_some(value).into_iter().chain(inner.flat_map(action_steps)).collect()
}

#[test]
fn the_example_workflow_merges_digests() {
    let workflow = yaml("examples/pipelines/github-actions.yml");
    let (job, sandbox_of) = (Job::new(), |job: &Job| job.fixture.sandbox.folder().to_owned());
    let step = |job: &str, key: &str, value: &str| {
        let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
        steps.iter().find(|step| step[key].as_str().is_some_and(|text| text.starts_with(value))).unwrap()
    };
    let write = step("build", "name", "Write the digest");
    for digest in &job.fixture.digests {
        let mut command = bash(&sandbox_of(&job), &text(&write["run"]).replace("mkdir digests", "mkdir -p digests"));
        command.env("DIGEST", digest);
        run(command, "").success();
    }
    assert_eq!(step("build", "uses", "actions/upload-artifact")["with"]["path"], "digests");
    assert_eq!(step("merge", "uses", "actions/download-artifact")["with"]["path"], "digests");

    let [index_step] = action_steps(&workflow)[..] else { panic!("the workflow uses the action once") };
    let tags = "HOST/parts:1.2.3\nHOST/parts:1.2\nHOST/parts:latest";
    let fill = |value: &Value| {
        let value = text(value).replace("${{ steps.meta.outputs.tags }}", tags);
        value.replace("${{ steps.meta.outputs.annotations }}", "index:org.opencontainers.image.title=app")
    };
    let inputs = index_step["with"].as_object().unwrap();
    let inputs: Vec<(&str, String)> = inputs.iter().map(|(name, value)| (name.as_str(), fill(value))).collect();
    let inputs: Vec<(&str, &str)> = inputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let pushed = job.run(&inputs).success();
    let stored = index(job.fixture.registry(), "parts", "latest");
    assert_eq!(stored["annotations"]["org.opencontainers.image.title"], "app");
    let mut merged = architectures(&stored);
    merged.sort_unstable();
    assert_eq!((merged, job.digest("parts", "1.2.3")), (ARCHITECTURES.to_vec(), pushed.output("digest").to_owned()));

    let sign = step("merge", "name", "Verify and sign");
    assert_eq!(sign["env"]["REFERENCE"], "${{ steps.index.outputs.reference }}");
    job.write_program("bin/cosign", "#!/bin/sh\necho cosign \"$@\"\n");
    let mut command = bash(&sandbox_of(&job), text(&sign["run"]));
    let path = format!("{}:{}", job.fixture.sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    command.env("REFERENCE", pushed.output("reference")).env("PATH", path);
    run(command, "").success().stdout_contains(&format!("cosign sign --yes {}\n", pushed.output("reference")));
}

#[test]
fn examples_use_this_version_of_the_action_and_its_inputs() {
    let action = yaml("action.yml");
    let mut files: Vec<String> = Vec::new();
    for page in ["README.md", "docs/guides/github-actions.md"] {
        let blocks = Page::read(page).blocks().into_iter().filter(|block| block.language() == Some("yaml"));
        let snippets = blocks.map(|block| block.text).filter(|text| text.contains("uses: OWNER/manifest-tool@"));
        let snippets: Vec<String> = snippets.collect();
        assert!(!snippets.is_empty(), "{page}");
        files.extend(snippets);
    }
    files.push(read("examples/pipelines/github-actions.yml"));
    for file in files {
        let value: Value = serde_saphyr::from_str(&file).unwrap();
        for step in action_steps(&value) {
            assert_eq!(step["uses"], concat!("OWNER/manifest-tool@v", env!("CARGO_PKG_VERSION")));
            for (input, _) in step["with"].as_object().unwrap() {
                assert!(action["inputs"][input].is_object(), "{input}");
            }
        }
    }
}
