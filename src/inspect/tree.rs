use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, join};
use futures_util::stream::{self, StreamExt as _};

use super::tree_node::{NodeKind, TreeNode, created, digests, subjects};
use crate::image::{
    ConfigDetails, Descriptor, Digest, Fetched, ImageManifest, Index, Location, MAX_MANIFESTS, MAX_NESTING, Manifest,
    Platform, REFERENCE_DIGEST, UntrustedText, media_type,
};
use crate::store::{ARTIFACT_MANIFEST, COSIGN_SUFFIXES, Error, SignatureHolder, Store};

/// The maximum number of manifests of an index, or of referrers of a manifest, that are read concurrently.
const MAX_CONCURRENT: usize = 16;
/// The maximum depth of referrers: a signature of an SBOM of an image is at depth 2.
const REFERRER_DEPTH: usize = 2;
/// The maximum number of tags to list in search of cosign's tags. In a larger repository, each of them is requested.
const MAX_LISTED_TAGS: usize = 1000;

/// Options for [`tree`].
#[derive(Debug, Clone, Default)]
pub struct TreeOptions {
    /// Read only the image for this platform, with its attestations and referrers, if the reference is an index. Defaults
    /// to `None`: the whole index.
    pub platform: Option<Platform>,
}

/// Reads a manifest, the manifests and configs below it, and the referrers of the index and of each image, with their own
/// referrers. Also finds the signatures, attestations and SBOMs that cosign stores under tags.
///
/// A manifest below the reference, or a list of referrers, that cannot be read is an error in its node.
///
/// # Errors
/// The reference itself cannot be read, it has no image for the platform, the run was stopped, or the manifests exceed
/// the memory limit of the run.
pub async fn tree(store: &Store, reference: &Location, options: &TreeOptions) -> Result<TreeNode, Error> {
    let fetched = store.fetch_root(reference).await?;
    let chosen = match (&options.platform, &fetched.manifest) {
        (Some(platform), Manifest::Index(index)) => Some(store.choose_entry(reference, index, platform).await?.digest),
        (Some(platform), Manifest::Image(image)) => {
            store.check_platform(reference, image, std::slice::from_ref(platform)).await?;
            None
        }
        (None, _) => None,
    };
    let reader = Reader {
        store,
        at: reference,
        remaining: AtomicUsize::new(MAX_MANIFESTS),
        held: Mutex::default(),
        chosen: chosen.as_ref(),
    };
    let entry = fetched.descriptor.clone();
    let (root, tags) = join(reader.node(&entry, fetched, MAX_NESTING), cosign_tags(store, reference)).await;
    let (mut root, _) = root?;
    let finder = ReferrerFinder { reader: &reader, tags: tags?, listed: digests(&root) };
    finder.add(&mut root).await?;
    Ok(root)
}

/// Lists the tags of a repository that cosign or a list of referrers may use. `None` if the list is too long or cannot be
/// read.
async fn cosign_tags(store: &Store, at: &Location) -> Result<Option<HashSet<String>>, Error> {
    // The names in a layout need no request.
    let limit = if at.reference().is_some() { MAX_LISTED_TAGS } else { usize::MAX - 1 };
    match store.tags(&at.without_name(), limit + 1).await {
        Ok(tags) if tags.len() <= limit => {
            let is_named_by_digest = |tag: &UntrustedText| tag.starts_with("sha256-") || tag.starts_with("sha512-");
            Ok(Some(tags.into_iter().filter(is_named_by_digest).map(String::from).collect()))
        }
        Err(error) if must_end(&error) => Err(error),
        _ => Ok(None),
    }
}

/// Whether an error ends the whole job: every further read would fail as well.
fn must_end(error: &Error) -> bool {
    error.is_stopped() || error.is_over_memory()
}

/// The blobs below a manifest, with their sizes. `None` if a manifest was not read.
type Blobs = Option<HashMap<Digest, u64>>;

/// Reads a manifest and everything below it.
struct Reader<'a> {
    store: &'a Store,
    at: &'a Location,
    /// The number of manifests that may still be read.
    remaining: AtomicUsize,
    /// The manifests read so far. They count as used memory, because the nodes keep parts of them.
    held: Mutex<Vec<Bytes>>,
    /// The only image to read.
    chosen: Option<&'a Digest>,
}

