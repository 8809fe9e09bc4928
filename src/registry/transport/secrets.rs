//! Records the secrets that a run sends, so that messages can hide them if a server sends them back.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use url::form_urlencoded;

use super::redact::Secret;

/// The passwords and tokens that a run has sent so far. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<RwLock<Vec<String>>>);

/// The number of characters that identify a secret: a truncated message may contain only the beginning of one.
const PREFIX_LENGTH: usize = 16;
/// Shorter secrets are not hidden in text from a server: they would match everywhere.
const MIN_LENGTH_FOREIGN: usize = 3;
/// Shorter secrets are not hidden in the program's own text, where they may be ordinary words.
const MIN_LENGTH_OWN: usize = 8;

impl Secrets {
    /// Adds the secrets in an `Authorization` header: a token, or a user name and password (RFC 7617, section 2).
    pub(crate) fn add_authorization(&self, value: &Secret) {
        let value = value.reveal();
        let credentials = value.split_once(' ').map_or(value, |(_, credentials)| credentials);
        self.add(credentials);
        let bytes = BASE64_STANDARD_NO_PAD.decode(credentials.trim_end_matches('=')).unwrap_or_default();
        let pair = String::from_utf8(bytes).unwrap_or_default();
        if let (true, Some((_, password))) = (value.starts_with("Basic "), pair.split_once(':')) {
            self.add(password);
        }
    }

    /// Adds a secret in each form in which a server may repeat it: verbatim, in base64, and URL-encoded.
    pub(crate) fn add(&self, secret: &str) {
        let in_base64 = [BASE64_STANDARD_NO_PAD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)];
        let mut forms = vec![secret.trim_end_matches('=').to_owned()];
        forms.extend(in_base64);
        forms.extend(forms.clone().iter().map(|form| form_urlencoded::byte_serialize(form.as_bytes()).collect()));
        forms.extend(forms.clone().iter().map(|form| form.replace('+', "%20")));
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms {
            if form.len() >= MIN_LENGTH_FOREIGN && !secrets.contains(&form) {
                secrets.push(form);
            }
        }
        // Longest first, because a secret may contain another one.
        secrets.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// Replaces every secret, or the beginning of one, in text from a server with `****`.
    pub(crate) fn scrub_foreign<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.scrub_longer(text, MIN_LENGTH_FOREIGN)
    }

    /// Replaces secrets in the program's own text, where a short one may be an ordinary word.
    pub(crate) fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.scrub_longer(text, MIN_LENGTH_OWN)
    }

    fn scrub_longer<'t>(&self, text: &'t str, min_length: usize) -> Cow<'t, str> {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        secrets
            .iter()
            .filter(|form| form.len() >= min_length)
            .fold(Cow::Borrowed(text), |text, form| replace_secret(&text, form).map_or(text, Cow::Owned))
    }
}

/// Replaces each occurrence of a secret, or of its beginning, with `****`. `None` if the text does not contain it.
fn replace_secret(text: &str, secret: &str) -> Option<String> {
    let end = secret.char_indices().map(|(at, _)| at).find(|at| *at >= PREFIX_LENGTH).unwrap_or(secret.len());
    let (beginning, rest_of_secret) = secret.split_at(end);
    let (mut before, mut after) = text.split_once(beginning)?;
    let mut out = String::with_capacity(text.len());
    loop {
        out.push_str(before);
        out.push_str("****");
        let matching = after.chars().zip(rest_of_secret.chars()).take_while(|(left, right)| left == right);
        after = after.get(matching.map(|(c, _)| c.len_utf8()).sum()..).unwrap_or_default();
        match after.split_once(beginning) {
            Some(next) => (before, after) = next,
            None => break,
        }
    }
    out.push_str(after);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(header: &str, text: &str) -> String {
        let secrets = Secrets::default();
        secrets.add_authorization(&Secret::new(header));
        secrets.scrub_foreign(text).into_owned()
    }

    #[test]
    fn secrets_that_a_server_repeats_are_hidden() {
        // User `ci` with the password `p@ss w+rd`.
        let basic = "Basic Y2k6cEBzcyB3K3Jk";
        for (text, shown) in [
            ("got Basic Y2k6cEBzcyB3K3Jk!", "got Basic ****!"),
            ("user ci, password p@ss w+rd", "user ci, password ****"),
            ("p%40ss+w%2Brd and p%40ss%20w%2Brd", "**** and ****"),
            ("cEBzcyB3K3Jk", "****"),
            ("p@ss w", "p@ss w"),
            ("no secret", "no secret"),
        ] {
            assert_eq!(scrubbed(basic, text), shown, "{text}");
        }
        let token = format!("Bearer {}", "abcdefgh/+ijklmnop==".repeat(9));
        for (text, shown) in [
            (token.clone(), "Bearer ****"),
            (format!("{token}, {token}"), "Bearer ****, Bearer ****"),
            (token[..token.len() / 2].to_owned(), "Bearer ****"),
            (token.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"), "Bearer ****"),
        ] {
            let output = scrubbed(&token, &text);
            // Padding is not part of the secret.
            assert_eq!(output.replace("****%3D%3D", "****").replace("****==", "****"), shown, "{text}");
        }
    }

    #[test]
    fn a_short_password_is_hidden_only_in_text_from_a_server() {
        let secrets = Secrets::default();
        secrets.add("latest");
        assert_eq!(secrets.scrub("pushed r.io/app:latest"), "pushed r.io/app:latest");
        assert_eq!(secrets.scrub_foreign("it was latest"), "it was ****");
        secrets.add("a");
        assert_eq!(secrets.scrub_foreign("a b"), "a b");
        secrets.add("a long password");
        assert_eq!(secrets.scrub("it was a long password"), "it was ****");
    }
}
