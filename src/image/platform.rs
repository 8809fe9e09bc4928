use std::fmt;

use serde::{Deserialize, Serialize};

use super::UntrustedText;
use super::null::null_is_empty;

/// What an image runs on, in the field order in which Go writes it.
///
/// OCI image-spec, "Image Index": `platform`. An empty string means that the field is absent.
///
/// ```
/// use manifest_tool::image::Platform;
/// let arm = Platform { os: "linux".into(), architecture: "arm".into(), variant: "v7".into(), ..Platform::default() };
/// assert_eq!(arm.to_string(), "linux/arm/v7");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Platform {
    /// CPU architecture in Go's spelling, such as `amd64`.
    #[serde(deserialize_with = "null_is_empty")]
    pub architecture: UntrustedText,
    /// Operating system in Go's spelling, such as `linux`.
    #[serde(deserialize_with = "null_is_empty")]
    pub os: UntrustedText,
    /// Version of the operating system, used for Windows.
    #[serde(rename = "os.version", deserialize_with = "null_is_empty", skip_serializing_if = "str::is_empty")]
    pub os_version: UntrustedText,
    /// Features that the operating system must have, used for Windows.
    #[serde(rename = "os.features", deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<UntrustedText>,
    /// Variant of the CPU, such as `v7` of `arm`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "str::is_empty")]
    pub variant: UntrustedText,
}

impl Platform {
    /// The variant, empty for the one that an architecture without a variant stands for: `linux/arm64` is
    /// `linux/arm64/v8`, `linux/arm` is `linux/arm/v7`, `linux/amd64` is `linux/amd64/v1`.
    #[must_use]
    pub fn own_variant(&self) -> &str {
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("amd64", "v1") | ("arm", "v7") | ("arm64", "v8") => "",
            (_, variant) => variant,
        }
    }

    /// Whether it names neither an os nor an architecture, which some builders write in place of no platform.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }

    /// Whether this is for an os and architecture, and for a variant where one is `wanted`.
    #[must_use]
    pub fn matches(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_empty() || self.own_variant() == wanted.own_variant())
    }

    /// Whether an index's entry says what its image's config says; what the config leaves open, anything may be said of.
    #[must_use]
    pub fn agrees_with(&self, config: &Self) -> bool {
        let same = |entry: &str, config: &str| config.is_empty() || entry == config;
        // Where the config leaves the architecture open, its variant is one of the entry's.
        let architecture = if config.architecture.is_empty() { &self.architecture } else { &config.architecture };
        let config_variant = Self { architecture: architecture.clone(), ..config.clone() };
        same(&self.os, &config.os)
            && same(&self.architecture, &config.architecture)
            && (config.variant.is_empty() || self.own_variant() == config_variant.own_variant())
            && same(&self.os_version, &config.os_version)
            && (config.os_features.is_empty() || self.os_features == config.os_features)
    }

    /// Whether a machine that runs one runs the other: of Windows the build counts, not its revision.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        fn build(platform: &Platform) -> Vec<&str> {
            let parts = if platform.os == "windows" { 3 } else { usize::MAX };
            platform.os_version.split('.').take(parts).collect()
        }
        self.os == other.os
            && self.architecture == other.architecture
            && self.own_variant() == other.own_variant()
            && build(self) == build(other)
            && self.os_features == other.os_features
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        if !self.os_version.is_empty() {
            write!(f, ":{}", self.os_version)?;
        }
        if !self.os_features.is_empty() {
            let features: Vec<String> = self.os_features.iter().map(ToString::to_string).collect();
            write!(f, " [{}]", features.join(" "))?;
        }
        Ok(())
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform \"{0}\": expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm/v7")]
pub struct PlatformError(UntrustedText);

impl std::str::FromStr for Platform {
    type Err = PlatformError;

    /// Reads `OS/ARCH` or `OS/ARCH/VARIANT`. The variant may be empty (`linux/arm64/`), as templates of pipelines make it.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.trim().split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => ("", "", ""),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(PlatformError(text.into()));
        }
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.into(), ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same() {
        let platform = |text: &str| {
            let (name, version) = text.split_once(' ').unwrap_or((text, ""));
            Platform { os_version: version.into(), ..name.parse().unwrap() }
        };
        for (one, other, same) in [
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm", "linux/arm/v6", false),
            ("linux/amd64", "linux/amd64/v1", true),
            ("linux/amd64", "linux/amd64/v2", false),
            ("linux/386", "linux/386/v1", false),
            ("windows/amd64 10.0.20348.9", "windows/amd64 10.0.20348.10", true),
            ("windows/amd64 10.0.20348.9", "windows/amd64 10.0.17763.9", false),
            ("windows/amd64 10.0.20348.9", "windows/amd64", false),
            ("linux/amd64 1.2.3.4", "linux/amd64 1.2.3.5", false),
        ] {
            assert_eq!(platform(one).is_same(&platform(other)), same, "{one} {other}");
            assert_eq!(platform(other).is_same(&platform(one)), same, "{other} {one}");
        }
    }
}
