//! A node of the tree that `inspect --tree` shows. Reads nothing.

use std::collections::{HashMap, HashSet};

use crate::image::{Annotations, Descriptor, Digest, ImageManifest, Manifest, Timestamp, UntrustedText, media_type};
use crate::store::{Error, SignatureKind};

/// The maximum number of predicate types kept per manifest.
const MAX_PREDICATES: usize = 16;
/// The annotation with the creation date of a manifest (OCI image-spec, "Pre-Defined Annotation Keys").
const CREATED: &str = "org.opencontainers.image.created";
/// The annotations with the predicate type of a statement: of a layer (BuildKit, "Attestation storage"; cosign), and of a
/// manifest (Sigstore bundles).
const PREDICATE_TYPES: [&str; 3] = ["in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType"];

/// A manifest, with everything below it and everything that refers to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TreeNode {
    /// Media type, digest and size of the manifest, and the platform: that of its entry, or else that in its config.
    pub descriptor: Descriptor,
    /// What the manifest is in relation to its parent.
    pub kind: NodeKind,
    /// The artifact type, if it is not an image: the declared one, or else the media type of its config.
    pub artifact_type: Option<UntrustedText>,
    /// The predicate types of its statements, at most 16.
    pub predicate_types: Vec<UntrustedText>,
    /// The total size in bytes of its config and layers, or of those of all images and attestations of an index, each
    /// counted once. `None` if a manifest was not read.
    pub size: Option<u64>,
    /// The creation date: in the config of an image, that of the newest image of an index, or the annotation
    /// `org.opencontainers.image.created` of other manifests. `None` if it is unknown.
    pub created: Option<Timestamp>,
    /// Why the manifest or its config could not be read.
    pub error: Option<Error>,
    /// Why its referrers could not be listed.
    pub referrers_error: Option<Error>,
    /// The number of children that were not read because of a limit: 10,000 manifests, or four levels of indexes.
    pub omitted: usize,
    /// The entries of an index, followed by the attestations and referrers of the manifest.
    pub children: Vec<TreeNode>,
}

/// What a manifest is in relation to its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// An index.
    Index,
    /// An image, or an artifact that an index lists.
    Image,
    /// An attestation that an index lists.
    Attestation {
        /// The digest of its image as annotated, if the parent is not that image.
        dangling: Option<UntrustedText>,
    },
    /// A manifest whose subject is the parent, such as a signature.
    Referrer,
    /// A manifest in a tag that cosign names after the parent's digest. Holds the suffix of the tag, such as `sig`.
    CosignTag(&'static str),
    /// A file with a signature beside the parent, in `dir:`. Holds its kind and its name.
    SignatureFile(SignatureKind, String),
    /// An entry of an index that is neither an image nor an index; not read.
    Other,
}

impl TreeNode {
    pub(super) fn new(entry: &Descriptor, kind: NodeKind) -> Self {
        let (platform, size) = (entry.platform.clone(), entry.size);
        Self {
            descriptor: Descriptor { platform, size, ..Descriptor::new(&entry.media_type, entry.digest.clone()) },
            kind,
            artifact_type: None,
            predicate_types: Vec::new(),
            size: None,
            created: None,
            error: None,
            referrers_error: None,
            omitted: 0,
            children: Vec::new(),
        }
    }

    /// Adds what the manifest itself says.
    pub(super) fn add_manifest(&mut self, image: &ImageManifest) {
        let blobs = image.blobs();
        self.size = Some(blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size)));
        self.created = created(&image.annotations);
        let declared = image.artifact_type.as_ref().filter(|kind| !kind.is_empty());
        let config = Some(&image.config.media_type).filter(|kind| !media_type::is_config(kind));
        self.artifact_type = declared.or(config).cloned();
        let annotations =
            std::iter::once(&image.annotations).chain(image.layers.iter().map(|layer| &layer.annotations));
        let types = annotations.filter_map(|all| PREDICATE_TYPES.iter().find_map(|key| all.get(*key)));
        for predicate in types {
            if self.predicate_types.len() < MAX_PREDICATES && !self.predicate_types.contains(predicate) {
                self.predicate_types.push(predicate.clone());
            }
        }
    }

    /// Moves each attestation of this index to its image, if the index lists that.
    pub(super) fn attach_attestations(&mut self) {
        let is_attestation = |node: &Self| matches!(node.kind, NodeKind::Attestation { .. });
        let children = std::mem::take(&mut self.children);
        let (attestations, entries): (Vec<Self>, Vec<Self>) = children.into_iter().partition(is_attestation);
        self.children = entries;
        let mut images: HashMap<Digest, usize> = HashMap::new();
        for (position, node) in self.children.iter().enumerate().filter(|(_, node)| node.kind != NodeKind::Other) {
            images.entry(node.descriptor.digest.clone()).or_insert(position);
        }
        for mut node in attestations {
            let NodeKind::Attestation { dangling } = &node.kind else { continue };
            let subject = dangling.as_ref().and_then(|subject| Digest::parse(subject).ok());
            let image = subject.and_then(|subject| images.get(&subject)).copied();
            match image.and_then(|position| self.children.get_mut(position)) {
                Some(image) => {
                    node.kind = NodeKind::Attestation { dangling: None };
                    image.children.push(node);
                }
                None => self.children.push(node),
            }
        }
    }
}

impl TreeNode {
    /// Adds what the manifest of a referrer says. The list of referrers may have said some of it.
    pub(super) fn add_referrer(&mut self, manifest: &Manifest) {
        let (listed_type, listed_date) = (self.artifact_type.take(), self.created);
        match manifest {
            Manifest::Image(image) => self.add_manifest(image),
            Manifest::Index(index) => {
                self.artifact_type.clone_from(&index.artifact_type);
                self.created = created(&index.annotations);
            }
        }
        self.artifact_type = listed_type.or(self.artifact_type.take());
        self.created = self.created.or(listed_date);
    }
}

/// Returns the creation date in annotations.
pub(super) fn created(annotations: &Annotations) -> Option<Timestamp> {
    Timestamp::parse(annotations.get(CREATED)?).filter(|created| !created.is_unset())
}

/// Returns the digests of a node and of all nodes below it.
pub(super) fn digests(root: &TreeNode) -> HashSet<Digest> {
    let (mut found, mut unvisited) = (HashSet::new(), vec![root]);
    while let Some(node) = unvisited.pop() {
        found.insert(node.descriptor.digest.clone());
        unvisited.extend(&node.children);
    }
    found
}

/// Returns the digests of the manifests whose referrers are wanted: the root, unless only a platform of it is wanted, and
/// all images and indexes that were read.
pub(super) fn subjects(root: &TreeNode, skips_root_index: bool) -> Vec<Digest> {
    let (mut found, mut seen, mut unvisited) = (Vec::new(), HashSet::new(), vec![root]);
    while let Some(node) = unvisited.pop() {
        let digest = &node.descriptor.digest;
        let is_wanted = match node.kind {
            NodeKind::Index => !(skips_root_index && std::ptr::eq(node, root)),
            NodeKind::Image => true,
            _ => false,
        };
        if is_wanted && seen.insert(digest) {
            found.push(digest.clone());
        }
        unvisited.extend(&node.children);
    }
    found
}
