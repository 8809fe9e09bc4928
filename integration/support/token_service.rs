//! A token service with Docker's protocol, whose tokens `docker-registry` verifies.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::ScriptedServer;
use super::scripted_server::{ReceivedRequest, Response};

pub const IDENTITY_TOKEN: &str = "the-identity-word";

pub struct TokenService {
    pub server: ScriptedServer,
    signer: Arc<Signer>,
    certificate: String,
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
}

/// Decides whether to grant an action. `user` is `None` for an anonymous request.
pub type Grant = fn(user: Option<&str>, repository: &str, action: &str) -> bool;

/// Grants pull to anonymous requests, and every action to the user.
pub fn anonymous_pull(user: Option<&str>, _: &str, action: &str) -> bool {
    user.is_some() || action == "pull"
}

/// Grants every action to the user, and denies all anonymous requests.
pub fn authenticated_only(user: Option<&str>, _: &str, _: &str) -> bool {
    user.is_some()
}

impl TokenService {
    /// Starts a service that responds with a token for the actions that `grant` allows, and declares that it expires in
    /// `lifetime` seconds. A response that `fault` returns takes precedence.
    pub fn start(
        grant: Grant,
        lifetime: u64,
        fault: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &SystemRandom::new());
        let signer = Arc::new(Signer { key: pair.unwrap(), certificate: certificate.der().to_vec() });
        let service_signer = Arc::clone(&signer);
        let server = ScriptedServer::start(move |request, _| {
            fault(request).unwrap_or_else(|| respond(request, grant, lifetime, &service_signer))
        });
        Self { server, signer, certificate: certificate.pem() }
    }

    /// Returns YAML that configures a registry to use this token service.
    pub fn registry_config(&self, folder: &Path) -> String {
        let bundle = folder.join("token-service.crt");
        std::fs::write(&bundle, &self.certificate).unwrap();
        indoc::formatdoc! {"
            auth:
              token:
                realm: \"http://{}/token\"
                service: the registry
                issuer: tests
                rootcertbundle: {}
        ", self.server.host, bundle.display()}
    }

    /// Returns an Authorization header that grants pull and push in these repositories, for the tests' own requests.
    pub fn mint(&self, repositories: &[&str]) -> String {
        let access = repositories.iter().map(|name| access(name, &["pull", "push"])).collect();
        format!("Bearer {}", self.signer.sign("tests", access))
    }

    pub fn token_requests(&self) -> Vec<ReceivedRequest> {
        self.server.requests()
    }
}

fn access(name: &str, actions: &[&str]) -> Value {
    json!({"type": "repository", "name": name, "actions": actions})
}

fn respond(request: &ReceivedRequest, grant: Grant, lifetime: u64, signer: &Signer) -> Response {
    let (method, target) = request.line.split_once(' ').unwrap();
    let query = if method == "POST" {
        String::from_utf8(request.body.clone()).unwrap()
    } else {
        target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default()
    };
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let basic = |text: &str| Some(format!("Basic {}", BASE64_STANDARD.encode(text)));
    let user = if method == "POST" {
        let is_valid = value("grant_type") == Some("refresh_token") && value("refresh_token") == Some(IDENTITY_TOKEN);
        if is_valid { Ok(Some("user")) } else { Err(()) }
    } else {
        match &request.authorization {
            None => Ok(None),
            given if *given == basic("user:secret-word") => Ok(Some("user")),
            given if *given == basic("pusher:target-word") => Ok(Some("pusher")),
            given if *given == basic(&format!("<token>:{IDENTITY_TOKEN}")) => Ok(Some("user")),
            Some(_) => Err(()),
        }
    };
    let Ok(user) = user else {
        return (
            401,
            vec![],
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}"#.to_vec(),
        );
    };
    let scopes = pairs.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let granted = scopes.filter(|scope| !scope.is_empty()).map(|scope| {
        let parts: Vec<&str> = scope.splitn(3, ':').collect();
        let actions: Vec<&str> = parts[2].split(',').filter(|action| grant(user, parts[1], action)).collect();
        access(parts[1], &actions)
    });
    let token = signer.sign(user.unwrap_or_default(), granted.collect());
    (200, vec![], json!({"token": token, "expires_in": lifetime}).to_string().into_bytes())
}

impl Signer {
    fn sign(&self, subject: &str, access: Vec<Value>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [BASE64_STANDARD.encode(&self.certificate)]});
        let claims = json!({
            "iss": "tests", "sub": subject, "aud": "the registry", "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": "1", "access": access,
        });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
