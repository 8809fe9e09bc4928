use super::console::Console;
use super::exit_status::ExitStatus;
use crate::image::{Platform, suggestion};

/// Records which references have no image for `--platform`.
pub(super) struct Offers<'a> {
    /// The platform, if the flag is given.
    pub(super) platform: Option<&'a Platform>,
    /// References without an image for the platform.
    lacking: Vec<String>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(platform: Option<&'a Platform>) -> Self {
        Self { platform, lacking: Vec::new() }
    }

    /// Records a reference that has no image for the platform.
    pub(super) fn add_lacking(&mut self, name: &str) {
        self.lacking.push(name.to_owned());
    }

    /// Prints the recorded references to stderr, and returns the exit status of a run that read all references.
    pub(super) fn finish(&self, console: &Console) -> ExitStatus {
        match self.platform {
            Some(platform) if !self.lacking.is_empty() => {
                console.info(format_args!("not for {platform}: {}{}", self.lacking.join(", "), suggestion(platform)));
                ExitStatus::NotOffered
            }
            _ => ExitStatus::Done,
        }
    }
}
