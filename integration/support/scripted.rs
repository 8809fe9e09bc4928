//! A server that answers what a test tells it to, for answers that no real registry gives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Registry;

pub struct Scripted {
    pub host: String,
    log: Arc<Mutex<Vec<Asked>>>,
    /// Connections that were opened so far.
    pub connections: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and target, such as `GET /v2/`.
    pub line: String,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub accept_encoding: Option<String>,
    pub body: Vec<u8>,
}

impl Asked {
    /// Whether it writes a manifest under a tag or digest.
    pub fn puts(&self, name: &str) -> bool {
        self.line.starts_with("PUT ") && self.line.ends_with(&format!("/manifests/{name}"))
    }
}

/// Status, headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Scripted {
    /// The answer is made from the request and this server's own host.
    pub fn start(answer: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (own, kept, answer) = (host.clone(), Arc::clone(&log), Arc::new(answer));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (own, kept, answer) = (own.clone(), Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &own, &kept, &*answer));
            }
        });
        Self { host, log, connections }
    }

    /// Stands in front of a registry: what `fault` does not answer goes on to it.
    pub fn before(registry: &Registry, fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let behind = registry.host.clone();
        Self::start(move |asked, host| fault(asked).unwrap_or_else(|| forward(asked, &behind, host)))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

/// Asks the registry behind, and makes it name `host` for its own.
pub fn forward(asked: &Asked, behind: &str, host: &str) -> Answer {
    let (method, target) = asked.line.split_once(' ').unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{behind}{target}"));
    request = request.header("Accept", manifest_tool::image::media_type::ACCEPT);
    for (name, value) in [("Content-Type", &asked.content_type), ("Authorization", &asked.authorization)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let mut answer = agent.run(request.body(asked.body.clone()).unwrap()).unwrap();
    let mut headers = Vec::new();
    if method == "HEAD"
        && let Some(length) = answer.headers().get("Content-Length")
    {
        headers.push(("Content-Length", length.to_str().unwrap().to_owned()));
    }
    for name in ["Content-Type", "Location", "Docker-Content-Digest", "WWW-Authenticate"] {
        if let Some(value) = answer.headers().get(name) {
            headers.push((name, value.to_str().unwrap().replace(behind, host)));
        }
    }
    (answer.status().as_u16(), headers, answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap())
}

fn serve(
    stream: TcpStream,
    host: &str,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, &str) -> Answer,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let asked = read_request(&mut reader)?;
        log.lock().unwrap().push(asked.clone());
        let (status, headers, body) = answer(&asked, host);
        let has_length = headers.iter().any(|(name, _)| *name == "Content-Length");
        let length = if has_length { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let stream = reader.get_mut();
        write!(stream, "HTTP/1.1 {status} X\r\n{headers}{length}\r\n").ok()?;
        if !asked.line.starts_with("HEAD") {
            stream.write_all(&body).ok()?;
        }
    }
}

/// The next request of a connection, if there is one.
pub fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.rsplit_once(' ')?.0.to_owned();
    let mut asked = Asked { line, authorization: None, content_type: None, accept_encoding: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "authorization" => asked.authorization = Some(value.to_owned()),
            "content-type" => asked.content_type = Some(value.to_owned()),
            "accept-encoding" => asked.accept_encoding = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    asked.body = vec![0; length];
    for piece in asked.body.chunks_mut(1 << 20) {
        reader.read_exact(piece).ok()?;
        if length > 1 << 20 {
            std::thread::sleep(Duration::from_millis(100)); // as on a slow link
        }
    }
    Some(asked)
}
