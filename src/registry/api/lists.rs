//! Lists that may come in pages: tags, referrers.

use reqwest::Method;
use reqwest::header::{HeaderValue, LINK};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::link::next_page;
use crate::event::Event;
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Reference, check_tag, media_type};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::redact::redacted;
use crate::registry::transport::redirects::resolve_location;
use crate::registry::transport::response::Response;

/// No repository has more; a registry that goes on is broken.
const MAX_PAGES: usize = 10_000;

/// Bytes that a tag takes in what is made of a list, besides its own: a document for programs.
const PER_TAG: usize = 128;

/// The tags of a repository as its registry lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagList {
    /// The tags in the registry's order.
    pub tags: Vec<String>,
    /// Names in the list that are not valid tags. They are left out of `tags`.
    pub invalid: usize,
    /// Pages that were read.
    pub pages: usize,
}

/// One page of a list of tags.
#[derive(Deserialize)]
struct Tags {
    // Null stands for an empty list. Without `deserialize_with` an absent list would as well.
    #[serde(deserialize_with = "Option::deserialize")]
    tags: Option<Vec<String>>,
}

/// One page of a list of referrers.
#[derive(Deserialize)]
struct Referrers {
    #[serde(deserialize_with = "Option::deserialize")]
    manifests: Option<Vec<Descriptor>>,
}

impl Client {
    /// Lists the tags of a repository, in the registry's order (distribution-spec, "Listing Tags"): `limit` at most.
    /// Warns of names in the list that are not valid tags.
    ///
    /// # Errors
    ///
    /// The registry's answer, an answer without a list, a page whose `Link` cannot be read or followed, or more tags than
    /// fit into the memory of a run: some 400,000.
    pub async fn tags(&self, repository: &Reference, limit: usize) -> Result<Vec<String>, Error> {
        let TagList { tags, invalid, .. } = self.tags_in_pages(repository, "tags/list", limit).await?;
        if invalid > 0 {
            let subject = tags_subject(repository);
            self.emit_once(Event::InvalidTags { subject, count: invalid });
        }
        Ok(tags)
    }

    /// Lists every tag of a repository.
    ///
    /// # Errors
    ///
    /// As of [`Self::tags`], and names in the list that are not valid tags: what they point at cannot be asked for.
    pub async fn every_tag(&self, repository: &Reference) -> Result<Vec<String>, Error> {
        let TagList { tags, invalid, .. } = self.tags_in_pages(repository, "tags/list", usize::MAX).await?;
        if invalid > 0 {
            let reason = format!("{invalid} of the names listed are not valid tags");
            return Err(Error::protocol(&tags_subject(repository), reason));
        }
        Ok(tags)
    }

    /// Lists tags as [`Self::tags`] does, beginning with the page `list`, such as `tags/list?n=10`.
    ///
    /// # Errors
    ///
    /// As of [`Self::tags`].
    pub async fn tags_in_pages(&self, repository: &Reference, list: &str, limit: usize) -> Result<TagList, Error> {
        let request = list_request(repository, list, tags_subject(repository));
        let subject = request.subject().to_owned();
        let (mut found, mut charge) = (TagList::default(), self.budget().open());
        let over_limit = |error| Error::new(subject.as_str(), ErrorKind::from(error));
        let take = |response: &Response| {
            found.pages += 1;
            let page = read::<Tags>(response, &subject)?.tags.unwrap_or_default();
            let count = page.len();
            charge.grow_by_document(&response.body).map_err(over_limit)?;
            charge.grow(count * PER_TAG).map_err(over_limit)?;
            // What is no tag could not be asked for, and must not get into a URL.
            let valid: Vec<String> = page.into_iter().filter(|tag| check_tag(tag).is_ok()).collect();
            found.invalid += count - valid.len();
            found.tags.extend(valid);
            Ok(found.tags.len() >= limit)
        };
        self.pages(repository.registry(), request, take).await?;
        found.tags.truncate(limit);
        Ok(found)
    }

