use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use url::Url;

use super::addresses::{Guard, GuardedResolver};
use super::failure::Failure;
use super::preconnect::{Preconnect, SpareConnections};
use super::proxies::{Proxies, Route};
use super::redact::host_of;
use super::tls::{NoIdentity, Tls, TlsMode};
use super::tunnel;
use crate::registry::error::TransportFault;

/// The maximum time to find out whether a port speaks TLS.
const MAX_PROBE_TIME: Duration = Duration::from_secs(5);

/// The connections of a run, with one pool per [`Profile`].
pub(crate) struct Connections {
    tls: Tls,
    proxies: Proxies,
    /// How long a server may go without sending data.
    idle_timeout: Duration,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    profiles: HashMap<String, Result<Profile, String>>,
    clients: HashMap<Profile, Result<reqwest::Client, String>>,
    spare: HashMap<String, SpareConnections>,
    no_identities: HashMap<String, NoIdentity>,
}

/// The properties that two hosts must have in common to share a pool.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Profile {
    /// The origin of a registry, which has its own pool, so that it can use the connections opened ahead for it.
    origin: Option<String>,
    route: Route,
    /// Whether the host uses TLS. Without it, no certificate is loaded.
    tls: bool,
    /// The host whose certificate is not checked.
    unchecked: Option<String>,
    /// The existing certificate folders of the host.
    folders: Vec<PathBuf>,
    /// Restricts what the name of a host that a registry points to may resolve to.
    guard: Option<Guard>,
}

impl Pools {
    fn no_identity(&mut self, profile: &Profile) -> NoIdentity {
        let tracker = |origin: &String| self.no_identities.entry(origin.clone()).or_default().clone();
        profile.origin.as_ref().map(tracker).unwrap_or_default()
    }
}

impl Connections {
    /// Creates the pools. Reads no file and opens no connection before the first request.
    pub(crate) fn new(tls: Tls, idle_timeout: Duration) -> Self {
        Self { tls, proxies: Proxies::from_env(), idle_timeout, pools: Mutex::default() }
    }

