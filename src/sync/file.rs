//! Reads the file of a sync, in the form of `skopeo sync --src yaml`, with `exclude` in addition.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::rules::{ImageName, RepositoryRules, SyncRules, TagSelector, scoped_path};
use super::tag_regex::TagRegex;
use super::version_constraint::VersionConstraint;
use crate::image::{Digest, Location, Reference, UntrustedText, check_tag, nearest_tag};
use crate::spec::{Hint, Mistake, Node, ProblemKind, Reader, SpecError, YamlRequest, documents, near_miss};

/// A position in the file.
type At = serde_saphyr::Location;

const IMAGES: &str = "images";
const BY_REGEX: &str = "images-by-tag-regex";
const BY_VERSION: &str = "images-by-semver";
const EXCLUDE: &str = "exclude";
const TLS_VERIFY: &str = "tls-verify";
const CERT_DIR: &str = "cert-dir";
const CREDENTIALS: &str = "credentials";

/// The keys of a registry.
const KEYS: [&str; 7] = [IMAGES, BY_REGEX, BY_VERSION, EXCLUDE, TLS_VERIFY, CERT_DIR, CREDENTIALS];

/// Parses the file of a sync. `file` is its name, for messages.
///
/// # Errors
/// The text is not valid YAML, or a rule is invalid. The error lists all problems with line and column.
pub(crate) fn from_yaml(text: &str, file: &str) -> Result<SyncRules, SpecError> {
    let roots = documents(text, file)?;
    let request = YamlRequest { text, file, ..YamlRequest::default() };
    let mut parser =
        FileParser { reader: Reader::new(&request), rules: SyncRules::default(), positions: HashMap::new() };
    for root in roots.iter().skip(1) {
        parser.reader.note(root.referenced, "a sync file has only one YAML document");
    }
    roots.iter().take(1).for_each(|root| parser.file(root));
    let FileParser { reader, rules, .. } = parser;
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.at);
    if problems.is_empty() { Ok(rules) } else { Err(SpecError::new(problems)) }
}

struct FileParser<'r> {
    reader: Reader<'r>,
    rules: SyncRules,
    /// The positions of repositories in `rules`.
    positions: HashMap<Location, usize>,
}

