use bytes::Bytes;
use reqwest::Method;

use super::manifests::manifest_request;
use crate::image::{Descriptor, MAX_CONFIG, Reference};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::encoding::encodings;
use crate::registry::transport::response::{Expected, Response};

impl Client {
    /// Fetches an image's config and verifies digest and size (distribution-spec, "Pulling blobs").
    ///
    /// # Errors
    /// The registry's answer, other bytes than the descriptor names, or more than 8 MiB.
    pub async fn fetch_config(&self, repository: &Reference, config: &Descriptor) -> Result<Bytes, Error> {
        self.fetch_blob(repository, config, MAX_CONFIG).await
    }

    /// Fetches a blob, such as an SBOM or the statement of an attestation, and verifies digest and size.
    ///
    /// # Errors
    /// The registry's answer, other bytes than the descriptor names, or more than `limit` of them.
    pub async fn fetch_blob(&self, repository: &Reference, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        if blob.size > limit {
            return Err(Error::new(blob_name(repository, blob), ErrorKind::TooLarge { limit }));
        }
        let expected = Expected {
            digest: Some(blob.digest.clone()),
            named_by: "descriptor",
            size: Some(blob.size),
            as_header_says: false,
        };
        let request = blob_request(Method::GET, repository, blob, self.scopes_to_read(repository));
        let request = request.with_limit(limit).expecting(expected);
        Ok(self.send_ok(repository.registry(), &request).await?.body)
    }

    /// Asks whether a repository has a blob (distribution-spec, "Checking if content exists in the registry"). An answer
    /// other than 200 counts as no.
    ///
    /// # Errors
    /// No answer, or sign-in failed.
    pub async fn has_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<bool, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::push(repository.repository()));
        let response = self.send(repository.registry(), &request).await?;
        Ok(response.status == 200)
    }

    /// Looks for a blob to read it: with a HEAD, and with a GET whose body is not read where the answer to that does not
    /// tell.
    ///
    /// # Errors
    /// The registry's answer, [`Error::is_missing_content`] for one that is not there.
    pub(crate) async fn find_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<FoundBlob, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::pull(repository.repository()));
        self.find(repository, request, blob.size).await
    }

    /// Looks for a manifest of any type, as [`Self::find_blob`] does.
    pub(crate) async fn find_manifest(
        &self,
        repository: &Reference,
        manifest: &Descriptor,
    ) -> Result<FoundBlob, Error> {
        let (at, scopes) = (repository.with_digest(manifest.digest.clone()), Scopes::pull(repository.repository()));
        self.find(repository, manifest_request(Method::HEAD, &at, scopes), manifest.size).await
    }

    async fn find(&self, repository: &Reference, mut request: Request, size: u64) -> Result<FoundBlob, Error> {
        // The length of an encoded body says nothing of the content.
        let length = |response: &Response| match encodings(&response.headers).is_empty() {
            true => response.header("content-length").and_then(|length| length.trim().parse().ok()),
            false => None,
        };
        let mut response = self.send(repository.registry(), &request).await?;
        if matches!(response.status, 408 | 429 | 500..) {
            return Err(self.refused(repository.registry(), &request, &response).await);
        }
        // Not every server has the length of what it does not send.
        if response.status != 200 || length(&response).is_some_and(|length: u64| length != size) {
            request.wire.method = Method::GET;
            request.wire.streamed = true;
            response = self.send_ok(repository.registry(), &request).await?;
        }
        Ok(FoundBlob { size: length(&response) })
    }
}

/// A blob, or manifest, that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundBlob {
    /// Its length in bytes, where that is known without reading it.
    pub size: Option<u64>,
}

/// What messages call a blob.
pub(crate) fn blob_name(repository: &Reference, blob: &Descriptor) -> String {
    format!("blob {}", repository.with_digest(blob.digest.clone()))
}

pub(crate) fn blob_request(method: Method, repository: &Reference, blob: &Descriptor, scopes: Scopes) -> Request {
    let target = format!("v2/{}/blobs/{}", repository.repository(), blob.digest);
    Request::new(method, target, scopes, blob_name(repository, blob))
}
