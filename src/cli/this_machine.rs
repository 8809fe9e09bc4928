use crate::image::Platform;

/// Returns the platform of containers on this machine. On macOS that is Linux.
pub(super) fn this_machine() -> Platform {
    let os = match std::env::consts::OS {
        "macos" => "linux",
        os => os,
    };
    // Translate Rust's names (left) to Go's (right).
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        "mips64" if cfg!(target_endian = "little") => "mips64le",
        "mips" if cfg!(target_endian = "little") => "mipsle",
        architecture => architecture,
    };
    Platform { os: os.into(), architecture: architecture.into(), ..Platform::default() }
}
