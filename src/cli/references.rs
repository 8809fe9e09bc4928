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

/// Parses the only argument of a command with `--tags`: a repository, or a layout or archive, without a tag, name or
/// digest.
///
/// # Errors
/// There are several arguments, or the only one is not a repository.
pub(super) fn repository(names: &[String]) -> Result<Location, Failure> {
    let [name] = names else {
        return Err(Failure::usage(format!("--tags takes one repository, but {} arguments were given", names.len())));
    };
    let location = parse(name)?;
    if location.tag().is_some() || location.digest().is_some() {
        let meant = location.without_name();
        let why = "has a tag or digest; with --tags, give only the repository";
        return Err(Failure::usage(format!("\"{name}\" {why}; did you mean \"{meant}\"?")));
    }
    Ok(location)
}
