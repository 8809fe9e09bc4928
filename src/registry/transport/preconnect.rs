//! Opens connections before the requests that will need them.
//!
//! While the first request of a host finds out how to sign in, it is known already that each of the others will need a
//! connection, where the host speaks HTTP/1.1. reqwest opens one only for a request; so a second client, whose pool is
//! always empty, is given requests for which its connector connects, keeps the connection, and fails. The first
//! client's connector takes what was spare.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower_layer::Layer;
use tower_service::Service;

/// Connections of one origin that no request has yet.
#[derive(Clone, Default)]
pub(crate) struct SpareConnections(Arc<Mutex<Vec<Connection>>>);

struct Connection {
    opened: Instant,
    /// Of reqwest's own type, which has no public name.
    connection: Box<dyn Any + Send>,
}

/// A server may close a connection on which no request comes.
const MAX_AGE: Duration = Duration::from_secs(5);

impl SpareConnections {
    fn put(&self, connection: Box<dyn Any + Send>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Connection { opened: Instant::now(), connection });
    }

    fn take<T: 'static>(&self) -> Option<T> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|spare| spare.opened.elapsed() < MAX_AGE);
        spare.pop()?.connection.downcast().ok().map(|connection| *connection)
    }

    /// For the client that sends requests: takes a connection that was spare, before it opens one.
    pub(crate) fn takes(&self) -> Preconnect {
        Preconnect { spare: self.clone(), opens: false }
    }

    /// For the client that never sends: keeps each connection that it opens.
    pub(crate) fn opens(&self) -> Preconnect {
        Preconnect { spare: self.clone(), opens: true }
    }
}

/// The layer around reqwest's connector.
#[derive(Clone)]
pub(crate) struct Preconnect {
    spare: SpareConnections,
    opens: bool,
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
        if !self.preconnect.opens {
            return match self.preconnect.spare.take() {
                Some(connection) => Box::pin(std::future::ready(Ok(connection))),
                None => Box::pin(self.inner.call(destination)),
            };
        }
        let (connecting, spare) = (self.inner.call(destination), self.preconnect.spare.clone());
        Box::pin(async move {
            spare.put(Box::new(connecting.await?));
            Err("spare for another request".into())
        })
    }
}