    /// Returns the client for a URL of the registry at `api`, or for a URL that this registry points to.
    ///
    /// # Errors
    /// A certificate file cannot be read, or an environment variable does not name a proxy.
    pub(crate) fn client(&self, url: &Url, api: &Url) -> Result<reqwest::Client, String> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = [url, api].map(|url| url.origin().ascii_serialization()).join(" of ");
        let profile = pools.profiles.entry(origin).or_insert_with(|| self.profile(url, api)).clone()?;
        let spare = profile.origin.as_ref().map(|origin| pools.spare.entry(origin.clone()).or_default().consumer());
        let no_identity = pools.no_identity(&profile);
        pools.clients.entry(profile.clone()).or_insert_with(|| self.build(&profile, no_identity, spare)).clone()
    }

    /// Classifies the failure of a request, and adds what only its connection knows: the proxy, and whether the server
    /// requested a client certificate.
    pub(crate) async fn failure(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let mut failure = Failure::from_reqwest(error);
        let route = self.proxies.route(url);
        if let Ok(Route::Through(proxy)) = &route
            && failure.is_proxy_refusal()
            && let Some(status) = tunnel::refusal(proxy, url).await
        {
            failure = failure.refused_with(status);
        }
        if failure.fault == Some(TransportFault::TlsRequired) && self.speaks_tls(url).await {
            failure = Failure::speaks_tls(&host_of(url));
        }
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let no_identity = pools.no_identities.get(&url.origin().ascii_serialization());
        if no_identity.is_some_and(NoIdentity::was_requested) {
            failure = failure.for_lack_of_identity(error);
        }
        match route {
            Ok(Route::Through(proxy)) if error.is_connect() => failure.through(&host_of(&proxy)),
            _ => failure,
        }
    }

    /// Whether the port of an `http` URL speaks TLS, with any certificate.
    async fn speaks_tls(&self, url: &Url) -> bool {
        let mut https = url.clone();
        let is_set = https.set_scheme("https").and_then(|()| https.set_port(url.port_or_known_default()));
        https.set_path("/v2/");
        https.set_query(None);
        let (Ok(()), Ok(client)) = (is_set, self.client(&https, &https)) else { return false };
        // Close the spare connections: a server that serves one connection after another would serve them first.
        let origin = url.origin().ascii_serialization();
        if let Some(spare) = self.pools.lock().unwrap_or_else(PoisonError::into_inner).spare.get(&origin) {
            spare.close();
        }
        match tokio::time::timeout(MAX_PROBE_TIME, client.get(https).send()).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => Failure::from_reqwest(&error).fault.is_some_and(TransportFault::is_of_tls_server),
            Err(_) => false,
        }
    }

    /// Opens connections to a registry ahead of the requests that will need them. Ignores failures.
    pub(crate) fn preconnect(&self, url: &Url, count: usize) {
        if let Some((_, open)) = self.opening(url, count) {
            open();
        }
    }

    /// Opens connections like [`Self::preconnect`], once the next request to the registry has a connection.
    pub(crate) fn preconnect_after_next(&self, url: &Url, count: usize) {
        if let Some((spare, open)) = self.opening(url, count) {
            spare.after_next(open);
        }
    }

    /// Returns what opens connections. `None` behind a proxy, which would be asked for each of them.
    fn opening(&self, url: &Url, count: usize) -> Option<(SpareConnections, impl FnOnce() + Send + 'static + use<>)> {
        let (client, spare) = {
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            let profile = self.profile(url, url).ok().filter(|profile| matches!(profile.route, Route::Direct))?;
            let origin = profile.origin.clone().unwrap_or_default();
            let spare = pools.spare.entry(origin).or_default().clone();
            let client = self.build(&profile, pools.no_identity(&profile), Some(spare.producer()));
            (client.ok()?, spare)
        };
        let url = url.clone();
        let open = move || {
            tokio::spawn(async move {
                // The connector fails each request after connecting, so no request is sent.
                futures_util::future::join_all((0..count).map(|_| client.get(url.clone()).send())).await
            });
        };
        Some((spare, open))
    }

    fn profile(&self, url: &Url, api: &Url) -> Result<Profile, String> {
        let is_registry = url.origin() == api.origin();
        let tls = url.scheme() == "https";
        let folders = if tls { self.folders(url) } else { Vec::new() };
        let origin = is_registry.then(|| url.origin().ascii_serialization());
        let is_unchecked = tls && is_registry && self.tls.insecure.contains_api(url);
        let unchecked = url.host_str().filter(|_| is_unchecked).map(|host| host.trim_matches(['[', ']']).to_owned());
        Ok(Profile {
            origin,
            route: self.proxies.route(url)?,
            tls,
            unchecked,
            folders,
            guard: Guard::for_url(url, api),
        })
    }

    fn folders(&self, url: &Url) -> Vec<PathBuf> {
        // The host must be a plain folder name, never a path.
        let Some(host) = url.host_str().filter(|host| !host.starts_with('.') && !host.contains('/')) else {
            return Vec::new();
        };
        let names = match url.port() {
            Some(port) => vec![format!("{host}:{port}")],
            None => vec![host.to_owned(), format!("{host}:443")],
        };
        let folders = self.tls.certs_folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        folders.filter(|folder| folder.is_dir()).collect()
    }

    fn build(
        &self,
        profile: &Profile,
        no_identity: NoIdentity,
        preconnect: Option<Preconnect>,
    ) -> Result<reqwest::Client, String> {
        // The pool's TLS configuration also applies to the connection to the proxy.
        let has_tls_proxy = matches!(&profile.route, Route::Through(proxy) if proxy.scheme() == "https");
        let mode = match &profile.unchecked {
            _ if !profile.tls && !has_tls_proxy => TlsMode::Without,
            Some(host) => TlsMode::AnyCertificateOf { host, checks_others: has_tls_proxy, folders: &profile.folders },
            None => TlsMode::Checked(&profile.folders),
        };
        let builder =
            builder(profile, self.idle_timeout)?.tls_backend_preconfigured(self.tls.config(&mode, no_identity)?);
        let builder = match preconnect {
            Some(preconnect) => builder.connector_layer(preconnect),
            None => builder,
        };
        builder.build().map_err(|error| Failure::from_reqwest(&error).reason)
    }
}

fn builder(profile: &Profile, idle_timeout: Duration) -> Result<reqwest::ClientBuilder, String> {
    // Digests cover the unencoded bytes; without this header the server may use any coding (RFC 9110, section 12.5.3).
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("manifest-tool/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(idle_timeout)
        // `Transport::exchange` follows redirects: it knows which headers each host may receive.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let builder = match &profile.route {
        Route::Direct => builder.no_proxy(),
        Route::System => builder,
        Route::Through(proxy) => {
            // The error's own text may show the password in the URL.
            let unusable = |_| format!("cannot use the proxy {}", host_of(proxy));
            builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(unusable)?)
        }
    };
    Ok(match &profile.guard {
        Some(guard) => builder.dns_resolver(Arc::new(GuardedResolver::new(guard.clone()))),
        None => builder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_folders_match_host_and_port_exactly() {
        let certs = tempfile::tempdir().unwrap();
        for name in ["r.io", "r.io:5000", "s.io:443", "..x"] {
            std::fs::create_dir(certs.path().join(name)).unwrap();
        }
        let tls = Tls { certs_folders: vec![certs.path().to_owned()], ..Tls::default() };
        let connections = Connections::new(tls, Duration::from_secs(1));
        for (url, folder) in [
            ("https://r.io/v2/", Some("r.io")),
            ("https://r.io:443/", Some("r.io")),
            ("https://r.io:5000/", Some("r.io:5000")),
            ("https://s.io/", Some("s.io:443")),
            ("https://t.io/", None),
            ("https://../", None),
            ("https://..x/", None),
        ] {
            let Ok(url) = url.parse() else { continue };
            let folders = connections.folders(&url);
            assert_eq!(folders, folder.map(|name| certs.path().join(name)).into_iter().collect::<Vec<_>>(), "{url}");
        }
    }
}
