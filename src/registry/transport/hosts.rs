use std::collections::BTreeSet;

use url::Url;

/// The registries that a setting applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hosts {
    /// No registry.
    #[default]
    None,
    /// Every registry.
    All,
    /// These registries, named as in references: `HOST[:PORT]` in lower case, `docker.io` for Docker Hub.
    Only(BTreeSet<String>),
}

impl Hosts {
    /// Whether the setting applies to a registry, named as in references.
    #[must_use]
    pub fn contains(&self, registry: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(registries) => registries.contains(registry),
        }
    }

    /// Adds registries.
    pub(crate) fn and(self, more: &Self) -> Self {
        match (self, more) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (hosts, Self::None) => hosts,
            (Self::None, more) => more.clone(),
            (Self::Only(mut registries), Self::Only(more)) => {
                registries.extend(more.iter().cloned());
                Self::Only(registries)
            }
        }
    }

    /// Whether the setting applies to the registry whose API has this URL.
    pub(crate) fn contains_api(&self, api: &Url) -> bool {
        let has_api = |registry: &String| api_url(api.scheme(), registry).is_ok_and(|url| url.origin() == api.origin());
        match self {
            Self::Only(registries) => registries.iter().any(has_api),
            Self::None | Self::All => *self == Self::All,
        }
    }
}

/// Returns the URL of a registry's API.
pub(crate) fn api_url(scheme: &str, registry: &str) -> Result<Url, url::ParseError> {
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    format!("{scheme}://{host}/").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_contains_exactly_the_named_registries() {
        let only = Hosts::Only(["r.io", "s.io:5000", "docker.io", "[::1]:5000"].map(str::to_owned).into());
        for (registry, api, named) in [
            ("r.io", "https://r.io/", true),
            ("s.io:5000", "https://s.io:5000/", true),
            ("docker.io", "https://registry-1.docker.io/", true),
            ("[::1]:5000", "https://[::1]:5000/", true),
            ("r.io:5000", "https://r.io:5000/", false),
            ("s.io", "https://s.io/", false),
            ("evilr.io", "https://evilr.io/", false),
            ("r.io.evil", "https://r.io.evil/", false),
            ("t.r.io", "https://t.r.io/", false),
        ] {
            let api: Url = api.parse().unwrap();
            assert_eq!((only.contains(registry), only.contains_api(&api)), (named, named), "{registry}");
            assert!(Hosts::All.contains(registry) && Hosts::All.contains_api(&api));
            assert!(!Hosts::None.contains(registry) && !Hosts::None.contains_api(&api));
        }
    }
}
