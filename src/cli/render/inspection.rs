//! The JSON of `inspect`.

use serde::Serialize;
use serde_json::Value;

use super::descriptor::DescriptorJson;
use super::entry::EntryJson;
use crate::image::{Annotations, Descriptor, Digest, Platform, Schema1Step, UntrustedText};
use crate::inspect::{Child, Content, Image, Inspection};

/// The annotation with the predicate type of an in-toto statement (BuildKit, "Attestation storage").
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// The image or index that a reference points at.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct InspectionJson {
    reference: String,
    #[serde(flatten)]
    descriptor: DescriptorJson,
    #[serde(flatten)]
    content: ContentJson,
    #[serde(flatten)]
    metadata: MetadataJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<DescriptorJson>,
    referrers: Option<Vec<ReferrerJson>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum ContentJson {
    Image {
        platform: Platform,
        #[serde(flatten)]
        image: Box<ImageJson>,
    },
    Index {
        entries: Vec<InspectedEntryJson>,
    },
    /// An image of Docker's schema 1, without sizes and a config.
    Schema1 {
        platform: Platform,
        #[serde(skip_serializing_if = "Option::is_none")]
        created: Option<UntrustedText>,
        history: Vec<StepJson>,
    },
}

/// A step of the build of a schema 1 image, the first step first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct StepJson {
    /// The digest of its layer; absent if the step added no files.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<UntrustedText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<UntrustedText>,
}

/// The artifact type and annotations of a manifest or descriptor.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct MetadataJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<UntrustedText>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ImageJson {
    config: ConfigJson,
    layers: Vec<DescriptorJson>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ConfigJson {
    #[serde(flatten)]
    descriptor: DescriptorJson,
    /// Absent if the config was not read; null if it is not JSON, as for artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct InspectedEntryJson {
    #[serde(flatten)]
    entry: EntryJson,
    #[serde(flatten)]
    image: Option<ImageJson>,
    /// The predicate types of an attestation's statements, from the annotations that BuildKit adds to its layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_types: Option<Vec<UntrustedText>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ReferrerJson {
    #[serde(flatten)]
    descriptor: DescriptorJson,
    #[serde(flatten)]
    metadata: MetadataJson,
}

impl InspectionJson {
    /// Creates the JSON of an inspection. `name` is the reference as the user wrote it.
    pub(in crate::cli) fn new(name: &str, inspection: &Inspection) -> Self {
        let (content, metadata) = match &inspection.content {
            Content::Image(image) => (
                ContentJson::Image { platform: image.platform(), image: Box::new(image.into()) },
                MetadataJson::new(image.manifest.artifact_type.as_ref(), &image.manifest.annotations),
            ),
            Content::Schema1(image) => (
                ContentJson::Schema1 {
                    platform: image.platform.clone(),
                    created: image.created.clone(),
                    history: image.history.iter().map(StepJson::from).collect(),
                },
                MetadataJson::new(None, &Annotations::new()),
            ),
            Content::Index(index, children) => {
                let entries = index.manifests.iter().zip(children);
                let entries = entries.map(|(entry, child)| InspectedEntryJson::new(entry, child)).collect();
                (ContentJson::Index { entries }, MetadataJson::new(index.artifact_type.as_ref(), &index.annotations))
            }
        };
        let referrers = inspection.referrers.as_ref();
        Self {
            reference: name.to_owned(),
            descriptor: (&inspection.descriptor).into(),
            content,
            metadata,
            subject: subject(inspection).map(DescriptorJson::from),
            referrers: referrers.map(|all| all.iter().map(ReferrerJson::from).collect()),
        }
    }
}

impl MetadataJson {
    fn new(artifact_type: Option<&UntrustedText>, annotations: &Annotations) -> Self {
        Self { artifact_type: artifact_type.cloned(), annotations: annotations.clone() }
    }
}

impl InspectedEntryJson {
    fn new(entry: &Descriptor, child: &Child) -> Self {
        let image = match child {
            Child::Image(image, _) => Some(image),
            Child::Other => None,
        };
        Self {
            entry: entry.into(),
            image: image.map(ImageJson::from),
            predicate_types: image.filter(|_| entry.is_attestation()).map(predicate_types),
        }
    }
}

impl From<&Image> for ImageJson {
    fn from(image: &Image) -> Self {
        let content = image.config.as_ref().map(|bytes| serde_json::from_slice(bytes).unwrap_or(Value::Null));
        let config = ConfigJson { descriptor: (&image.manifest.config).into(), content };
        Self { config, layers: image.manifest.layers.iter().map(DescriptorJson::from).collect() }
    }
}

impl From<&Schema1Step> for StepJson {
    fn from(step: &Schema1Step) -> Self {
        let Schema1Step { layer, created, created_by, .. } = step.clone();
        Self { layer, created, created_by }
    }
}

impl From<&Descriptor> for ReferrerJson {
    fn from(referrer: &Descriptor) -> Self {
        let metadata = MetadataJson::new(referrer.artifact_type.as_ref(), &referrer.annotations);
        Self { descriptor: referrer.into(), metadata }
    }
}

fn predicate_types(image: &Image) -> Vec<UntrustedText> {
    image.manifest.layers.iter().filter_map(|layer| layer.annotations.get(PREDICATE_TYPE).cloned()).collect()
}

fn subject(inspection: &Inspection) -> Option<&Descriptor> {
    match &inspection.content {
        Content::Image(image) => image.manifest.subject.as_deref(),
        Content::Index(index, _) => index.subject.as_deref(),
        Content::Schema1(_) => None,
    }
}
