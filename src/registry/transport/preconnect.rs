//! Opens connections ahead of the requests that will need them.
//!
//! With HTTP/1.1, each concurrent request needs its own connection, which can be opened while the first request to a
//! host is still signing in. reqwest opens a connection only for a request. So a second client, whose pool is always
//! empty, gets requests for which its connector opens a connection, stores it as a spare, and fails. The first client's
//! connector takes the spare connections.

use std::any::Any;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower_layer::Layer;
use tower_service::Service;

/// Open connections to one origin that no request uses yet.
#[derive(Clone, Default)]
pub(crate) struct SpareConnections {
    open: Arc<Mutex<Vec<Connection>>>,
    /// Opens further connections once the next request has its own.
    next: Arc<Mutex<Option<Opening>>>,
    /// Whether the server turned out not to speak HTTP, so that no connection is kept.
    is_closed: Arc<AtomicBool>,
}

type Opening = Box<dyn FnOnce() + Send>;

struct Connection {
    opened: Instant,
    /// The connection, whose type in reqwest has no public name.
    connection: Box<dyn Any + Send>,
}

/// Older spare connections are dropped, as a server may close an idle connection.
const MAX_AGE: Duration = Duration::from_secs(5);

impl SpareConnections {
    fn put(&self, connection: Box<dyn Any + Send>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        open.push(Connection { opened: Instant::now(), connection });
    }

    fn take<T: 'static>(&self) -> Option<T> {
        let mut spare = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|spare| spare.opened.elapsed() < MAX_AGE);
        spare.pop()?.connection.downcast().ok().map(|connection| *connection)
    }

    /// Closes the spare connections, and those that are being opened.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed.store(true, Ordering::Relaxed);
        open.clear();
    }

    /// Calls `open` once the next request has a connection of its own. A server that serves one connection after another
    /// then answers that request first.
    pub(crate) fn after_next(&self, open: impl FnOnce() + Send + 'static) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(open));
    }

    fn has_connected(&self) {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = next {
            open();
        }
    }

    /// Returns the layer for the client that sends requests: it takes a spare connection before it opens one.
    pub(crate) fn consumer(&self) -> Preconnect {
        Preconnect { spare: self.clone(), is_producer: false }
    }

    /// Returns the layer for the client that sends no requests: it stores each connection that it opens.
    pub(crate) fn producer(&self) -> Preconnect {
        Preconnect { spare: self.clone(), is_producer: true }
    }
}

/// The layer around reqwest's connector.
#[derive(Clone)]
pub(crate) struct Preconnect {
    spare: SpareConnections,
    is_producer: bool,
}

#[derive(Clone)]
pub(crate) struct Connector<S> {
    inner: S,
    preconnect: Preconnect,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S> Layer<S> for Preconnect {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector { inner, preconnect: self.clone() }
    }
}

impl<S, D> Service<D> for Connector<S>
where
    S: Service<D, Error = BoxError>,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, destination: D) -> Self::Future {
        if !self.preconnect.is_producer {
            return match self.preconnect.spare.take() {
                Some(connection) => Box::pin(std::future::ready(Ok(connection))),
                None => {
                    let (connecting, spare) = (self.inner.call(destination), self.preconnect.spare.clone());
                    Box::pin(async move {
                        let connection = connecting.await?;
                        spare.has_connected();
                        Ok(connection)
                    })
                }
            };
        }
        let (connecting, spare) = (self.inner.call(destination), self.preconnect.spare.clone());
        Box::pin(async move {
            spare.put(Box::new(connecting.await?));
            Err("the connection was stored for another request".into())
        })
    }
}
