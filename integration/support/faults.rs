//! A proxy that injects network and protocol faults between a client and a real registry.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Registry;
use super::registry::sha256;
use super::scripted_server::{ReceivedRequest, Response, forward_request, read_request};

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Resets the connection, then refuses new ones for this long.
    ConnectionRefused(Duration),
    /// Resets the connection without forwarding the request.
    ResetOnRequest,
    /// Forwards the request, then resets the connection instead of responding.
    LostResponse,
    /// Resets the connection in the middle of the response.
    ResetMidResponse,
    /// Forwards the request, but never responds.
    Stall,
    /// Closes the connection in the middle of the response, as if it were complete.
    TruncatedResponse,
    /// Responds with this status, headers and body without forwarding the request.
    CannedResponse(u16, Vec<(&'static str, String)>, &'static str),
    /// Keeps the registry's status and headers, but sends a different body.
    WrongBody,
    WrongDigest,
    /// Omits Content-Type, Location and Docker-Content-Digest.
    MissingHeaders,
    /// Sends a body that does not end.
    EndlessBody,
}

pub struct FaultProxy {
    pub host: String,
    stopped: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// Number of faults injected so far.
    pub fired: Arc<AtomicUsize>,
}

impl FaultProxy {
    /// Forwards what `rewrite` returns for each request, and injects the fault that `choose_fault` returns for it.
    pub fn in_front_of(
        registry: &Registry,
        rewrite: impl Fn(&ReceivedRequest) -> ReceivedRequest + Send + Sync + 'static,
        choose_fault: impl Fn(&ReceivedRequest) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::in_front_of_host(&registry.host, rewrite, choose_fault)
    }

    /// Does the same as [`Self::in_front_of`] for any server.
    pub fn in_front_of_host(
        upstream: &str,
        rewrite: impl Fn(&ReceivedRequest) -> ReceivedRequest + Send + Sync + 'static,
        choose_fault: impl Fn(&ReceivedRequest) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (fired, stopped, requests) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::default());
        let listening = Arc::new(Listening {
            host: host.clone(),
            upstream: upstream.to_owned(),
            rewrite: Box::new(rewrite),
            choose_fault: Box::new(choose_fault),
            refuse_until: Mutex::default(),
            fired: Arc::clone(&fired),
            requests: Arc::clone(&requests),
        });
        let stop = Arc::clone(&stopped);
        std::thread::spawn(move || listening.accept(listener, &stop));
        Self { host, stopped, requests, fired }
    }

    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the number of received requests that match.
    pub fn count(&self, matches: impl Fn(&ReceivedRequest) -> bool) -> usize {
        self.requests().iter().filter(|request| matches(request)).count()
    }

    /// Waits until at least `count` matching requests have been received.
    pub fn wait_for_requests(&self, count: usize, matches: impl Fn(&ReceivedRequest) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.count(&matches) < count {
            assert!(Instant::now() < deadline, "{:?}", self.requests());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        wake_listener(&self.host);
    }
}

/// Ends a blocking `accept`, so that the listener sees a changed state.
fn wake_listener(host: &str) {
    let _ = TcpStream::connect(host);
}

type ChooseFault = dyn Fn(&ReceivedRequest) -> Option<Fault> + Send + Sync;

/// State that the listener and its connections share.
struct Listening {
    host: String,
    upstream: String,
    rewrite: Box<dyn Fn(&ReceivedRequest) -> ReceivedRequest + Send + Sync>,
    choose_fault: Box<ChooseFault>,
    refuse_until: Mutex<Option<Instant>>,
    fired: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Listening {
    /// Accepts connections. While a fault refuses them, no listener exists.
    fn accept(self: &Arc<Self>, mut listener: TcpListener, stopped: &AtomicBool) {
        while !stopped.load(Ordering::SeqCst) {
            let refuse_until = self.refuse_until.lock().unwrap().take();
            if let Some(until) = refuse_until {
                drop(listener);
                while Instant::now() < until && !stopped.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                listener = loop {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    match TcpListener::bind(&self.host) {
                        Ok(listener) => break listener,
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                };
            }
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let listening = Arc::clone(self);
            std::thread::spawn(move || listening.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let request = read_request(&mut reader)?;
            self.requests.lock().unwrap().push(request.clone());
            let fault = (self.choose_fault)(&request);
            self.fired.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
            let forward = || forward_request(&(self.rewrite)(&request), &self.upstream, &self.host);
            let (is_head, stream) = (request.line.starts_with("HEAD"), reader.get_mut());
            match fault {
                None => send(stream, &forward(), is_head)?,
                Some(Fault::ConnectionRefused(time)) => {
                    *self.refuse_until.lock().unwrap() = Some(Instant::now() + time);
                    wake_listener(&self.host);
                    return reset(stream);
                }
                Some(Fault::ResetOnRequest) => return reset(stream),
                Some(Fault::LostResponse) => {
                    forward();
                    return reset(stream);
                }
                Some(Fault::ResetMidResponse) => {
                    send_half(stream, &forward(), is_head)?;
                    // Gives the client time to receive the first half before the reset discards it.
                    std::thread::sleep(Duration::from_millis(5));
                    return reset(stream);
                }
                Some(Fault::Stall) => {
                    forward();
                    std::thread::sleep(Duration::from_secs(5));
                    return None;
                }
                Some(Fault::TruncatedResponse) => return send_half(stream, &forward(), is_head),
                Some(Fault::CannedResponse(status, headers, body)) => {
                    send(stream, &(status, headers, body.as_bytes().to_vec()), is_head)?;
                }
                Some(Fault::WrongBody) => {
                    let (status, headers, _) = forward();
                    send(stream, &(status, headers, b"{}".to_vec()), is_head)?;
                }
                Some(Fault::WrongDigest) => {
                    let (status, mut headers, body) = forward();
                    headers.retain(|(name, _)| *name != "Docker-Content-Digest");
                    headers.push(("Docker-Content-Digest", sha256(b"another")));
                    send(stream, &(status, headers, body), is_head)?;
                }
                Some(Fault::MissingHeaders) => {
                    let (status, _, body) = forward();
                    send(stream, &(status, Vec::new(), body), is_head)?;
                }
                Some(Fault::EndlessBody) => return send_endless_body(stream, &forward()),
            }
        }
    }
}

fn head((status, headers, _): &Response, length_header: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} X\r\n{headers}{length_header}\r\n\r\n")
}

fn head_and_body(response: &Response, is_head: bool) -> (String, &[u8]) {
    let body = &response.2[..];
    (head(response, &format!("Content-Length: {}", body.len())), if is_head { &[] } else { body })
}

fn send(stream: &mut TcpStream, response: &Response, is_head: bool) -> Option<()> {
    let (head, body) = head_and_body(response, is_head);
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

/// Sends half of the body, or half of the head if the body is empty.
fn send_half(stream: &mut TcpStream, response: &Response, is_head: bool) -> Option<()> {
    let (head, body) = head_and_body(response, is_head);
    let bytes = [head.as_bytes(), body].concat();
    let length = if body.is_empty() { head.len() / 2 } else { head.len() + body.len() / 2 };
    stream.write_all(&bytes[..length]).ok()
}

fn send_endless_body(stream: &mut TcpStream, response: &Response) -> Option<()> {
    stream.write_all(head(response, "Transfer-Encoding: chunked").as_bytes()).ok()?;
    let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
    // 256 MiB: far beyond every limit, yet a failing test still ends.
    (0..4096).try_for_each(|_| stream.write_all(&chunk).ok())
}

/// Closes the connection with a TCP reset.
fn reset(stream: &TcpStream) -> Option<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok()?;
    None
}
