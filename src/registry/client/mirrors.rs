//! Sends reads to the mirrors and locations of registries.conf.

use super::registries_conf::{Place, Reads, Redirection};
use super::registry_client::Client;
use super::request::Request;
use crate::event::Event;
use crate::registry::error::Error;
use crate::registry::transport::response::Response;

impl Client {
    /// Returns where to send a request, or `None` if that is the registry in its reference.
    ///
    /// # Errors
    ///
    /// Fails if registries.conf blocks the repository, or gives a location that is not a repository.
    pub(super) fn redirection(&self, registry: &str, request: &Request) -> Result<Option<Redirection>, Error> {
        let conf = self.mirrors().conf();
        if conf.is_empty() || request.is_redirected {
            return Ok(None);
        }
        let repository = request.scopes.repository();
        if let Some(reason) = conf.blocked(registry, repository) {
            return Err(request.protocol(reason));
        }
        match request.reads().filter(|_| request.scopes.are_pull_only()) {
            Some(reads) => conf.redirect(registry, repository, reads).map_err(|reason| request.protocol(reason)),
            None => Ok(None),
        }
    }

    /// Returns the location at which a read ends if no mirror can be used, and the request for it.
    pub(crate) fn at_location(&self, registry: &str, request: &Request) -> Result<Option<(String, Request)>, Error> {
        let redirection = self.redirection(registry, request)?;
        Ok(redirection.map(|Redirection { location, .. }| {
            let moved = request.moved_to(&location);
            (location.registry, moved)
        }))
    }

    /// Sends a read to each mirror until one responds with content, else to the location. The mirrors get one attempt:
    /// retries would delay the read that the location can answer.
    pub(super) async fn send_redirected(&self, request: &Request, to: Redirection) -> Result<Response, Error> {
        let Redirection { mirrors, tag_mirrors, location } = to;
        let tag_mirrors = tag_mirrors.into_iter().filter(|mirror| self.mirrors().has_resolved(mirror));
        for mirror in mirrors.into_iter().chain(tag_mirrors) {
            if let Some(response) = self.send_to_mirror(request, mirror).await? {
                return Ok(response);
            }
        }
        self.send_to(&location.registry, &request.moved_to(&location)).await
    }

    /// Sends a read to a mirror once. Returns `None` if the mirror does not respond with content.
    async fn send_to_mirror(&self, request: &Request, mirror: Place) -> Result<Option<Response>, Error> {
        if self.mirrors().has_failed(&mirror) {
            return Ok(None);
        }
        let host = self.host(&mirror.registry);
        let _prepared = host.prepared.acquire().await;
        let moved = request.moved_to(&mirror);
        let reason = match self.send_authorized(&mirror.registry, &moved, 0).await {
            Ok(response) if response.status == 200 => {
                if request.reads() == Some(Reads::Tag) {
                    self.mirrors().resolve(mirror);
                }
                return Ok(Some(response));
            }
            Ok(response) if matches!(response.status, 401 | 403) => format!("HTTP {}", response.status),
            Ok(_) => return Ok(None),
            Err(error) if error.is_given_up() || self.cancel_token().reason().is_some() => return Err(error),
            Err(error) => {
                let whole = Place { repository: String::new(), ..mirror };
                self.report_failed_mirror(whole, error.to_string());
                return Ok(None);
            }
        };
        self.report_failed_mirror(mirror, reason);
        Ok(None)
    }

    fn report_failed_mirror(&self, mirror: Place, reason: String) {
        let name = format!("{}/{}", mirror.registry, mirror.repository).trim_end_matches('/').to_owned();
        if self.mirrors().fail(mirror) {
            self.emit(|| Event::MirrorFailed { mirror: name, reason });
        }
    }
}
