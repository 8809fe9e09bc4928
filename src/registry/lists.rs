//! Lists that may come in pages: tags, referrers.

use reqwest::Method;
use reqwest::header::LINK;
use serde::Deserialize;
use url::Url;

use super::answer::Answer;
use super::client::Client;
use super::error::Error;
use super::exchange::pointed_to;
use super::send::Request;
use super::sign_in::scopes::Scopes;
use crate::image::{Descriptor, Digest, Index, MAX_MANIFEST, Reference, check_tag, media_type};

/// No repository has more; a registry that goes on is broken.
const MAX_PAGES: usize = 10_000;

#[derive(Deserialize)]
struct Tags {
    // Some registries write null where there are none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, in the registry's order (distribution-spec, "Listing Tags"): so many at most.
    pub async fn tags(&self, repository: &Reference, limit: usize) -> Result<Vec<String>, Error> {
        Ok(self.tags_in_pages(repository, "tags/list", limit).await?.0)
    }

    /// The same by a list of its own, such as `tags/list?n=10`; and how many pages that took.
    pub async fn tags_in_pages(
        &self,
        repository: &Reference,
        list: &str,
        limit: usize,
    ) -> Result<(Vec<String>, usize), Error> {
        let request = list_request(repository, list, format!("tags of {}", repository.without_name()));
        let (mut tags, mut pages): (Vec<String>, usize) = (Vec::new(), 0);
        let take = |answer: &Answer| {
            pages += 1;
            let page: Tags = read(answer)?;
            // What is no tag could not be asked for, and must not get into a URL.
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| check_tag(tag).is_ok()));
            Ok(tags.len() >= limit)
        };
        self.pages(repository.registry(), request, take).await?;
        tags.truncate(limit);
        Ok((tags, pages))
    }

    /// What refers to a manifest (distribution-spec, "Listing Referrers"): nothing at all where the registry does not
    /// have that list, and the tag `sha256-HEX` holds it.
    pub async fn referrers(&self, repository: &Reference, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let subject = format!("referrers of {}", repository.with_digest(digest.clone()));
        let mut request = list_request(repository, &format!("referrers/{digest}"), subject);
        request.accept = Some(media_type::OCI_INDEX);
        let mut referrers = Vec::new();
        let take = |answer: &Answer| {
            referrers.extend(read::<Index>(answer)?.manifests);
            Ok(false)
        };
        match self.pages(repository.registry(), request, take).await {
            Ok(()) => Ok(Some(referrers)),
            Err(error) if error.status() == Some(404) || error.status() == Some(405) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A list from its first page to its last, or until enough is taken.
    async fn pages(
        &self,
        registry: &str,
        mut request: Request,
        mut take: impl FnMut(&Answer) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        for _ in 0..MAX_PAGES {
            let answer = self.send_ok(registry, &request).await?;
            let next = match next_page(&answer) {
                _ if take(&answer)? => return Ok(()),
                Some(next) if answer.elsewhere.is_none() => next,
                _ => return Ok(()),
            };
            let host = self.host(registry);
            let api = self.api(registry, &host).await?;
            request.target = same_origin(&api, &request.target, &next).map_err(|reason| request.protocol(reason))?;
        }
        Err(request.protocol(format!("more than {MAX_PAGES} pages")))
    }
}

fn list_request(repository: &Reference, list: &str, subject: String) -> Request {
    let target = format!("v2/{}/{list}", repository.repository());
    let scopes = Scopes::pull(repository.repository());
    Request { limit: MAX_MANIFEST, ..Request::new(Method::GET, target, scopes, subject) }
}

fn read<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<T, Error> {
    let invalid = |error| Error::protocol(&answer.request, format!("the answer is not valid: {error}"));
    serde_json::from_slice(&answer.body).map_err(invalid)
}

/// The target of `Link: <...>; rel="next"` (RFC 8288).
fn next_page(answer: &Answer) -> Option<String> {
    let links = answer.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(next_of).map(str::to_owned)
}

fn next_of(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        parameter.trim().split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("rel") && value.trim_matches('"').eq_ignore_ascii_case("next")
        })
    };
    parameters.split(';').any(is_next).then_some(target)
}

/// A next page is of the registry's own: another origin is not asked.
fn same_origin(api: &Url, page: &str, next: &str) -> Result<String, String> {
    let base = pointed_to(api, api, page)?;
    let next = pointed_to(api, &base, next)?;
    if next.origin() != api.origin() {
        return Err("the registry's next page is at another host, which is not asked".into());
    }
    Ok(next.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_pages() {
        for (link, next) in [
            ("</v2/a/tags/list?last=x&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=x&n=2")),
            ("<?last=x>;rel=next", Some("?last=x")),
            ("</x>; rel=\"prev\"", None),
            ("/x; rel=next", None),
            ("</x>", None),
        ] {
            assert_eq!(next_of(link), next, "{link}");
        }
        let api: Url = "https://r.io".parse().unwrap();
        let page = |next: &str| same_origin(&api, "v2/a/tags/list?n=2", next);
        assert_eq!(page("?last=x").as_deref(), Ok("https://r.io/v2/a/tags/list?last=x"));
        assert_eq!(page("/v2/a/tags/list?last=y").as_deref(), Ok("https://r.io/v2/a/tags/list?last=y"));
        assert!(page("https://evil.io/x").is_err() && page("http://r.io/x").is_err() && page("//evil.io/").is_err());
    }
}
