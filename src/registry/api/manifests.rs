use bytes::Bytes;
use reqwest::Method;

use crate::image::{
    Descriptor, Digest, Fetched, MAX_MANIFEST, ManifestError, Reference, SCHEMA_1_ACCEPT, SCHEMA_1_SIGNED,
    Schema1Image, is_schema_1, looks_like_schema_1, media_type, parse_manifest,
};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::response::{Expected, Response};

impl Client {
    /// Fetches a manifest by digest or tag (distribution-spec, "Pulling manifests").
    ///
    /// The bytes are verified against the digest in the reference and the digest in the registry's header.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response ([`Error::is_missing`] for a missing manifest), if a digest does
    /// not match, if the body is larger than 8 MiB, or if it is not a manifest.
    pub async fn fetch_manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        self.fetch_with(reference, self.scopes_to_read(reference)).await
    }

    async fn fetch_with(&self, reference: &Reference, scopes: Scopes) -> Result<Fetched, Error> {
        let subject = reference.to_string();
        let request = get_request(reference, scopes);
        let response = self.send_ok(reference.registry(), &request).await?;
        let (content_type, bytes) = (response.header("content-type").unwrap_or_default(), response.body.clone());
        let digest = reference.digest().cloned().unwrap_or_else(|| Digest::sha256(&bytes));
        let (manifest, media_type) =
            parse_manifest(&bytes, content_type).map_err(|error| Error::new(subject, ErrorKind::Manifest(error)))?;
        let descriptor = Descriptor { size: bytes.len() as u64, ..Descriptor::new(&media_type, digest) };
        Ok(Fetched { bytes, descriptor, manifest })
    }

    /// Fetches the manifest of a descriptor from `repository`'s repository, and verifies its digest, size and media
    /// type.
    ///
    /// # Errors
    ///
    /// Fails if the manifest cannot be fetched, or if its digest, size or media type does not match the descriptor.
    pub async fn fetch_child(&self, repository: &Reference, child: &Descriptor) -> Result<Fetched, Error> {
        let reference = repository.with_digest(child.digest.clone());
        let fetched = self.fetch_manifest(&reference).await?;
        let differs = |reason: String| Error::protocol(&reference.to_string(), reason);
        fetched.check(child).map_err(differs)?;
        Ok(fetched)
    }

    /// Fetches the bytes of a manifest that is neither an image nor an index, and verifies them against its descriptor.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, if the digest or size does not match, if the body is larger than
    /// 8 MiB, or if the registry declares it an image or index (CVE-2021-41190).
    pub(crate) async fn fetch_manifest_bytes(
        &self,
        repository: &Reference,
        descriptor: &Descriptor,
        media_type: &'static str,
    ) -> Result<Bytes, Error> {
        let reference = repository.with_digest(descriptor.digest.clone());
        let scopes = self.scopes_to_read(&reference);
        let mut request = get_request(&reference, scopes).accepting(media_type);
        request.wire.expected.size = Some(descriptor.size);
        let response = self.send_ok(reference.registry(), &request).await?;
        let content_type = response.header("content-type").unwrap_or_default();
        if media_type::is_image(content_type) || media_type::is_index(content_type) {
            let (content_type, media_type) = (content_type.into(), media_type.into());
            let kind = ErrorKind::Manifest(ManifestError::Disagree { content_type, media_type });
            return Err(Error::new(request.subject(), kind));
        }
        if looks_like_schema_1(&response.body) {
            return Err(Error::new(request.subject(), ErrorKind::Manifest(ManifestError::Schema1)));
        }
        Ok(response.body)
    }

    /// Fetches a manifest of Docker's schema 1, which other requests refuse. Verifies the digest in the reference, or else
    /// the one in the registry's header; see [`Schema1Image::digest`]. Returns its media type, and its bytes without
    /// signatures, as well.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, if the digest does not match, or if the body is larger than 8 MiB
    /// or not valid.
    pub(crate) async fn fetch_schema_1(&self, reference: &Reference) -> Result<(Schema1Image, String, Bytes), Error> {
        let request = get_request(reference, self.scopes_to_read(reference)).accepting(SCHEMA_1_ACCEPT);
        let response = self.send_ok(reference.registry(), &request).await?;
        let subject = reference.to_string();
        let invalid = |reason: String| ManifestError::Json(format!("schema 1: {reason}").into());
        let (image, payload) = Schema1Image::parse(&response.body)
            .map_err(|reason| Error::new(subject.clone(), ErrorKind::Manifest(invalid(reason))))?;
        let named_by = if reference.digest().is_some() { "reference" } else { "registry's header" };
        if let Some(expected) = reference.digest().cloned().or(response.digest())
            && expected != image.digest
        {
            let actual = image.digest;
            return Err(Error::new(subject, ErrorKind::Digest { expected, actual, named_by }));
        }
        let media_type = response.header("content-type").filter(|media_type| is_schema_1(media_type));
        Ok((image, media_type.unwrap_or(SCHEMA_1_SIGNED).to_owned(), payload.into()))
    }

    /// Returns the digest that a reference resolves to. Sends a HEAD request, then a GET request if the response is
    /// inconclusive.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, or if the body of a response to GET is not a valid manifest.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, Error> {
        let request = Request { scopes: self.scopes_to_read(reference), ..head_request(reference) };
        let response = self.send(reference.registry(), &request).await?;
        match (response.status, response.digest()) {
            (200, Some(digest)) if reference.digest().is_none_or(|expected| *expected == digest) => Ok(digest),
            // The response to a HEAD request has no body, and only the body of an error contains the reason.
            _ => Ok(self.fetch_manifest(reference).await?.descriptor.digest),
        }
    }

    /// Deletes a tag, or a manifest by digest with all its tags (distribution-spec, "Content Management"). A 404 counts
    /// as success if the reference does not exist: this or another client has deleted it.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response. Many registries do not support deleting tags, and some do not
    /// support deleting manifests ([`Error::is_unsupported`]).
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), Error> {
        let repository = reference.repository();
        // Docker's registry requires the action `delete`; other registries request their own in a challenge.
        let scopes = Scopes::pull(repository).and(repository, &["delete"]);
        let request = manifest_request(Method::DELETE, reference, scopes);
        let response = self.send(reference.registry(), &request).await?;
        match response.status {
            200 | 202 | 204 => Ok(()),
            // An earlier attempt may have deleted it before its response was lost.
            404 | 410 if self.is_gone(reference).await => Ok(()),
            _ => Err(self.response_error(reference.registry(), &request, &response).await),
        }
    }

    async fn is_gone(&self, reference: &Reference) -> bool {
        matches!(self.digest(reference).await, Err(error) if error.is_missing())
    }

    /// Returns the digest that a reference currently resolves to, or `None` if it does not exist. Sends a HEAD request,
    /// then a GET request if the response is inconclusive. Both request the push scope, because a write follows.
    ///
    /// # Errors
    ///
    /// Fails if the registry neither returns a digest nor reports the manifest as missing.
    pub async fn current_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let request = head_request(reference);
        let response = self.send(reference.registry(), &request).await?;
        // The response to a HEAD request has no body with a reason. A 404 is trusted here, because a write follows,
        // which fails if the 404 hides missing permissions.
        match (response.status, comparable_digest(reference, &response)) {
            (200, Some(digest)) => return Ok(Some(digest)),
            (404, _) => return Ok(None),
            _ => {}
        }
        match self.fetch_with(reference, Scopes::push(reference.repository())).await {
            Ok(fetched) => Ok(Some(fetched.descriptor.digest)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns the digest in the response to a HEAD request, if it can be compared with the digests of this program. A
/// registry may name the digest of a tag with another algorithm than SHA-256; its content is then read and hashed.
pub(crate) fn comparable_digest(reference: &Reference, response: &Response) -> Option<Digest> {
    let is_comparable = |digest: &Digest| reference.digest().is_some() || digest.algorithm() == "sha256";
    response.digest().filter(is_comparable)
}

pub(crate) fn manifest_request(method: Method, reference: &Reference, scopes: Scopes) -> Request {
    let name = reference.manifest_name().unwrap_or_default();
    let target = format!("v2/{}/manifests/{name}", reference.repository());
    Request::new(method, target, scopes, reference.to_string())
}

pub(crate) fn get_request(reference: &Reference, scopes: Scopes) -> Request {
    let expected =
        Expected { digest: reference.digest().cloned(), named_by: "reference", size: None, verify_header_digest: true };
    let request = manifest_request(Method::GET, reference, scopes);
    request.accepting(media_type::ACCEPT).with_limit(MAX_MANIFEST).expecting(expected)
}

pub(crate) fn head_request(reference: &Reference) -> Request {
    let scopes = Scopes::push(reference.repository());
    manifest_request(Method::HEAD, reference, scopes).accepting(media_type::ACCEPT)
}