impl FileParser<'_> {
    fn file(&mut self, root: &Spanned<Node>) {
        let entries = match &root.value {
            Node::Map(entries) => entries,
            Node::Null => return self.reader.note(root.referenced, "it is empty"),
            _ => {
                let message = "a sync file is a mapping from registries to their images";
                return self.reader.note(root.referenced, message);
            }
        };
        if entries.is_empty() {
            self.reader.note(root.referenced, "it is empty");
        }
        for (key, value) in entries {
            let Some(name) = self.reader.key(key).filter(|name| !name.starts_with("x-")) else { continue };
            if let Some(host) = self.reader.checked(key.referenced, registry(&name)) {
                self.registry(&name, &host, key.referenced, value);
            }
        }
    }

    /// Reads the rules of a registry. `prefix` is its key: the host, and the first components of the repositories if
    /// they have any in common.
    fn registry(&mut self, prefix: &str, host: &str, at: At, node: &Spanned<Node>) {
        let entries = match &node.value {
            Node::Map(entries) => entries.as_slice(),
            Node::Null => &[],
            _ => {
                let message = format!("\"{prefix}\" must be a mapping with the keys {}", KEYS.join(", "));
                return self.reader.note(node.referenced, message);
            }
        };
        let (mut has_images, mut excluded) = (false, Vec::new());
        for (key, value) in entries {
            let Some(name) = self.reader.key(key) else { continue };
            match name.as_str() {
                IMAGES => has_images |= self.repositories(prefix, IMAGES, value, Self::images),
                BY_REGEX => has_images |= self.repositories(prefix, BY_REGEX, value, Self::regex),
                BY_VERSION => has_images |= self.repositories(prefix, BY_VERSION, value, Self::versions),
                EXCLUDE => excluded.push(value),
                TLS_VERIFY => self.tls_verify(host, value),
                CERT_DIR => {
                    let hint = Hint::TrustCertificate(host.to_owned());
                    let mistake = Mistake::with_hint(format!("\"{CERT_DIR}\" is not supported"), hint);
                    self.reader.note(key.referenced, mistake);
                }
                CREDENTIALS => {
                    let message = format!("\"{CREDENTIALS}\" must not be in a sync file");
                    self.reader.note(key.referenced, Mistake::with_hint(message, Hint::SignIn(host.to_owned())));
                }
                name if name.starts_with("x-") => {}
                _ => self.unknown_key(key, &name),
            }
        }
        // Exclusions apply to all rules, before and after them.
        for value in excluded {
            self.repositories(prefix, EXCLUDE, value, Self::exclude);
        }
        if !has_images {
            let message =
                format!("\"{prefix}\" selects no image: add \"{IMAGES}\", \"{BY_REGEX}\" or \"{BY_VERSION}\"");
            self.reader.note(at, message);
        }
    }

    fn unknown_key(&mut self, key: &Spanned<Node>, name: &str) {
        let message = format!("unknown key \"{name}\" of a registry").into();
        let suggestion = near_miss(name, &KEYS).map(UntrustedText::from);
        let mistake = Mistake { kind: ProblemKind::UnknownKey, message, suggestion, hint: None };
        self.reader.note_key(key, name, mistake);
    }

    /// Reads a mapping from repositories to rules. Returns whether it has any.
    fn repositories(
        &mut self,
        prefix: &str,
        key: &str,
        node: &Spanned<Node>,
        read: fn(&mut Self, &Location, &str, &Spanned<Node>),
    ) -> bool {
        let entries = match &node.value {
            Node::Map(entries) => entries,
            Node::Null => return false,
            _ => {
                self.reader.note(node.referenced, format!("\"{key}\" must be a mapping from repositories"));
                return true;
            }
        };
        for (name, value) in entries {
            let Some(text) = self.reader.key(name) else { continue };
            if let Some(repository) = self.reader.checked(name.referenced, repository(prefix, &text)) {
                read(self, &repository, &text, value);
            }
        }
        !entries.is_empty()
    }

    /// Returns the rules of a repository. Adds it if the file has not named it before.
    fn rules_of(&mut self, repository: &Location) -> Option<&mut RepositoryRules> {
        let all = &mut self.rules.repositories;
        let at = *self.positions.entry(repository.clone()).or_insert(all.len());
        if at == all.len() {
            let path = repository.reference().map(scoped_path).unwrap_or_default();
            all.push(RepositoryRules::none(repository.clone(), path));
        }
        all.get_mut(at)
    }

    /// Reads the tags and digests of a repository. Without any, all tags are selected.
    fn images(&mut self, repository: &Location, name: &str, node: &Spanned<Node>) {
        let items = self.items(name, node);
        let names: Vec<ImageName> =
            items.iter().filter_map(|(text, at)| self.reader.checked(*at, image_name(text))).collect();
        let is_list = matches!(node.value, Node::Null | Node::List(_));
        let Some(rules) = self.rules_of(repository) else { return };
        if items.is_empty() && is_list {
            rules.selectors.push(TagSelector::All);
        }
        rules.named.extend(names);
    }

    fn regex(&mut self, repository: &Location, name: &str, node: &Spanned<Node>) {
        let Some(pattern) = self.filled(name, node) else { return };
        let regex = self.reader.checked(node.referenced, TagRegex::parse(&pattern));
        let rules = self.rules_of(repository);
        rules.into_iter().for_each(|rules| rules.selectors.extend(regex.clone().map(TagSelector::Regex)));
    }

    fn versions(&mut self, repository: &Location, name: &str, node: &Spanned<Node>) {
        let Some(text) = self.filled(name, node) else { return };
        let constraint = self.reader.checked(node.referenced, VersionConstraint::parse(&text));
        let rules = self.rules_of(repository);
        rules.into_iter().for_each(|rules| rules.selectors.extend(constraint.clone().map(TagSelector::Versions)));
    }

    fn exclude(&mut self, repository: &Location, name: &str, node: &Spanned<Node>) {
        if !self.positions.contains_key(repository) {
            let message = format!("\"{EXCLUDE}\" names {repository}, from which no rule selects an image");
            return self.reader.note(node.referenced, message);
        }
        let items = self.items(name, node);
        let patterns: Vec<TagRegex> =
            items.iter().filter_map(|(text, at)| self.reader.checked(*at, TagRegex::parse(text))).collect();
        let rules = self.rules_of(repository);
        rules.into_iter().for_each(|rules| rules.excluded.extend(patterns.iter().cloned()));
    }

    fn tls_verify(&mut self, host: &str, node: &Spanned<Node>) {
        let verifies = |text: &str| match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(format!("\"{TLS_VERIFY}\" is true or false")),
        };
        let text = self.reader.scalar(node, TLS_VERIFY);
        if text.and_then(|text| self.reader.checked(node.referenced, verifies(&text))) == Some(false) {
            self.rules.unverified.insert(host.to_owned());
        }
    }

    /// Reads a value that must not be empty.
    fn filled(&mut self, name: &str, node: &Spanned<Node>) -> Option<String> {
        let text = self.reader.scalar(node, name)?;
        if text.is_empty() {
            self.reader.note(node.referenced, format!("\"{name}\" has no value"));
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// Reads a list of values with their positions. Null is an empty list.
    fn items(&mut self, name: &str, node: &Spanned<Node>) -> Vec<(String, At)> {
        let items = match &node.value {
            Node::List(items) => items.as_slice(),
            Node::Null => &[],
            _ => {
                self.reader.note(node.referenced, format!("\"{name}\" must have a list, such as [\"v1\"]"));
                &[]
            }
        };
        let read = |item: &Spanned<Node>| Some((self.filled(name, item)?, item.referenced));
        items.iter().filter_map(read).collect()
    }
}

/// Returns the host of a registry's key, as references name it.
fn registry(key: &str) -> Result<String, Mistake> {
    let first = key.split('/').next().unwrap_or(key);
    let reference = format!("{first}/x/x").parse::<Reference>();
    match reference {
        Ok(reference) if reference.repository() == "x/x" => Ok(reference.registry().to_owned()),
        _ if key.contains("://") => Err(Mistake::from(format!("\"{key}\" is not a registry: leave out the scheme"))),
        _ => {
            let message = format!("\"{key}\" is not a registry's HOST[:PORT]");
            let is_typo = KEYS.contains(&key);
            let why = if is_typo { "; it is a key of a registry: check the indentation" } else { "" };
            Err(Mistake::from(message + why))
        }
    }
}

/// Parses the name of a repository below a registry's key.
fn repository(prefix: &str, name: &str) -> Result<Location, Mistake> {
    let reference =
        format!("{prefix}/{name}").parse::<Reference>().map_err(|error| Mistake::from(error.to_string()))?;
    if reference.manifest_name().is_some() {
        return Err(Mistake::from(format!("\"{name}\" has a tag or digest: put it into the list of its repository")));
    }
    Ok(reference.into())
}

/// Parses a tag or a digest.
fn image_name(text: &str) -> Result<ImageName, Mistake> {
    if text.contains(':') && !text.starts_with(':') {
        let digest = Digest::parse(text).map_err(Mistake::from);
        return digest.map(ImageName::Digest);
    }
    let reason = |error| Mistake::from(format!("invalid tag \"{text}\": {error}")).or_meant(nearest_tag(text));
    check_tag(text).map_err(reason).map(|()| ImageName::Tag(text.to_owned()))
}

#[cfg(test)]
mod tests;
