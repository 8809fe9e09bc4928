//! Masks the secrets of the command line and the environment in messages.

use std::collections::HashSet;
use std::ffi::OsString;

/// The replacement for a secret.
const MASK: &str = "****";
/// A secret with fewer characters is masked only as a whole word, because it may occur inside other words.
const SHORT: usize = 4;
/// A secret is recognized by its first characters, at most this many, because messages may truncate long text.
const KEY: usize = 32;
/// The beginnings of flags for one side of a copy, here and in other programs.
const SIDES: [&str; 4] = ["source-", "target-", "src-", "dest-"];
/// The longest name, in bytes, to compare with the names of flags.
const MAX_NAME: usize = 32;

/// The secrets of the command line and the environment, found before the command line is parsed.
pub(super) struct ArgumentSecrets {
    /// Values of `--password` and of variables that contain credentials.
    certain: Vec<String>,
    /// Arguments that may be passwords, because they follow a misspelled flag or a flag without a value.
    likely: Vec<String>,
}

impl ArgumentSecrets {
    /// Finds the secrets in the arguments, which start with the program, and in the values of variables. `words` has
    /// the known long flags, without dashes, and the names of commands.
    pub(super) fn new(args: &[OsString], values: impl Iterator<Item = String>, words: &HashSet<String>) -> Self {
        let mut secrets = Self { certain: values.collect(), likely: Vec::new() };
        let args: Vec<_> = args.iter().skip(1).map(|arg| arg.to_string_lossy()).collect();
        for (at, arg) in args.iter().enumerate() {
            secrets.classify(arg, args.get(at + 1).map(AsRef::as_ref), words);
        }
        for list in [&mut secrets.certain, &mut secrets.likely] {
            list.retain(|secret| !secret.trim().is_empty());
            // Mask longer secrets first, because they may contain shorter ones.
            list.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
        secrets
    }

    fn classify(&mut self, arg: &str, next: Option<&str>, words: &HashSet<String>) {
        // Word processors replace two dashes with a dash of another kind.
        let body = arg.trim_start_matches(['-', '\u{2010}', '\u{2013}', '\u{2014}', '\u{2212}']);
        if body.len() == arg.len() {
            return;
        }
        let (name, value) = body.split_once(['=', ':']).map_or((body, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_lowercase();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        if value.or(next).is_some() && is_login(&name) {
            // USER:PASSWORD, as other programs take it.
            return self.certain.extend(owned(value.or(next)));
        }
        let side = SIDES.iter().find(|side| name.starts_with(*side)).map_or(0, |side| side.len());
        let (whole, name) = (name.clone(), name.get(side..).unwrap_or_default().to_owned());
        let body = body.get(side..).unwrap_or_default();
        if name == "password" || name == "p" {
            return self.certain.extend(owned(value.or(next)));
        }
        if name == "username" || name == "u" {
            // User names are not secret, but one that starts with a dash may be a misplaced password.
            return self.likely.extend(owned(value.or(next)).filter(|user| user.starts_with('-')));
        }
        if words.contains(&whole) && name != "password-stdin" {
            return;
        }
        if let Some(attached) = arg.strip_prefix("-p") {
            self.certain.push(attached.strip_prefix('=').unwrap_or(attached).to_owned());
        }
        if !is_like_password(&name) {
            return;
        }
        if let Some(attached) = body.get("password".len()..).filter(|_| name.starts_with("password")) {
            let attached = attached.trim_start_matches(|c: char| !c.is_alphanumeric());
            self.likely.extend(owned(Some(attached).filter(|attached| *attached != "stdin")));
        }
        self.likely.extend(owned(value.or(next.filter(|next| !words.contains(next.trim_start_matches('-'))))));
    }

    /// Masks the secrets in a text, and the arguments that may be passwords.
    pub(super) fn mask_all(&self, text: &str) -> String {
        self.likely.iter().fold(self.mask(text), |text, secret| masked(&text, secret))
    }

    /// Masks the values in a text that are known to be secrets.
    pub(super) fn mask(&self, text: &str) -> String {
        self.certain.iter().fold(text.to_owned(), |text, secret| masked(&text, secret))
    }
}

/// Whether a flag of this name takes a user name and password in other programs.
fn is_login(name: &str) -> bool {
    name == "creds" || SIDES.iter().any(|side| name.strip_prefix(side) == Some("creds"))
}

/// Whether a flag of this name is likely to be a misspelled `--password`.
fn is_like_password(name: &str) -> bool {
    let is_near = |name: &str| strsim::damerau_levenshtein(name, "password") <= 3;
    name.starts_with("pass") || name.starts_with("pw") || (name.len() <= MAX_NAME && is_near(name))
}

/// Masks every occurrence of a secret in a text, ignoring case because references lowercase hosts.
fn masked(text: &str, secret: &str) -> String {
    let key: String = secret.chars().take(KEY).collect::<String>().to_ascii_lowercase();
    let is_short = secret.chars().count() < SHORT;
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, start)) = rest.to_ascii_lowercase().find(&key).and_then(|at| rest.split_at_checked(at)) {
        let is_same = |(one, other): &(char, char)| one.eq_ignore_ascii_case(other);
        let length = start.chars().zip(secret.chars()).take_while(is_same).map(|(c, _)| c.len_utf8()).sum();
        let (hit, after) = start.split_at_checked(length).unwrap_or((start, ""));
        out.push_str(before);
        let is_word = !out.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        out.push_str(if is_short && !is_word { hit } else { MASK });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(args: &[&str]) -> ArgumentSecrets {
        let args: Vec<OsString> = std::iter::once(&"manifest-tool").chain(args).map(Into::into).collect();
        let flags = ["password", "password-stdin", "target-password-stdin", "username", "platforms", "plain-http"]
            .map(str::to_owned)
            .into();
        ArgumentSecrets::new(&args, std::iter::empty(), &flags)
    }

    #[test]
    fn passwords_are_found_after_misspelled_flags_too() {
        for args in [
            &["--password", "hunter2"][..],
            &["--password=hunter2"],
            &["-password", "hunter2"],
            &["-password=hunter2"],
            &["-p", "hunter2"],
            &["-phunter2"],
            &["-p=hunter2"],
            &["--username", "--password", "hunter2"],
            &["--pasword", "hunter2"],
            &["-pasword", "hunter2"],
            &["--passwrod=hunter2"],
            &["--pass", "hunter2"],
            &["--pwd=hunter2"],
            &["--PASSWORD", "hunter2"],
            &["\u{2014}password", "hunter2"],
            &["--password:hunter2"],
            &["--passwordhunter2"],
            &["--password-hunter2"],
            &["--password-stdin", "hunter2"],
            &["--passwd", "hunter2"],
            &["-p", "a", "--password", "hunter2"],
            &["--source-password", "hunter2"],
            &["--dest-password=hunter2"],
            &["--target-pasword", "hunter2"],
            &["--target-password-stdin", "hunter2"],
            &["--src-creds", "hunter2"],
            &["--creds=hunter2"],
        ] {
            let masked = secrets(args).mask_all("'hunter2' and x=HUNTER2,hunter2hunter2");
            assert!(!masked.to_lowercase().contains("hunter2"), "{args:?}: {masked}");
        }
        for args in [&["hunter2"][..], &["--platforms", "hunter2"], &["-platforms", "hunter2"], &["-u", "hunter2"]] {
            assert_eq!(secrets(args).mask_all("a hunter2"), "a hunter2", "{args:?}");
        }
        let after_a_switch = secrets(&["--password-stdin", "r.io"]);
        assert_eq!(after_a_switch.mask("r.io: refused"), "r.io: refused", "only usage errors mask it");
        assert_eq!(secrets(&["-u", "--abc"]).mask_all("'--abc'"), "'****'");
    }

    #[test]
    fn short_secrets_are_masked_as_words_and_long_ones_anywhere() {
        let long = "0123456789".repeat(50);
        for (text, secret, expected) in [
            ("one ab two", "ab", "one **** two"),
            ("table 'ab' \"ab\" ab", "ab", "table '****' \"****\" ****"),
            ("abab", "ab", "abab"),
            ("über geheim", "über", "**** geheim"),
            ("xsecrety", "secret", "x****y"),
            ("SECRET.io", "Secret", "****.io"),
            (&format!("\"{}\" is long", &long[..300]), &long, "\"****\" is long"),
            ("0123456789 is another", &long, "0123456789 is another"),
        ] {
            assert_eq!(masked(text, secret), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_masked_text_does_not_contain_the_secret(before: String, secret in ".{4,40}", after: String) {
            let masked = masked(&format!("{before}{secret}{after}"), &secret);
            proptest::prop_assert!(masked.split(MASK).all(|piece| !piece.contains(&secret)), "{masked}");
        }
    }
}
