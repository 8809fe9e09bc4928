//! Faults between a client and a real registry, on the wire.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Registry;
use super::registry::sha256;
use super::scripted::{Answer, Asked, forward, read_request};

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The connection is reset, and for a while no other is taken.
    Refused(Duration),
    /// Reset before the registry hears of the request.
    ResetBefore,
    /// The registry does what is asked, and the answer is lost.
    LostAnswer,
    /// Reset in the middle of the answer.
    ResetMiddle,
    /// The registry does what is asked, and nothing comes.
    Stall,
    /// The connection is closed in the middle of the answer, as if that were its end.
    Truncated,
    /// Another answer; the registry does not hear of the request.
    Instead(u16, Vec<(&'static str, String)>, &'static str),
    /// Another body, with the registry's own headers.
    WrongBody,
    WrongDigest,
    /// Without Content-Type, Location and Docker-Content-Digest.
    NoHeaders,
    /// A body that does not end.
    Endless,
}

pub struct Faulty {
    pub host: String,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Faults so far.
    pub fired: Arc<AtomicUsize>,
}

impl Faulty {
    /// What `rewrite` gives is asked of the registry; `pick` says what goes wrong with a request.
    pub fn before(
        registry: &Registry,
        rewrite: impl Fn(&Asked) -> Asked + Send + Sync + 'static,
        pick: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (fired, ended, asked) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::default());
        let front = Arc::new(Front {
            host: host.clone(),
            behind: registry.host.clone(),
            rewrite: Box::new(rewrite),
            pick: Box::new(pick),
            closed_until: Mutex::default(),
            fired: Arc::clone(&fired),
            asked: Arc::clone(&asked),
        });
        let over = Arc::clone(&ended);
        std::thread::spawn(move || front.accept(listener, &over));
        Self { host, ended, asked, fired }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it was asked for something.
    pub fn count(&self, of: impl Fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|asked| of(asked)).count()
    }

    /// Waits until it has been asked for something so often.
    pub fn until_asked(&self, times: usize, of: impl Fn(&Asked) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.count(&of) < times {
            assert!(Instant::now() < until, "{:?}", self.asked());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

type Picks = dyn Fn(&Asked) -> Option<Fault> + Send + Sync;

struct Front {
    host: String,
    behind: String,
    rewrite: Box<dyn Fn(&Asked) -> Asked + Send + Sync>,
    pick: Box<Picks>,
    closed_until: Mutex<Option<Instant>>,
    fired: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Front {
    /// Takes connections, but where a fault says that they are to be refused: then there is no listener.
    fn accept(self: &Arc<Self>, mut listener: TcpListener, ended: &AtomicBool) {
        listener.set_nonblocking(true).unwrap();
        while !ended.load(Ordering::SeqCst) {
            let closed_until = self.closed_until.lock().unwrap().take();
            if let Some(until) = closed_until {
                drop(listener);
                while Instant::now() < until && !ended.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                listener = loop {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    match TcpListener::bind(&self.host) {
                        Ok(listener) => break listener,
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                };
                listener.set_nonblocking(true).unwrap();
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let front = Arc::clone(self);
                    std::thread::spawn(move || front.serve(stream));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let asked = read_request(&mut reader)?;
            self.asked.lock().unwrap().push(asked.clone());
            let fault = (self.pick)(&asked);
            self.fired.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
            let answer = || forward(&(self.rewrite)(&asked), &self.behind, &self.host);
            let (is_head, stream) = (asked.line.starts_with("HEAD"), reader.get_mut());
            match fault {
                None => send(stream, &answer(), is_head)?,
                Some(Fault::Refused(time)) => {
                    *self.closed_until.lock().unwrap() = Some(Instant::now() + time);
                    return reset(stream);
                }
                Some(Fault::ResetBefore) => return reset(stream),
                Some(Fault::LostAnswer) => {
                    answer();
                    return reset(stream);
                }
                Some(Fault::ResetMiddle) => {
                    half(stream, &answer(), is_head)?;
                    // What is in the client's own buffer by then it may still read.
                    std::thread::sleep(Duration::from_millis(5));
                    return reset(stream);
                }
                Some(Fault::Stall) => {
                    answer();
                    std::thread::sleep(Duration::from_secs(5));
                    return None;
                }
                Some(Fault::Truncated) => return half(stream, &answer(), is_head),
                Some(Fault::Instead(status, headers, body)) => {
                    send(stream, &(status, headers, body.as_bytes().to_vec()), is_head)?;
                }
                Some(Fault::WrongBody) => {
                    let (status, headers, _) = answer();
                    send(stream, &(status, headers, b"{}".to_vec()), is_head)?;
                }
                Some(Fault::WrongDigest) => {
                    let (status, mut headers, body) = answer();
                    headers.retain(|(name, _)| *name != "Docker-Content-Digest");
                    headers.push(("Docker-Content-Digest", sha256(b"another")));
                    send(stream, &(status, headers, body), is_head)?;
                }
                Some(Fault::NoHeaders) => {
                    let (status, _, body) = answer();
                    send(stream, &(status, Vec::new(), body), is_head)?;
                }
                Some(Fault::Endless) => return endless(stream, &answer()),
            }
        }
    }
}

fn head((status, headers, _): &Answer, length: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n\r\n")
}

fn whole(answer: &Answer, is_head: bool) -> (String, &[u8]) {
    let body = &answer.2[..];
    (head(answer, &format!("Content-Length: {}", body.len())), if is_head { &[] } else { body })
}

fn send(stream: &mut TcpStream, answer: &Answer, is_head: bool) -> Option<()> {
    let (head, body) = whole(answer, is_head);
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

/// Half of the body, or of the head where there is no body.
fn half(stream: &mut TcpStream, answer: &Answer, is_head: bool) -> Option<()> {
    let (head, body) = whole(answer, is_head);
    let all = [head.as_bytes(), body].concat();
    let length = if body.is_empty() { head.len() / 2 } else { head.len() + body.len() / 2 };
    stream.write_all(&all[..length]).ok()
}

fn endless(stream: &mut TcpStream, answer: &Answer) -> Option<()> {
    stream.write_all(head(answer, "Transfer-Encoding: chunked").as_bytes()).ok()?;
    let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
    // Far beyond what anyone reads; a test that failed should still end.
    (0..4096).try_for_each(|_| stream.write_all(&chunk).ok())
}

/// Closes so that the other side sees a reset.
fn reset(stream: &TcpStream) -> Option<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok()?;
    None
}
