//! Runs the built `manifest-tool` as a user would, with nothing of this machine's Docker configuration.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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

    /// Asserts the exit code, and that stderr contains `text`.
    #[track_caller]
    pub fn fails(self, exit: i32, text: &str) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        assert!(self.stderr.contains(text), "stderr lacks {text:?}: {self:?}");
        self
    }

    /// Asserts that stdout is a JSON document.
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

/// `push from-args` over plain HTTP, with sources named by `TEMPLATE` and `TARGET` at one host.
pub fn push_from_args(host: &str, platforms: &str, template: &str, target: &str, more: &[&str]) -> Outcome {
    let (template, target) = (format!("{host}/{template}"), format!("{host}/{target}"));
    let args =
        ["--plain-http", "push", "from-args", "--platforms", platforms, "--template", &template, "--target", &target];
    let folder = tempfile::tempdir().unwrap();
    manifest_tool(folder.path(), &args.iter().chain(more).copied().collect::<Vec<_>>())
}

/// Of this machine's environment nothing that says where credentials, certificates and proxies are.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    other_command(env!("CARGO_BIN_EXE_manifest-tool").as_ref(), folder, args)
}

/// The same for another program.
pub fn other_command(program: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("HOME", folder);
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        let starts = ["DOCKER_", "MANIFEST_TOOL_", "REGISTRY_", "XDG_", "SSL_CERT_"];
        if upper.ends_with("_PROXY") || starts.iter().any(|start| upper.starts_with(start)) {
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
    // A program that does not read its standard input closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    end(child)
}

/// Starts it, so that something can happen to it on its way.
pub fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until it has ended.
pub fn end(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    outcome
}

/// Runs it to its end; gives also the most memory that it had in use, in kB.
pub fn peak_of(mut command: Command) -> (Outcome, u64) {
    // Into files: a pipe that is not read would hold it up.
    let [stdout, stderr] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    let [out, err] = [&stdout, &stderr].map(|file| file.reopen().unwrap());
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    // Its own peak: what wait4 tells counts that of the process that started it as well.
    let mut peak = 0;
    let exit = loop {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = kilobytes.unwrap_or(0).max(peak);
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let [stdout, stderr] = [&stdout, &stderr].map(|file| std::fs::read_to_string(file.path()).unwrap());
    assert!(!stderr.contains("panicked") && !stderr.contains("memory allocation"), "{stderr:.2000}");
    (Outcome { exit: exit.code().unwrap_or(-1), stdout, stderr }, peak)
}

/// Sends a signal, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
