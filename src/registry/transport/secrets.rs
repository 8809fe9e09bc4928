//! The secrets that a run sends, so that no message shows one that a server sends back.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use url::form_urlencoded;

use super::redact::Secret;

/// The passwords and tokens that a run has sent so far. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<RwLock<Vec<String>>>);

/// The number of characters that identify a secret: a message that was cut off holds only its beginning.
const BEGINNING: usize = 16;
/// A shorter secret is not looked for in text from a server: it would be found everywhere.
const SHORTEST: usize = 3;
/// A shorter secret is not looked for in the program's own text, which may well hold the same word.
const DISTINCT: usize = 8;

impl Secrets {
    /// Takes in what goes into an `Authorization` header: a token, or user and password (RFC 7617, section 2).
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

    /// Takes in a secret, in each form that a server may repeat it in: verbatim, in base64, and encoded for a URL.
    pub(crate) fn add(&self, secret: &str) {
        let in_base64 = [BASE64_STANDARD_NO_PAD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)];
        let mut forms = vec![secret.trim_end_matches('=').to_owned()];
        forms.extend(in_base64);
        forms.extend(forms.clone().iter().map(|form| form_urlencoded::byte_serialize(form.as_bytes()).collect()));
        forms.extend(forms.clone().iter().map(|form| form.replace('+', "%20")));
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms {
            if form.len() >= SHORTEST && !known.contains(&form) {
                known.push(form);
            }
        }
        // One that holds another goes first.
        known.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// A text from a server, with `****` in place of every secret, or of the beginning of one.
    pub(crate) fn scrub_foreign<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.scrub_longer(text, SHORTEST)
    }

    /// A text of the program's own, in which a short secret may be a word like any other.
    pub(crate) fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.scrub_longer(text, DISTINCT)
    }

    fn scrub_longer<'t>(&self, text: &'t str, shortest: usize) -> Cow<'t, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter(|form| form.len() >= shortest)
            .fold(Cow::Borrowed(text), |text, form| without(&text, form).map_or(text, Cow::Owned))
    }
}

/// Replaces each occurrence of a secret, or of its beginning, by `****`. `None` if the text does not contain it.
fn without(text: &str, secret: &str) -> Option<String> {
    let end = secret.char_indices().map(|(at, _)| at).find(|at| *at >= BEGINNING).unwrap_or(secret.len());
    let (beginning, rest_of_secret) = secret.split_at(end);
    let (mut before, mut after) = text.split_once(beginning)?;
    let mut out = String::with_capacity(text.len());
    loop {
        out.push_str(before);
        out.push_str("****");
        let alike = after.chars().zip(rest_of_secret.chars()).take_while(|(one, other)| one == other);
        after = after.get(alike.map(|(c, _)| c.len_utf8()).sum()..).unwrap_or_default();
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
    fn what_a_server_repeats_is_not_shown() {
        // ci:p@ss w+rd
        let basic = "Basic Y2k6cEBzcyB3K3Jk";
        for (text, shown) in [
            ("got Basic Y2k6cEBzcyB3K3Jk!", "got Basic ****!"),
            ("user ci, password p@ss w+rd", "user ci, password ****"),
            ("p%40ss+w%2Brd and p%40ss%20w%2Brd", "**** and ****"),
            ("cEBzcyB3K3Jk", "****"),
            ("p@ss w", "p@ss w"),
            ("nothing", "nothing"),
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
            let found = scrubbed(&token, &text);
            // Padding is not part of the secret.
            assert_eq!(found.replace("****%3D%3D", "****").replace("****==", "****"), shown, "{text}");
        }
    }

    #[test]
    fn a_short_password_stays_a_word_in_the_programs_own_text() {
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
