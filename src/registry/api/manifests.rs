use bytes::Bytes;
use reqwest::Method;

use crate::image::{Descriptor, Digest, Fetched, MAX_MANIFEST, ManifestError, Reference, media_type, parse_manifest};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::response::Expected;

impl Client {
    /// Fetches a manifest by digest or tag (distribution-spec, "Pulling manifests").
    ///
    /// The bytes are compared with the reference's digest and with the registry's header.
    ///
    /// # Errors
    /// The registry's answer ([`Error::is_missing`] for a manifest that does not exist), other bytes than were asked for,
    /// more than 8 MiB, or something else than a manifest.
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

    /// Fetches the manifest that a descriptor names, in `repository`'s repository, and compares size and media type
    /// as well.
    ///
    /// # Errors
    /// Those of [`Self::fetch_manifest`], and a manifest of another size or type than the descriptor says.
    pub async fn fetch_child(&self, repository: &Reference, child: &Descriptor) -> Result<Fetched, Error> {
        let reference = repository.with_digest(child.digest.clone());
        let fetched = self.fetch_manifest(&reference).await?;
        let differs = |reason: String| Error::protocol(&reference.to_string(), reason);
        fetched.check(child).map_err(differs)?;
        Ok(fetched)
    }

    /// Fetches the bytes of a manifest of a type that is not an image's or index's, and compares them with its descriptor.
    ///
    /// # Errors
    /// Those of [`Self::fetch_manifest`], and an answer of another manifest type (CVE-2021-41190).
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
        Ok(response.body)
    }

    /// The digest that a reference stands for: asked with a HEAD, and with a GET where the answer to that does not tell.
    ///
    /// # Errors
    /// Those of [`Self::fetch_manifest`].
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, Error> {
        let request = Request { scopes: self.scopes_to_read(reference), ..head_request(reference) };
        let response = self.send(reference.registry(), &request).await?;
        match (response.status, response.digest()) {
            (200, Some(digest)) if reference.digest().is_none_or(|named| *named == digest) => Ok(digest),
            // The body, which an answer to a HEAD does not have, says why.
            _ => Ok(self.fetch_manifest(reference).await?.descriptor.digest),
        }
    }

    /// Deletes a tag, or by digest a manifest with every tag of it (distribution-spec, "Content Management"). What does
    /// not exist afterwards counts as deleted, by this or another client.
    ///
    /// # Errors
    /// The registry's answer. Many registries delete no tags, and some no manifests ([`Error::is_unsupported`]).
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), Error> {
        let repository = reference.repository();
        // Docker's registry wants a right of its own; others ask for what they want.
        let scopes = Scopes::pull(repository).and(repository, &["delete"]);
        let request = manifest_request(Method::DELETE, reference, scopes);
        let response = self.send(reference.registry(), &request).await?;
        match response.status {
            200 | 202 | 204 => Ok(()),
            // The answer to an earlier try may have been lost.
            404 | 410 if self.is_gone(reference).await => Ok(()),
            _ => Err(self.refused(reference.registry(), &request, &response).await),
        }
    }

    async fn is_gone(&self, reference: &Reference) -> bool {
        matches!(self.digest(reference).await, Err(error) if error.is_missing())
    }

    /// The digest that a reference stands for now, `None` where there is none: a HEAD, and a GET where the answer to
    /// that does not tell. It is asked with the right to push, as what is written next.
    ///
    /// # Errors
    /// The registry's answer, if it neither names a digest nor says that there is no such manifest.
    pub async fn current_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let request = head_request(reference);
        let response = self.send(reference.registry(), &request).await?;
        // The body that would say why is not in the answer to a HEAD, so a 404 is believed here: what follows from it
        // is a write, which would fail.
        match (response.status, response.digest()) {
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

pub(crate) fn manifest_request(method: Method, reference: &Reference, scopes: Scopes) -> Request {
    let name = reference.manifest_name().unwrap_or_default();
    let target = format!("v2/{}/manifests/{name}", reference.repository());
    Request::new(method, target, scopes, reference.to_string())
}

pub(crate) fn get_request(reference: &Reference, scopes: Scopes) -> Request {
    let expected =
        Expected { digest: reference.digest().cloned(), named_by: "reference", size: None, as_header_says: true };
    let request = manifest_request(Method::GET, reference, scopes);
    request.accepting(media_type::ACCEPT).with_limit(MAX_MANIFEST).expecting(expected)
}

pub(crate) fn head_request(reference: &Reference) -> Request {
    let scopes = Scopes::push(reference.repository());
    manifest_request(Method::HEAD, reference, scopes).accepting(media_type::ACCEPT)
}
