//! Debian's `docker-registry` (CNCF distribution) on a free loopback port, with a storage folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

pub struct Registry {
    process: Child,
    pub host: String,
    pub folder: tempfile::TempDir,
    agent: ureq::Agent,
    authorization: Option<String>,
}

pub struct Found {
    pub digest: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with("", None)
    }

    /// `extra` is YAML for the registry's configuration; `authorization` is what this module's own requests carry.
    pub fn start_with(extra: &str, authorization: Option<String>) -> Self {
        // The port is free when asked for; where something else takes it first, another is tried.
        (0..5).find_map(|_| Self::try_start(extra, authorization.clone())).expect("docker-registry comes up")
    }

    fn try_start(extra: &str, authorization: Option<String>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: \"{host}\"\n{extra}",
            folder.path().join("storage").display()
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(folder.path().join("registry.log")).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve".as_ref(), file.as_os_str()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("docker-registry is installed (`make test` installs it)");
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut registry = Self { process, host, folder, agent, authorization };
        if registry.wait_until_up() {
            return Some(registry);
        }
        eprintln!("{}", std::fs::read_to_string(registry.folder.path().join("registry.log")).unwrap_or_default());
        None
    }

    fn wait_until_up(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if std::net::TcpStream::connect(&self.host).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/{path}", self.host)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }

    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let opened =
            self.authorized(self.agent.post(self.url(&format!("{repository}/blobs/uploads/")))).send_empty().unwrap();
        let location = opened.headers().get("location").unwrap().to_str().unwrap().to_owned();
        let answer = self
            .authorized(self.agent.put(format!("{location}&digest={digest}")))
            .header("Content-Type", "application/octet-stream")
            .send(bytes)
            .unwrap();
        assert_eq!(answer.status(), 201, "blob {digest} in {repository}");
        digest
    }

    pub fn push_manifest(&self, repository: &str, name: &str, media_type: &str, bytes: &[u8]) {
        let url = self.url(&format!("{repository}/manifests/{name}"));
        let request = self.authorized(self.agent.put(url)).header("Content-Type", media_type);
        let mut answer = request.send(bytes).unwrap();
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        assert_eq!(answer.status(), 201, "manifest {repository}:{name}: {said}");
    }

    /// What the registry has under a tag or digest, or nothing when it answers 404.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Found> {
        let url = self.url(&format!("{repository}/manifests/{name}"));
        let accept = manifest_tool::image::media_type::ACCEPT;
        let ask = || self.authorized(self.agent.get(&url)).header("Accept", accept).call().unwrap();
        let mut answer = ask();
        // This registry writes a tag's file in two steps: who reads it between them is told of an error.
        for _ in 0..20 {
            if answer.status() != 500 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            answer = ask();
        }
        if answer.status() == 404 {
            return None;
        }
        assert_eq!(answer.status(), 200, "{repository}:{name}");
        let media_type = answer.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        let bytes = answer.body_mut().read_to_vec().unwrap();
        Some(Found { digest: sha256(&bytes), media_type, bytes })
    }

    /// The requests that manifest-tool sent since `mark` (0, or the length of an earlier answer), from the registry's
    /// own access log, such as `GET /v2/app/manifests/v1`.
    pub fn requests(&self, mark: usize) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("registry.log")).unwrap();
        let ours = log.lines().filter(|line| line.contains("\"manifest-tool/"));
        ours.filter_map(|line| line.split('"').nth(1)?.strip_suffix(" HTTP/1.1").map(str::to_owned))
            .skip(mark)
            .collect()
    }

    /// How many requests anyone but these tests sent.
    #[allow(dead_code, reason = "the benchmark's")]
    pub fn all_requests(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("registry.log")).unwrap();
        log.lines().filter(|line| line.contains(" HTTP/1.1\" ") && !line.contains("\"ureq/")).count()
    }

    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        self.authorized(self.agent.head(url)).call().unwrap().status() == 200
    }

    /// All files in the registry's storage with their contents' digests: equal before and after, it is untouched.
    pub fn snapshot(&self) -> Vec<String> {
        fn walk(folder: &Path, out: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), out);
                } else {
                    out.push(format!("{} {}", entry.path().display(), sha256(&std::fs::read(entry.path()).unwrap())));
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.folder.path().join("storage"), &mut out);
        out.sort();
        out
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
