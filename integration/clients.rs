//! What was pushed is read by another client.

use std::process::Command;

use crate::support::images::push_image;
use crate::support::{Registry, push_from_args};

#[test]
fn skopeo_reads_and_copies_what_was_pushed() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64", "s390x"] {
        push_image(&registry, &format!("parts/{architecture}"), "v1", architecture);
    }
    let work = tempfile::tempdir().unwrap();
    for kind in ["docker", "oci"] {
        let whole = format!("whole:{kind}");
        let platforms = "linux/amd64,linux/arm64,linux/s390x";
        let outcome = push_from_args(&registry.host, platforms, "parts/ARCH:v1", &whole, &["--type", kind]);
        assert_eq!(outcome.exit, 0, "{outcome:?}");

        let source = format!("docker://{}/{whole}", registry.host);
        let raw = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]).output().unwrap();
        assert_eq!(raw.stdout, registry.manifest("whole", kind).unwrap().bytes, "{raw:?}");

        let layout = format!("oci:{}", work.path().join(kind).display());
        let copy = Command::new("skopeo")
            .args(["copy", "--all", "--src-tls-verify=false", "--insecure-policy", &source, &layout])
            .output()
            .unwrap();
        assert!(copy.status.success(), "{copy:?}");
        let blobs = std::fs::read_dir(work.path().join(kind).join("blobs/sha256")).unwrap().count();
        assert_eq!(blobs, 1 + 3 * 2 + 1, "an index, per image a manifest and a config, and one layer that all share");
    }
}
