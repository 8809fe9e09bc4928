//! The file registries.conf of Podman and skopeo: which mirrors and locations stand in for a registry.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::image::Reference;
use crate::registry::transport::Hosts;

/// Mirrors, other locations and blocked registries, in version 2 of the format of containers-registries.conf(5).
/// `RegistriesConf::default()` changes nothing.
///
/// Reads of a repository go to the mirrors of its `[[registry]]` table, then to the table's location. Writes go to the
/// repository itself, and so do reads of the repositories that [`Self::except`] excludes.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConf {
    tables: Vec<RegistryTable>,
    /// Repositories that are never redirected, as `HOST/REPOSITORY`.
    written: BTreeSet<String>,
}

/// A `[[registry]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistryTable {
    /// The name of its file in messages.
    file: String,
    prefix: Prefix,
    location: Endpoint,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

/// The beginning of the names that a table is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix {
    /// The host. With [`Self::is_wildcard`], its subdomains.
    host: String,
    is_wildcard: bool,
    /// The first parts of the repository, separated by slashes. Empty for every repository.
    path: String,
}

/// A place that stands in for a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    /// `HOST[:PORT][/PATH]`; `None` for the prefix itself.
    location: Option<String>,
    /// Whether its certificate is not checked, and plain HTTP is used if the port does not speak TLS.
    insecure: bool,
}

/// A `[[registry.mirror]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mirror {
    endpoint: Endpoint,
    pulls: Pulls,
}

/// The reads that a mirror is for (`pull-from-mirror`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulls {
    All,
    DigestOnly,
    TagOnly,
}

/// What a request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// A manifest by tag.
    Tag,
    /// A manifest or blob by digest.
    Digest,
    /// A list, which a mirror may have only in part.
    List,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) registry: String,
    pub(crate) repository: String,
}

/// Where to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirection {
    /// The mirrors to try, in this order.
    pub(crate) mirrors: Vec<Place>,
    /// Mirrors that are only for tags. They may be the only place with the content of a tag that they resolved.
    pub(crate) tag_mirrors: Vec<Place>,
    /// The repository to read if no mirror can be used.
    pub(crate) location: Place,
}

/// Top-level keys that do not matter here: names without a registry are Docker Hub's.
const IGNORED: [&str; 3] = ["unqualified-search-registries", "short-name-mode", "aliases"];

