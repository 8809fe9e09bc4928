//! A piece of work that every program does in its own way.

use std::path::Path;

/// One piece of work, for any program.
pub struct Work<'a> {
    pub host: &'a str,
    pub what: What<'a>,
    pub login: Option<(&'a str, &'a str)>,
    /// A folder for a program's own files.
    pub scratch: &'a str,
}

#[derive(Clone, Copy)]
pub enum What<'a> {
    /// Put `whole:v1` in front of the images that `template` names.
    Assemble { template: &'a str, platforms: &'a [&'a str] },
    /// Show `whole:v1`.
    Inspect,
    /// Show what platforms `whole:v1` is for.
    Query,
    /// Look whether all of `whole:v1` is there.
    Verify,
    /// Show what platforms each of these tags of `whole` is for.
    Tags(&'a [String]),
    /// Push what a file of specs says.
    Specs(&'a Path),
    /// Copy the index here, with all its images, into `whole:v1`.
    Copy(&'a str),
}

impl Work<'_> {
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    pub fn target(&self) -> String {
        self.reference("whole:v1")
    }
}
