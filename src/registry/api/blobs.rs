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
    /// Fetches an image's config and verifies its digest and size (distribution-spec, "Pulling blobs").
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, if the digest or size does not match the descriptor, or if the
    /// config is larger than 8 MiB.
    pub async fn fetch_config(&self, repository: &Reference, config: &Descriptor) -> Result<Bytes, Error> {
        self.fetch_blob(repository, config, MAX_CONFIG).await
    }

    /// Fetches a blob, such as an SBOM or the statement of an attestation, and verifies its digest and size.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, if the digest or size does not match the descriptor, or if the
    /// blob is larger than `limit` bytes.
    pub async fn fetch_blob(&self, repository: &Reference, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        if blob.size > limit {
            return Err(Error::new(blob_name(repository, blob), ErrorKind::TooLarge { limit }));
        }
        let expected = Expected {
            digest: Some(blob.digest.clone()),
            named_by: "descriptor",
            size: Some(blob.size),
            verify_header_digest: false,
        };
        let request = blob_request(Method::GET, repository, blob, self.scopes_to_read(repository));
        let request = request.with_limit(limit).expecting(expected);
        Ok(self.send_ok(repository.registry(), &request).await?.body)
    }

    /// Checks whether a repository has a blob (distribution-spec, "Checking if content exists in the registry"). Any
    /// status other than 200 counts as missing.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not respond, or if sign-in fails.
    pub async fn has_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<bool, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::push(repository.repository()));
        let response = self.send(repository.registry(), &request).await?;
        Ok(response.status == 200)
    }

    /// Checks that a blob can be read: with a HEAD request, and if its response is inconclusive, with a GET request
    /// whose body is not read.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response; see [`Error::is_missing_content`] for a missing blob.
    pub(crate) async fn find_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<BlobInfo, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::pull(repository.repository()));
        self.find(repository, request, blob.size).await
    }

    /// Checks that a manifest of any type can be read, with a HEAD request or a GET request whose body is not read.
    pub(crate) async fn find_manifest(&self, repository: &Reference, manifest: &Descriptor) -> Result<BlobInfo, Error> {
        let (reference, scopes) =
            (repository.with_digest(manifest.digest.clone()), Scopes::pull(repository.repository()));
        self.find(repository, manifest_request(Method::HEAD, &reference, scopes), manifest.size).await
    }

    async fn find(&self, repository: &Reference, mut request: Request, size: u64) -> Result<BlobInfo, Error> {
        // The length of an encoded body is not the length of the content.
        let length = |response: &Response| match encodings(&response.headers).is_empty() {
            true => response.header("content-length").and_then(|length| length.trim().parse().ok()),
            false => None,
        };
        let mut response = self.send(repository.registry(), &request).await?;
        if matches!(response.status, 408 | 429 | 500..) {
            return Err(self.response_error(repository.registry(), &request, &response).await);
        }
        // Some servers do not send the correct length in the response to a HEAD request.
        if response.status != 200 || length(&response).is_some_and(|length: u64| length != size) {
            request.wire.method = Method::GET;
            request.wire.streamed = true;
            response = self.send_ok(repository.registry(), &request).await?;
        }
        Ok(BlobInfo { size: length(&response) })
    }
}

/// An existing blob or manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobInfo {
    /// The length in bytes, if the registry reports it.
    pub size: Option<u64>,
}

/// Returns the name of a blob in messages.
pub(crate) fn blob_name(repository: &Reference, blob: &Descriptor) -> String {
    format!("blob {}", repository.with_digest(blob.digest.clone()))
}

pub(crate) fn blob_request(method: Method, repository: &Reference, blob: &Descriptor, scopes: Scopes) -> Request {
    let target = format!("v2/{}/blobs/{}", repository.repository(), blob.digest);
    Request::new(method, target, scopes, blob_name(repository, blob))
}
