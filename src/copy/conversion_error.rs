use std::collections::BTreeSet;
use std::fmt;

use crate::convert::{Conversion, Format, Obstacle, Remedy};
use crate::image::Location;

/// The maximum number of obstacles in a message.
const MAX_LISTED: usize = 20;

/// Why a source cannot be converted. Nothing was written.
#[derive(Debug)]
pub struct ConversionError {
    from: Location,
    format: Option<Format>,
    obstacles: Vec<Obstacle>,
}

impl ConversionError {
    pub(super) fn new(from: &Location, conversion: Conversion, obstacles: Vec<Obstacle>) -> Self {
        Self { from: from.clone(), format: conversion.format, obstacles }
    }

    /// Returns what the user can do, one sentence for each kind of obstacle; empty if no flag helps.
    #[must_use]
    pub fn hints(&self) -> Vec<&'static str> {
        let remedies: BTreeSet<Remedy> = self.obstacles.iter().filter_map(|obstacle| obstacle.remedy).collect();
        remedies.into_iter().map(hint).collect()
    }
}

fn hint(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::DropAnnotations => "add --drop-annotations to leave out annotations, and attestations",
        Remedy::Recompress => "add --compress gzip or --decompress",
        Remedy::UseOci => "use --format oci: Docker's format has no zstd layers",
        Remedy::SelectPlatforms => "copy the images one by one with --platform",
    }
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot convert {}", self.from)?;
        match self.format {
            Some(format @ Format::Docker) => write!(f, " to {format}, which cannot hold all of it")?,
            Some(format @ Format::Oci) => write!(f, " to {format}")?,
            None => {}
        }
        for Obstacle { manifest, reason, .. } in self.obstacles.iter().take(MAX_LISTED) {
            write!(f, "\n  {manifest}: {reason}")?;
        }
        match self.obstacles.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for ConversionError {}
