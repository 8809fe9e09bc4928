use std::fmt;

use serde::{Deserialize, Serialize};

use super::UntrustedText;
use super::names::nearest_to_text;
use super::null::null_is_empty;

/// The platform of an image (OCI image-spec, "Image Index": `platform`), in Go's field order.
///
/// An empty string means that the field is absent.
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
    /// Operating system version, used for Windows.
    #[serde(rename = "os.version", deserialize_with = "null_is_empty", skip_serializing_if = "str::is_empty")]
    pub os_version: UntrustedText,
    /// Required operating system features, used for Windows.
    #[serde(rename = "os.features", deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<UntrustedText>,
    /// CPU variant, such as `v7` for `arm`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "str::is_empty")]
    pub variant: UntrustedText,
}

impl Platform {
    /// Returns the variant, or an empty string for the architecture's default: `linux/arm64` is `linux/arm64/v8`,
    /// `linux/arm` is `linux/arm/v7`, and `linux/amd64` is `linux/amd64/v1`.
    #[must_use]
    pub fn normalized_variant(&self) -> &str {
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("amd64", "v1") | ("arm", "v7") | ("arm64", "v8") => "",
            (_, variant) => variant,
        }
    }

    /// Returns the platform with [`Self::normalized_variant`], so that equal platforms compare as equal.
    #[must_use]
    pub fn normalized(&self) -> Self {
        Self { variant: self.normalized_variant().into(), ..self.clone() }
    }

    /// Returns whether both os and architecture are missing. Some builders write such a platform instead of
    /// omitting it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }

    /// Returns whether os and architecture equal those of `requested`, and also the variant if `requested` has one.
    #[must_use]
    pub fn matches(&self, requested: &Self) -> bool {
        self.os == requested.os
            && self.architecture == requested.architecture
            && (requested.variant.is_empty() || self.normalized_variant() == requested.normalized_variant())
    }

    /// Returns whether the platform of an index entry agrees with the image's config. Fields missing in the config
    /// match any value.
    #[must_use]
    pub fn agrees_with(&self, config: &Self) -> bool {
        let same = |entry: &str, config: &str| config.is_empty() || entry == config;
        // Without an architecture in the config, its variant belongs to the entry's architecture.
        let architecture = if config.architecture.is_empty() { &self.architecture } else { &config.architecture };
        let config_variant = Self { architecture: architecture.clone(), ..config.clone() };
        same(&self.os, &config.os)
            && same(&self.architecture, &config.architecture)
            && (config.variant.is_empty() || self.normalized_variant() == config_variant.normalized_variant())
            && same(&self.os_version, &config.os_version)
            && (config.os_features.is_empty() || self.os_features == config.os_features)
    }

    /// Returns whether both platforms run on the same machines. For Windows versions, the build is compared but not the
    /// revision.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        fn build(platform: &Platform) -> Vec<&str> {
            let parts = if platform.os == "windows" { 3 } else { usize::MAX };
            platform.os_version.split('.').take(parts).collect()
        }
        self.os == other.os
            && self.architecture == other.architecture
            && self.normalized_variant() == other.normalized_variant()
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

/// The error for text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformError {
    text: UntrustedText,
    meant: Option<String>,
}

impl PlatformError {
    /// Returns the platform that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.meant.as_deref()
    }
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid platform \"{}\": expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm/v7", self.text)?;
        self.meant.iter().try_for_each(|meant| write!(f, "; did you mean {meant}?"))
    }
}

impl std::error::Error for PlatformError {}

impl std::str::FromStr for Platform {
    type Err = PlatformError;

    /// Parses `OS/ARCH` or `OS/ARCH/VARIANT`. The variant may be empty (`linux/arm64/`), because pipeline templates
    /// produce that.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.trim().split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => ("", "", ""),
        };
        if os.is_empty() || architecture.is_empty() || text.contains(',') {
            return Err(PlatformError { text: text.into(), meant: nearest_to_text(text) });
        }
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.into(), ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_platforms_are_the_same() {
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