    /// Lists what refers to a manifest (distribution-spec, "Listing Referrers"). `None` if the registry does not have
    /// that list, which registries say with almost any answer: then the tag `sha256-HEX` holds it.
    ///
    /// # Errors
    ///
    /// An answer that says nothing about the list: a 401, 408 or 429, or a 5xx other than 501 that lasts. A registry that
    /// fails at its list may well have one, whose signatures the tag would not show. A list that cannot be read, or a
    /// page whose `Link` cannot be read or followed.
    pub async fn referrers(&self, repository: &Reference, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let subject = format!("referrers of {}", repository.with_digest(digest.clone()));
        let request = list_request(repository, &format!("referrers/{digest}"), subject.clone());
        let request = request.accepting(media_type::OCI_INDEX);
        let (mut referrers, mut pages, mut has_list) = (Vec::new(), 0, true);
        let mut charge = self.budget().open();
        let take = |response: &Response| {
            pages += 1;
            has_list = pages > 1 || is_list_of_referrers(response.header("content-type"), &response.body);
            if has_list {
                let charged = charge.grow_by_document(&response.body);
                charged.map_err(|error| Error::new(subject.as_str(), ErrorKind::from(error)))?;
                referrers.extend(read::<Referrers>(response, &subject)?.manifests.unwrap_or_default());
            }
            Ok(!has_list)
        };
        match self.pages(repository.registry(), request, take).await {
            Ok(()) => Ok(has_list.then_some(referrers)),
            // On a later page it is a part of the list that is missing.
            Err(error) if pages == 0 && list_status(&error).is_some_and(has_no_list) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a list from its first page to its last, or until `take` returns true.
    async fn pages(
        &self,
        registry: &str,
        mut request: Request,
        mut take: impl FnMut(&Response) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        // Brent's cycle detection: each page is compared with one earlier page, which is replaced ever more rarely.
        let mut earlier: Option<Url> = None;
        for page in 1..=MAX_PAGES {
            let response = self.send_ok(registry, &request).await?;
            if take(&response)? {
                return Ok(());
            }
            if earlier.as_ref() == Some(&response.url) {
                return Err(
                    request.protocol("its pages name one another as the next page, and there is no last".into())
                );
            }
            let links = response.headers.get_all(LINK).iter().map(HeaderValue::as_bytes);
            let next = next_page(&response.url, links).map_err(|reason| request.protocol(reason))?;
            let Some(next) = next else { return Ok(()) };
            let api = self.api(&self.host(registry)).await?;
            request.wire.target =
                checked_page(&api, &response.url, &next).map_err(|reason| request.protocol(reason))?;
            if page.is_power_of_two() {
                earlier = Some(response.url);
            }
        }
        Err(request.protocol(format!("more than {MAX_PAGES} pages")))
    }
}

/// Whether an answer is a list of referrers, even one that is malformed or cut off: such a list may name signatures, and
/// is not taken for the answer of a registry without lists.
fn is_list_of_referrers(content_type: Option<&str>, body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let names_manifests = || body.windows(11).any(|part| part == b"\"manifests\"");
    let is_broken_index = || {
        let is_index =
            content_type.is_some_and(|name| media_type::is_index(name.split(';').next().unwrap_or(name).trim()));
        is_index && serde_json::from_slice::<IgnoredAny>(body).is_err()
    };
    body.starts_with(b"{") && (names_manifests() || is_broken_index())
}

/// The status of the registry's answer to a list of referrers, or of that of a host it redirects to.
fn list_status(error: &Error) -> Option<u16> {
    match &error.kind {
        ErrorKind::RedirectTarget { response, .. } => Some(response.status),
        _ => error.status(),
    }
}

/// Whether an answer stands for a registry without a list of referrers. Seen are 400, 403, 404, 405, 406 and 501.
fn has_no_list(status: u16) -> bool {
    matches!(status, 400..=499 | 501) && !matches!(status, 401 | 408 | 429)
}

fn tags_subject(repository: &Reference) -> String {
    format!("tags of {}", repository.without_name())
}

fn list_request(repository: &Reference, list: &str, subject: String) -> Request {
    let target = format!("v2/{}/{list}", repository.repository());
    let scopes = Scopes::pull(repository.repository());
    Request::new(Method::GET, target, scopes, subject).with_limit(MAX_MANIFEST)
}

fn read<T: for<'de> Deserialize<'de>>(response: &Response, subject: &str) -> Result<T, Error> {
    let invalid =
        |error| Error::protocol(subject, format!("the answer to {} is not a list: {error}", response.request));
    serde_json::from_slice(&response.body).map_err(invalid)
}

/// The target of a request for the next page. A page is asked for at the registry, or, without credentials, at the origin
/// to which the registry redirected and which answered.
fn checked_page(api: &Url, answered: &Url, next: &Url) -> Result<String, String> {
    let next = resolve_location(api, answered, next.as_str())?;
    if next.origin() != api.origin() && next.origin() != answered.origin() {
        return Err(format!("the next page is at another host, which is not asked: {}", redacted(&next)));
    }
    Ok(next.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_referrers() {
        let (index, html) = (Some("application/vnd.oci.image.index.v1+json; charset=utf-8"), Some("text/html"));
        for (content_type, body, is_list) in [
            (index, r#"{"manifests":[]}"#, true),
            (None, r#" {"manifests":null}"#, true),
            (html, r#"{"manifests":[{"digest":"sha256:"#, true),
            (html, r#"{"manifests":[],"manifests":[]}"#, true),
            (index, r#"{"schemaVersion":2,"media"#, true),
            (html, r#"{"schemaVersion":2,"media"#, false),
            (index, "{}", false),
            (index, "null", false),
            (index, "[]", false),
            (index, "", false),
            (index, r#"<a href="manifests">"#, false),
            (html, r#"<a href="manifests">"#, false),
            (None, r#"{"errors":[{"message":"no \"manifests\""}]}"#, false),
        ] {
            assert_eq!(is_list_of_referrers(content_type, body.as_bytes()), is_list, "{content_type:?} {body}");
        }
    }

    #[test]
    fn pages_are_asked_for_at_the_registry_and_where_it_redirects() {
        for (api, answered, next, is_asked) in [
            ("https://r.io", "https://r.io/v2/a/tags/list", "https://r.io/v2/a/tags/list?last=x", true),
            ("https://r.io", "https://cdn.io/list", "https://cdn.io/list?last=x", true),
            ("https://r.io", "https://cdn.io/list", "https://r.io/v2/a/tags/list?last=x", true),
            ("https://r.io", "https://r.io/v2/a/tags/list", "https://cdn.io/list", false),
            ("https://r.io", "https://cdn.io/list", "https://evil.io/list", false),
            ("https://r.io", "https://r.io/v2/a/tags/list", "https://r.io:8443/list", false),
            ("https://r.io", "https://r.io/v2/a/tags/list", "http://r.io/list", false),
            ("http://r.io", "https://cdn.io/list", "http://r.io/v2/a/tags/list", false),
            ("http://r.io", "https://cdn.io/list", "http://cdn.io/list", false),
        ] {
            let [api, answered, next] = [api, answered, next].map(|url| url.parse::<Url>().unwrap());
            let asked = checked_page(&api, &answered, &next);
            assert_eq!(asked.clone().ok(), is_asked.then(|| next.to_string()), "{answered} {next}: {asked:?}");
        }
    }
}
