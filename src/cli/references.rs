use super::failure::Failure;
use crate::image::Location;

/// A location, and the reference as the user wrote it.
#[derive(Debug, Clone)]
pub(super) struct NamedLocation {
    pub(super) name: String,
    pub(super) location: Location,
}

/// Parses references that a command reads or deletes.
///
/// # Errors
/// [`location`] fails for one of the references.
pub(super) fn locations(names: &[String]) -> Result<Vec<NamedLocation>, Failure> {
    names.iter().map(|name| Ok(NamedLocation { name: name.clone(), location: location(name)? })).collect()
}

/// Parses a reference, which must have a tag or a digest if it names a registry.
///
/// # Errors
/// The text is not a reference, or a registry reference has neither tag nor digest.
pub(super) fn location(name: &str) -> Result<Location, Failure> {
    let location: Location = name.parse().map_err(|error| Failure::new(format!("{error}")))?;
    if location.reference().is_some_and(|reference| reference.manifest_name().is_none()) {
        return Err(Failure::new(format!(
            "\"{name}\" has no tag or digest; manifest-tool does not default to \"latest\""
        )));
    }
    Ok(location)
}