impl RegistriesConf {
    /// Parses the text of a file; `name` is its name in messages. Also returns a warning for each unknown key.
    ///
    /// # Errors
    ///
    /// The text is not TOML, has version 1 of the format, or has an invalid value.
    pub fn parse(text: &str, name: &str) -> Result<(Self, Vec<String>), String> {
        let table: Table = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let (line, column) = position(text, at);
            format!("{name}:{line}:{column}: {}", error.message().lines().collect::<Vec<_>>().join(" "))
        })?;
        let invalid = |reason: String| format!("{name}: {reason}");
        if table.contains_key("registries") {
            return Err(invalid(
                "this is version 1 of the format, which is not supported: write a [[registry]] table with prefix, \
                 insecure or blocked for each registry (containers-registries.conf(5))"
                    .into(),
            ));
        }
        let mut reader = Reader { file: name, warnings: Vec::new() };
        let mut conf = Self::default();
        for (key, value) in &table {
            match key.as_str() {
                "registry" => conf.tables = reader.registries(value).map_err(invalid)?,
                key if IGNORED.contains(&key) => {}
                key => reader.unknown(key, "the file"),
            }
        }
        Ok((conf, reader.warnings.into_iter().map(invalid).collect()))
    }

    /// Adds the tables of another file. A table with a known prefix replaces the earlier one.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.tables.retain(|table| later.tables.iter().all(|other| other.prefix != table.prefix));
        self.tables.extend(later.tables);
        self.written.extend(later.written);
        self
    }

    /// Excludes repositories, such as those that a program writes to: they are not read from mirrors, nor from other
    /// locations. Blocked ones stay blocked.
    #[must_use]
    pub fn except<'r>(mut self, repositories: impl IntoIterator<Item = &'r Reference>) -> Self {
        self.written.extend(repositories.into_iter().map(|reference| reference.without_name().to_string()));
        self
    }

    /// Whether the file changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Returns the hosts whose certificates are not checked, and that may be reached over plain HTTP.
    pub(crate) fn insecure(&self) -> Hosts {
        let locations = self.tables.iter().flat_map(|table| {
            let own = table.location.host(&table.prefix).filter(|_| table.location.insecure);
            let mirrors = table.mirrors.iter().filter(|mirror| mirror.endpoint.insecure);
            own.into_iter().chain(mirrors.filter_map(|mirror| mirror.endpoint.host(&table.prefix)))
        });
        let hosts: BTreeSet<String> = locations.collect();
        if hosts.is_empty() { Hosts::None } else { Hosts::Only(hosts) }
    }

    /// Returns why requests to a repository are refused, if they are. An empty `repository` stands for the registry.
    pub(crate) fn blocked(&self, registry: &str, repository: &str) -> Option<String> {
        let (table, _) = self.find(registry, repository)?;
        table.blocked.then(|| format!("{} blocks {}", table.file, table.prefix))
    }

    /// Returns where to send a read, or `None` if that is the repository itself.
    pub(crate) fn redirect(
        &self,
        registry: &str,
        repository: &str,
        reads: Reads,
    ) -> Result<Option<Redirection>, String> {
        let name = format!("{registry}/{repository}");
        let Some((table, length)) = self.find(registry, repository).filter(|_| !self.written.contains(&name)) else {
            return Ok(None);
        };
        let rest = name.get(length..).unwrap_or_default();
        let own = Place { registry: registry.to_owned(), repository: repository.to_owned() };
        let place = |endpoint: &Endpoint| match &endpoint.location {
            None => Some(own.clone()),
            Some(location) => Place::parse(&format!("{location}{rest}")),
        };
        let location = place(&table.location).ok_or_else(|| {
            let location = table.location.location.as_deref().unwrap_or_default();
            format!("{}: the location {location} of {} names no repository", table.file, table.prefix)
        })?;
        let of = |is_used: fn(Pulls, Reads) -> bool| -> Vec<Place> {
            let used = table.mirrors.iter().filter(|mirror| is_used(mirror.pulls, reads));
            used.filter_map(|mirror| place(&mirror.endpoint)).filter(|place| *place != location).collect()
        };
        let mirrors = of(|pulls, reads| {
            matches!(
                (pulls, reads),
                (Pulls::All, Reads::Tag | Reads::Digest)
                    | (Pulls::DigestOnly, Reads::Digest)
                    | (Pulls::TagOnly, Reads::Tag)
            )
        });
        let tag_mirrors = of(|pulls, reads| (pulls, reads) == (Pulls::TagOnly, Reads::Digest));
        let is_unchanged = mirrors.is_empty() && tag_mirrors.is_empty() && location == own;
        Ok((!is_unchanged).then_some(Redirection { mirrors, tag_mirrors, location }))
    }

    /// Returns the table with the longest matching prefix, and the length of the match. The text of the prefix counts, so
    /// that a host is preferred to its wildcard. Of several, the first counts.
    fn find(&self, registry: &str, repository: &str) -> Option<(&RegistryTable, usize)> {
        let mut longest: Option<(&RegistryTable, usize)> = None;
        for table in &self.tables {
            let is_longer = |(known, _): (&RegistryTable, usize)| table.prefix.length() > known.prefix.length();
            if let Some(length) = table.prefix.matched(registry, repository)
                && longest.is_none_or(is_longer)
            {
                longest = Some((table, length));
            }
        }
        longest
    }
}

impl Prefix {
    /// Returns the length of the prefix as it is written.
    fn length(&self) -> usize {
        self.to_string().len()
    }

