//! A server that answers what a test tells it to, for answers that no real registry gives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Scripted {
    pub host: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and target, such as `GET /v2/`.
    pub line: String,
    pub authorization: Option<String>,
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
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, kept, answer) = (own.clone(), Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &own, &kept, &*answer));
            }
        });
        Self { host, log }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    host: &str,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, &str) -> Answer,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut asked = Asked { line: line.rsplit_once(' ')?.0.to_owned(), authorization: None };
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "authorization" => asked.authorization = Some(value.to_owned()),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        log.lock().unwrap().push(asked.clone());
        let (status, headers, body) = answer(&asked, host);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let stream = reader.get_mut();
        write!(stream, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).ok()?;
        if !asked.line.starts_with("HEAD") {
            stream.write_all(&body).ok()?;
        }
    }
}
