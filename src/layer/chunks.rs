//! Passes the chunks of an asynchronous stream to a blocking thread.

use std::io::{self, BufRead};

use bytes::{Buf as _, Bytes};
use futures_util::stream::{Stream, StreamExt as _};
use tokio::sync::mpsc;

/// Maximum number of chunks waiting for the blocking thread.
const MAX_CHUNKS: usize = 8;

/// Reads chunks sent by another task. Ends when that task drops the sender.
pub(crate) struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Chunks {
    pub(crate) fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { receiver, chunk: Bytes::new() }
    }
}

impl io::Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount.min(self.chunk.len()));
    }
}

/// Runs `read` on a blocking thread with the bytes of a stream. Stops sending them after more than `limit` bytes, because
/// the stream may be endless. `failed` makes an error of a reason.
///
/// # Errors
/// The stream or `read` failed.
pub(crate) async fn read_on_thread<T: Send + 'static, E>(
    mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    limit: u64,
    read: impl FnOnce(Chunks) -> io::Result<T> + Send + 'static,
    failed: impl Fn(String) -> E,
) -> Result<T, E> {
    let (sender, receiver) = mpsc::channel(MAX_CHUNKS);
    let reading = tokio::task::spawn_blocking(move || read(Chunks::new(receiver)));
    let mut received = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        received += chunk.len() as u64;
        if sender.send(chunk).await.is_err() || received > limit {
            break;
        }
    }
    drop(sender);
    reading.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}
