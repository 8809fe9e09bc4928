//! Keeps the secrets of the command line and the environment out of messages about bad usage.

use std::collections::HashSet;
use std::ffi::OsString;

/// Replaces a secret.
const MASK: &str = "****";
/// A secret with fewer characters is masked only as a whole word, since it may be a part of any other.
const SHORT: usize = 4;
/// A secret is found by this many characters of its beginning, since messages may cut a long text short.
const KEY: usize = 32;
/// Longer names are not compared with those of flags; bytes.
const MAX_NAME: usize = 32;

/// The secrets of the command line and the environment, found before the command line is parsed.
pub(super) struct ArgumentSecrets {
    /// Values of `--password`, and of variables that hold credentials.
    certain: Vec<String>,
    /// Arguments that may be passwords, beside a flag that is misspelled or that takes no value.
    likely: Vec<String>,
}

impl ArgumentSecrets {
    /// Finds the secrets in the arguments, of which the first is the program, and in the values of variables. `words`
    /// are the known long flags, without their dashes, and the names of commands.
    pub(super) fn new(args: &[OsString], values: impl Iterator<Item = String>, words: &HashSet<String>) -> Self {
        let mut secrets = Self { certain: values.collect(), likely: Vec::new() };
        let args: Vec<_> = args.iter().skip(1).map(|arg| arg.to_string_lossy()).collect();
        for (at, arg) in args.iter().enumerate() {
            secrets.look_at(arg, args.get(at + 1).map(AsRef::as_ref), words);
        }
        for list in [&mut secrets.certain, &mut secrets.likely] {
            list.retain(|secret| !secret.trim().is_empty());
            // A secret that contains another one is masked first.
            list.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
        secrets
    }

    fn look_at(&mut self, arg: &str, next: Option<&str>, words: &HashSet<String>) {
        // Word processors replace two dashes by one of another kind.
        let body = arg.trim_start_matches(['-', '\u{2010}', '\u{2013}', '\u{2014}', '\u{2212}']);
        if body.len() == arg.len() {
            return;
        }
        let (name, value) = body.split_once(['=', ':']).map_or((body, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_lowercase();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        if name == "password" || name == "p" {
            return self.certain.extend(owned(value.or(next)));
        }
        if name == "username" || name == "u" {
            // User names are not secret, but one that begins with a dash may be a password in the wrong place.
            return self.likely.extend(owned(value.or(next)).filter(|user| user.starts_with('-')));
        }
        if words.contains(&name) && name != "password-stdin" {
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

    /// Masks every secret in a text, and arguments that may be passwords.
    pub(super) fn mask_all(&self, text: &str) -> String {
        self.likely.iter().fold(self.mask(text), |text, secret| masked(&text, secret))
    }

    /// Masks the values in a text that are certain to be secrets.
    pub(super) fn mask(&self, text: &str) -> String {
        self.certain.iter().fold(text.to_owned(), |text, secret| masked(&text, secret))
    }
}

/// Whether a flag of this name is likely to be meant as `--password`.
fn is_like_password(name: &str) -> bool {
    let is_near = |name: &str| strsim::damerau_levenshtein(name, "password") <= 3;
    name.starts_with("pass") || name.starts_with("pw") || (name.len() <= MAX_NAME && is_near(name))
}

/// Masks a secret wherever the text has it, in upper or lower case: hosts are put into lower case.
fn masked(text: &str, secret: &str) -> String {
    let key: String = secret.chars().take(KEY).collect::<String>().to_ascii_lowercase();
    let is_short = secret.chars().count() < SHORT;
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, found)) = rest.to_ascii_lowercase().find(&key).and_then(|at| rest.split_at_checked(at)) {
        let same = |(one, other): &(char, char)| one.eq_ignore_ascii_case(other);
        let length = found.chars().zip(secret.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let (hit, after) = found.split_at_checked(length).unwrap_or((found, ""));
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
        let flags = ["password", "password-stdin", "username", "platforms", "plain-http"].map(str::to_owned).into();
        ArgumentSecrets::new(&args, std::iter::empty(), &flags)
    }

    #[test]
    fn passwords_in_every_place_are_found() {
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
        ] {
            let masked = secrets(args).mask_all("'hunter2' and x=HUNTER2,hunter2hunter2");
            assert!(!masked.to_lowercase().contains("hunter2"), "{args:?}: {masked}");
        }
        for args in [&["hunter2"][..], &["--platforms", "hunter2"], &["-platforms", "hunter2"], &["-u", "hunter2"]] {
            assert_eq!(secrets(args).mask_all("a hunter2"), "a hunter2", "{args:?}");
        }
        let beside_a_switch = secrets(&["--password-stdin", "r.io"]);
        assert_eq!(beside_a_switch.mask("r.io: refused"), "r.io: refused", "only usage errors lose it");
        assert_eq!(secrets(&["-u", "--abc"]).mask_all("'--abc'"), "'****'");
    }

    #[test]
    fn masks() {
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
        fn what_is_masked_is_gone(before: String, secret in ".{4,40}", after: String) {
            let masked = masked(&format!("{before}{secret}{after}"), &secret);
            proptest::prop_assert!(masked.split(MASK).all(|piece| !piece.contains(&secret)), "{masked}");
        }
    }
}
