//! A request to a token service, and again where that may help.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use url::Url;

use super::scopes::Scopes;
use crate::registry::client::registry_client::Client;
use crate::registry::client::send::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::answer::{Answer, Expected, MAX_TALK, Reading};
use crate::registry::transport::exchange::{NotSent, Sending, secret_value};
use crate::registry::transport::idle::Progress;
use crate::registry::transport::redact::{Secret, redacted};
use crate::registry::transport::retry_group::RetryGroup;

/// A request to a token service.
pub(crate) struct TokenRequest<'a> {
    pub(crate) api: &'a Url,
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) authorization: Option<&'a Secret>,
    pub(crate) form: Option<&'a Secret>,
}

impl Client {
    /// Asks a token service, again where that may help. Redirects are not followed, and an unchecked certificate is
    /// accepted only if the service is the registry itself. The error of the last try keeps its mark that another try may
    /// help.
    pub(crate) async fn send_to_token_service(&self, asking: &TokenRequest<'_>) -> Result<Answer, Error> {
        let subject = format!("token service {}", redacted(asking.url));
        let request = Request::new(asking.method.clone(), String::new(), Scopes::default(), subject);
        let mut failed = 0;
        loop {
            let outcome = self.ask_token_service(&request.subject, asking, failed + 1).await;
            failed += 1;
            let Some(wait) = self.wait_before_another(&request, &outcome, failed) else {
                return outcome;
            };
            self.emit(|| wait.event(None));
            if RetryGroup::or(tokio::time::sleep(wait.time)).await.is_none() {
                let error = outcome.map_or_else(|error| error, |answer| answer.error(&request.subject));
                return Err(error.given_up(failed));
            }
        }
    }

    async fn ask_token_service(&self, subject: &str, asking: &TokenRequest<'_>, attempt: u32) -> Result<Answer, Error> {
        let &TokenRequest { api, method, url, authorization, form } = asking;
        let transport = |reason| Error::new(subject, unanswered(reason));
        let client = self.connections().client(url, api).map_err(transport)?;
        let mut builder = client.request(method.clone(), url.clone());
        if let Some(authorization) = authorization {
            self.secrets().add_authorization(authorization);
            let value = secret_value(authorization)
                .ok_or_else(|| transport("the credentials have characters that cannot be sent".into()))?;
            builder = builder.header(AUTHORIZATION, value);
        }
        let sent = form.map(|form| form.reveal().len() as u64);
        if let Some(form) = form {
            let form = form.reveal().to_owned();
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        if authorization.is_some() || form.is_some() {
            self.warn_of_cleartext(url);
        }
        let sending = Sending { method, url, sent, attempt };
        match self.dispatch(builder, &Progress::new(), &sending).await {
            Ok(response) => {
                let reading = Reading {
                    subject,
                    request: String::new(),
                    url: url.clone(),
                    limit: MAX_TALK,
                    silence: self.idle_timeout(),
                    budget: self.budget(),
                    secrets: self.secrets(),
                    needed: true,
                    is_early: false,
                    streamed: false,
                };
                let answer = Answer::read(response, reading, None).await?;
                answer.decode(&Expected::default(), subject, MAX_TALK, self.budget())
            }
            Err(NotSent { reason, transient, fault, .. }) => {
                let kind = unanswered(reason);
                let error = if transient { Error::transient(subject, kind) } else { Error::new(subject, kind) };
                Err(error.with_hint(fault.and_then(|fault| fault.hint(url.origin() == api.origin()))))
            }
        }
    }
}

fn unanswered(reason: String) -> ErrorKind {
    ErrorKind::Transport { request: String::new(), reason: reason.into(), unsent: false }
}
