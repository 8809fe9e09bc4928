//! The measured scenes, and the registries they run against.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::{Measured, run};
use crate::peers::{Program, programs};
use crate::proxy::Proxy;
use crate::support::images::{OCI, OCI_INDEX, descriptor};
use crate::support::registry::sha256;
use crate::support::token_service::authenticated_only;
use crate::support::{Registry, TokenService};
use crate::task::{Action, Task};

/// Ten architectures that Go supports on Linux.
pub const TEN: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];

/// Pushes an image with three layers, and returns its digest.
fn image(registry: &Registry, repository: &str, tag: &str, architecture: &str) -> String {
    let blob = |media_type: &str, text: String| {
        descriptor(media_type, &registry.push_blob(repository, text.as_bytes()), text.as_bytes())
    };
    let texts: Vec<String> = (0..3).map(|n| format!("layer {n} of {repository}:{tag}")).collect();
    let diff_ids: Vec<String> = texts.iter().map(|text| sha256(text.as_bytes())).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"os": "linux", "architecture": architecture, "tag": tag, "rootfs": rootfs}).to_string();
    let config = blob("application/vnd.oci.image.config.v1+json", config);
    let layers: Vec<_> = texts.into_iter().map(|text| blob("application/vnd.oci.image.layer.v1.tar", text)).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
    registry.push_manifest(repository, tag, OCI, manifest.as_bytes());
    sha256(manifest.as_bytes())
}

pub struct Row {
    pub scene: String,
    pub program: &'static str,
    pub round_trip: Duration,
    pub measured: Measured,
    pub requests: usize,
    pub connections: usize,
}

/// A registry, its token service if it has one, and a proxy in front of each.
struct Stage {
    registry: Registry,
    service: Option<TokenService>,
    proxies: Vec<Proxy>,
    round_trip: Duration,
    scratch: tempfile::TempDir,
}

impl Stage {
    fn new(round_trip: Duration) -> Self {
        let registry = Registry::start();
        let proxies = vec![Proxy::in_front_of(&registry.host, round_trip)];
        Self { registry, service: None, proxies, round_trip, scratch: tempfile::tempdir().unwrap() }
    }

    fn with_token_service(round_trip: Duration) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let service = TokenService::start(authenticated_only, 300, |_| None);
        let service_proxy = Proxy::in_front_of(&service.server.host, round_trip);
        let repositories = TEN.map(|name| format!("parts/{name}"));
        let repositories: Vec<&str> = repositories.iter().map(String::as_str).chain(["whole"]).collect();
        let config = service.registry_config(scratch.path()).replace(&service.server.host, &service_proxy.host);
        let registry = Registry::start_with(&config, Some(service.mint(&repositories)));
        let proxies = vec![Proxy::in_front_of(&registry.host, round_trip), service_proxy];
        Self { registry, service: Some(service), proxies, round_trip, scratch }
    }

    fn counts(&self) -> (usize, usize) {
        let tokens = self.service.as_ref().map_or(0, |service| service.token_requests().len());
        (self.registry.all_requests() + tokens, self.proxies.iter().map(Proxy::connections).sum())
    }

    fn row(&self, scene: &str, program: &Program, action: Action<'_>) -> Option<Row> {
        let login = self.service.as_ref().map(|_| ("user", "secret-word"));
        let scratch = self.scratch.path().to_str().unwrap();
        let mut command: Command = (program.command)(&Task { host: &self.proxies[0].host, action, login, scratch })?;
        command.env("HOME", self.scratch.path()).env_remove("DOCKER_CONFIG");
        let before = self.counts();
        let measured = run(&mut command);
        let after = self.counts();
        if !measured.success {
            eprintln!("{} failed in \"{scene}\": {}", program.name, measured.stderr.trim());
        }
        Some(Row {
            scene: scene.to_owned(),
            program: program.name,
            round_trip: self.round_trip,
            measured,
            requests: after.0 - before.0,
            connections: after.1 - before.1,
        })
    }
}

const ONE_REPOSITORY: &str = "10 platforms, one repository";
const MERGE: &str = "10 digests merged";
const INSPECT: &str = "inspect an index of 10";
const QUERY: &str = "query an index of 10";
const VERIFY: &str = "verify an index of 10 with 3 layers each";
const TAGS: &str = "platforms of 500 tags";
const OTHERS: &str = "10 platforms, other repositories";
const AGAIN: &str = "the same again";
const TOKEN: &str = "10 platforms behind a token service";
const TOKEN_OTHERS: &str = "10 platforms, other repositories behind a token service";

/// Selects the scenes whose name contains one of these words; without words, all.
pub struct SceneFilter<'a>(pub &'a [String]);

impl SceneFilter<'_> {
    fn any(&self, scenes: &[&str]) -> bool {
        self.0.is_empty() || scenes.iter().any(|scene| self.0.iter().any(|word| scene.contains(word.as_str())))
    }
}

