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
    let location = parse(name)?;
    check_named(name, &location)?;
    Ok(location)
}

/// Parses a reference with or without a tag.
///
/// # Errors
/// The text is not a reference.
pub(super) fn parse(name: &str) -> Result<Location, Failure> {
    name.parse().map_err(Failure::usage)
}

/// Checks that a reference that names a registry has a tag or a digest.
///
/// # Errors
/// It has neither.
pub(super) fn check_named(name: &str, location: &Location) -> Result<(), Failure> {
    if location.reference().is_some_and(|reference| reference.manifest_name().is_none()) {
        let why = "has no tag or digest; manifest-tool does not default to \"latest\"";
        return Err(Failure::usage(format!("\"{name}\" {why}")));
    }
    Ok(())
}
