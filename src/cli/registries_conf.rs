//! Reads registries.conf, if the user asks for it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::config_folder::config_folder;
use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use crate::image::{Reference, UntrustedText};
use crate::registry::RegistriesConf;

/// The variable that names the file, as for Podman and skopeo.
const VARIABLE: &str = "CONTAINERS_REGISTRIES_CONF";
/// The flag that names the file or, without a value, reads the files of Podman and skopeo.
const FLAG: &str = "--registries-conf";
/// The folder of the system's files.
const SYSTEM_FOLDER: &str = "/etc/containers";
const FILE: &str = "registries.conf";
/// The folder whose files are added to the main file, in the order of their names.
const FURTHER_FILES: &str = "registries.conf.d";

/// The maximum size of a file, in bytes.
const MAX_SIZE: u64 = 1 << 20;
/// The maximum number of further files.
const MAX_FILES: usize = 1000;

/// Reads the files that the flag or the variable names. `written` are the repositories that the command writes to.
///
/// # Errors
/// A file cannot be read or is invalid.
pub(super) fn registries_conf<'r>(
    global: &Global,
    console: &Console,
    written: impl IntoIterator<Item = &'r Reference>,
) -> Result<RegistriesConf, Failure> {
    let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (files, source) = match &global.registries_conf {
        Some(path) if path.as_os_str().is_empty() => (containers_files(console)?, FLAG),
        Some(path) => (vec![path.clone()], FLAG),
        None => match variable() {
            Some(path) => (vec![path], VARIABLE),
            None => return Ok(RegistriesConf::default()),
        },
    };
    let mut conf = RegistriesConf::default();
    for file in files {
        conf = conf.and(read(&file, source, console)?);
    }
    Ok(conf.except(written))
}

/// Returns the files that Podman and skopeo read: the user's file or else the system's, then the further files of the
/// system and of the user.
fn containers_files(console: &Console) -> Result<Vec<PathBuf>, Failure> {
    let user = config_folder().map(|folder| folder.join("containers"));
    let folders: Vec<PathBuf> = [PathBuf::from(SYSTEM_FOLDER)].into_iter().chain(user).collect();
    let main = folders.iter().rev().map(|folder| folder.join(FILE)).find(|file| file.exists());
    let mut files: Vec<PathBuf> = main.into_iter().collect();
    for folder in &folders {
        files.extend(further_files(&folder.join(FURTHER_FILES))?);
    }
    if files.is_empty() {
        let shown: Vec<String> = folders.iter().map(|folder| folder.join(FILE).display().to_string()).collect();
        console.alert(format_args!("{FLAG}: {} does not exist", shown.join(" or ")));
    }
    Ok(files)
}

fn further_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = UntrustedText::from(folder.to_string_lossy().into_owned());
    let unreadable = |error: std::io::Error| Failure::new(format!("cannot read {shown}: {error}"));
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Failure::new(format!("{shown} has more than {MAX_FILES} files")));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read(path: &Path, source: &str, console: &Console) -> Result<RegistriesConf, Failure> {
    let shown = UntrustedText::from(path.to_string_lossy().into_owned());
    let unreadable = |why: String| Failure::new(format!("cannot read {shown}, which {source} names: {why}"));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(unreadable("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
    let (conf, warnings) = RegistriesConf::parse(&text, shown.as_ref()).map_err(Failure::new)?;
    warnings.iter().for_each(|warning| console.alert(warning));
    Ok(conf)
}
