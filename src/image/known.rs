//! Known operating systems, architectures and variants, and suggestions for unknown names.

use std::collections::HashSet;
use std::fmt;

use super::Platform;

/// OS/ARCH pairs that Go builds for: `go tool dist list` of Go 1.26, and `windows/arm`, which Go built until 1.25.
const PAIRS: &[&str] = &[
    "aix/ppc64",
    "android/386",
    "android/amd64",
    "android/arm",
    "android/arm64",
    "darwin/amd64",
    "darwin/arm64",
    "dragonfly/amd64",
    "freebsd/386",
    "freebsd/amd64",
    "freebsd/arm",
    "freebsd/arm64",
    "illumos/amd64",
    "ios/amd64",
    "ios/arm64",
    "js/wasm",
    "linux/386",
    "linux/amd64",
    "linux/arm",
    "linux/arm64",
    "linux/loong64",
    "linux/mips",
    "linux/mips64",
    "linux/mips64le",
    "linux/mipsle",
    "linux/ppc64",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "netbsd/386",
    "netbsd/amd64",
    "netbsd/arm",
    "netbsd/arm64",
    "openbsd/386",
    "openbsd/amd64",
    "openbsd/arm",
    "openbsd/arm64",
    "openbsd/ppc64",
    "openbsd/riscv64",
    "plan9/386",
    "plan9/amd64",
    "plan9/arm",
    "solaris/amd64",
    "wasip1/wasm",
    "windows/386",
    "windows/amd64",
    "windows/arm",
    "windows/arm64",
];

/// Variants by architecture: the table of OCI image-spec 1.1.1, "Platform Variants". Rows that end in an ellipsis are
/// completed with the values of the Go variables that the table names (GOAMD64, GOARM64, GOPPC64, GORISCV64); `v5` of
/// arm is a variant that manifest-tool 2.2.1 accepts.
const VARIANTS: &[(&str, &[&str])] = &[
    ("amd64", &["v1", "v2", "v3", "v4"]),
    ("arm", &["v5", "v6", "v7", "v8"]),
    (
        "arm64",
        &[
            "v8", "v8.0", "v8.1", "v8.2", "v8.3", "v8.4", "v8.5", "v8.6", "v8.7", "v8.8", "v8.9", "v9", "v9.0", "v9.1",
            "v9.2", "v9.3", "v9.4", "v9.5",
        ],
    ),
    ("ppc64le", &["power8", "power9", "power10", "power11"]),
    ("riscv64", &["rva20u64", "rva22u64", "rva23u64"]),
];

/// Architecture names that other programs and distributions use, with Go's name and variant.
const ALIASES: &[(&str, &str)] = &[
    ("aarch64", "arm64"),
    ("arm32", "arm"),
    ("arm32v5", "arm/v5"),
    ("arm32v6", "arm/v6"),
    ("arm32v7", "arm/v7"),
    ("arm64v8", "arm64/v8"),
    ("armel", "arm/v6"),
    ("armhf", "arm/v7"),
    ("armv5", "arm/v5"),
    ("armv6", "arm/v6"),
    ("armv6l", "arm/v6"),
    ("armv7", "arm/v7"),
    ("armv7l", "arm/v7"),
    ("armv8", "arm64/v8"),
    ("i386", "386"),
    ("i486", "386"),
    ("i586", "386"),
    ("i686", "386"),
    ("ia32", "386"),
    ("loongarch64", "loong64"),
    ("mips64el", "mips64le"),
    ("mipsel", "mipsle"),
    ("powerpc64", "ppc64"),
    ("powerpc64le", "ppc64le"),
    ("ppc64el", "ppc64le"),
    ("riscv", "riscv64"),
    ("wasm32", "wasm"),
    ("x64", "amd64"),
    ("x86", "386"),
    ("x86-64", "amd64"),
    ("x86_64", "amd64"),
];

/// Other names for operating systems, with Go's name.
const SYSTEM_ALIASES: &[(&str, &str)] =
    &[("macos", "darwin"), ("osx", "darwin"), ("wasi", "wasip1"), ("win", "windows"), ("win32", "windows")];

/// Sorts and deduplicates names.
fn distinct(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the known operating systems, sorted.
#[must_use]
pub(crate) fn known_systems() -> Vec<&'static str> {
    distinct(PAIRS.iter().filter_map(|pair| Some(pair.split_once('/')?.0)))
}

/// Returns the known architectures, sorted.
#[must_use]
pub(crate) fn known_architectures() -> Vec<&'static str> {
    distinct(PAIRS.iter().filter_map(|pair| Some(pair.split_once('/')?.1)))
}

/// Returns the known variants of all architectures, sorted.
#[must_use]
pub(crate) fn known_variants() -> Vec<&'static str> {
    distinct(VARIANTS.iter().flat_map(|(_, variants)| variants.iter().copied()))
}

