//! A server whose responses are scripted by the test, for responses that no real registry sends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Registry;
use super::registry::http_agent;

pub struct ScriptedServer {
    pub host: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// Number of connections accepted so far.
    pub connections: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// The request line without the version, such as `GET /v2/`.
    pub line: String,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub accept_encoding: Option<String>,
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// Returns whether this request writes a manifest by this tag or digest.
    pub fn writes_manifest(&self, name: &str) -> bool {
        self.line.starts_with("PUT ") && self.line.ends_with(&format!("/manifests/{name}"))
    }
}

/// Status, headers and body.
pub type Response = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl ScriptedServer {
    /// Starts a server that responds with what `respond` returns for a request and the server's own host.
    pub fn start(respond: impl Fn(&ReceivedRequest, &str) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (server_host, log, respond) = (host.clone(), Arc::clone(&requests), Arc::new(respond));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (server_host, log, respond) = (server_host.clone(), Arc::clone(&log), Arc::clone(&respond));
                std::thread::spawn(move || serve(stream, &server_host, &log, &*respond));
            }
        });
        Self { host, requests, connections }
    }

    /// Starts a server that forwards a request to the registry if `respond` returns `None`.
    pub fn in_front_of(
        registry: &Registry,
        respond: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let upstream = registry.host.clone();
        Self::start(move |request, host| respond(request).unwrap_or_else(|| forward_request(request, &upstream, host)))
    }

    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

/// Forwards a request to the registry `upstream`, and replaces `upstream` with `host` in the response headers.
pub fn forward_request(request: &ReceivedRequest, upstream: &str, host: &str) -> Response {
    let (method, target) = request.line.split_once(' ').unwrap();
    let agent = http_agent();
    let mut forwarded = ureq::http::Request::builder().method(method).uri(format!("http://{upstream}{target}"));
    forwarded = forwarded.header("Accept", manifest_tool::image::media_type::ACCEPT);
    for (name, value) in [("Content-Type", &request.content_type), ("Authorization", &request.authorization)] {
        if let Some(value) = value {
            forwarded = forwarded.header(name, value);
        }
    }
    let mut response = agent.run(forwarded.body(request.body.clone()).unwrap()).unwrap();
    let mut headers = Vec::new();
    if method == "HEAD"
        && let Some(length) = response.headers().get("Content-Length")
    {
        headers.push(("Content-Length", length.to_str().unwrap().to_owned()));
    }
    for name in ["Content-Type", "Location", "Docker-Content-Digest", "WWW-Authenticate", "OCI-Tag"] {
        for value in response.headers().get_all(name) {
            headers.push((name, value.to_str().unwrap().replace(upstream, host)));
        }
    }
    (response.status().as_u16(), headers, response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap())
}

fn serve(
    stream: TcpStream,
    host: &str,
    log: &Mutex<Vec<ReceivedRequest>>,
    respond: &dyn Fn(&ReceivedRequest, &str) -> Response,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read_request(&mut reader)?;
        log.lock().unwrap().push(request.clone());
        let (status, headers, body) = respond(&request, host);
        let has_length = headers.iter().any(|(name, _)| *name == "Content-Length");
        let length = if has_length { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let stream = reader.get_mut();
        write!(stream, "HTTP/1.1 {status} X\r\n{headers}{length}\r\n").ok()?;
        if !request.line.starts_with("HEAD") {
            stream.write_all(&body).ok()?;
        }
    }
}

/// Reads the next request of a connection, or returns `None` when the client has closed it.
pub fn read_request(reader: &mut BufReader<TcpStream>) -> Option<ReceivedRequest> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.rsplit_once(' ')?.0.to_owned();
    let mut request =
        ReceivedRequest { line, authorization: None, content_type: None, accept_encoding: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "content-type" => request.content_type = Some(value.to_owned()),
            "accept-encoding" => request.accept_encoding = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    request.body = vec![0; length];
    for piece in request.body.chunks_mut(1 << 20) {
        reader.read_exact(piece).ok()?;
        if length > 1 << 20 {
            std::thread::sleep(Duration::from_millis(100)); // simulates a slow link
        }
    }
    Some(request)
}
