//! Points several tags at a manifest in one request.

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::manifests::manifest_request;
use super::push::{Guard, Push, PushEnd, PushOutcome, outcome_unknown, with_current_digest};
use crate::image::{Descriptor, Digest, Reference};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::Error;
use crate::registry::transport::request::Content;

/// The maximum number of tags in one request: the number that registries must support if they support several tags
/// (distribution-spec, "Pushing Manifests").
pub(crate) const MAX_TAGS: usize = 10;

/// The state of a tag after a push of several tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagState {
    /// The tag points at the manifest.
    Written,
    /// The request did not move the tag.
    NotWritten,
    /// The registry may have moved the tag, or may still move it.
    Unknown,
}

/// The result of a push of several tags.
#[derive(Debug)]
pub(crate) struct TagsPushed {
    /// The state of each tag, in the given order.
    pub(crate) states: Vec<TagState>,
    /// Whether the registry takes several tags in one request; `None` if its response does not show that.
    pub(crate) is_supported: Option<bool>,
    /// Why the push failed. Without an error, tags that are not written can be written one after another.
    pub(crate) error: Option<Error>,
}

impl TagsPushed {
    fn all(count: usize, state: TagState, error: Option<Error>) -> Self {
        Self { states: vec![state; count], is_supported: None, error }
    }
}

impl Client {
    /// Writes a manifest by digest and points several tags of one repository at it, in one request (distribution-spec,
    /// "Pushing Manifests", end-7b). Preconditions are checked before each attempt, as in [`Self::push_manifest_if`].
    ///
    /// A registry confirms each tag in an `OCI-Tag` header. One that does not support several tags writes only the
    /// manifest, or refuses the request: then no tag is written, and the result has no error.
    ///
    /// Takes at most [`MAX_TAGS`] tags.
    pub(crate) async fn push_tags(
        &self,
        tags: &[Reference],
        descriptor: &Descriptor,
        bytes: &Bytes,
        guards: &[Guard<'_>],
    ) -> TagsPushed {
        let Some(first) = tags.first() else { return TagsPushed::all(0, TagState::Written, None) };
        let reference = first.with_digest(descriptor.digest.clone());
        let mut request = Request {
            refers_to_new: true,
            is_urgent: !guards.is_empty(),
            ..manifest_request(Method::PUT, &reference, Scopes::push(reference.repository()))
        };
        let query: Vec<String> = tags.iter().filter_map(Reference::tag).map(|tag| format!("tag={tag}")).collect();
        request.wire.target = format!("{}?{}", request.wire.target, query.join("&"));
        let request = request.with_content(Content::Bytes(descriptor.media_type.clone().into(), bytes.clone()));
        let push = Push { client: self, reference: &reference, request: &request, digest: &descriptor.digest, bytes };
        match self.send_push(&push, guards).await {
            Ok(PushEnd::Responded(outcome)) => push.conclude_tags(tags, *outcome).await,
            Ok(PushEnd::AlreadyWritten) => TagsPushed::all(tags.len(), TagState::Written, None),
            Ok(PushEnd::Unmet { error, may_still_complete: true }) => {
                TagsPushed::all(tags.len(), TagState::Unknown, Some(outcome_unknown(error)))
            }
            Ok(PushEnd::Unmet { error, .. }) | Err(error) => {
                TagsPushed::all(tags.len(), TagState::NotWritten, Some(error))
            }
        }
    }
}

impl Push<'_> {
    /// Determines which tags were written.
    async fn conclude_tags(
        &self,
        tags: &[Reference],
        PushOutcome { outcome, may_still_complete }: PushOutcome,
    ) -> TagsPushed {
        let (error, refused) = match outcome {
            Ok(response) if matches!(response.status, 200 | 201 | 202 | 204) => {
                return match self.confirm(&response).await {
                    Ok(()) => {
                        let states = confirmed_tags(&response.headers, tags);
                        let is_supported = Some(states.contains(&TagState::Written));
                        TagsPushed { states, is_supported, error: None }
                    }
                    Err(error) => TagsPushed::all(tags.len(), TagState::Unknown, Some(outcome_unknown(error))),
                };
            }
            Ok(response) => {
                let error = self.client.response_error(self.reference.registry(), self.request, &response).await;
                (error, Some(response))
            }
            Err(error) => (error, None),
        };
        if !may_still_complete && refused.is_none() {
            return TagsPushed::all(tags.len(), TagState::NotWritten, Some(error));
        }
        let current = join_all(tags.iter().map(|tag| self.client.read_tag_once(tag))).await;
        let states = self.states(&current, may_still_complete);
        if states.iter().all(|state| *state == TagState::Written) {
            return TagsPushed { states, is_supported: None, error: None };
        }
        if may_still_complete {
            return TagsPushed { states, is_supported: None, error: Some(outcome_unknown(error)) };
        }
        let is_immutable = refused.as_ref().is_some_and(|response| response.error_response().is_immutable_tag());
        if is_immutable {
            let error = self.immutable(error, tags, current);
            return TagsPushed { states, is_supported: None, error: Some(error) };
        }
        // The error may be about several tags in one request, so write them one after another. If it is not, the write
        // of the first tag fails with it too.
        let can_fall_back = refused.is_some_and(|response| matches!(response.status, 400..=499 | 501));
        let is_supported = can_fall_back.then_some(false);
        TagsPushed { states, is_supported, error: Some(error).filter(|_| !can_fall_back) }
    }

