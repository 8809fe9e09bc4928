//! Lists the signatures of an image or index, and verifies them with public keys.

use futures_util::stream::{self, StreamExt as _};

use super::Problem;
use super::context::{CheckContext, SIGNATURES};
use super::node::Node;
use super::options::VerifyOptions;
use super::referrer_checks::ListedSignature;
use crate::image::UntrustedText;
use crate::store::{Error, FoundSignatures, Refusal, SignatureHolder, SignedImage, StoredSignature};

/// The maximum number of signatures of an image that are read concurrently.
const MAX_CONCURRENT: usize = 4;
/// The maximum number of rejected signatures that a problem names.
const MAX_REASONS: usize = 3;

/// What is known about the signatures of an image.
#[derive(Debug, Default)]
pub(super) struct SignatureChecks {
    pub(super) listed: Vec<ListedSignature>,
    /// That no signature is valid.
    pub(super) problem: Option<Problem>,
    /// Errors that leave it open whether the image is signed, or what signatures it has.
    pub(super) unchecked: Vec<Error>,
}

/// Verifies the signatures that were found for an image or index, until one is valid. With `options.signatures` verifies
/// all of them.
pub(super) async fn check(
    context: &CheckContext<'_>,
    node: &Node,
    options: &VerifyOptions,
    found: FoundSignatures,
) -> SignatureChecks {
    let FoundSignatures { signatures, mut unread } = found;
    if !options.has_keys() {
        let listed = signatures.into_iter().map(|signature| listed(signature, None)).collect();
        return SignatureChecks { listed, problem: None, unchecked: unread };
    }
    let repository = options.signed_as.as_ref().or(context.at.reference());
    let manifest = node.fetched.as_ref().map(|fetched| &fetched.bytes[..]).unwrap_or_default();
    let image = SignedImage {
        keys: &options.keys,
        digest: &node.entry.digest,
        #[cfg(feature = "openpgp")]
        keyrings: &options.openpgp_keys,
        manifest,
        repository,
    };
    // Iterate over positions: futures that borrow signatures would not be `Send`.
    let verify = |position: usize| {
        let signature = signatures.get(position);
        async move {
            let signature = signature?;
            let kibibytes = u32::try_from(signature.size().div_ceil(1024)).unwrap_or(SIGNATURES).clamp(1, SIGNATURES);
            let _permit = context.signatures.acquire_many(kibibytes).await.ok();
            Some((signature.clone(), context.store.check_signature(context.at, signature, image).await))
        }
    };
    let mut verdicts = std::pin::pin!(stream::iter(0..signatures.len()).map(verify).buffered(MAX_CONCURRENT));
    let (mut all, mut refused, mut is_signed) = (Vec::new(), Vec::new(), false);
    while let Some(verdict) = verdicts.next().await {
        let (signature, verdict) = match verdict {
            Some((signature, Ok(verdict))) => (signature, verdict),
            Some((signature, Err(error))) => {
                unread.push(error);
                all.push(listed(signature, None));
                continue;
            }
            None => continue,
        };
        is_signed |= verdict.is_ok();
        let shown = verdict.clone().map_err(|refusal| refusal.reason.as_str().into());
        refused.extend(verdict.err().map(|refusal| (signature.clone(), refusal)));
        all.push(listed(signature, Some(shown)));
        if is_signed && !options.signatures {
            break;
        }
    }
    // A signature that was not read may be valid.
    let problem = (!is_signed && unread.is_empty()).then(|| unsigned(&refused));
    // A valid signature is enough, unless all of them are listed.
    let unchecked = if is_signed && !options.signatures { Vec::new() } else { unread };
    SignatureChecks { listed: all, problem, unchecked }
}

fn listed(signature: StoredSignature, verdict: Option<Result<String, UntrustedText>>) -> ListedSignature {
    ListedSignature { kind: signature.kind, holder: signature.holder, verdict }
}

/// Returns the problem of an image whose signatures are all rejected.
fn unsigned(refused: &[(StoredSignature, Refusal)]) -> Problem {
    let reason = |(signature, refusal): &(StoredSignature, Refusal)| {
        let holder = match &signature.holder {
            SignatureHolder::Manifest(digest) => digest.short().to_owned(),
            SignatureHolder::File(name) => name.clone(),
        };
        format!("{} {holder}: {}", signature.kind.name(), refusal.reason).into()
    };
    Problem::Signature {
        reasons: refused.iter().take(MAX_REASONS).map(reason).collect(),
        more: refused.len().saturating_sub(MAX_REASONS),
        signed_as: refused.iter().find_map(|(_, refusal)| refusal.other_repository.clone()),
    }
}