impl Reader<'_> {
    /// Counts one more manifest. Returns `false` if the limit is reached.
    fn take(&self) -> bool {
        let taken = self.remaining.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        taken.is_ok()
    }

    fn hold(&self, bytes: &Bytes) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(bytes.clone());
    }

    async fn node(&self, entry: &Descriptor, fetched: Fetched, levels: usize) -> Result<(TreeNode, Blobs), Error> {
        self.hold(&fetched.bytes);
        match &fetched.manifest {
            Manifest::Image(image) => self.image(entry, image).await,
            Manifest::Index(index) => self.index(entry, index, levels).await,
        }
    }

    async fn image(&self, entry: &Descriptor, image: &ImageManifest) -> Result<(TreeNode, Blobs), Error> {
        let mut node = TreeNode::new(entry, NodeKind::Image);
        let blobs: HashMap<Digest, u64> = image.blobs().into_iter().map(|blob| (blob.digest, blob.size)).collect();
        node.add_manifest(image);
        if entry.is_attestation() {
            node.kind = NodeKind::Attestation { dangling: entry.annotations.get(REFERENCE_DIGEST).cloned() };
        } else if node.artifact_type.is_none() {
            match self.store.fetch_config(self.at, &image.config).await {
                Ok(bytes) => {
                    let details = ConfigDetails::parse(&bytes).unwrap_or_default();
                    node.created = details.created();
                    let lacks_platform = node.descriptor.platform.as_ref().is_none_or(Platform::is_empty);
                    if lacks_platform && !details.platform.is_empty() {
                        node.descriptor.platform = Some(details.platform);
                    }
                }
                Err(error) if must_end(&error) => return Err(error),
                Err(error) => node.error = Some(error),
            }
        }
        Ok((node, Some(blobs)))
    }

    async fn index(&self, entry: &Descriptor, index: &Index, levels: usize) -> Result<(TreeNode, Blobs), Error> {
        let mut node = TreeNode::new(entry, NodeKind::Index);
        let is_root = levels == MAX_NESTING;
        let chosen = self.chosen.filter(|_| is_root);
        let entries: Vec<&Descriptor> =
            index.manifests.iter().filter(|entry| chosen.is_none_or(|chosen| belongs_to(entry, chosen))).collect();
        if levels == 0 {
            node.omitted = entries.len();
            return Ok((node, None));
        }
        // Iterate over positions: futures that borrow entries would not be `Send`.
        let read = |position: usize| {
            let entry = entries.get(position).copied().filter(|_| self.take());
            async move {
                match entry {
                    Some(entry) => self.entry(entry, levels - 1).await.map(Some),
                    None => Ok(None),
                }
            }
        };
        let (mut blobs, mut is_complete) = (HashMap::new(), entries.len() == index.manifests.len());
        let mut read = std::pin::pin!(stream::iter(0..entries.len()).map(read).buffered(MAX_CONCURRENT));
        while let Some(read) = read.next().await {
            let Some((child, below)) = read? else {
                node.omitted += 1;
                continue;
            };
            match below {
                Some(below) => blobs.extend(below),
                None => is_complete = false,
            }
            node.children.push(child);
        }
        node.attach_attestations();
        is_complete &= node.omitted == 0;
        let images = node.children.iter().filter(|child| matches!(child.kind, NodeKind::Image | NodeKind::Index));
        let newest = images.filter_map(|child| child.created).max();
        node.created = created(&index.annotations).or(newest);
        node.size = is_complete.then(|| total(&blobs));
        Ok((node, is_complete.then_some(blobs)))
    }

    /// Reads an entry of an index.
    fn entry<'f>(&'f self, entry: &'f Descriptor, levels: usize) -> BoxFuture<'f, Result<(TreeNode, Blobs), Error>> {
        async move {
            if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
                let mut node = TreeNode::new(entry, NodeKind::Other);
                node.artifact_type.clone_from(&entry.artifact_type);
                node.size = Some(entry.size);
                return Ok((node, Some(HashMap::from([(entry.digest.clone(), entry.size)]))));
            }
            match self.store.fetch_child(self.at, entry).await {
                Ok(fetched) => self.node(entry, fetched, levels).await,
                Err(error) if must_end(&error) => Err(error),
                Err(error) => {
                    let kind = match entry.is_attestation() {
                        true => NodeKind::Attestation { dangling: entry.annotations.get(REFERENCE_DIGEST).cloned() },
                        false if media_type::is_index(&entry.media_type) => NodeKind::Index,
                        false => NodeKind::Image,
                    };
                    Ok((TreeNode { error: Some(error), ..TreeNode::new(entry, kind) }, None))
                }
            }
        }
        .boxed()
    }
}