    fn states(&self, current: &[Option<Option<Digest>>], may_still_complete: bool) -> Vec<TagState> {
        let state = |current: &Option<Option<Digest>>| match current {
            Some(Some(digest)) if digest == self.digest => TagState::Written,
            // A registry that refuses the request may have moved some of the tags before.
            None => TagState::Unknown,
            _ if may_still_complete => TagState::Unknown,
            _ => TagState::NotWritten,
        };
        current.iter().map(state).collect()
    }

    /// Returns the error of the first tag that points at another manifest, if the registry refuses to move tags.
    fn immutable(&self, error: Error, tags: &[Reference], current: Vec<Option<Option<Digest>>>) -> Error {
        let other = tags.iter().zip(current).find_map(|(tag, current)| match current {
            Some(Some(digest)) if digest != *self.digest => Some((tag, digest)),
            _ => None,
        });
        match other {
            Some((tag, digest)) => {
                with_current_digest(Error::new(tag.to_string(), error.kind), Some(digest), self.digest)
            }
            None => error,
        }
    }
}

/// Returns the state of each tag after a successful response: those that the `OCI-Tag` headers list are written.
fn confirmed_tags(headers: &HeaderMap, tags: &[Reference]) -> Vec<TagState> {
    let values = headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
    let confirmed: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let state = |tag: &Reference| match tag.tag().is_some_and(|tag| confirmed.contains(&tag)) {
        true => TagState::Written,
        false => TagState::NotWritten,
    };
    tags.iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn tags_are_confirmed_by_headers_and_by_comma_lists() {
        let tags: Vec<Reference> = ["a", "b", "A"].map(|tag| format!("r.io/app:{tag}").parse().unwrap()).into();
        let (yes, no) = (TagState::Written, TagState::NotWritten);
        for (values, states) in [
            (&[][..], [no, no, no]),
            (&["a"], [yes, no, no]),
            (&["a, b"], [yes, yes, no]),
            (&["b,,a ,"], [yes, yes, no]),
            (&["A", "b"], [no, yes, yes]),
            (&["ab", "c"], [no, no, no]),
            (&[""], [no, no, no]),
            (&["a;b"], [no, no, no]),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HeaderName::from_static("oci-tag"), HeaderValue::from_static(value));
            }
            assert_eq!(confirmed_tags(&headers, &tags), states, "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append("oci-tag", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(confirmed_tags(&headers, &tags), [no, no, no]);
    }
}
