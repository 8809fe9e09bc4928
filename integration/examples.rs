//! The specs in `examples/` are valid, and the example program works.

use std::path::Path;

use manifest_tool::spec::{YamlRequest, from_yaml};

use crate::support::{Registry, manifest_tool};

#[path = "../examples/push_hello.rs"]
#[allow(dead_code, reason = "a program whose main function is not called here")]
mod push_hello;

#[test]
fn every_example_spec_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            from_yaml(&YamlRequest { text: &text, file: &path.display().to_string(), ..YamlRequest::default() })
                .unwrap();
            count += 1;
        }
    }
    assert!(count > 0);
}

/// `make demo` copies the images from the layout, because building the example takes longer than building the program.
#[test]
fn push_hello_pushes_the_images_of_the_docker_layout() {
    let registry = Registry::start();
    push_hello::push_to(&registry.host).unwrap();
    for name in ["amd64", "arm64", "armv7"] {
        let pushed = registry.manifest("hello", &format!("v1-{name}")).unwrap();
        let layout = format!("oci:examples/layouts/docker:{name}");
        let stored = manifest_tool(Path::new(env!("CARGO_MANIFEST_DIR")), &["digest", &layout]);
        assert_eq!(stored.stdout.trim(), pushed.digest, "{stored:?}");
    }
}
