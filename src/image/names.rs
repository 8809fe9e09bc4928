//! Names of operating systems, architectures and variants: Go's, and those of other programs. Finds the platform that
//! was probably meant by text that is not a known one.

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

/// Architecture names that other programs, distributions and vendors use, without `-` and `_`, with Go's name and
/// variant.
const ALIASES: &[(&str, &str)] = &[
    ("aarch64", "arm64"),
    ("amd", "amd64"),
    ("apple", "arm64"),
    ("applesilicon", "arm64"),
    ("arm32", "arm"),
    ("arm64v8", "arm64/v8"),
    ("arm8", "arm64/v8"),
    ("armel", "arm/v6"),
    ("armhf", "arm/v7"),
    ("armv8", "arm64/v8"),
    ("armv8l", "arm64/v8"),
    ("i386", "386"),
    ("i486", "386"),
    ("i586", "386"),
    ("i686", "386"),
    ("ia32", "386"),
    ("intel", "amd64"),
    ("intel64", "amd64"),
    ("loongarch", "loong64"),
    ("loongarch64", "loong64"),
    ("m1", "arm64"),
    ("m2", "arm64"),
    ("m3", "arm64"),
    ("m4", "arm64"),
    ("mips64el", "mips64le"),
    ("mipsel", "mipsle"),
    ("powerpc64", "ppc64"),
    ("powerpc64le", "ppc64le"),
    ("ppc64el", "ppc64le"),
    ("riscv", "riscv64"),
    ("rv64", "riscv64"),
    ("silicon", "arm64"),
    ("wasm32", "wasm"),
    ("x64", "amd64"),
    ("x86", "386"),
    ("x8632", "386"),
    ("x8664", "amd64"),
];

/// Architecture names that a variant may follow, as in `armv7`, `arm32v7` or `arm64-v8`, the longest first.
const BEFORE_VARIANT: &[(&str, &str)] = &[
    ("aarch64", "arm64"),
    ("ppc64le", "ppc64le"),
    ("riscv64", "riscv64"),
    ("amd64", "amd64"),
    ("arm32", "arm"),
    ("arm64", "arm64"),
    ("x8664", "amd64"),
    ("arm", "arm"),
];

/// Other names for operating systems, with Go's name.
const SYSTEM_ALIASES: &[(&str, &str)] = &[
    ("alpine", "linux"),
    ("apple", "darwin"),
    ("centos", "linux"),
    ("debian", "linux"),
    ("fedora", "linux"),
    ("gnu", "linux"),
    ("lin", "linux"),
    ("mac", "darwin"),
    ("macos", "darwin"),
    ("macosx", "darwin"),
    ("osx", "darwin"),
    ("rhel", "linux"),
    ("ubuntu", "linux"),
    ("wasi", "wasip1"),
    ("win", "windows"),
    ("win32", "windows"),
    ("win64", "windows"),
];

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

pub(super) fn is_known_system(os: &str) -> bool {
    PAIRS.iter().any(|pair| pair.split_once('/').is_some_and(|(known, _)| known == os))
}

pub(super) fn is_known_architecture(architecture: &str) -> bool {
    PAIRS.iter().any(|pair| pair.split_once('/').is_some_and(|(_, known)| known == architecture))
}

/// Returns whether Go supports the combination of an operating system and an architecture.
pub(super) fn is_pair(os: &str, architecture: &str) -> bool {
    PAIRS.iter().any(|pair| pair.split_once('/') == Some((os, architecture)))
}

/// Returns the architectures that Go supports on an operating system.
pub(super) fn architectures_of(os: &str) -> Vec<&'static str> {
    PAIRS.iter().filter_map(|pair| pair.strip_prefix(os)?.strip_prefix('/')).collect()
}

pub(super) fn variants_of(architecture: &str) -> &'static [&'static str] {
    VARIANTS.iter().find(|(name, _)| *name == architecture).map_or(&[], |(_, variants)| variants)
}

