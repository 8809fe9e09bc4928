//! Checks of platforms against the known ones, and suggestions for unknown ones.

use std::fmt;

use super::names::{
    self, architectures_of, is_known_architecture, is_known_system, is_pair, known_systems, known_variants, variants_of,
};
use super::{Platform, PlatformError};

/// Returns whether the operating system and architecture are known, in any combination as in 2.2.1, and the variant is
/// empty or known for that architecture.
#[must_use]
pub(crate) fn is_known_platform(platform: &Platform) -> bool {
    names::is_known(&platform.os, &platform.architecture, &platform.variant)
}

/// Returns a warning if the operating system and architecture are known, but Go does not support the combination.
#[must_use]
pub(crate) fn odd_pair(platform: &Platform) -> Option<String> {
    let Platform { os, architecture, .. } = platform;
    let is_odd = is_known_platform(platform) && !is_pair(os, architecture);
    is_odd.then(|| format!("Go does not support {platform}; check os and architecture"))
}

/// Parses a platform to find in an index, which may list any platform.
///
/// # Errors
/// The text is not a platform, or it is not a known one but similar to one.
pub(crate) fn parse_listed(text: &str) -> Result<Platform, String> {
    let platform: Platform = text.parse().map_err(|error: PlatformError| error.to_string())?;
    let is_typo = !is_known_platform(&platform) && nearest(&platform).is_some();
    if is_typo { Err(unsupported(&platform).to_string()) } else { Ok(platform) }
}

/// Why a platform is not supported. Displayed with the suggestion: "unsupported platform linux/x86_64; did you mean
/// linux/amd64?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsupportedPlatform {
    /// The message without the suggestion.
    pub(crate) message: String,
    /// The known platform that was probably meant.
    pub(crate) suggestion: Option<String>,
}

impl fmt::Display for UnsupportedPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.suggestion.iter().try_for_each(|meant| write!(f, "; did you mean {meant}?"))
    }
}

/// Returns the error for an unsupported platform.
#[must_use]
pub(crate) fn unsupported(platform: &Platform) -> UnsupportedPlatform {
    let (message, suggestion) = match nearest(platform).filter(|_| lacking(platform).is_none()) {
        Some(meant) => (format!("unsupported platform {platform}"), Some(meant)),
        None => (unknown(platform), None),
    };
    UnsupportedPlatform { message, suggestion }
}

/// Returns what a platform lacks to be one, if that is obvious.
fn lacking(platform: &Platform) -> Option<&'static str> {
    let Platform { os, architecture, variant, .. } = platform;
    match (os.is_empty(), architecture.is_empty()) {
        (true, false) => Some("its os is missing"),
        (false, true) => Some("its architecture is missing"),
        _ if [os, architecture, variant].iter().any(|part| part.contains(char::is_whitespace)) => {
            Some("it contains whitespace")
        }
        _ => None,
    }
}

/// Returns the error message for an unsupported platform that resembles no known one.
fn unknown(platform: &Platform) -> String {
    let Platform { os, architecture, variant, .. } = platform;
    if let Some(lacking) = lacking(platform) {
        return format!("unsupported platform {platform}; {lacking}");
    }
    if platform.is_empty() {
        return format!("unsupported variant {variant}; the variants are {}", known_variants().join(", "));
    }
    let variants = variants_of(architecture);
    let is_variant = is_known_system(os) && is_known_architecture(architecture);
    let known = if is_variant && variants.is_empty() {
        format!("{architecture} has no variants")
    } else if is_variant && !variant.is_empty() {
        format!("the variants of {architecture} are {}", variants.join(", "))
    } else if is_known_system(os) {
        format!("the architectures of {os} are {}", architectures_of(os).join(", "))
    } else {
        format!("the operating systems are {}", known_systems().join(", "))
    };
    format!("unsupported platform {platform}; {known}")
}

/// Returns the known platform that was probably meant by an unknown one.
#[must_use]
pub(crate) fn meant(platform: &Platform) -> Option<String> {
    if is_known_platform(platform) { None } else { nearest(platform) }
}

/// Returns a suffix for a "not found" message: "; did you mean linux/amd64?" if the platform is unknown but similar to
/// a known one, otherwise an empty string.
#[must_use]
pub(crate) fn suggestion(platform: &Platform) -> String {
    suggestions([platform])
}

/// Returns the suffix of [`suggestion`] for several platforms that were not found.
#[must_use]
pub(crate) fn suggestions<'p>(platforms: impl IntoIterator<Item = &'p Platform>) -> String {
    let meant: Vec<String> = platforms.into_iter().filter_map(meant).collect();
    if meant.is_empty() { String::new() } else { format!("; did you mean {}?", meant.join(", ")) }
}

