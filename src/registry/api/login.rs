use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};

impl Client {
    /// Checks whether a registry, and its token service if it has one, accept the configured credentials.
    ///
    /// Returns `false` if the registry requires no credentials, so that they could not be checked.
    ///
    /// # Errors
    ///
    /// Fails if the credentials are refused, the server is not a registry, or the run was stopped.
    pub async fn check_login(&self, registry: &str) -> Result<bool, Error> {
        let host = self.host(registry);
        let checking = async {
            let api = &self.api(&host).await?;
            if let Some(challenge) = self.ping(&host, api).await? {
                host.sign_in().challenged(Some(challenge), None, &Scopes::default()).await;
            }
            self.send_ok(registry, &Request::ping(api)).await
        };
        let stopped = |reason| Error::new(registry, ErrorKind::Stopped(reason));
        self.cancel_token().run_until_cancelled(checking).await.map_err(stopped)??;
        Ok(host.sign_in().is_challenged())
    }
}