/// Returns whether the operating system and architecture are known, in any combination as in 2.2.1, and the variant is
/// empty or known for that architecture.
#[must_use]
pub(crate) fn is_known_platform(platform: &Platform) -> bool {
    let Platform { os, architecture, variant, .. } = platform;
    is_known_system(os)
        && is_known_architecture(architecture)
        && (variant.is_empty() || variants_of(architecture).contains(&variant.as_str()))
}

fn is_known_system(os: &str) -> bool {
    PAIRS.iter().any(|pair| pair.split_once('/').is_some_and(|(known, _)| known == os))
}

fn is_known_architecture(architecture: &str) -> bool {
    PAIRS.iter().any(|pair| pair.split_once('/').is_some_and(|(_, known)| known == architecture))
}

/// Returns a warning if the operating system and architecture are known, but Go does not support the combination.
#[must_use]
pub(crate) fn odd_pair(platform: &Platform) -> Option<String> {
    let Platform { os, architecture, .. } = platform;
    let is_odd = is_known_platform(platform) && !PAIRS.contains(&format!("{os}/{architecture}").as_str());
    is_odd.then(|| format!("Go does not support {platform}; check os and architecture"))
}

fn variants_of(architecture: &str) -> &'static [&'static str] {
    VARIANTS.iter().find(|(name, _)| *name == architecture).map_or(&[], |(_, variants)| variants)
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
        let known: HashSet<&str> = VARIANTS.iter().flat_map(|(_, variants)| variants.iter().copied()).collect();
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        return format!("unsupported variant {variant}; the variants are {}", known.join(", "));
    }
    let variants = variants_of(architecture);
    let is_variant = is_known_system(os) && is_known_architecture(architecture);
    let known = if is_variant && variants.is_empty() {
        format!("{architecture} has no variants")
    } else if is_variant && !variant.is_empty() {
        format!("the variants of {architecture} are {}", variants.join(", "))
    } else if is_known_system(os) {
        let pairs = PAIRS.iter().filter_map(|pair| pair.strip_prefix(os.as_str())?.strip_prefix('/'));
        format!("the architectures of {os} are {}", pairs.collect::<Vec<_>>().join(", "))
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

/// Returns the known platform that was probably meant: lowercase, with Go's names, and with `v` before a variant's
/// number.
fn nearest(platform: &Platform) -> Option<String> {
    let [os, architecture, variant] =
        [&platform.os, &platform.architecture, &platform.variant].map(|part| part.to_lowercase());
    let os = alias(&os, SYSTEM_ALIASES).or_else(|| similar_name(&os, &known_systems()))?;
    let architecture = alias(&architecture, ALIASES).or_else(|| similar_name(&architecture, &known_architectures()))?;
    let (architecture, alias_variant) = architecture.split_once('/').unwrap_or((architecture, ""));
    let variants = variants_of(architecture);
    let with_v = format!("v{variant}");
    let variant = match variant.as_str() {
        "" => alias_variant,
        _ => variants.iter().copied().find(|known| *known == variant || *known == with_v)?,
    };
    let meant =
        if variant.is_empty() { format!("{os}/{architecture}") } else { format!("{os}/{architecture}/{variant}") };
    let parsed: Platform = meant.parse().ok()?;
    is_known_platform(&parsed).then_some(meant)
}

fn alias(name: &str, aliases: &[(&str, &'static str)]) -> Option<&'static str> {
    aliases.iter().find(|(other, _)| *other == name).map(|(_, known)| *known)
}

/// Returns the known name itself, or the only known name with a single typo.
fn similar_name(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if let Some(exact) = known.iter().find(|known| **known == name) {
        return Some(exact);
    }
    // A short name is similar to too many others.
    let is_similar = |known: &&&str| name.len() >= 4 && name.len() < 32 && strsim::osa_distance(name, known) == 1;
    match known.iter().filter(is_similar).collect::<Vec<_>>()[..] {
        [only] => Some(only),
        _ => None,
    }
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

    proptest::proptest! {
        #[test]
        fn every_suggestion_is_a_known_platform(os in ".{0,9}|linux|Windows", architecture in ".{0,9}|x86_64|arm", variant in ".{0,9}|[v0-9.]{1,4}") {
            let platform = platform_of(&os, &architecture, &variant);
            if let Some(meant) = nearest(&platform) {
                proptest::prop_assert!(is_known_platform(&meant.parse().unwrap()), "{}", meant);
            }
        }
    }

    fn platform_of(os: &str, architecture: &str, variant: &str) -> Platform {
        Platform { os: os.into(), architecture: architecture.into(), variant: variant.into(), ..Platform::default() }
    }
}
