use std::collections::HashMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Identity};
use url::Url;

use super::addresses::{ForbiddenAddress, Guard, GuardedResolver, is_loopback};
use super::ahead::{Ahead, Kept};
use super::hosts::Hosts;
use crate::image::one_line;

/// What certificates are believed, and where from.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Registries to take any certificate from, as far as this run's references name them, and from no other host.
    pub insecure: Hosts,
    /// PEM files of authorities to believe besides the system's. On Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` take the
    /// place of the system's.
    pub ca_certs: Vec<PathBuf>,
    /// Folders with a folder for each `HOST[:PORT]`, in Docker's form: `*.crt` are authorities to believe for that
    /// host, `*.cert` with a `*.key` of the same name the client's own certificate. Docker's is `/etc/docker/certs.d`.
    pub certs_folders: Vec<PathBuf>,
}

/// The connections of a run: one pool for each way to prove a host's identity.
pub(super) struct Connections {
    tls: Tls,
    /// How long a server may say nothing.
    silence: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    profiles: HashMap<String, Profile>,
    clients: HashMap<Profile, Result<reqwest::Client, String>>,
    kept: HashMap<String, Kept>,
}

/// What has to be alike for two hosts to share a pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Profile {
    /// A registry has a pool of its own, into which connections opened ahead for it go.
    origin: Option<String>,
    /// Loopback goes past proxies, as with Go's programs.
    proxy: bool,
    /// Without TLS nothing is loaded.
    tls: bool,
    /// Take any certificate.
    unchecked: bool,
    /// Folders of certificates that are there for the host.
    folders: Vec<PathBuf>,
    /// For a host that a registry points to: what its name may resolve to.
    guard: Option<Guard>,
}

impl Connections {
    /// Nothing is read or opened before the first request.
    pub(super) fn new(tls: Tls, silence: Duration) -> Self {
        Self { tls, silence, known: Mutex::default() }
    }

    /// The client for a URL of the registry at `api`, or one that this registry points to.
    ///
    /// Errors: files of certificates that cannot be read.
    pub(super) fn client(&self, url: &Url, api: &Url) -> Result<reqwest::Client, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = [url, api].map(|url| url.origin().ascii_serialization()).join(" of ");
        let profile = known.profiles.entry(origin).or_insert_with(|| self.profile(url, api)).clone();
        let kept = profile.origin.as_ref().map(|origin| known.kept.entry(origin.clone()).or_default().takes());
        known.clients.entry(profile.clone()).or_insert_with(|| self.build(&profile, kept)).clone()
    }

    /// Opens connections to a registry for requests that will be sent to it; gives up on any that fails.
    pub(super) fn open_ahead(&self, url: &Url, count: usize) {
        let opened = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let profile = self.profile(url, url);
            let origin = profile.origin.clone().unwrap_or_default();
            let opens = known.kept.entry(origin).or_default().opens();
            self.build(&profile, Some(opens))
        };
        let Ok(client) = opened else { return };
        let url = url.clone();
        tokio::spawn(async move {
            // Its connector fails each request once it has connected: nothing is sent.
            futures_util::future::join_all((0..count).map(|_| client.get(url.clone()).send())).await
        });
    }

    fn profile(&self, url: &Url, api: &Url) -> Profile {
        let own = url.origin() == api.origin();
        let tls = url.scheme() == "https";
        let folders = if tls { self.folders(url) } else { Vec::new() };
        let origin = own.then(|| url.origin().ascii_serialization());
        let unchecked = tls && own && self.tls.insecure.contains_api(url);
        Profile { origin, proxy: !is_loopback(url), tls, unchecked, folders, guard: Guard::of(url, api) }
    }

    fn folders(&self, url: &Url) -> Vec<PathBuf> {
        // A host is the name of a folder here, never a path.
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

    fn build(&self, profile: &Profile, ahead: Option<Ahead>) -> Result<reqwest::Client, String> {
        let builder = || match &ahead {
            Some(ahead) => builder(profile, self.silence).connector_layer(ahead.clone()),
            None => builder(profile, self.silence),
        };
        if !profile.tls {
            return builder().tls_certs_only([]).build().map_err(|error| reason_of(&error));
        }
        let mut authorities = Vec::new();
        for path in &self.tls.ca_certs {
            authorities.extend(read_authorities(path)?);
        }
        let mut identity = None;
        for folder in &profile.folders {
            for path in files_with(folder, "crt")? {
                authorities.extend(read_authorities(&path)?);
            }
            for path in files_with(folder, "cert")? {
                identity = Some(read_identity(&path)?);
            }
        }
        let builder = || match &identity {
            Some(identity) => builder().identity(identity.clone()),
            None => builder(),
        };
        if profile.unchecked {
            let unchecked = builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true);
            return unchecked.build().map_err(|error| reason_of(&error));
        }
        builder().tls_certs_merge(authorities).build().or_else(|error| match reason_of(&error) {
            // A system without authorities, such as an empty container: a host that needs one will be refused, and
            // one that does not speak TLS can be found out.
            reason if reason.contains("No CA certificates") => {
                builder().tls_certs_only([]).build().map_err(|error| reason_of(&error))
            }
            reason => Err(reason),
        })
    }
}

