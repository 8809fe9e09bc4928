//! Paginated lists of tags and referrers.

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

/// Maximum number of pages in a list. A registry that sends more is broken.
const MAX_PAGES: usize = 10_000;

/// Bytes of output per listed tag, such as in a JSON document, besides the tag itself.
const PER_TAG: usize = 128;

/// The list of tags from a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagList {
    /// The tags in the registry's order.
    pub tags: Vec<String>,
    /// Number of listed names that are not valid tags and are left out of `tags`.
    pub invalid: usize,
    /// Number of pages read.
    pub pages: usize,
}

/// One page of the list of tags.
#[derive(Deserialize)]
struct Tags {
    // Null means an empty list. `deserialize_with` makes a missing list an error.
    #[serde(deserialize_with = "Option::deserialize")]
    tags: Option<Vec<String>>,
}

/// One page of the list of referrers.
#[derive(Deserialize)]
struct Referrers {
    #[serde(deserialize_with = "Option::deserialize")]
    manifests: Option<Vec<Descriptor>>,
}

impl Client {
    /// Lists at most `limit` tags of a repository, in the registry's order (distribution-spec, "Listing Tags"). Warns
    /// about listed names that are not valid tags.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response or no list, if the `Link` header of a page is malformed or must
    /// not be followed, or if the list exceeds the memory limit of the run, at about 400,000 tags.
    pub async fn tags(&self, repository: &Reference, limit: usize) -> Result<Vec<String>, Error> {
        let TagList { tags, invalid, .. } = self.tags_in_pages(repository, "tags/list", limit).await?;
        if invalid > 0 {
            let subject = tags_subject(repository);
            self.emit_once(Event::InvalidTags { subject, count: invalid });
        }
        Ok(tags)
    }

    /// Lists every tag of a repository. In contrast to [`Self::tags`], a listed name that is not a valid tag is an
    /// error, because such a name cannot be resolved.
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read, or if it contains names that are not valid tags.
    pub async fn every_tag(&self, repository: &Reference) -> Result<Vec<String>, Error> {
        let TagList { tags, invalid, .. } = self.tags_in_pages(repository, "tags/list", usize::MAX).await?;
        if invalid > 0 {
            let reason = format!("{invalid} of the listed names are not valid tags");
            return Err(Error::protocol(&tags_subject(repository), reason));
        }
        Ok(tags)
    }

    /// Lists at most `limit` tags of a repository, starting at the page `list`, such as `tags/list?n=10`.
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read, or if it exceeds the memory limit of the run.
    pub async fn tags_in_pages(&self, repository: &Reference, list: &str, limit: usize) -> Result<TagList, Error> {
        let request = list_request(repository, list, tags_subject(repository));
        let subject = request.subject().to_owned();
        let (mut list, mut charge) = (TagList::default(), self.budget().open());
        let over_limit = |error| Error::new(subject.as_str(), ErrorKind::from(error));
        let read_page = |response: &Response| {
            list.pages += 1;
            let page = read::<Tags>(response, &subject)?.tags.unwrap_or_default();
            let count = page.len();
            charge.grow_by_document(&response.body).map_err(over_limit)?;
            charge.grow(count * PER_TAG).map_err(over_limit)?;
            // An invalid tag could not be requested, and must not get into a URL.
            let valid: Vec<String> = page.into_iter().filter(|tag| check_tag(tag).is_ok()).collect();
            list.invalid += count - valid.len();
            list.tags.extend(valid);
            Ok(list.tags.len() >= limit)
        };
        self.pages(repository.registry(), request, read_page).await?;
        list.tags.truncate(limit);
        Ok(list)
    }

