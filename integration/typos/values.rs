//! Mistaken values of flags: platforms, types, durations, digests, tags and hosts.

use super::Typos;
use crate::support::registry::sha256;

#[test]
fn a_mistaken_platform_gets_the_right_one() {
    let mut typos = Typos::new();
    for typo in [
        "linux/amd46",
        "linux/x86_64",
        "linux/x64",
        "Linux/AMD64",
        "linux/amd",
        "linux-amd64",
        "linux:amd64",
        "linux_amd64",
        "linux\\amd64",
        "linux amd64",
        "linux//amd64",
        "/linux/amd64",
        "\"linux/amd64\"",
        "amd64",
        "x86_64",
        "amd64/linux",
        "alpine/amd64",
        "linxu/amd64",
        "linux/aarch64",
        "arm64",
        "lin/arm64",
    ] {
        for args in [
            &["query", "--platform", typo, "HOST/app:v1"][..],
            &["digest", "--platform", typo, "HOST/app:v1"],
            &["inspect", "--platform", typo, "HOST/app:v1"],
            &["copy", "--dry-run", "--platform", typo, "HOST/app:v1", "HOST/app:v3"],
            &["remove", "--dry-run", "--platform", typo, "HOST/app:v1"],
            &["push", "--dry-run", "from-images", "-t", "HOST/app:v3", "--platform", typo, "HOST/app:v1"],
        ] {
            typos.check(args, typo);
        }
    }
    typos.check(&["verify", "--platforms", "linux/amd64,linux/aarch64", "HOST/app:v1"], "linux/aarch64");
    typos.finish(120);
}

/// Every image of the registry has the platform of its tag.
#[test]
fn a_platform_that_the_registry_lacks_gets_the_right_one() {
    let sandbox = Typos::new().sandbox;
    for (typo, meant) in [
        ("linux/armv7", "linux/arm/v7"),
        ("linux/arm7", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm-v7", "linux/arm/v7"),
        ("linux-arm-v7", "linux/arm/v7"),
        ("linux/arm32v6", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/powerpc64le", "linux/ppc64le"),
        ("linux/riscv", "linux/riscv64"),
        ("linux/s390", "linux/s390x"),
        ("darwin/m1", "darwin/arm64"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/x64", "windows/amd64"),
        ("win/amd64", "windows/amd64"),
    ] {
        let mistaken = sandbox.run(&["query", "--platform", typo, "HOST/app:v1"]).exits(2);
        assert!(mistaken.stderr.contains(&format!("; did you mean {meant}?")), "{typo}: {mistaken:?}");
        // The image has no such platform.
        sandbox.run(&["query", "--platform", meant, "HOST/app:v1"]).exits(3);
    }
    // Other programs may have written platforms that Go does not know.
    for platform in ["linux/sparc64", "unknown/unknown"] {
        sandbox.run(&["query", "--platform", platform, "HOST/app:v1"]).exits(3).stderr_lacks("did you mean");
    }
}

#[test]
fn a_mistaken_type_output_or_duration_gets_the_right_one() {
    let mut typos = Typos::new();
    for typo in ["dokcer", "OCI", "Docker", "docker-list", "oci-index", "v2", "index", "ocl", "AUTO", "atuo"] {
        typos.check(&["lint", "--type", typo, "app.yaml"], typo);
        typos.check(&["push", "--dry-run", "--type", typo, "from-spec", "app.yaml"], typo);
    }
    for typo in ["jsno", "JSON", "Json", "txt", "plain", "jso"] {
        typos.check(&["lint", &format!("--output={typo}"), "app.yaml"], typo);
    }
    for typo in ["10sec", "1min", "5 m", "1h30", "1h30m", "30S", "2hours", "1d", "1,5m", "500msec"] {
        for flag in ["--timeout", "--max-wait", "--deadline"] {
            typos.check(&["lint", &format!("{flag}={typo}"), "app.yaml"], typo);
        }
        typos.check(&["remove", "--dry-run", "--platform", "linux/amd64", "--settle", typo, "HOST/app:v1"], typo);
    }
    for typo in ["bsh", "zhs", "Bash", "pwsh"] {
        typos.check(&["completion", typo], typo);
    }
    typos.finish(70);
}

#[test]
fn a_mistaken_digest_gets_the_right_one() {
    let mut typos = Typos::new();
    let manifest = typos.sandbox.registry.manifest("app", "v1").unwrap();
    assert_eq!(manifest.digest, sha256(&manifest.bytes));
    let hex = manifest.digest.strip_prefix("sha256:").unwrap();
    let child = typos.sandbox.registry.manifest("app", "amd64").unwrap().digest;
    for typo in [
        hex.to_owned(),
        format!("sha256-{hex}"),
        format!("sha256={hex}"),
        format!("SHA256:{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("@sha256:{hex}"),
    ] {
        typos.check(&["remove", "--dry-run", "--platform", "linux/amd64", "--if-match", &typo, "HOST/app:v1"], &typo);
        let spec = ["push", "--dry-run", "--if-match", &typo, "from-images", "-t", "HOST/app:v1", "HOST/app:amd64"];
        typos.check(&spec, &typo);
    }
    let child_hex = child.strip_prefix("sha256:").unwrap();
    for typo in [child_hex.to_owned(), format!("sha256-{child_hex}")] {
        typos.check(&["remove", "--dry-run", "--digest", &typo, "HOST/app:v1"], &typo);
    }
    for typo in ["nothing", "None", "missing", "null"] {
        let args = ["push", "--dry-run", "--if-match", typo, "from-images", "-t", "HOST/app:v9", "HOST/app:amd64"];
        typos.check(&args, typo);
    }
    typos.finish(18);
}

#[test]
fn a_mistaken_tag_gets_the_right_one() {
    let mut typos = Typos::new();
    for typo in ["v1.0+build", ":v5", " v5", "\"v5\"", ".v5"] {
        let tags = format!("--tags={typo}");
        typos.check(&["copy", "--dry-run", "HOST/app:v1", "HOST/app:v3", &tags], typo);
    }
    for typo in ["v1.0+build", ":v5", "\"v5\"", ".v5", "feature/x+y"] {
        let tags = format!("--tags={typo}");
        typos.check(&["push", "--dry-run", "from-images", "-t", "HOST/app:v3", &tags, "HOST/app:amd64"], typo);
    }
    typos.finish(10);
}

#[test]
fn a_mistaken_host_gets_the_right_one() {
    let mut typos = Typos::new();
    for typo in ["HOST/app", "https://HOST/app:v1", "docker://HOST", "ghcr", "docker", "docker hub", "\"ghcr.io\""] {
        typos.check(&["logout", typo], typo);
        for flag in ["--plain-http", "--insecure"] {
            typos.check(&["lint", &format!("{flag}={typo}"), "app.yaml"], typo);
        }
    }
    for (typo, flag) in [("yes", "--plain-http"), ("off", "--insecure"), (" r.example", "--plain-http")] {
        typos.check(&["lint", &format!("{flag}={typo}"), "app.yaml"], typo);
    }
    for accepted in ["https://ghcr.io/", "GHCR.io", "https://index.docker.io/v1/", "hub.docker.com"] {
        typos.sandbox.run(&["logout", accepted]).success();
    }
    typos.finish(24);
}
