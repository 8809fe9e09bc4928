use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a request wants to do, by repository: `pull`, or `pull` and `push` (Docker's token authentication, "Scope").
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scopes {
    /// The repository that the request is for: its credentials count, and only its scope is asked for where a token
    /// service does not take two.
    repository: String,
    /// Resources such as `repository:team/app` with their actions.
    resources: BTreeMap<String, BTreeSet<Cow<'static, str>>>,
}

/// A challenge that names more is not believed.
const MAX_RESOURCES: usize = 16;

impl Scopes {
    pub(crate) fn pull(repository: &str) -> Self {
        Self::of(repository).and(repository, &["pull"])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self::of(repository).and(repository, &["pull", "push"])
    }

    fn of(repository: &str) -> Self {
        Self { repository: repository.to_owned(), resources: BTreeMap::new() }
    }

    pub(crate) fn and(mut self, repository: &str, actions: &[&'static str]) -> Self {
        let resource = self.resources.entry(format!("repository:{repository}")).or_default();
        resource.extend(actions.iter().copied().map(Cow::Borrowed));
        self
    }

    /// With what a challenge asks for besides, such as `repository:a:pull,push registry:x:read`. Never `*`, which token
    /// services grant only to administrators and answer with nothing to others.
    pub(crate) fn with_challenge(self, scope: &str) -> Self {
        self.with_actions(scope, false)
    }

    /// With what a challenge asks for after a token was not sufficient: for the request's own repository also `*`, which
    /// some registries name for deletions (distribution#1869).
    pub(crate) fn with_insufficient(self, scope: &str) -> Self {
        self.with_actions(scope, true)
    }

    fn with_actions(mut self, scope: &str, allows_all: bool) -> Self {
        let own = format!("repository:{}", self.repository);
        for text in scope.split_whitespace() {
            // The name in the middle may hold a host with a port.
            let Some((resource, actions)) = text.rsplit_once(':').filter(|(resource, _)| resource.contains(':')) else {
                continue;
            };
            let is_allowed = |action: &&str| match *action {
                "*" => allows_all && resource == own,
                action => !action.is_empty() && action.bytes().all(|byte| byte.is_ascii_lowercase()),
            };
            let actions: Vec<&str> = actions.split(',').filter(is_allowed).collect();
            let known = self.resources.contains_key(resource);
            if actions.is_empty() || (!known && self.resources.len() >= MAX_RESOURCES) {
                continue;
            }
            let actions = actions.into_iter().map(|action| Cow::Owned(action.to_owned()));
            self.resources.entry(resource.to_owned()).or_default().extend(actions);
        }
        self
    }

    /// Whether these are for a deletion.
    pub(crate) fn want_delete(&self) -> bool {
        self.resources.values().any(|actions| actions.contains("delete"))
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The scopes of the request's own repository, where there are others besides.
    pub(crate) fn own_only(&self) -> Option<Self> {
        let own = format!("repository:{}", self.repository);
        let actions = self.resources.get(&own).filter(|_| self.resources.len() > 1)?;
        Some(Self { repository: self.repository.clone(), resources: [(own, actions.clone())].into() })
    }

    /// Whether a token for these scopes serves for `other` as well. One for several repositories serves only for the
    /// same several: it may have been granted in part.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        self == other
            || self.resources.len() == 1
                && self.repository == other.repository
                && other.resources.iter().all(|(resource, actions)| {
                    self.resources.get(resource).is_some_and(|granted| granted.is_superset(actions))
                })
    }

    /// The form of requests: `repository:team/app:pull,push`.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.resources.iter().map(|(resource, actions)| {
            format!("{resource}:{}", actions.iter().map(Cow::as_ref).collect::<Vec<_>>().join(","))
        })
    }

    /// The actions asked for that `granted` lacks, for the first resource that lacks any: resource, had, lacking.
    pub(crate) fn lacking(&self, granted: &Self) -> Option<(&str, Vec<String>, Vec<String>)> {
        self.resources.iter().find_map(|(resource, wanted)| {
            let none = BTreeSet::new();
            let had = granted.resources.get(resource).unwrap_or(&none);
            let all_of =
                |actions: &mut dyn Iterator<Item = &Cow<'static, str>>| actions.map(ToString::to_string).collect();
            let lacking: Vec<String> = all_of(&mut wanted.difference(had));
            let name = resource.strip_prefix("repository:").unwrap_or(resource);
            (!lacking.is_empty()).then(|| (name, all_of(&mut wanted.intersection(had)), lacking))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scopes: &Scopes) -> Vec<String> {
        scopes.texts().collect()
    }

    #[test]
    fn actions_are_merged_per_repository() {
        let scopes = Scopes::push("a").and("a", &["pull"]).and("b", &["pull"]);
        assert_eq!(texts(&scopes), ["repository:a:pull,push", "repository:b:pull"]);
        let with = |scope: &str| texts(&Scopes::pull("a").with_challenge(scope));
        for (scope, expected) in [
            ("", &["repository:a:pull"][..]),
            ("repository:a:pull,push", &["repository:a:pull,push"]),
            ("repository:a:push repository:b:pull", &["repository:a:pull,push", "repository:b:pull"]),
            ("repository:a:* registry:catalog:*", &["repository:a:pull"]),
            ("repository:a:pull,*,push", &["repository:a:pull,push"]),
            ("repository(plugin):h.io:5000/a:pull", &["repository(plugin):h.io:5000/a:pull", "repository:a:pull"]),
            ("repository:pull push ::: a:b", &["repository:a:pull"]),
        ] {
            assert_eq!(with(scope), expected, "{scope}");
        }
        let all = Scopes::pull("a").and("a", &["delete"]).with_insufficient("repository:a:* repository:b:*,x*,pull");
        assert_eq!(texts(&all), ["repository:a:*,delete,pull", "repository:b:pull"]);
        let many = (0..10_000).map(|n| format!("repository:r{n}:pull ")).collect::<String>();
        assert_eq!(with(&many).len(), MAX_RESOURCES);
    }

    #[test]
    fn a_wider_token_serves_unless_it_may_have_been_granted_in_part() {
        let (pull, push) = (Scopes::pull("a"), Scopes::push("a"));
        let both = Scopes::push("a").and("b", &["pull"]);
        assert!(push.cover(&pull) && push.cover(&push) && both.cover(&both));
        assert!(!pull.cover(&push) && !both.cover(&push) && !both.cover(&Scopes::pull("b")) && !push.cover(&both));
        assert!(!push.cover(&Scopes::pull("b")));
        assert_eq!(both.own_only(), Some(push.clone()));
        assert_eq!(push.own_only(), None);
    }

    #[test]
    fn what_is_lacking() {
        let granted = Scopes::default().with_challenge("repository:a:pull");
        assert_eq!(Scopes::pull("a").lacking(&granted), None);
        assert_eq!(Scopes::push("a").lacking(&granted), Some(("a", vec!["pull".into()], vec!["push".into()])));
        assert_eq!(Scopes::pull("b").lacking(&granted), Some(("b", vec![], vec!["pull".into()])));
    }
}