fn nearest(platform: &Platform) -> Option<String> {
    names::nearest(&platform.os, &platform.architecture, &platform.variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let parts: Vec<&str> = text.split('/').collect();
        let [os, architecture, variant] = parts[..] else { panic!("{text}") };
        Platform { os: os.into(), architecture: architecture.into(), variant: variant.into(), ..Platform::default() }
    }

    #[test]
    fn known_platforms_have_known_parts() {
        for (text, known) in [
            ("linux/amd64/", true),
            ("linux/amd64/v1", true),
            ("linux/amd64/v3", true),
            ("linux/arm/v5", true),
            ("linux/arm/v7", true),
            ("linux/arm/v8", true),
            ("linux/arm64/v8", true),
            ("linux/arm64/v8.1", true),
            ("linux/arm64/v9", true),
            ("linux/ppc64le/power8", true),
            ("linux/ppc64le/power11", true),
            ("linux/riscv64/rva20u64", true),
            ("linux/riscv64/rva23u64", true),
            ("windows/arm/", true),
            ("windows/arm64/v8", true),
            ("freebsd/amd64/v2", true),
            ("linux/riscv64/", true),
            // Go does not support these combinations, but 2.2.1 accepts them.
            ("linux/wasm/", true),
            ("windows/s390x/", true),
            ("linux/arm/v9", false),
            ("linux/arm/7", false),
            ("linux/arm64/v7", false),
            ("linux/arm64/v10", false),
            ("linux/amd64/v5", false),
            ("linux/amd64/v8", false),
            ("linux/386/v1", false),
            ("linux/s390x/z13", false),
            ("linux/ppc64/power8", false),
            ("linux/ppc64le/power7", false),
            ("linux/riscv64/rva21u64", false),
            ("linux/amd65/", false),
            ("linus/amd64/", false),
            ("Linux/amd64/", false),
            ("linux//", false),
            ("/amd64/", false),
            ("//", false),
        ] {
            assert_eq!(is_known_platform(&platform(text)), known, "{text}");
        }
    }

    #[test]
    fn a_combination_that_go_does_not_support_is_odd() {
        for (text, odd) in [
            ("linux/amd64/", false),
            ("linux/arm/v7", false),
            ("linux/wasm/", true),
            ("aix/arm/v7", true),
            ("linux/amd65/", false),
        ] {
            assert_eq!(odd_pair(&platform(text)).is_some(), odd, "{text}");
        }
    }

    #[test]
    fn an_unsupported_platform_gets_a_suggestion_or_the_known_names() {
        for (text, meant) in [
            ("linux/x86_64/", "linux/amd64"),
            ("linux/x86-64/", "linux/amd64"),
            ("linux/x86_64/v3", "linux/amd64/v3"),
            ("linux/aarch64/", "linux/arm64"),
            ("linux/aarch64/v8", "linux/arm64/v8"),
            ("linux/armv7/", "linux/arm/v7"),
            ("linux/armv7l/", "linux/arm/v7"),
            ("linux/armhf/", "linux/arm/v7"),
            ("linux/arm32v6/", "linux/arm/v6"),
            ("linux/arm64v8/", "linux/arm64/v8"),
            ("linux/i386/", "linux/386"),
            ("linux/i686/", "linux/386"),
            ("linux/ppc64el/", "linux/ppc64le"),
            ("linux/loongarch64/", "linux/loong64"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/V7", "linux/arm/v7"),
            ("linux/arm64/8", "linux/arm64/v8"),
            ("linux/arm64/8.2", "linux/arm64/v8.2"),
            ("Linux/AMD64/", "linux/amd64"),
            ("LINUX/X86_64/", "linux/amd64"),
            ("macos/arm64/", "darwin/arm64"),
            ("linxu/amd64/", "linux/amd64"),
            ("linux/amd46/", "linux/amd64"),
            ("linux/s390/", "linux/s390x"),
        ] {
            let message = unsupported(&platform(text)).to_string();
            assert!(message.ends_with(&format!("; did you mean {meant}?")), "{text}: {message}");
            assert!(is_known_platform(&meant.parse().unwrap()), "{meant}");
        }
        for (text, part) in [
            ("linux/arm/v9", "the variants of arm are v5, v6, v7, v8"),
            ("linux/386/v2", "386 has no variants"),
            ("linux/vax/", "the architectures of linux are 386, amd64, arm, arm64, loong64"),
            ("linux//", "its architecture is missing"),
            ("/amd64/", "its os is missing"),
            ("linux /amd64/", "it contains whitespace"),
            ("//v10", "unsupported variant v10; the variants are power10, "),
            ("haiku/amd64/", "the operating systems are aix, android"),
        ] {
            let message = unsupported(&platform(text)).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_platform_to_find_may_be_unknown_but_not_a_typo() {
        for (text, message) in [
            ("linux/amd64", None),
            ("linux/sparc64", None),
            ("unknown/unknown", None),
            ("linux/arm64/", None),
            ("linux/amd46", Some("unsupported platform linux/amd46; did you mean linux/amd64?")),
            ("Linux/AMD64", Some("unsupported platform Linux/AMD64; did you mean linux/amd64?")),
            ("amd64", Some("; did you mean linux/amd64?")),
            ("linux", Some("expected OS/ARCH")),
        ] {
            match (parse_listed(text), message) {
                (Ok(_), None) => {}
                (Err(error), Some(message)) => assert!(error.contains(message), "{text}: {error}"),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
    }
}
