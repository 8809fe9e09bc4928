//! Runs Debian's `docker-registry` (CNCF distribution) on a free loopback port, with its own storage folder.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// Output of `htpasswd -nbB user secret-word`.
const HTPASSWD: &str = "user:$2y$05$056i4UwkOkmr8a6t4JftYeoiDncHQkaKx132QyN.auDcEXhuVetuW\n";

/// Output of `htpasswd -nbB pusher target-word`.
const PUSHER: &str = "pusher:$2y$05$056i4UwkOkmr8a6t4JftYe3kO/R7.IF4QbYjhmTN52UnJ9hw/k/gC\n";

/// The flags that sign in to a registry started by [`Registry::with_htpasswd`].
pub const LOGIN: [&str; 4] = ["--username", "user", "--password", "secret-word"];

/// The base64 form of `user:secret-word`, for Docker's configuration and the Authorization header.
pub fn basic_credentials() -> String {
    BASE64_STANDARD.encode("user:secret-word")
}

pub struct Registry {
    process: Child,
    pub host: String,
    pub folder: tempfile::TempDir,
    agent: ureq::Agent,
    authorization: Option<String>,
}

/// Returns an HTTP client that returns every status as a response.
pub fn http_agent() -> ureq::Agent {
    // The default buffers of 128 KiB take longer to zero in a debug build than the request itself.
    let (input, output) = (16 << 10, 16 << 10);
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.input_buffer_size(input).output_buffer_size(output).build().into()
}

pub struct StoredManifest {
    pub digest: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with("", None)
    }

    /// Starts a registry that accepts only the user `user` with the password `secret-word`.
    pub fn with_htpasswd() -> Self {
        let auth = "auth: {htpasswd: {realm: test, path: REGISTRY_FOLDER/htpasswd}}\n";
        Self::start_with(auth, Some(format!("Basic {}", basic_credentials())))
    }

    /// Starts a registry that accepts only the user `pusher` with the password `target-word`.
    pub fn with_pusher() -> Self {
        let auth = "auth: {htpasswd: {realm: test, path: REGISTRY_FOLDER/pusher}}\n";
        Self::start_with(auth, Some(format!("Basic {}", BASE64_STANDARD.encode("pusher:target-word"))))
    }

    /// Starts a registry that accepts the users of [`Self::with_htpasswd`] and [`Self::with_pusher`].
    pub fn with_two_users() -> Self {
        let auth = "auth: {htpasswd: {realm: test, path: REGISTRY_FOLDER/both}}\n";
        Self::start_with(auth, Some(format!("Basic {}", basic_credentials())))
    }

    /// Starts a registry with `extra` YAML in its configuration, in which `REGISTRY_FOLDER` is replaced with the
    /// registry's folder. Requests of this module carry the `authorization` header.
    pub fn start_with(extra: &str, authorization: Option<String>) -> Self {
        // Another process may take the free port before the registry binds it: try again with another port.
        (0..5).find_map(|_| Self::try_start(extra, authorization.clone())).expect("docker-registry starts")
    }

    fn try_start(extra: &str, authorization: Option<String>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let config = indoc::formatdoc! {"
            version: 0.1
            log: {{level: warn}}
            storage:
              filesystem: {{rootdirectory: REGISTRY_FOLDER/storage}}
              delete: {{enabled: true}}
            http:
              addr: \"{host}\"
        "};
        let config = (config + extra).replace("REGISTRY_FOLDER", folder.path().to_str().unwrap());
        for (name, users) in [("htpasswd", vec![HTPASSWD]), ("pusher", vec![PUSHER]), ("both", vec![HTPASSWD, PUSHER])]
        {
            std::fs::write(folder.path().join(name), users.concat()).unwrap();
        }
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
        let agent = http_agent();
        let mut registry = Self { process, host, folder, agent, authorization };
        if registry.wait_until_ready() {
            return Some(registry);
        }
        eprintln!("{}", std::fs::read_to_string(registry.folder.path().join("registry.log")).unwrap_or_default());
        None
    }

    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if std::net::TcpStream::connect(&self.host).is_ok() && self.listens() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Whether this process listens on the port, and not another server that took the port first.
    fn listens(&self) -> bool {
        let port: u16 = self.host.rsplit_once(':').unwrap().1.parse().unwrap();
        let local_address = format!("{:08X}:{port:04X}", u32::from(Ipv4Addr::LOCALHOST).to_be());
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        // proc(5): the fields of a socket begin with number, local address, remote address and state; the inode is tenth.
        let inode = sockets.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(1) == Some(&&*local_address) && fields.get(3) == Some(&"0A")).then(|| fields[9].to_owned())
        });
        let Some(inode) = inode else { return false };
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| target.to_string_lossy() == format!("socket:[{inode}]"))
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
        let session =
            self.authorized(self.agent.post(self.url(&format!("{repository}/blobs/uploads/")))).send_empty().unwrap();
        let location = session.headers().get("location").unwrap().to_str().unwrap().to_owned();
        let response = self
            .authorized(self.agent.put(format!("{location}&digest={digest}")))
            .header("Content-Type", "application/octet-stream")
            .send(bytes)
            .unwrap();
        assert_eq!(response.status(), 201, "blob {digest} in {repository}");
        digest
    }

    pub fn push_manifest(&self, repository: &str, name: &str, media_type: &str, bytes: &[u8]) {
        let url = self.url(&format!("{repository}/manifests/{name}"));
        let request = self.authorized(self.agent.put(url)).header("Content-Type", media_type);
        let mut response = request.send(bytes).unwrap();
        let body = response.body_mut().read_to_string().unwrap_or_default();
        assert_eq!(response.status(), 201, "manifest {repository}:{name}: {body}");
    }

    /// Returns the manifest that a tag or digest resolves to, or `None` if the registry responds with 404.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<StoredManifest> {
        let url = self.url(&format!("{repository}/manifests/{name}"));
        let accept = manifest_tool::image::media_type::ACCEPT;
        let fetch = || self.authorized(self.agent.get(&url)).header("Accept", accept).call().unwrap();
        let mut response = fetch();
        // This registry writes a tag's file in two steps, and responds with 500 to a read between them.
        for _ in 0..20 {
            if response.status() != 500 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            response = fetch();
        }
        if response.status() == 404 {
            return None;
        }
        assert_eq!(response.status(), 200, "{repository}:{name}");
        let media_type = response.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        let bytes = response.body_mut().read_to_vec().unwrap();
        Some(StoredManifest { digest: sha256(&bytes), media_type, bytes })
    }

    /// Returns the requests that manifest-tool has sent, such as `GET /v2/app/manifests/v1`, without the first `mark`.
    /// Reads the registry's access log.
    pub fn requests(&self, mark: usize) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("registry.log")).unwrap();
        let lines = log.lines().filter(|line| line.contains("\"manifest-tool/"));
        lines
            .filter_map(|line| line.split('"').nth(1)?.strip_suffix(" HTTP/1.1").map(str::to_owned))
            .skip(mark)
            .collect()
    }

    /// Returns the number of requests from all clients except this module.
    #[allow(dead_code, reason = "used by the benchmark")]
    pub fn all_requests(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("registry.log")).unwrap();
        log.lines().filter(|line| line.contains(" HTTP/1.1\" ") && !line.contains("\"ureq/")).count()
    }

    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        self.authorized(self.agent.head(url)).call().unwrap().status() == 200
    }

    /// Returns the paths and content digests of all files in the registry's storage, to show that it did not change.
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
