//! Reads registries.conf, if the user names one.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use crate::image::{Reference, UntrustedText};
use crate::registry::RegistriesConf;

/// The variable that names the file, as for Podman and skopeo.
const VARIABLE: &str = "CONTAINERS_REGISTRIES_CONF";

/// The maximum size of the file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Reads the file that the flag or the variable names. `written` are the repositories that the command writes to.
///
/// # Errors
/// The file cannot be read or is invalid.
pub(super) fn registries_conf<'r>(
    global: &Global,
    console: &Console,
    written: impl IntoIterator<Item = &'r Reference>,
) -> Result<RegistriesConf, Failure> {
    let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (path, source) = match &global.registries_conf {
        Some(path) => (path.clone(), "--registries-conf"),
        None => match variable() {
            Some(path) => (path, VARIABLE),
            None => return Ok(RegistriesConf::default()),
        },
    };
    let shown = UntrustedText::from(path.to_string_lossy().into_owned());
    let unreadable = |why: String| Failure::new(format!("cannot read {shown}, which {source} names: {why}"));
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(unreadable("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
    let (conf, warnings) = RegistriesConf::parse(&text, shown.as_ref()).map_err(Failure::new)?;
    warnings.iter().for_each(|warning| console.alert(warning));
    Ok(conf.except(written))
}