fn builder(profile: &Profile, silence: Duration) -> reqwest::ClientBuilder {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("manifest-tool/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(silence)
        // Redirects are followed by `Client`, which knows who may get what.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let builder = if profile.proxy { builder } else { builder.no_proxy() };
    match &profile.guard {
        Some(guard) => builder.dns_resolver(Arc::new(GuardedResolver::new(guard.clone()))),
        None => builder,
    }
}

/// The certificates of a PEM file.
fn read_authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let certificates = Certificate::from_pem_bundle(&bytes).map_err(|_| format!("{shown} is not a PEM file"))?;
    if certificates.is_empty() { Err(format!("{shown} holds no PEM certificate")) } else { Ok(certificates) }
}

/// The client's own certificate with its key, which lies beside it.
fn read_identity(certificate: &Path) -> Result<Identity, String> {
    let key = certificate.with_extension("key");
    let mut pem = Vec::new();
    for path in [certificate, &key] {
        pem.extend(std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?);
        pem.push(b'\n');
    }
    Identity::from_pem(&pem).map_err(|_| format!("{} and its .key are no certificate and key", certificate.display()))
}

fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    Ok(paths)
}

/// Whether another try may help: not where the two do not understand each other, as with a refused certificate, nor
/// where the name is known to stand for nothing.
pub(super) fn is_transient(error: &reqwest::Error) -> bool {
    !error.is_builder() && !is_lasting(error) && !is_unknown_name(&reason_of(error))
}

/// Whether a reason is that a host name does not exist: getaddrinfo's EAI_NONAME, as glibc, musl and macOS word it; std
/// gives no code for it.
pub(super) fn is_unknown_name(reason: &str) -> bool {
    let words = ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];
    words.iter().any(|words| reason.contains(words))
}

/// Whether an error has a cause that does not go away: TLS that is not understood, or an address that is refused.
fn is_lasting(error: &(dyn std::error::Error + 'static)) -> bool {
    // What an io::Error was made of is not its source, and the other way round.
    let in_io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || error.is::<ForbiddenAddress>()
        || in_io.is_some_and(|inner| is_lasting(inner))
        || error.source().is_some_and(is_lasting)
}

/// The innermost reason: the outer layers of an HTTP error only say that sending failed, and repeat the URL.
pub(super) fn reason_of(error: &reqwest::Error) -> String {
    let mut reason = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    one_line(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_host_is_for_it_alone() {
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
            let found = connections.folders(&url);
            assert_eq!(found, folder.map(|name| certs.path().join(name)).into_iter().collect::<Vec<_>>(), "{url}");
        }
    }
}
