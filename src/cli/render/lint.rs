use serde::Serialize;

use crate::image::{Location, UntrustedText};
use crate::spec::Spec;

/// A spec that `lint` accepts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct SpecJson {
    file: UntrustedText,
    reference: Location,
    tags: Vec<Location>,
    #[serde(rename = "type")]
    form: String,
    sources: Vec<Location>,
}

impl SpecJson {
    pub(in crate::cli) fn new(spec: &Spec, file: &UntrustedText) -> Self {
        Self {
            file: file.clone(),
            reference: spec.target.location.clone(),
            tags: spec.locations().collect(),
            form: spec.form.to_string(),
            sources: spec.sources.iter().map(|source| source.location.clone()).collect(),
        }
    }
}
