use std::path::PathBuf;
use std::sync::Arc;

use super::config_folder::config_folder;
use super::console::Console;
use super::credentials::{self, Registries};
use super::failure::Failure;
use super::global::Global;
use super::registries_conf::registries_conf;
use super::side_flags::{SideFlags, Sides};
use crate::event::Events;
use crate::registry::{CancelToken, Client, ClientConfig, CredentialSources, Hosts, RegistriesConf, Tls};

/// The global flags and the console, which every command uses.
pub(super) struct Session {
    pub(super) global: Global,
    pub(super) console: Arc<Console>,
}

impl Session {
    /// Creates a client that sends the user name and password from the command line or environment to one of
    /// these registries.
    ///
    /// # Errors
    /// [`credentials::sources`] fails.
    pub(super) fn client(&self, registries: &Registries<'_>) -> Result<Client, Failure> {
        let credentials = credentials::sources(&self.global, &self.console, registries)?;
        self.client_of(credentials, registries)
    }

    /// Creates a client for a command that reads from some registries and writes to others.
    ///
    /// # Errors
    /// [`credentials::sources_of_sides`] fails.
    pub(super) fn client_of_sides(
        &self,
        registries: &Registries<'_>,
        flags: &SideFlags,
        sides: &Sides<'_>,
    ) -> Result<Client, Failure> {
        let credentials = credentials::sources_of_sides(&self.global, &self.console, registries, flags, sides)?;
        self.client_of(credentials, registries)
    }

    /// Creates a client with these sources of credentials. It uses registries.conf, except for the repositories that the
    /// command writes to.
    fn client_of(&self, credentials: CredentialSources, registries: &Registries<'_>) -> Result<Client, Failure> {
        let unverified = registries.unverified();
        let conf = registries_conf(&self.global, &self.console, registries.targets())?;
        let insecure = match self.global.insecure() {
            Hosts::None => Hosts::Only(unverified.clone()),
            Hosts::Only(hosts) => Hosts::Only(hosts.union(unverified).cloned().collect()),
            all => all,
        };
        Ok(self.create_client(credentials, conf, insecure))
    }

    /// Creates a client with these sources of credentials, which uses no mirrors.
    pub(super) fn client_with(&self, credentials: CredentialSources) -> Client {
        self.create_client(credentials, RegistriesConf::default(), self.global.insecure())
    }

    fn create_client(
        &self,
        credentials: CredentialSources,
        registries_conf: RegistriesConf,
        insecure: Hosts,
    ) -> Client {
        let (global, console) = (&self.global, Arc::clone(&self.console));
        let events = Events::new(move |event| console.event(event));
        let client = Client::new(ClientConfig {
            plain_http: global.plain_http(),
            tls: Tls { insecure, ca_certs: global.ca_cert.clone(), certs_folders: certs_folders() },
            credentials,
            registries_conf,
            concurrency: global.concurrency,
            retry: global.retry(),
            idle_timeout: global.timeout,
            cancel_token: CancelToken::default(),
            events: if global.debug() { events } else { events.without_debug() },
        });
        self.console.hide_secrets_of(&client);
        client
    }
}

/// Returns the certificate folders of Docker, rootless Docker and Podman.
fn certs_folders() -> Vec<PathBuf> {
    let user = config_folder().map(|folder| [folder.join("docker/certs.d"), folder.join("containers/certs.d")]);
    let system = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
    user.into_iter().flatten().chain(system).collect()
}
