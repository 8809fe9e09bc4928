use super::error::{Error, TakesMore};
use super::uses::{Uses, uses};
use crate::image::{Digest, Location};
use crate::store::{self, Run, Store};

/// The deleted tag or manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deleted {
    /// The tag, or the digest of the manifest if the manifest was deleted with all its tags.
    pub location: Location,
    /// The digest that the tag pointed at.
    pub digest: Digest,
    /// In a dry run, the uses of the manifest, or why they cannot be read. For a tag, they matter if the registry cannot
    /// delete only the tag. `None` without a dry run, and for a tag in a layout.
    pub uses: Option<Result<Uses, store::Error>>,
}

/// Options for [`delete`].
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Delete the manifest with all its tags if the registry cannot delete only the tag, or if the request names a
    /// digest. Defaults to false: a manifest that other tags or indexes use is [`Error::TakesMore`]. A manifest that only
    /// the tag in the request uses is always deleted.
    pub with_every_tag: bool,
    /// Return what would be deleted, without deleting; the registry may still refuse the deletion. Defaults to false.
    pub dry_run: bool,
}

/// Deletes a tag, or a manifest by digest. If the registry cannot delete only the tag, deletes the manifest, and with
/// it all its tags; see [`DeleteOptions::with_every_tag`].
///
/// ```
/// use manifest_tool::delete::{DeleteOptions, delete};
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let reference = "oci:examples/layouts/amd64:no-such-name".parse()?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let deleted = runtime.block_on(delete(&store, &reference, &DeleteOptions::default()));
/// assert!(deleted.is_err(), "the layout does not have that name");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference does not exist, the registry does not support deletion, or [`Error::TakesMore`].
pub async fn delete(store: &Store, named: &Location, options: &DeleteOptions) -> Result<Deleted, Error> {
    let run = Run::new(store, options.dry_run);
    let resolved = store.digest(named).await?;
    // Delete the digest in the request, even if the registry reports another one for it.
    let digest = named.digest().cloned().unwrap_or(resolved);
    let mut refusal = None;
    if named.tag().is_some() && named.digest().is_none() {
        match run.delete(named).await {
            Ok(()) => {
                let may_need_more = options.dry_run && named.reference().is_some();
                let uses = if may_need_more { Some(uses(store, named, &digest).await) } else { None };
                return Ok(Deleted { location: named.clone(), digest, uses });
            }
            Err(error) if error.is_unsupported() => refusal = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let location = named.with_digest(digest.clone());
    let mut planned_uses = None;
    if !options.with_every_tag || options.dry_run {
        let uses = uses(store, named, &digest).await;
        if !options.with_every_tag && !uses.as_ref().is_ok_and(|uses| uses.are_only(named.tag())) {
            return Err(Error::TakesMore(Box::new(TakesMore { named: named.clone(), digest, refusal, uses })));
        }
        planned_uses = options.dry_run.then_some(uses);
    }
    run.delete(&location).await?;
    Ok(Deleted { location, digest, uses: planned_uses })
}