/// Returns whether the operating system and architecture are known, in any combination as in 2.2.1, and the variant is
/// empty or known for that architecture.
pub(super) fn is_known(os: &str, architecture: &str, variant: &str) -> bool {
    is_known_system(os)
        && is_known_architecture(architecture)
        && (variant.is_empty() || variants_of(architecture).contains(&variant))
}

/// Maximum size of text to compare with names, in bytes. Comparing takes memory for each pair of characters.
const MAX_COMPARED: usize = 64;

/// Returns the known platform that was probably meant: in lowercase, with Go's names, with `v` before the number of a
/// variant, and with the operating system first.
pub(super) fn nearest(os: &str, architecture: &str, variant: &str) -> Option<String> {
    if os.len() + architecture.len() + variant.len() > MAX_COMPARED {
        return None;
    }
    let [os, architecture, variant] = [os, architecture, variant].map(|part| trimmed(part).to_lowercase());
    let ordered = |os: &str, architecture: &str| {
        let os = system(os)?;
        let (architecture, variant) = architecture_and_variant(architecture, &variant)?;
        Some((os, architecture, variant))
    };
    let (os, architecture, variant) = ordered(&os, &architecture).or_else(|| ordered(&architecture, &os))?;
    let separator = if variant.is_empty() { "" } else { "/" };
    is_known(os, architecture, variant).then(|| format!("{os}/{architecture}{separator}{variant}"))
}

/// Returns the known platform that was probably meant by text that is not `OS/ARCH[/VARIANT]`: with another separator,
/// such as `linux-amd64`, or an architecture of Linux.
pub(super) fn nearest_to_text(text: &str) -> Option<String> {
    if text.len() > MAX_COMPARED {
        return None;
    }
    let is_separator = |c: char| c.is_whitespace() || "/\\:-_.".contains(c);
    let text = trimmed(text).trim_matches(is_separator);
    let with_system = || {
        let (os, rest) = text.split_once(is_separator)?;
        let rest = rest.trim_start_matches(is_separator);
        let (architecture, variant) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
        nearest(os, architecture, variant)
    };
    let of_linux = || {
        let (architecture, variant) = text.split_once('/').unwrap_or((text, ""));
        let is_short = architecture.chars().filter(|c| c.is_alphanumeric()).count() < 3;
        if is_short { None } else { nearest("linux", architecture, variant) }
    };
    with_system().or_else(of_linux)
}

/// Removes the quotes and blanks around text.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c))
}

fn system(name: &str) -> Option<&'static str> {
    alias(name, SYSTEM_ALIASES).or_else(|| similar_name(name, &known_systems()))
}

/// Returns the architecture and the variant that were probably meant by names in lowercase.
fn architecture_and_variant(name: &str, variant: &str) -> Option<(&'static str, &'static str)> {
    let bare: String = name.chars().filter(|c| !"-_ .".contains(*c)).collect();
    let known = known_architectures();
    let exact = || known.iter().copied().find(|known| *known == bare).map(|known| (known, ""));
    let other = || {
        let full = alias(&bare, ALIASES)?;
        Some(full.split_once('/').unwrap_or((full, "")))
    };
    let with_variant = || {
        let (start, name) = BEFORE_VARIANT.iter().find(|(start, _)| bare.starts_with(start))?;
        Some((*name, known_variant(name, bare.get(start.len()..)?)?))
    };
    let similar = || Some((similar_name(&bare, &known)?, ""));
    let (name, own_variant) = exact().or_else(other).or_else(with_variant).or_else(similar)?;
    match variant {
        "" => Some((name, own_variant)),
        _ if variant == name => Some((name, own_variant)),
        _ => Some((name, known_variant(name, variant)?)),
    }
}

