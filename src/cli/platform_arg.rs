//! Values of flags that take platforms, with common platforms for shell completion.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use crate::image::{Platform, parse_listed};

/// The platforms that shells suggest. Others are accepted as well.
const COMMON: [&str; 9] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/386",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "windows/amd64",
];

/// Parses a platform to find in an index. Refuses one that is probably a typo.
pub(super) fn platform() -> impl TypedValueParser<Value = Platform> {
    Suggesting(parse_listed)
}

/// Accepts the text of a platform, which is parsed with the other arguments of a spec.
pub(super) fn platform_text() -> impl TypedValueParser<Value = String> {
    Suggesting(StringValueParser::new())
}

/// A parser that suggests common platforms.
#[derive(Clone)]
struct Suggesting<P>(P);

impl<P: TypedValueParser> TypedValueParser for Suggesting<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.0.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(COMMON.into_iter().map(PossibleValue::new)))
    }
}