/// Runs assemble, inspect, query and verify with every program that can. Each program gets a fresh registry, so
/// that all start from the same state.
pub fn against_peers(round_trip: Duration, filter: &SceneFilter<'_>, mut emit: impl FnMut(Row)) {
    for program in programs() {
        let mut emit = |row: Option<Row>| row.into_iter().for_each(&mut emit);
        if filter.any(&[ONE_REPOSITORY, INSPECT, QUERY, VERIFY]) {
            let stage = Stage::new(round_trip);
            push_ten(&stage.registry);
            let one = Action::Assemble { template: "whole:ARCH", platforms: &TEN };
            match stage.row(ONE_REPOSITORY, &program, one) {
                // A program that cannot assemble may still inspect: this program prepares the index for it.
                None => drop(stage.row(ONE_REPOSITORY, &programs()[0], one)),
                row => emit(row),
            }
            emit(stage.row(INSPECT, &program, Action::Inspect));
            emit(stage.row(QUERY, &program, Action::Query));
            emit(stage.row(VERIFY, &program, Action::Verify));
        }
        if filter.any(&[MERGE]) {
            let stage = Stage::new(round_trip);
            emit(stage.row(MERGE, &program, Action::Merge(&push_ten(&stage.registry))));
        }
        if filter.any(&[OTHERS, AGAIN]) {
            let stage = Stage::new(round_trip);
            push_to_ten(&stage.registry);
            let others = Action::Assemble { template: "parts/ARCH:v1", platforms: &TEN };
            emit(stage.row(OTHERS, &program, others));
            emit(stage.row(AGAIN, &program, others));
        }
        if filter.any(&[TOKEN]) {
            let stage = Stage::with_token_service(round_trip);
            push_ten(&stage.registry);
            emit(stage.row(TOKEN, &program, Action::Assemble { template: "whole:ARCH", platforms: &TEN }));
        }
        if filter.any(&[TOKEN_OTHERS]) {
            let stage = Stage::with_token_service(round_trip);
            push_to_ten(&stage.registry);
            emit(stage.row(TOKEN_OTHERS, &program, Action::Assemble { template: "parts/ARCH:v1", platforms: &TEN }));
        }
    }
}

/// Pushes ten images to `whole`, and returns their digests.
fn push_ten(registry: &Registry) -> Vec<String> {
    TEN.iter().map(|name| image(registry, "whole", name, name)).collect()
}

/// Pushes an image to each of ten repositories.
fn push_to_ten(registry: &Registry) {
    for name in TEN {
        image(registry, &format!("parts/{name}"), "v1", name);
    }
}

/// Lists the platforms of 500 tags. Programs without such a command inspect the tags one by one.
pub fn tags(round_trip: Duration, filter: &SceneFilter<'_>, mut emit: impl FnMut(Row)) {
    if !filter.any(&[TAGS]) {
        return;
    }
    let stage = Stage::new(round_trip);
    let entries: Vec<Value> = TEN.map(|name| small_entry(&stage.registry, name)).into();
    let tags: Vec<String> = (0..500).map(|n| format!("v{n}")).collect();
    for tag in &tags {
        let annotations = json!({"tag": tag});
        let index =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "annotations": annotations});
        stage.registry.push_manifest("whole", tag, OCI_INDEX, index.to_string().as_bytes());
    }
    programs().iter().filter_map(|program| stage.row(TAGS, program, Action::Tags(&tags))).for_each(&mut emit);
}