    /// Returns the length of the beginning of `REGISTRY/REPOSITORY` that matches.
    fn matched(&self, registry: &str, repository: &str) -> Option<usize> {
        let is_host = match self.is_wildcard {
            true => registry.strip_suffix(&self.host).is_some_and(|name| name.len() > 1 && name.ends_with('.')),
            false => registry == self.host,
        };
        let is_path = self.path.is_empty()
            || repository.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let length = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
        (is_host && is_path).then_some(registry.len() + length)
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (wildcard, slash) = (if self.is_wildcard { "*." } else { "" }, if self.path.is_empty() { "" } else { "/" });
        write!(f, "{wildcard}{}{slash}{}", self.host, self.path)
    }
}

impl Endpoint {
    /// Returns the host. A wildcard without a location has none.
    fn host(&self, prefix: &Prefix) -> Option<String> {
        match &self.location {
            Some(location) => location.split('/').next().map(str::to_owned),
            None => (!prefix.is_wildcard).then(|| prefix.host.clone()),
        }
    }
}

impl Place {
    fn parse(name: &str) -> Option<Self> {
        let (registry, repository) = name.split_once('/')?;
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        (!repository.is_empty()).then_some(Self { registry, repository })
    }
}

/// Reads the tables of a file.
struct Reader<'f> {
    /// The name of the file in messages.
    file: &'f str,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn unknown(&mut self, key: &str, at: &str) {
        self.warnings.push(format!("the key \"{key}\" in {at} is not supported, and is ignored"));
    }

    fn registries(&mut self, value: &Value) -> Result<Vec<RegistryTable>, String> {
        tables(value, "[[registry]]")?.into_iter().map(|table| self.registry(table)).collect()
    }

    fn registry(&mut self, table: &Table) -> Result<RegistryTable, String> {
        let (prefix, location) = (text(table, "prefix")?, text(table, "location")?);
        let Some(shown) = prefix.or(location) else {
            return Err("a [[registry]] table has neither prefix nor location".into());
        };
        let at = format!("the table of {shown}");
        let (mut insecure, mut blocked, mut by_digest) = (false, false, false);
        let mut mirrors = Vec::new();
        for (key, value) in table {
            match key.as_str() {
                "prefix" | "location" => {}
                "insecure" => insecure = boolean(value, key, &at)?,
                "blocked" => blocked = boolean(value, key, &at)?,
                "mirror-by-digest-only" => by_digest = boolean(value, key, &at)?,
                "mirror" => {
                    for mirror in tables(value, "[[registry.mirror]]")? {
                        mirrors.push(self.mirror(mirror, &at)?);
                    }
                }
                key => self.unknown(key, &at),
            }
        }
        if insecure && shown.starts_with("*.") && location.is_none_or(|location| location.starts_with("*.")) {
            self.warnings.push(format!("insecure in {at} has no effect: name each host in a table of its own"));
        }
        if by_digest && mirrors.iter().any(|(_, pulls)| pulls.is_some()) {
            return Err(format!("{at} has both mirror-by-digest-only and pull-from-mirror"));
        }
        let default = if by_digest { Pulls::DigestOnly } else { Pulls::All };
        let mirrors = mirrors.into_iter().map(|(endpoint, pulls)| Mirror { endpoint, pulls: pulls.unwrap_or(default) });
        let location = location.map(|location| place_name(location, "location")).transpose()?;
        Ok(RegistryTable {
            file: self.file.to_owned(),
            prefix: parse_prefix(shown)?,
            location: Endpoint { location: location.filter(|_| prefix.is_some()), insecure },
            blocked,
            mirrors: mirrors.collect(),
        })
    }

    fn mirror(&mut self, table: &Table, registry: &str) -> Result<(Endpoint, Option<Pulls>), String> {
        let Some(location) = text(table, "location")? else {
            return Err(format!("a mirror in {registry} has no location"));
        };
        let at = format!("the mirror {location}");
        let location = place_name(location, "location")?;
        let (mut insecure, mut pulls) = (false, None);
        for (key, value) in table {
            match key.as_str() {
                "location" => {}
                "insecure" => insecure = boolean(value, key, &at)?,
                "pull-from-mirror" => {
                    pulls = Some(match value.as_str() {
                        Some("all") => Pulls::All,
                        Some("digest-only") => Pulls::DigestOnly,
                        Some("tag-only") => Pulls::TagOnly,
                        _ => {
                            return Err(format!(
                                "pull-from-mirror of {at} must be \"all\", \"digest-only\" or \"tag-only\""
                            ));
                        }
                    });
                }
                key => self.unknown(key, &at),
            }
        }
        Ok((Endpoint { location: Some(location), insecure }, pulls))
    }
}

