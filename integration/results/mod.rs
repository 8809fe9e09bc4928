//! JSON result documents, result files and dry runs: they report exactly what a command did or would do.

mod content;
mod documents;
mod dry_run;
mod files;

use serde_json::{Value, json};

use crate::support::images::{push_attested_index, push_image, push_image_with, push_index};
use crate::support::{Outcome, Registry, Sandbox};

/// Asserts that stdout is one JSON document whose version and exit code are right.
#[track_caller]
fn result_document(outcome: &Outcome) -> Value {
    let document = outcome.json();
    assert_eq!(document["version"], 1);
    assert_eq!(document["error"]["exitCode"].as_i64().unwrap_or(0), i64::from(outcome.exit), "{outcome:?}");
    document
}

/// `spec.yaml` pushes `HOST/whole:v1`, an index of images from two repositories and a second registry (`FAR`). The tag
/// already points at an index of other images.
struct ResultsFixture {
    sandbox: Sandbox,
    far: Registry,
    /// Digests, each with the name that replaces it in [`Self::normalize`].
    digests: Vec<(String, &'static str)>,
}

impl ResultsFixture {
    fn new() -> Self {
        let (registry, far) = (Registry::start(), Registry::start());
        let digest = |image: Value| image["digest"].as_str().unwrap().to_owned();
        let amd64 = push_image(&registry, "whole", "amd64", "amd64");
        let arm64 = push_attested_index(&registry, "parts", "arm64", "arm64");
        let riscv64 = push_image(&far, "far", "riscv64", "riscv64");
        let entry = |mut image: Value, architecture: &str| {
            image["platform"] = json!({"architecture": architecture, "os": "linux"});
            image
        };
        let config = br#"{"os": "linux", "architecture": "arm64", "created": "2026-01-01T00:00:00Z"}"#;
        let old = push_image_with(&registry, "whole", "old", config, b"layer of old");
        let gone = push_image(&registry, "whole", "gone", "s390x");
        let entries = [entry(amd64.clone(), "amd64"), entry(old.clone(), "arm64"), entry(gone.clone(), "s390x")];
        let before = push_index(&registry, "whole", "v1", &entries);
        let digests = vec![
            (digest(amd64), "AMD64"),
            (arm64.image, "ARM64"),
            (arm64.attestation, "ATTESTATION"),
            (digest(riscv64), "RISCV64"),
            (digest(old), "OLD"),
            (digest(gone), "GONE"),
            (before, "BEFORE"),
        ];
        let sandbox = Sandbox::with_registry(registry).with(|workspace| workspace.placeholder("FAR", &far.host));
        let spec = indoc::indoc! {"
            image: HOST/whole:v1
            tags: [latest]
            type: oci
            manifests:
            - image: HOST/whole:amd64
            - image: HOST/parts:arm64
            - image: FAR/far:riscv64
            - image: HOST/parts:missing
              platform: {os: linux, architecture: ppc64le}
        "};
        sandbox.write("spec.yaml", spec);
        Self { sandbox, far, digests }
    }

    fn push(&self, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["push", "from-spec", "--ignore-missing", "spec.yaml"], args].concat())
    }

    /// The digest that [`Self::normalize`] replaces with a name.
    fn digest(&self, name: &str) -> &str {
        &self.digests.iter().find(|(_, other)| *other == name).unwrap().0
    }

    /// Replaces addresses and digests, which differ between runs, with names.
    fn normalize(&self, text: &str) -> String {
        let hosts = [(&*self.sandbox.registry.host, "HOST"), (&*self.far.host, "FAR")];
        let digests = self.digests.iter().map(|(digest, name)| (&**digest, *name));
        hosts.into_iter().chain(digests).fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}