/// Whether an entry is the chosen image or one of its attestations.
fn belongs_to(entry: &Descriptor, chosen: &Digest) -> bool {
    let attests = || entry.annotations.get(REFERENCE_DIGEST).is_some_and(|image| image == chosen.as_str());
    entry.digest == *chosen || (entry.is_attestation() && attests())
}

fn total(blobs: &HashMap<Digest, u64>) -> u64 {
    blobs.values().fold(0, |sum, size| sum.saturating_add(*size))
}

/// Finds what refers to the manifests of a tree.
struct ReferrerFinder<'a> {
    reader: &'a Reader<'a>,
    /// The tags of the repository that may belong to cosign or be a list of referrers, if they are known.
    tags: Option<HashSet<String>>,
    /// The manifests of the tree. BuildKit may also list an attestation as a referrer.
    listed: HashSet<Digest>,
}

/// The referrers of a manifest.
#[derive(Default)]
struct Referrers {
    nodes: Vec<TreeNode>,
    error: Option<Error>,
    omitted: usize,
}

impl ReferrerFinder<'_> {
    /// Adds the referrers of the index and of each image to their nodes. A manifest that is listed repeatedly gets them
    /// once.
    async fn add(&self, root: &mut TreeNode) -> Result<(), Error> {
        let chosen = self.reader.chosen;
        let subjects = subjects(root, chosen.is_some());
        let find = |position: usize| {
            let subject = subjects.get(position).cloned();
            async move {
                match subject {
                    Some(subject) => self.of(&subject, REFERRER_DEPTH).await.map(|found| Some((subject, found))),
                    None => Ok(None),
                }
            }
        };
        let found: Vec<_> = stream::iter(0..subjects.len()).map(find).buffered(MAX_CONCURRENT).collect().await;
        let mut found: HashMap<Digest, Referrers> =
            found.into_iter().filter_map(Result::transpose).collect::<Result<_, Error>>()?;
        let mut unvisited = vec![root];
        while let Some(node) = unvisited.pop() {
            let has_referrers = matches!(node.kind, NodeKind::Index | NodeKind::Image);
            let referrers = found.remove(&node.descriptor.digest).filter(|_| has_referrers).unwrap_or_default();
            let entries = node.children.len();
            node.children.extend(referrers.nodes);
            node.referrers_error = referrers.error;
            node.omitted += referrers.omitted;
            unvisited.extend(node.children.iter_mut().take(entries).rev());
        }
        Ok(())
    }

    fn of<'f>(&'f self, subject: &'f Digest, depth: usize) -> BoxFuture<'f, Result<Referrers, Error>> {
        async move {
            let (store, at) = (self.reader.store, self.reader.at);
            let mut found = Referrers::default();
            let mut listed = match store.referrers_in(at, subject, self.tags.as_ref()).await {
                Ok(listed) => listed,
                Err(error) if must_end(&error) => return Err(error),
                Err(error) => {
                    found.error = Some(error);
                    Vec::new()
                }
            };
            let mut seen = HashSet::new();
            listed.retain(|entry| !self.listed.contains(&entry.digest) && seen.insert(entry.digest.clone()));
            let read = |position: usize| {
                let entry = listed.get(position).filter(|_| self.reader.take());
                async move {
                    match entry {
                        Some(entry) => self.referrer(entry, depth).await.map(Some),
                        None => Ok(None),
                    }
                }
            };
            let mut read = std::pin::pin!(stream::iter(0..listed.len()).map(read).buffered(MAX_CONCURRENT));
            while let Some(node) = read.next().await {
                match node? {
                    Some(node) => found.nodes.push(node),
                    None => found.omitted += 1,
                }
            }
            if depth == REFERRER_DEPTH {
                self.add_signature_files(subject, &mut found).await?;
            }
            // Without a list of tags, look for those of the images only.
            if self.tags.is_some() || depth == REFERRER_DEPTH {
                self.add_cosign_tags(subject, &mut found).await?;
            }
            Ok(found)
        }
        .boxed()
    }

    /// Reads a referrer, and its own referrers.
    async fn referrer(&self, entry: &Descriptor, depth: usize) -> Result<TreeNode, Error> {
        let mut node = TreeNode::new(entry, NodeKind::Referrer);
        node.created = created(&entry.annotations);
        node.artifact_type = entry.artifact_type.clone().filter(|kind| !kind.is_empty());
        if let Err(error) = self.read_referrer(entry, &mut node).await {
            if must_end(&error) {
                return Err(error);
            }
            node.error = Some(error);
        }
        if depth > 1 {
            let Referrers { nodes, error, omitted } = self.of(&entry.digest, depth - 1).await?;
            (node.children, node.referrers_error, node.omitted) = (nodes, error, omitted);
        }
        Ok(node)
    }

    async fn read_referrer(&self, entry: &Descriptor, node: &mut TreeNode) -> Result<(), Error> {
        let (store, at) = (self.reader.store, self.reader.at);
        if entry.media_type == ARTIFACT_MANIFEST {
            let artifact = store.fetch_artifact(at, entry).await?;
            self.reader.hold(&artifact.bytes);
            node.size = Some(artifact.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size)));
        } else if media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type) {
            let fetched = store.fetch_child(at, entry).await?;
            self.reader.hold(&fetched.bytes);
            node.add_referrer(&fetched.manifest);
        }
        Ok(())
    }

    /// Adds the files with signatures that `dir:` holds beside a manifest.
    async fn add_signature_files(&self, subject: &Digest, found: &mut Referrers) -> Result<(), Error> {
        let (store, at) = (self.reader.store, self.reader.at);
        let files = match store.signature_files(at, subject).await {
            Ok(files) => files,
            Err(error) if must_end(&error) => return Err(error),
            Err(error) => {
                found.error = found.error.take().or(Some(error));
                Vec::new()
            }
        };
        for file in files {
            let SignatureHolder::File(name) = &file.holder else { continue };
            match store.fetch_signature(at, &file).await {
                Ok(content) => {
                    let size = content.len() as u64;
                    let descriptor = Descriptor { size, ..Descriptor::new("", Digest::sha256(&content)) };
                    let node = TreeNode::new(&descriptor, NodeKind::SignatureFile(file.kind, name.clone()));
                    found.nodes.push(TreeNode { size: Some(size), ..node });
                }
                Err(error) if must_end(&error) => return Err(error),
                Err(error) => found.error = found.error.take().or(Some(error)),
            }
        }
        Ok(())
    }

    /// Adds the manifests that cosign stores under tags named after a digest.
    async fn add_cosign_tags(&self, subject: &Digest, found: &mut Referrers) -> Result<(), Error> {
        let (store, at) = (self.reader.store, self.reader.at);
        for suffix in COSIGN_SUFFIXES {
            let tag = format!("{}.{suffix}", subject.referrers_tag());
            if self.tags.as_ref().is_some_and(|tags| !tags.contains(&tag)) {
                continue;
            }
            match store.fetch_manifest(&at.with_tag(&tag)).await {
                Ok(fetched) if self.reader.take() => {
                    self.reader.hold(&fetched.bytes);
                    let mut node = TreeNode::new(&fetched.descriptor, NodeKind::CosignTag(suffix));
                    node.add_referrer(&fetched.manifest);
                    found.nodes.push(node);
                }
                Ok(_) => found.omitted += 1,
                Err(error) if must_end(&error) => return Err(error),
                Err(error) if error.is_missing() => {}
                Err(error) => found.error = found.error.take().or(Some(error)),
            }
        }
        Ok(())
    }
}