fn tables<'v>(value: &'v Value, name: &str) -> Result<Vec<&'v Table>, String> {
    let tables = value.as_array().and_then(|values| values.iter().map(Value::as_table).collect());
    tables.ok_or_else(|| format!("{name} must be an array of tables"))
}

fn text<'t>(table: &'t Table, key: &str) -> Result<Option<&'t str>, String> {
    match table.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty()).map(String::as_str)),
        Some(_) => Err(format!("{key} must be a string")),
    }
}

fn boolean(value: &Value, key: &str, at: &str) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{key} in {at} must be true or false"))
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let (is_wildcard, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
    let name = place_name(rest, "prefix")?;
    let (host, path) = name.split_once('/').unwrap_or((&name, ""));
    Ok(Prefix { host: host.to_owned(), is_wildcard, path: path.to_owned() })
}

/// Checks `HOST[:PORT][/PATH]` and returns it with the host in the form that references use.
fn place_name(text: &str, key: &str) -> Result<String, String> {
    let invalid = |why: &str| format!("{key} \"{text}\" {why}");
    if text.contains("://") {
        return Err(invalid("has a scheme: write HOST[:PORT][/PATH]"));
    }
    let trimmed = text.trim_end_matches('/');
    let (host, path) = trimmed.split_once('/').map_or((trimmed, None), |(host, path)| (host, Some(path)));
    let reference: Reference =
        format!("{host}/{}", path.unwrap_or("name")).parse().map_err(|_| invalid("is not HOST[:PORT][/PATH]"))?;
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(invalid("has a tag or digest: write HOST[:PORT][/PATH]"));
    }
    // Without a dot or a port, the first part of a reference is a repository on Docker Hub.
    let is_hub = ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&host.to_ascii_lowercase().as_str());
    if reference.registry() == "docker.io" && !is_hub {
        return Err(invalid("does not start with a registry's HOST[:PORT]"));
    }
    Ok(path.map_or_else(|| reference.registry().to_owned(), |path| format!("{}/{path}", reference.registry())))
}

