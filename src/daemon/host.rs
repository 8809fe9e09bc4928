//! Where the engine listens: `DOCKER_HOST`, as Docker's own client reads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::image::without_user;

/// The engine's socket if `DOCKER_HOST` is not set.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// How to reach the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A Unix socket.
    Socket(PathBuf),
    /// A host and port.
    Tcp(String),
}

impl Host {
    /// Reads `DOCKER_HOST`.
    pub(super) fn from_environment() -> Result<(String, Self), String> {
        let text = std::env::var("DOCKER_HOST").unwrap_or_default();
        let text = if text.is_empty() { DEFAULT.to_owned() } else { text };
        let shown = without_user(&text);
        Self::parse(&text).map(|host| (shown.clone(), host)).map_err(|reason| format!("DOCKER_HOST={shown}: {reason}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Socket(path.into())),
            Some(("tcp", address)) if !address.is_empty() && !address.contains(['/', '@']) => {
                Ok(Self::Tcp(address.to_owned()))
            }
            Some((scheme @ ("ssh" | "npipe" | "fd"), _)) => {
                Err(format!("{scheme}:// is not supported; use unix:// or tcp://, or docker save and docker-archive:"))
            }
            _ => Err("it is neither unix:///PATH nor tcp://HOST:PORT".into()),
        }
    }
}

/// Returns the folder with the certificates for TLS; `None` without `DOCKER_TLS_VERIFY`.
pub(super) fn certificates() -> Result<Option<PathBuf>, String> {
    let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if is_set("DOCKER_TLS_VERIFY").is_none() {
        return Ok(None);
    }
    let home = || is_set("HOME").or_else(|| is_set("USERPROFILE")).map(|home| PathBuf::from(home).join(".docker"));
    match is_set("DOCKER_CERT_PATH").map(PathBuf::from).or_else(home) {
        None => Err("DOCKER_TLS_VERIFY is set, but not DOCKER_CERT_PATH, the folder of the certificates".into()),
        folder => Ok(folder),
    }
}

/// Returns a TLS configuration that trusts `ca.pem` in a folder, and shows `cert.pem` with `key.pem` if they exist.
pub(super) fn tls(folder: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let Some(folder) = folder else { return Ok(builder.with_root_certificates(roots).with_no_client_auth()) };
    let failed = |name: &str, error: String| format!("{}: {error}", folder.join(name).display());
    for authority in read(folder, "ca.pem")? {
        roots.add(authority).map_err(|error| failed("ca.pem", error.to_string()))?;
    }
    let builder = builder.with_root_certificates(roots);
    if !folder.join("cert.pem").exists() {
        return Ok(builder.with_no_client_auth());
    }
    let key =
        PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(|error| failed("key.pem", error.to_string()))?;
    let chain = read(folder, "cert.pem")?;
    builder.with_client_auth_cert(chain, key).map_err(|error| failed("cert.pem", error.to_string()))
}

fn read(folder: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: rustls::pki_types::pem::Error| format!("{}: {error}", folder.join(name).display());
    CertificateDer::pem_file_iter(folder.join(name)).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_listens_on_a_socket_or_a_port() {
        for (text, expected) in [
            ("unix:///run/docker.sock", Ok(Host::Socket("/run/docker.sock".into()))),
            ("tcp://127.0.0.1:2375", Ok(Host::Tcp("127.0.0.1:2375".into()))),
            ("ssh://user@host", Err("ssh:// is not supported")),
            ("npipe:////./pipe/docker_engine", Err("npipe:// is not supported")),
            ("unix://docker.sock", Err("neither unix:///PATH nor tcp://HOST:PORT")),
            ("tcp://host/path", Err("neither")),
            ("tcp://user:word@host:1", Err("neither")),
            ("127.0.0.1:2375", Err("neither")),
        ] {
            match (Host::parse(text), expected) {
                (Ok(host), Ok(expected)) => assert_eq!(host, expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (host, _) => panic!("{text}: {host:?}"),
            }
        }
    }
}
