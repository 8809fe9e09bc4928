use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The scopes that a request needs: `pull`, or `pull` and `push`, for each repository (Docker's token authentication,
/// "Scope").
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scopes {
    /// The repository that the request is for. Its credentials are used, and only its scope is requested if the token
    /// service does not accept two.
    repository: String,
    /// Resources such as `repository:team/app` with their actions.
    resources: BTreeMap<String, BTreeSet<Cow<'static, str>>>,
}

/// The maximum number of resources in a token request. Further resources in a challenge are ignored.
const MAX_RESOURCES: usize = 16;

impl Scopes {
    pub(crate) fn pull(repository: &str) -> Self {
        Self::for_repository(repository).and(repository, &["pull"])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self::for_repository(repository).and(repository, &["pull", "push"])
    }

    fn for_repository(repository: &str) -> Self {
        Self { repository: repository.to_owned(), resources: BTreeMap::new() }
    }

    pub(crate) fn and(mut self, repository: &str, actions: &[&'static str]) -> Self {
        let resource = self.resources.entry(format!("repository:{repository}")).or_default();
        resource.extend(actions.iter().copied().map(Cow::Borrowed));
        self
    }

    /// Adds the scopes of a challenge, such as `repository:a:pull,push registry:x:read`. Leaves out `*`, which token
    /// services grant only to administrators; others get a token that grants no action.
    pub(crate) fn with_challenge(self, scope: &str) -> Self {
        self.with_actions(scope, false)
    }

    /// Adds the scopes of a challenge after a token was insufficient. For the request's own repository this includes
    /// `*`, which some registries require for deletions (distribution#1869).
    pub(crate) fn with_insufficient(self, scope: &str) -> Self {
        self.with_actions(scope, true)
    }

    fn with_actions(mut self, scope: &str, allows_wildcard: bool) -> Self {
        let own_resource = format!("repository:{}", self.repository);
        for text in scope.split_whitespace() {
            // The name in the middle may contain a host with a port.
            let Some((resource, actions)) = text.rsplit_once(':').filter(|(resource, _)| resource.contains(':')) else {
                continue;
            };
            let is_allowed = |action: &&str| match *action {
                "*" => allows_wildcard && resource == own_resource,
                action => !action.is_empty() && action.bytes().all(|byte| byte.is_ascii_lowercase()),
            };
            let actions: Vec<&str> = actions.split(',').filter(is_allowed).collect();
            let is_present = self.resources.contains_key(resource);
            if actions.is_empty() || (!is_present && self.resources.len() >= MAX_RESOURCES) {
                continue;
            }
            let actions = actions.into_iter().map(|action| Cow::Owned(action.to_owned()));
            self.resources.entry(resource.to_owned()).or_default().extend(actions);
        }
        self
    }

    /// Adds the actions for a repository, unless that would be too many resources for one token request.
    pub(crate) fn and_if_possible(self, repository: &str, actions: &[&'static str]) -> Self {
        let is_present = self.resources.contains_key(&format!("repository:{repository}"));
        if is_present || self.resources.len() < MAX_RESOURCES { self.and(repository, actions) } else { self }
    }

    pub(crate) fn has_several_repositories(&self) -> bool {
        self.resources.len() > 1
    }

    /// Whether these scopes include only the action `pull`.
    pub(crate) fn are_pull_only(&self) -> bool {
        self.resources.values().all(|actions| actions.iter().all(|action| action == "pull"))
    }

    /// Whether these scopes include the action `delete`.
    pub(crate) fn allow_delete(&self) -> bool {
        self.resources.values().any(|actions| actions.contains("delete"))
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the scopes of the request's own repository, or `None` if these scopes contain no others.
    pub(crate) fn own_repository_only(&self) -> Option<Self> {
        let own_resource = format!("repository:{}", self.repository);
        let actions = self.resources.get(&own_resource).filter(|_| self.resources.len() > 1)?;
        Some(Self { repository: self.repository.clone(), resources: [(own_resource, actions.clone())].into() })
    }

    /// Whether a token for these scopes also works for `other`. A token for several repositories works only for exactly
    /// the same scopes, because it may have been granted in part.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        self == other
            || self.resources.len() == 1
                && self.repository == other.repository
                && other.resources.iter().all(|(resource, actions)| {
                    self.resources.get(resource).is_some_and(|granted| granted.is_superset(actions))
                })
    }

    /// Formats the scopes for a token request: `repository:team/app:pull,push`.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.resources.iter().map(|(resource, actions)| {
            format!("{resource}:{}", actions.iter().map(Cow::as_ref).collect::<Vec<_>>().join(","))
        })
    }

    /// Returns the first resource with actions that `granted` lacks: its name, the granted and the missing actions.
    pub(crate) fn lacking(&self, granted: &Self) -> Option<(&str, Vec<String>, Vec<String>)> {
        self.resources.iter().find_map(|(resource, needed)| {
            let no_actions = BTreeSet::new();
            let granted = granted.resources.get(resource).unwrap_or(&no_actions);
            let all_of =
                |actions: &mut dyn Iterator<Item = &Cow<'static, str>>| actions.map(ToString::to_string).collect();
            let lacking: Vec<String> = all_of(&mut needed.difference(granted));
            let name = resource.strip_prefix("repository:").unwrap_or(resource);
            (!lacking.is_empty()).then(|| (name, all_of(&mut needed.intersection(granted)), lacking))
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
    fn a_wider_token_covers_a_request_unless_it_may_have_been_granted_in_part() {
        let (pull, push) = (Scopes::pull("a"), Scopes::push("a"));
        let both = Scopes::push("a").and("b", &["pull"]);
        assert!(push.cover(&pull) && push.cover(&push) && both.cover(&both));
        assert!(!pull.cover(&push) && !both.cover(&push) && !both.cover(&Scopes::pull("b")) && !push.cover(&both));
        assert!(!push.cover(&Scopes::pull("b")));
        assert_eq!(both.own_repository_only(), Some(push.clone()));
        assert_eq!(push.own_repository_only(), None);
    }

    #[test]
    fn lacking_actions_are_reported_with_the_granted_ones() {
        let granted = Scopes::default().with_challenge("repository:a:pull");
        assert_eq!(Scopes::pull("a").lacking(&granted), None);
        assert_eq!(Scopes::push("a").lacking(&granted), Some(("a", vec!["pull".into()], vec!["push".into()])));
        assert_eq!(Scopes::pull("b").lacking(&granted), Some(("b", vec![], vec!["pull".into()])));
    }
}