/// Returns the line and column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> RegistriesConf {
        let (conf, warnings) = RegistriesConf::parse(text, "conf").unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
        conf
    }

    /// Returns the places that a read is sent to, the location last.
    fn places(conf: &RegistriesConf, name: &str, reads: Reads) -> Vec<String> {
        let (registry, repository) = name.split_once('/').unwrap();
        let Redirection { mirrors, location, .. } = match conf.redirect(registry, repository, reads).unwrap() {
            Some(redirection) => redirection,
            None => return vec![name.to_owned()],
        };
        let shown = |place: Place| format!("{}/{}", place.registry, place.repository);
        mirrors.into_iter().chain([location]).map(shown).collect()
    }

    #[test]
    fn a_host_is_preferred_to_its_wildcard_in_any_order() {
        let wildcard = "[[registry]]\nprefix = '*.example.com'\n";
        let host = "[[registry]]\nprefix = 'bad.example.com'\nblocked = true\n";
        let team = "[[registry]]\nprefix = '*.team.example.com'\nblocked = true\n";
        for tables in [[wildcard, host, team], [team, host, wildcard]] {
            let (conf, _) = RegistriesConf::parse(&tables.concat(), "x").unwrap();
            for (registry, is_blocked) in
                [("bad.example.com", true), ("a.team.example.com", true), ("good.example.com", false)]
            {
                assert_eq!(conf.blocked(registry, "app").is_some(), is_blocked, "{registry}");
            }
        }
        let insecure = RegistriesConf::parse("[[registry]]\nprefix = '*.lab.example'\ninsecure = true\n", "x").unwrap();
        assert_eq!(
            insecure.1,
            ["x: insecure in the table of *.lab.example has no effect: name each host in a table of its own"]
        );
    }

    #[test]
    fn a_table_of_a_later_file_replaces_that_with_the_same_prefix() {
        let parse = |text: &str, file: &str| RegistriesConf::parse(text, file).unwrap().0;
        let first =
            parse("[[registry]]\nprefix = 'r.io'\nblocked = true\n[[registry]]\nprefix = 's.io'\nblocked = true", "a");
        let both =
            first.and(parse("[[registry]]\nprefix = 'r.io'\n[[registry]]\nprefix = 't.io'\nblocked = true", "b"));
        assert_eq!(both.blocked("r.io", "app"), None);
        assert_eq!(both.blocked("s.io", "app").as_deref(), Some("a blocks s.io"));
        assert_eq!(both.blocked("t.io", "app").as_deref(), Some("b blocks t.io"));
    }

    #[test]
    fn the_longest_prefix_counts_and_ends_at_a_slash() {
        let conf = conf(
            r#"
            unqualified-search-registries = ["example.com"]
            short-name-mode = "enforcing"
            [[registry]]
            location = "R.io"
            [[registry.mirror]]
            location = "m.io/all"
            [[registry]]
            prefix = "r.io/team"
            location = "s.io:5000/other"
            [[registry]]
            prefix = "r.io/team/app"
            [[registry.mirror]]
            location = "m.io/app/"
            [[registry]]
            prefix = "r.io/team/app"
            location = "ignored.io"
            [[registry]]
            prefix = "*.example.com"
            [[registry.mirror]]
            location = "m.io/wild"
            [[registry]]
            prefix = "*.sub.example.com/x"
            location = "t.io"
            [[registry]]
            prefix = "docker.io/library"
            [[registry.mirror]]
            location = "m.io/hub"
            "#,
        );
        for (name, expected) in [
            ("r.io/a", &["m.io/all/a", "r.io/a"][..]),
            ("r.io/teams", &["m.io/all/teams", "r.io/teams"]),
            ("r.io/team", &["s.io:5000/other"]),
            ("r.io/team/b/c", &["s.io:5000/other/b/c"]),
            ("r.io/team/app", &["m.io/app", "r.io/team/app"]),
            ("r.io/team/app/x", &["m.io/app/x", "r.io/team/app/x"]),
            ("r.io:5000/a", &["r.io:5000/a"]),
            ("evilr.io/a", &["evilr.io/a"]),
            ("example.com/a", &["example.com/a"]),
            ("evilexample.com/a", &["evilexample.com/a"]),
            ("a.example.com/b", &["m.io/wild/b", "a.example.com/b"]),
            ("a.b.example.com/b", &["m.io/wild/b", "a.b.example.com/b"]),
            ("a.sub.example.com/x/y", &["t.io/y"]),
            ("a.sub.example.com/y", &["m.io/wild/y", "a.sub.example.com/y"]),
            ("docker.io/library/alpine", &["m.io/hub/alpine", "docker.io/library/alpine"]),
            ("docker.io/team/app", &["docker.io/team/app"]),
        ] {
            assert_eq!(places(&conf, name, Reads::Digest), expected, "{name}");
        }
        assert!(conf.redirect("a.sub.example.com", "x", Reads::Tag).unwrap_err().contains("names no repository"));
    }

    #[test]
    fn mirrors_are_for_tags_or_digests_and_never_for_lists_and_written_repositories() {
        let text = |more: &str, of_mirror: &str| {
            format!("[[registry]]\nlocation='r.io'\n{more}\n[[registry.mirror]]\nlocation='m.io'\n{of_mirror}")
        };
        for (more, of_mirror, tag, digest) in [
            ("", "", true, true),
            ("", "pull-from-mirror='all'", true, true),
            ("", "pull-from-mirror='digest-only'", false, true),
            ("mirror-by-digest-only=true", "", false, true),
            ("", "pull-from-mirror='tag-only'", true, false),
        ] {
            let conf = conf(&text(more, of_mirror));
            for (reads, is_used) in [(Reads::Tag, tag), (Reads::Digest, digest), (Reads::List, false)] {
                let expected = if is_used { vec!["m.io/a", "r.io/a"] } else { vec!["r.io/a"] };
                assert_eq!(places(&conf, "r.io/a", reads), expected, "{more} {of_mirror} {reads:?}");
            }
            let written: Reference = "r.io/a:v1".parse().unwrap();
            assert_eq!(places(&conf.except([&written]), "r.io/a", Reads::Tag), ["r.io/a"]);
        }
    }

    #[test]
    fn blocked_and_insecure_apply_to_their_own_table() {
        let conf = conf(
            r#"
            [[registry]]
            prefix = "r.io"
            blocked = true
            [[registry]]
            prefix = "r.io/free"
            insecure = true
            [[registry]]
            prefix = "s.io"
            location = "t.io:5000/x"
            insecure = true
            [[registry.mirror]]
            location = "m.io"
            insecure = true
            [[registry.mirror]]
            location = "n.io"
            "#,
        );
        assert_eq!(conf.blocked("r.io", "a").as_deref(), Some("conf blocks r.io"));
        assert!(conf.blocked("r.io", "").is_some() && conf.blocked("r.io", "free/a").is_none());
        assert_eq!(conf.insecure(), Hosts::Only(["m.io", "r.io", "t.io:5000"].map(str::to_owned).into()));
        assert!(RegistriesConf::default().insecure() == Hosts::None && RegistriesConf::default().is_empty());
    }

    #[test]
    fn invalid_files_are_refused_with_the_reason() {
        for (text, expected) in [
            ("[[registry]]\nlocation = r.io\n", "conf:2:12: "),
            ("[[registry]]\nlocation = \"é\" x", "conf:2:16: "),
            ("[registries.search]\nregistries = []", "conf: this is version 1 of the format"),
            ("[registry]\nlocation = 'r.io'", "[[registry]] must be an array of tables"),
            ("[[registry]]\nblocked = true", "a [[registry]] table has neither prefix nor location"),
            ("[[registry]]\nlocation = 1", "location must be a string"),
            (
                "[[registry]]\nlocation = 'r.io'\ninsecure = 'yes'",
                "insecure in the table of r.io must be true or false",
            ),
            ("[[registry]]\nprefix = 'r.io/a:v1'", "prefix \"r.io/a:v1\" has a tag or digest"),
            ("[[registry]]\nprefix = 'https://r.io'", "prefix \"https://r.io\" has a scheme"),
            ("[[registry]]\nprefix = 'team/app'", "does not start with a registry's HOST[:PORT]"),
            ("[[registry]]\nprefix = 'r.io/A'", "prefix \"r.io/A\" is not HOST[:PORT][/PATH]"),
            (
                "[[registry]]\nlocation = 'r.io'\n[[registry.mirror]]\ninsecure = true",
                "a mirror in the table of r.io has no location",
            ),
            (
                "[[registry]]\nlocation = 'r.io'\n[[registry.mirror]]\nlocation = 'm.io'\npull-from-mirror = 'never'",
                "pull-from-mirror of the mirror m.io must be \"all\", \"digest-only\" or \"tag-only\"",
            ),
            (
                "[[registry]]\nlocation = 'r.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'm.io'\n\
                 pull-from-mirror = 'all'",
                "has both mirror-by-digest-only and pull-from-mirror",
            ),
        ] {
            let error = RegistriesConf::parse(text, "conf").unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let (_, warnings) = RegistriesConf::parse("x = 1\n[[registry]]\nlocation = 'r.io'\ny = 2", "conf").unwrap();
        assert_eq!(
            warnings,
            [
                "conf: the key \"y\" in the table of r.io is not supported, and is ignored",
                "conf: the key \"x\" in the file is not supported, and is ignored",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_and_redirecting_never_panic(text: String, prefix in "[a-z*./:@-]{0,12}", location in "[a-z./:]{0,12}") {
            let _ = RegistriesConf::parse(&text, "conf");
            let table = format!("[[registry]]\nprefix = '{prefix}'\nlocation = '{location}'\n");
            if let Ok((conf, _)) = RegistriesConf::parse(&table, "conf") {
                let _ = conf.redirect("a.b", "c/d", Reads::Tag);
            }
        }
    }
}