    /// Lists the referrers of a manifest (distribution-spec, "Listing Referrers"). Returns `None` if the registry does
    /// not support referrers, which registries indicate with almost any status. The tag `sha256-HEX` then contains the
    /// list.
    ///
    /// # Errors
    ///
    /// Fails on a 401, 408 or 429, or a 5xx other than 501 after all retries: the registry may have a list with
    /// signatures that the tag does not contain. Also fails if the list is malformed, or if the `Link` header of a page
    /// is malformed or must not be followed.
    pub async fn referrers(&self, repository: &Reference, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let subject = format!("referrers of {}", repository.with_digest(digest.clone()));
        let request = list_request(repository, &format!("referrers/{digest}"), subject.clone());
        let request = request.accepting(media_type::OCI_INDEX);
        let (mut referrers, mut pages, mut has_list) = (Vec::new(), 0, true);
        let mut charge = self.budget().open();
        let read_page = |response: &Response| {
            pages += 1;
            has_list = pages > 1 || is_list_of_referrers(response.header("content-type"), &response.body);
            if has_list {
                let charged = charge.grow_by_document(&response.body);
                charged.map_err(|error| Error::new(subject.as_str(), ErrorKind::from(error)))?;
                referrers.extend(read::<Referrers>(response, &subject)?.manifests.unwrap_or_default());
            }
            Ok(!has_list)
        };
        match self.pages(repository.registry(), request, read_page).await {
            Ok(()) => Ok(has_list.then_some(referrers)),
            // An error on a later page means an incomplete list, not a missing one.
            Err(error) if pages == 0 && list_status(&error).is_some_and(is_unsupported_list) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the pages of a list until the last one, or until `read_page` returns true.
    async fn pages(
        &self,
        registry: &str,
        request: Request,
        mut read_page: impl FnMut(&Response) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let redirected = self.at_location(registry, &request)?;
        let (registry, mut request) = redirected.unwrap_or_else(|| (registry.to_owned(), request));
        let registry = registry.as_str();
        // Brent's cycle detection: each page is compared with one earlier page, which is replaced at exponentially
        // growing intervals.
        let mut earlier: Option<Url> = None;
        for page in 1..=MAX_PAGES {
            let response = self.send_ok(registry, &request).await?;
            if read_page(&response)? {
                return Ok(());
            }
            if earlier.as_ref() == Some(&response.url) {
                return Err(request.protocol("the Link headers of its pages form a loop".into()));
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

/// Whether a response is a list of referrers, even a malformed or truncated one. Such a list may contain signatures, so
/// the registry must not be treated as one without support for referrers.
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

/// Returns the status of an error response to a list of referrers, from the registry or a host that it redirects to.
fn list_status(error: &Error) -> Option<u16> {
    match &error.kind {
        ErrorKind::RedirectTarget { response, .. } => Some(response.status),
        _ => error.status(),
    }
}

/// Whether a status means that the registry does not support referrers. Known registries send 400, 403, 404, 405, 406
/// or 501.
fn is_unsupported_list(status: u16) -> bool {
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
        |error| Error::protocol(subject, format!("the response to {} is not a list: {error}", response.request));
    serde_json::from_slice(&response.body).map_err(invalid)
}

/// Returns the request target of the next page. It must be at the registry, or at the origin of the current page, which
/// gets no credentials if the registry redirected to it.
fn checked_page(api: &Url, current: &Url, next: &Url) -> Result<String, String> {
    let next = resolve_location(api, current, next.as_str())?;
    if next.origin() != api.origin() && next.origin() != current.origin() {
        return Err(format!("the next page is at another host, which is not contacted: {}", redacted(&next)));
    }
    Ok(next.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lists_of_referrers_are_recognized_as_lists() {
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
    fn the_next_page_must_be_at_the_registry_or_the_current_origin() {
        for (api, current, next, is_allowed) in [
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
            let [api, current, next] = [api, current, next].map(|url| url.parse::<Url>().unwrap());
            let target = checked_page(&api, &current, &next);
            assert_eq!(target.clone().ok(), is_allowed.then(|| next.to_string()), "{current} {next}: {target:?}");
        }
    }
}
