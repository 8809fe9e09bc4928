//! Runs the built `manifest-tool` as a user would, isolated from this machine's Docker configuration.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

#[derive(Debug)]
pub struct Outcome {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Asserts exit code 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.exit, 0, "{self:?}");
        self
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        self
    }

    /// Asserts the exit code, and that stderr contains `text`.
    #[track_caller]
    pub fn fails(self, exit: i32, text: &str) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        assert!(self.stderr.contains(text), "stderr lacks {text:?}: {self:?}");
        self
    }

    /// Asserts that stdout contains `text`.
    #[track_caller]
    pub fn stdout_contains(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks {text:?}: {self:?}");
        self
    }

    /// Asserts that stderr contains `text`.
    #[track_caller]
    pub fn stderr_contains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}: {self:?}");
        self
    }

    /// Asserts that stderr does not contain `text`.
    #[track_caller]
    pub fn stderr_lacks(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "stderr contains {text:?}: {self:?}");
        self
    }

    /// Returns the messages of the debug log, without the time.
    pub fn debug_log(&self) -> Vec<&str> {
        let lines = self.stderr.lines().filter_map(|line| line.strip_prefix("debug: ["));
        lines.map(|line| line.split_once(" s] ").unwrap_or_else(|| panic!("no time: {line}")).1).collect()
    }

    /// Asserts all of stdout.
    #[track_caller]
    pub fn stdout_is(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{self:?}");
        self
    }

    /// Asserts that stdout is a JSON document, and returns it.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn manifest_tool(folder: &Path, args: &[&str]) -> Outcome {
    run(command(folder, args), "")
}

pub fn manifest_tool_with_stdin(folder: &Path, args: &[&str], stdin: &str) -> Outcome {
    run(command(folder, args), stdin)
}

/// Runs `push from-args` over plain HTTP, with the template and the target on the same host.
pub fn push_from_args(host: &str, platforms: &str, template: &str, target: &str, more: &[&str]) -> Outcome {
    let (template, target) = (format!("{host}/{template}"), format!("{host}/{target}"));
    let args =
        ["--plain-http", "push", "from-args", "--platforms", platforms, "--template", &template, "--target", &target];
    let folder = tempfile::tempdir().unwrap();
    manifest_tool(folder.path(), &args.iter().chain(more).copied().collect::<Vec<_>>())
}

/// Returns a command for `manifest-tool`. Its environment has no variables for credentials, certificates and proxies.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    external_command(env!("CARGO_BIN_EXE_manifest-tool").as_ref(), folder, args)
}

/// Returns a command for any program. Its environment has no variables for credentials, certificates and proxies, and
/// none that change messages.
pub fn external_command(program: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("HOME", folder);
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        let prefixes = ["CONTAINERS_", "DOCKER_", "MANIFEST_TOOL_", "REGISTRY_", "XDG_", "SSL_CERT_"];
        if upper.ends_with("_PROXY")
            || ["GITHUB_ACTIONS", "NO_COLOR"].contains(&upper.as_str())
            || prefixes.iter().any(|prefix| upper.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

pub fn run(mut command: Command, stdin: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("manifest-tool starts");
    // The write fails if the program exits without reading its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    wait(child)
}

/// Starts a command and returns while it runs, for tests that interrupt it.
pub fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a process exits, and asserts that it did not panic.
pub fn wait(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    check_document(&outcome.stdout);
    outcome
}

/// Validates stdout against `docs/output.schema.json` if it is a document of `--output json`.
fn check_document(stdout: &str) {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = include_str!("../../docs/output.schema.json");
        jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
    });
    if !stdout.starts_with("{\n  \"version\": ") {
        return;
    }
    // A shell script may print more after the document.
    let document = serde_json::Deserializer::from_str(stdout).into_iter().next().unwrap().unwrap();
    let errors: Vec<String> = VALIDATOR.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{}\n{stdout}", errors.join("\n"));
}

/// Runs a command, and returns its outcome and its peak resident memory in kB.
pub fn run_with_peak_memory(mut command: Command) -> (Outcome, u64) {
    // Output goes to files, because a full pipe would block the process.
    let [stdout, stderr] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    let [out, err] = [&stdout, &stderr].map(|file| file.reopen().unwrap());
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    let process = format!("/proc/{}", child.id());
    // Read from /proc, because the value from wait4 includes the memory of the parent process.
    let mut peak = 0;
    let exit = loop {
        // For a moment after vfork has returned, the child still has the memory and the executable of this process.
        let executable = std::fs::read_link(format!("{process}/exe")).ok();
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        if executable.is_some() && executable != std::env::current_exe().ok() {
            peak = kilobytes.unwrap_or(0).max(peak);
        }
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let [stdout, stderr] = [&stdout, &stderr].map(|file| std::fs::read_to_string(file.path()).unwrap());
    assert!(!stderr.contains("panicked") && !stderr.contains("memory allocation"), "{stderr:.2000}");
    (Outcome { exit: exit.code().unwrap_or(-1), stdout, stderr }, peak)
}

/// Sends a signal, such as `TERM`, to a process.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