fn small_entry(registry: &Registry, architecture: &str) -> Value {
    let config = json!({"os": "linux", "architecture": architecture}).to_string();
    let config_type = "application/vnd.oci.image.config.v1+json";
    let config = descriptor(config_type, &registry.push_blob("whole", config.as_bytes()), config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": []}).to_string();
    registry.push_manifest("whole", &sha256(manifest.as_bytes()), OCI, manifest.as_bytes());
    let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

const FROM_LAYOUT: &str = "150 MB from a folder";
const COPY: &str = "150 MB between two registries";

/// Copies ten platforms of three 5 MB layers from an OCI layout to a registry, and between registries.
pub fn copies(round_trip: Duration, filter: &SceneFilter<'_>, mut emit: impl FnMut(Row)) {
    if !filter.any(&[FROM_LAYOUT, COPY]) {
        return;
    }
    let from = Stage::new(round_trip);
    let entries: Vec<_> = TEN.iter().map(|name| large_image(&from.registry, name)).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
    from.registry.push_manifest("whole", "v1", OCI_INDEX, index.as_bytes());
    let layout = format!("oci:{}/layout:v1", from.scratch.path().display());
    let source = format!("{}/whole:v1", from.registry.host);
    let copied =
        Command::new(env!("CARGO_BIN_EXE_manifest-tool")).args(["--plain-http", "copy", &source, &layout]).output();
    assert!(copied.is_ok_and(|output| output.status.success()));
    let proxied = format!("{}/whole:v1", from.proxies[0].host);
    for program in programs() {
        for (scene, source) in [(FROM_LAYOUT, layout.as_str()), (COPY, &proxied)] {
            // A fresh registry each time, so that every blob has to be uploaded.
            let to = Stage::new(round_trip);
            to.row(scene, &program, Action::Copy(source)).into_iter().for_each(&mut emit);
        }
    }
}

/// Copies four images, with two layers of 25 MB each, from an OCI layout to a registry with another compression.
pub fn recompressions(filter: &SceneFilter<'_>, mut emit: impl FnMut(Row)) {
    let scenes = [("zstd", "gzip"), ("gzip", "zstd"), ("gzip", "tar"), ("tar", "gzip"), ("tar", "zstd")];
    let name = |(from, to): (&str, &str)| format!("200 MB of layers, {from} to {to}");
    if !filter.any(&scenes.map(name).each_ref().map(String::as_str)) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = |format: &str| format!("oci:{}/{format}:v1", folder.path().display());
    let this = |args: &[&str]| {
        let copied = Command::new(env!("CARGO_BIN_EXE_manifest-tool")).arg("--plain-http").args(args).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    };
    let registry = Registry::start();
    let entries: Vec<_> = TEN[..4].iter().map(|name| compressible_image(&registry, name)).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
    registry.push_manifest("whole", "v1", OCI_INDEX, index.as_bytes());
    this(&["copy", &format!("{}/whole:v1", registry.host), &layout("tar")]);
    for format in ["gzip", "zstd"] {
        this(&["copy", "--compress", format, &layout("tar"), &layout(format)]);
    }
    for (from, to) in scenes {
        if !filter.any(&[&name((from, to))]) {
            continue;
        }
        for program in programs() {
            let stage = Stage::new(Duration::ZERO);
            let row = stage.row(&name((from, to)), &program, Action::Recompress(&layout(from), to));
            row.into_iter().for_each(&mut emit);
        }
    }
}

/// Pushes an image with two layers of 25 MB that compress to about half.
fn compressible_image(registry: &Registry, architecture: &str) -> Value {
    let mut diff_ids = Vec::new();
    let layers: Vec<_> = (0..2)
        .map(|_| {
            let line = || format!("{:016x} the quick brown fox {:016x}\n", fastrand::u64(..), fastrand::u64(..));
            let text: String = std::iter::repeat_with(line).take(25_000_000 / 54).collect();
            let digest = registry.push_blob("whole", text.as_bytes());
            diff_ids.push(digest.clone());
            descriptor("application/vnd.oci.image.layer.v1.tar", &digest, text.as_bytes())
        })
        .collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}).to_string();
    let config_type = "application/vnd.oci.image.config.v1+json";
    let config = descriptor(config_type, &registry.push_blob("whole", config.as_bytes()), config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
    registry.push_manifest("whole", architecture, OCI, manifest.as_bytes());
    let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

fn large_image(registry: &Registry, architecture: &str) -> Value {
    let config = json!({"os": "linux", "architecture": architecture}).to_string();
    let config_type = "application/vnd.oci.image.config.v1+json";
    let config = descriptor(config_type, &registry.push_blob("whole", config.as_bytes()), config.as_bytes());
    let layers: Vec<_> = (0..3)
        .map(|_| {
            let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(5_000_000).collect();
            descriptor("application/vnd.oci.image.layer.v1.tar", &registry.push_blob("whole", &bytes), &bytes)
        })
        .collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
    registry.push_manifest("whole", architecture, OCI, manifest.as_bytes());
    let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

/// Measures how cost grows with the number of platforms and of indexes.
pub fn growth(round_trip: Duration, filter: &SceneFilter<'_>, mut emit: impl FnMut(Row)) {
    let Some(this) = programs().into_iter().next() else { return };
    let mut measure = |scene: String, prepare: &dyn Fn(&Stage) -> String| {
        if filter.any(&[&scene]) {
            let stage = Stage::new(round_trip);
            let file = stage.scratch.path().join("specs.yaml");
            std::fs::write(&file, prepare(&stage)).unwrap();
            stage.row(&scene, &this, Action::Specs(&file)).into_iter().for_each(&mut emit);
        }
    };
    for count in [1, 10, 50] {
        measure(format!("{count} platforms, one index"), &|stage| {
            let host = &stage.proxies[0].host;
            let source = |n: usize| {
                let (name, tag) = (TEN[n % TEN.len()], format!("n{n}"));
                image(&stage.registry, "whole", &tag, name);
                let platform = format!("{{os: linux, architecture: \"{name}\", os.version: \"{n}\"}}");
                format!("- {{image: \"{host}/whole:{tag}\", platform: {platform}}}\n")
            };
            let sources: String = (0..count).map(source).collect();
            format!("image: {host}/whole:v1\nmanifests:\n{sources}")
        });
    }
    for count in [1, 10, 100, 1000] {
        measure(format!("{count} indexes of the same 10"), &|stage| {
            let host = &stage.proxies[0].host;
            push_ten(&stage.registry);
            let sources: String = TEN.map(|name| format!("- image: \"{host}/whole:{name}\"\n")).concat();
            (0..count).map(|n| format!("---\nimage: {host}/whole:v{n}\nmanifests:\n{sources}")).collect()
        });
    }
}
