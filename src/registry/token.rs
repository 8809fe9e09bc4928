use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use url::{Host, Url};

use super::challenge::Challenge;
use super::client::Client;
use super::credentials::Login;
use super::error::{Error, ErrorKind};
use super::redact::Secret;

/// What a request wants to do, by repository: `pull`, or `pull` and `push`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scopes(BTreeMap<String, BTreeSet<&'static str>>);

impl Scopes {
    pub(super) fn pull(repository: &str) -> Self {
        Self::default().and(repository, &["pull"])
    }

    pub(super) fn push(repository: &str) -> Self {
        Self::default().and(repository, &["pull", "push"])
    }

    pub(super) fn and(mut self, repository: &str, actions: &[&'static str]) -> Self {
        self.0.entry(repository.to_owned()).or_default().extend(actions);
        self
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(repository, actions)| {
            format!("repository:{repository}:{}", actions.iter().copied().collect::<Vec<_>>().join(","))
        })
    }
}

/// What is known about signing in to one registry, kept for the whole run.
#[derive(Default)]
pub(super) struct SignIn {
    challenge: Option<Challenge>,
    headers: HashMap<Scopes, Secret>,
    login: Option<Option<Login>>,
}

impl SignIn {
    /// The `Authorization` value for a request, if it is known by now that one is wanted.
    pub(super) async fn header(
        &mut self,
        client: &Client,
        registry: &str,
        api: &Url,
        scopes: &Scopes,
    ) -> Result<Option<Secret>, Error> {
        let Some(challenge) = self.challenge.clone() else { return Ok(None) };
        if let Some(header) = self.headers.get(scopes) {
            return Ok(Some(header.clone()));
        }
        let failed = |reason: String| Error::new(registry, ErrorKind::SignIn(reason));
        let login = match &self.login {
            Some(login) => login.clone(),
            None => {
                let found = client.credentials().find(registry).map_err(failed)?;
                client.trace(|| match &found {
                    Some((_, source)) => format!("credentials for {registry}: from {source}"),
                    None => format!("credentials for {registry}: none"),
                });
                self.login.insert(found.map(|(login, _)| login)).clone()
            }
        };
        let header = match challenge {
            Challenge::Basic => match login {
                Some(Login::Password { user, password }) => basic(&user, &password),
                Some(Login::IdentityToken(_)) => {
                    return Err(failed("it wants user and password, and only an identity token is configured".into()));
                }
                None => return Err(failed("no credentials for it".into())),
            },
            Challenge::Bearer { realm, service } => {
                let realm = checked_realm(&realm, api).map_err(failed)?;
                let token = fetch_token(client, registry, realm, service, scopes, login).await?;
                Secret::new(format!("Bearer {}", token.reveal()))
            }
        };
        self.headers.insert(scopes.clone(), header.clone());
        Ok(Some(header))
    }

    /// Takes in a 401: `used` is what the refused request carried. Tells whether trying again makes sense.
    pub(super) fn challenged(&mut self, challenge: Option<Challenge>, used: Option<&Secret>, scopes: &Scopes) -> bool {
        if self.headers.get(scopes).is_some_and(|header| Some(header) != used) {
            return true; // another request has signed in meanwhile
        }
        if used.is_some() {
            self.headers.remove(scopes);
            // Basic credentials do not get better with time; a token may have run out.
            if self.challenge == Some(Challenge::Basic) {
                return false;
            }
        }
        match challenge {
            Some(challenge) => self.challenge = Some(challenge),
            None => return self.challenge.is_some(),
        }
        true
    }
}

fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// Where credentials may go: no weaker scheme than the registry's, no user info, no link-local or metadata
/// address, loopback only for a loopback registry.
fn checked_realm(realm: &str, api: &Url) -> Result<Url, String> {
    let refused =
        |why: &str| Err(format!("its token service \"{}\" is not to be trusted: {why}", super::redact::clean(realm)));
    let Ok(url) = realm.parse::<Url>() else { return refused("not a URL") };
    match url.scheme() {
        "https" => {}
        "http" if api.scheme() == "http" => {}
        _ => return refused("it is not https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it has user info");
    }
    let link_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local() || address.is_unspecified(),
        Some(Host::Domain(_)) => false,
        None => return refused("it has no host"),
    };
    if link_local {
        return refused("it is a link-local address");
    }
    if is_loopback(&url) && !is_loopback(api) {
        return refused("it is a loopback address");
    }
    Ok(url)
}

/// Whether a URL's host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.to_ipv4_mapped().is_some_and(|a| a.is_loopback()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

async fn fetch_token(
    client: &Client,
    registry: &str,
    mut realm: Url,
    service: Option<String>,
    scopes: &Scopes,
    login: Option<Login>,
) -> Result<Secret, Error> {
    let failed = |reason: String| Error::new(registry, ErrorKind::SignIn(reason));
    let header = match login {
        Some(Login::Password { user, password }) => {
            realm.query_pairs_mut().append_pair("account", &user);
            Some(basic(&user, &password))
        }
        Some(Login::IdentityToken(_)) => {
            return Err(failed("an identity token is configured, which is not supported yet".into()));
        }
        None => None,
    };
    {
        let mut query = realm.query_pairs_mut();
        query.append_pair("client_id", "manifest-tool");
        if let Some(service) = &service {
            query.append_pair("service", service);
        }
        for scope in scopes.texts() {
            query.append_pair("scope", &scope);
        }
    }
    client.trace(|| format!("token for {registry}: {}", scopes.texts().collect::<Vec<_>>().join(" ")));
    let (status, body) = client.get_token(&realm, header.as_ref()).await.map_err(|error| failed(error.to_string()))?;
    if status != 200 {
        let said = Error::answer(format!("token service {}", super::redact::redacted(&realm)), status, &body);
        return Err(failed(said.to_string()));
    }
    let answer: Result<TokenAnswer, _> = serde_json::from_slice(&body);
    let token = answer
        .ok()
        .and_then(|answer| [answer.access_token, answer.token].into_iter().flatten().find(|token| !token.is_empty()));
    token.map(Secret::new).ok_or_else(|| failed("the token service's answer holds no token".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms() {
        for (realm, api, good) in [
            ("https://auth.r.io/token", "https://r.io", true),
            ("http://auth.r.io/token", "https://r.io", false),
            ("http://auth.r.io/token", "http://r.io", true),
            ("https://u:p@auth.r.io/token", "https://r.io", false),
            ("https://169.254.169.254/token", "https://r.io", false),
            ("https://[fe80::1]/token", "https://r.io", false),
            ("https://127.0.0.1/token", "https://r.io", false),
            ("https://localhost/token", "https://r.io", false),
            ("http://localhost:5001/token", "http://127.0.0.1:5000", true),
            ("file:///etc/passwd", "http://r.io", false),
            ("token", "http://r.io", false),
        ] {
            assert_eq!(checked_realm(realm, &api.parse().unwrap()).is_ok(), good, "{realm} of {api}");
        }
    }

    #[test]
    fn scopes_are_merged_per_repository() {
        let scopes = Scopes::push("a").and("a", &["pull"]).and("b", &["pull"]);
        assert_eq!(scopes.texts().collect::<Vec<_>>(), ["repository:a:pull,push", "repository:b:pull"]);
    }
}
