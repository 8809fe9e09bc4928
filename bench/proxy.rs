//! A loopback proxy that adds a round-trip time between client and server.
//!
//! Each byte arrives half a round trip after it was sent, in both directions and in order. A new connection waits a
//! whole round trip before its first byte leaves, like TCP's handshake. Bandwidth is not limited.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub struct Proxy {
    pub host: String,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn in_front_of(server: &str, round_trip: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, server) = (Arc::clone(&connections), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let established = Instant::now() + round_trip;
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), established, round_trip / 2);
                pump(server, client, established, round_trip / 2);
            }
        });
        Self { host, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, established: Instant, half: Duration) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length) = from.read(&mut buffer) {
            let due = Instant::now().max(established) + half;
            if send.send((due, buffer[..length].to_vec())).is_err() || length == 0 {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in receive {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
