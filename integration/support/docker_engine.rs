//! Docker's engine, started for one test with its own folders and socket.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::certificates::CertificateAuthority;

/// A running `dockerd`. Stops when dropped.
pub struct DockerEngine {
    folder: tempfile::TempDir,
    daemon: Child,
    /// The port at which it speaks TLS, with clients whose certificates are in the folder `client`.
    tls_port: u16,
}

impl DockerEngine {
    /// Starts an engine without networks. Returns `None`, with a message, where it cannot run: it needs root and a kernel
    /// with control groups.
    pub fn start() -> Option<Self> {
        let program = ["/usr/sbin/dockerd", "/usr/bin/dockerd"].map(Path::new).into_iter().find(|path| path.exists());
        let Some(program) = program else { return skipped("dockerd is not installed") };
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new(program);
        command.args(["--iptables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]);
        command.args(["--storage-driver=vfs", "--data-root", &at("root"), "--exec-root", &at("exec")]);
        command.args(["--pidfile", &at("pid"), "-H", &format!("unix://{}", at("docker.sock"))]);
        let tls_port = free_port();
        let authority = CertificateAuthority::new(folder.path());
        let (certificate, key) = authority.issue(folder.path(), "server");
        command.args(["--tlsverify", "--tlscacert"]).arg(&authority.certificate);
        command.arg("--tlscert").arg(certificate).arg("--tlskey").arg(key);
        command.args(["-H", &format!("tcp://127.0.0.1:{tls_port}")]);
        let client = folder.path().join("client");
        std::fs::create_dir(&client).unwrap();
        let (certificate, key) = authority.issue(&client, "client");
        for (from, name) in [(authority.certificate, "ca.pem"), (certificate, "cert.pem"), (key, "key.pem")] {
            std::fs::copy(from, client.join(name)).unwrap();
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = command.spawn().unwrap();
        let mut engine = Self { folder, daemon, tls_port };
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            if let Some(status) = engine.daemon.try_wait().unwrap() {
                let log = std::fs::read_to_string(engine.folder.path().join("log")).unwrap();
                return skipped(&format!("dockerd ended with {status}: {}", log.lines().last().unwrap_or_default()));
            }
            if engine.docker(&["version"]).status.success() {
                return Some(engine);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("dockerd runs, but does not answer");
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The variables with which a client reaches the engine over TLS.
    pub fn tls_variables(&self) -> [(&'static str, String); 3] {
        let folder = self.folder.path().join("client").display().to_string();
        let host = format!("tcp://127.0.0.1:{}", self.tls_port);
        [("DOCKER_HOST", host), ("DOCKER_TLS_VERIFY", "1".into()), ("DOCKER_CERT_PATH", folder)]
    }

    /// The value of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs Docker's client.
    pub fn docker(&self, args: &[&str]) -> Output {
        Command::new("/usr/bin/docker").args(["-H", &self.host()]).args(args).output().unwrap()
    }

    /// Returns the ID of an image, which is the digest of its config.
    pub fn image_id(&self, name: &str) -> Option<String> {
        let output = self.docker(&["image", "inspect", "--format", "{{.Id}}", name]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

/// Returns a port that no program listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn skipped(reason: &str) -> Option<DockerEngine> {
    // Written directly, because the test harness hides what the macros print in tests that pass.
    let _ = std::io::stderr().write_all(format!("SKIPPED, no Docker engine: {reason}\n").as_bytes());
    None
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // A signal lets it stop the containerd that it started.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}