/// Returns the known variant of an architecture: `v7` for `7`, `v7l` and `armv7`.
fn known_variant(architecture: &str, text: &str) -> Option<&'static str> {
    let text = text.strip_prefix(architecture).unwrap_or(text);
    let text = text.trim_start_matches(['-', '_', ' ']).trim_end_matches('l');
    let with_v = format!("v{text}");
    variants_of(architecture).iter().copied().find(|known| *known == text || *known == with_v)
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

    #[test]
    fn text_that_is_not_a_platform_gets_a_suggestion() {
        for (text, meant) in [
            ("linux-amd64", Some("linux/amd64")),
            ("linux:amd64", Some("linux/amd64")),
            ("linux_x86_64", Some("linux/amd64")),
            ("linux amd64", Some("linux/amd64")),
            ("linux\\arm64", Some("linux/arm64")),
            ("linux-arm-v7", Some("linux/arm/v7")),
            ("linux//amd64", Some("linux/amd64")),
            ("/linux/amd64", Some("linux/amd64")),
            ("\"linux-amd64\"", Some("linux/amd64")),
            ("amd64", Some("linux/amd64")),
            ("x86_64", Some("linux/amd64")),
            ("x86-64", Some("linux/amd64")),
            ("AMD64", Some("linux/amd64")),
            ("armv7", Some("linux/arm/v7")),
            ("arm64/v8", Some("linux/arm64/v8")),
            ("windows-x64", Some("windows/amd64")),
            ("macos-arm64", Some("darwin/arm64")),
            ("linux", None),
            ("linux/", None),
            ("windows", None),
            ("all", None),
            ("m1", None),
            ("", None),
            ("linux/arm/v7/x", None),
            ("linux/amd64,linux/arm64", None),
        ] {
            assert_eq!(nearest_to_text(text).as_deref(), meant, "{text}");
        }
        assert_eq!(nearest_to_text(&"a-".repeat(1_000_000)), None);
    }

    #[test]
    fn names_of_other_programs_get_a_suggestion() {
        for ((os, architecture, variant), meant) in [
            (("linux", "arm6", ""), Some("linux/arm/v6")),
            (("linux", "arm7", ""), Some("linux/arm/v7")),
            (("linux", "arm-v7", ""), Some("linux/arm/v7")),
            (("linux", "armv7l", ""), Some("linux/arm/v7")),
            (("linux", "arm", "armv7"), Some("linux/arm/v7")),
            (("linux", "arm", "v7l"), Some("linux/arm/v7")),
            (("linux", "arm32v5", ""), Some("linux/arm/v5")),
            (("linux", "arm64", "arm64"), Some("linux/arm64")),
            (("linux", "arm64-v8", ""), Some("linux/arm64/v8")),
            (("linux", "amd64v2", ""), Some("linux/amd64/v2")),
            (("linux", "x86-64-v3", ""), Some("linux/amd64/v3")),
            (("linux", "amd", ""), Some("linux/amd64")),
            (("darwin", "m1", ""), Some("darwin/arm64")),
            (("alpine", "amd64", ""), Some("linux/amd64")),
            (("amd64", "linux", ""), Some("linux/amd64")),
            (("linux", "loongarch", ""), Some("linux/loong64")),
            (("linux", "vax", ""), None),
            (("linux", "sparc64", ""), None),
            (("unknown", "unknown", ""), None),
            (("linux", "arm", "v9"), None),
        ] {
            assert_eq!(nearest(os, architecture, variant).as_deref(), meant, "{os}/{architecture}/{variant}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_suggestion_is_a_known_platform(
            text in ".{0,12}|(linux|Win|amd64|x86_64|arm|v7|8|/|-|_|:| ){0,6}",
            os in ".{0,9}|linux|Windows",
            architecture in ".{0,9}|x86_64|arm",
            variant in ".{0,9}|[v0-9.]{1,4}",
        ) {
            for meant in [nearest_to_text(&text), nearest(&os, &architecture, &variant)].into_iter().flatten() {
                let mut parts = meant.split('/');
                let [os, architecture, variant] = [(); 3].map(|()| parts.next().unwrap_or_default());
                proptest::prop_assert!(is_known(os, architecture, variant) && parts.next().is_none(), "{}", meant);
            }
        }
    }
}
