//! `inspect` on a terminal, where sizes have units and configs are text.

use indoc::formatdoc;
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::images::{OCI, days_ago, descriptor, push_attested_index, push_image_with, push_index};
use crate::support::registry::sha256;

/// A sandbox without colours, so that the output on a terminal can be compared.
fn sandbox() -> Sandbox {
    Sandbox::new().with(|workspace| workspace.env("NO_COLOR", "1"))
}

/// Returns what a command prints on a terminal, with line breaks as in a pipe.
fn on_terminal(sandbox: &Sandbox, exit: i32, args: &[&str]) -> String {
    let outcome = sandbox.run_in_terminal(200, args);
    assert_eq!(outcome.exit, exit, "{}", outcome.output);
    outcome.output.replace("\r\n", "\n")
}

fn push_labelled(sandbox: &Sandbox, tag: &str, config: &Value) -> Value {
    push_image_with(&sandbox.registry, "app", tag, config.to_string().as_bytes(), &vec![b'x'; 60_000])
}

#[test]
fn layers_shows_dates_and_labels_of_an_image_on_a_terminal_only() {
    let sandbox = sandbox();
    let created = days_ago(3);
    let config = json!({"os": "linux", "architecture": "amd64", "created": created,
        "config": {"Labels": {"b": "2", "a": "1\n\u{1b}[31mx"}}});
    let image = push_labelled(&sandbox, "v1", &config);
    let date = format!("{}Z", created.split('.').next().unwrap());
    let expected = formatdoc! {"
        Name: {host}/app:v1 (Type: {OCI})
              Digest: {digest}
                Size: {size} bytes
                  OS: linux
                Arch: amd64
             Created: {date} (3 days ago)
              Labels:
              - a = 1 [31mx
              - b = 2
            # Layers: 1
              layer 01: digest = {layer}
                          size = 58.6 KiB
               Total: 1 layer, 58.6 KiB
        ", host = sandbox.registry.host, digest = image["digest"].as_str().unwrap(), size = image["size"],
    layer = sha256(&vec![b'x'; 60_000])};
    let mark = sandbox.registry.requests(0).len();
    assert_eq!(on_terminal(&sandbox, 0, &["inspect", "--layers", "HOST/app:v1"]), expected);
    let requests = sandbox.registry.requests(mark).len();
    let mark = mark + requests;
    let piped = sandbox.run(&["inspect", "--layers", "HOST/app:v1"]).success().stdout;
    assert_eq!(sandbox.registry.requests(mark).len(), requests, "the config of a single image is read anyway");
    assert!(piped.contains("size = 60000\n") && piped.contains("Total: 1 layer, 60000 bytes\n"), "{piped}");
    assert!(!piped.contains("Created") && !piped.contains("Labels"), "{piped}");
    let plain = on_terminal(&sandbox, 0, &["inspect", "HOST/app:v1"]);
    assert!(!plain.contains("Created") && plain.contains(&format!("Size: {} bytes\n", image["size"])), "{plain}");
}

#[test]
fn layers_reads_the_configs_of_an_index_on_a_terminal_only() {
    let sandbox = sandbox();
    let registry = &sandbox.registry;
    let attested = push_attested_index(registry, "app", "one", "amd64");
    let index: Value = serde_json::from_slice(&registry.manifest("app", &attested.index).unwrap().bytes).unwrap();
    let mut entries = index["manifests"].as_array().unwrap().clone();
    let configs = [
        json!({"created": "1970-01-01T00:00:00Z", "config": {"Labels": {"n": 7, "o": {"x": 1}, "l": ["x"], "b": true}}}),
        json!({"created": "3021-01-01T00:00:00Z", "config": {"Labels": null}}),
        json!({"created": "\u{1b}[2J\nyear 0"}),
        json!({"created": "0000-00-00T00:00:00Z"}),
        json!({"created": null}),
        json!([1]),
    ];
    for (number, config) in configs.iter().enumerate() {
        let mut entry = push_labelled(&sandbox, &format!("t{number}"), config);
        entry["platform"] = json!({"os": "linux", "architecture": format!("arch{number}")});
        entries.push(entry);
    }
    push_index(registry, "app", "v1", &entries);
    let mark = registry.requests(0).len();
    let shown = on_terminal(&sandbox, 0, &["inspect", "--layers", "HOST/app:v1"]);
    let blobs = |mark| registry.requests(mark).iter().filter(|request| request.contains("/blobs/")).count();
    assert_eq!(blobs(mark), 7, "the config of each image, but not of the attestation");
    let mark = registry.requests(0).len();
    let piped = sandbox.run(&["inspect", "--layers", "HOST/app:v1"]).success().stdout;
    assert_eq!(blobs(mark), 0);
    let added: Vec<&str> = shown
        .lines()
        .filter(|line| {
            line.contains("Created")
                || line.contains("   - ") && line.contains(" = ")
                || line.contains("Labels:")
                || line.contains("Config:")
        })
        .collect();
    let expected = [
        "[3]  Created: 1970-01-01T00:00:00Z",
        "[3]   Labels:",
        "[3]    - b = true",
        "[3]    - l = [...]",
        "[3]    - n = 7",
        "[3]    - o = {...}",
        "[4]  Created: 3021-01-01T00:00:00Z",
        "[5]  Created: \"[2J year 0\" (not a valid date)",
        "[6]  Created: \"0000-00-00T00:00:00Z\" (not a valid date)",
        "[8]   Config: not valid: expected a JSON object",
    ];
    assert_eq!(added, expected, "{shown}");
    assert!(!piped.contains("Created") && !piped.contains("KiB"), "{piped}");
    assert!(shown.contains("[1]   Length: ") && shown.contains(" bytes\n"), "{shown}");
}

#[test]
fn config_is_text_on_a_terminal_and_exact_bytes_elsewhere() {
    let sandbox = sandbox();
    let created = days_ago(2);
    let config = json!({"os": "linux", "architecture": "arm64", "created": created, "history": [{"created_by": "secret"}],
        "config": {"Entrypoint": ["/app"], "Env": ["A=b"], "Labels": {"l": "x"}}, "rootfs": {"diff_ids": ["x"]}});
    push_labelled(&sandbox, "v1", &config);
    let date = format!("{}Z", created.split('.').next().unwrap());
    let expected = formatdoc! {r#"
        Created:      {date} (2 days ago)
        Platform:     linux/arm64
        Layers:       1
        Entrypoint:   ["/app"]
        Env:
          A=b
        Labels:
          l = x
    "#};
    assert_eq!(on_terminal(&sandbox, 0, &["inspect", "--config", "HOST/app:v1"]), expected);
    assert_eq!(sandbox.run(&["inspect", "--config", "HOST/app:v1"]).success().stdout, config.to_string());
    let redirected = sandbox.run_with_stderr_on_terminal(200, &["inspect", "--config", "HOST/app:v1"]);
    assert_eq!((redirected.exit, redirected.stdout), (0, config.to_string()));
    let coloured = Sandbox::new();
    push_labelled(&coloured, "v1", &config);
    let output = on_terminal(&coloured, 0, &["inspect", "--config", "HOST/app:v1"]);
    assert!(output.contains("Layers:       \u{1b}[1;32m1\u{1b}[0m\n"), "{output:?}");
}

#[test]
fn a_config_that_cannot_be_parsed_is_an_error_on_a_terminal() {
    let sandbox = sandbox();
    for config in ["", "[]", "{\"os\": \"linux\"", "\u{1b}[31m", "{\"config\": []}", "{\"config\": {\"Labels\": 3}}"] {
        push_image_with(&sandbox.registry, "app", "bad", config.as_bytes(), b"layer");
        let output = on_terminal(&sandbox, 1, &["inspect", "--config", "HOST/app:bad"]);
        let start = sandbox.fill("error: HOST/app:bad: its config is not a valid image config: ");
        assert!(output.starts_with(&start) && !output.contains("\u{1b}[31m"), "{output:?}");
        assert!(output.ends_with("hint: redirect the output to get the stored bytes\n"), "{output:?}");
        assert_eq!(sandbox.run(&["inspect", "--config", "HOST/app:bad"]).success().stdout, config);
    }
    let config = br#"{"name": "chart", "x": "\u001b[31m\u009b"}"#;
    let blob =
        descriptor("application/vnd.cncf.helm.config.v1+json", &sandbox.registry.push_blob("app", config), config);
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": blob, "layers": []}).to_string();
    sandbox.registry.push_manifest("app", "chart", OCI, manifest.as_bytes());
    let output = on_terminal(&sandbox, 0, &["inspect", "--config", "HOST/app:chart"]);
    assert_eq!(output, "{\n  \"name\": \"chart\",\n  \"x\": \"\\u001b[31m\\u009b\"\n}\n");
}
