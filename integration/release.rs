//! The workflows, the Dockerfile and `release/`. The steps of a release that can run on one machine are run as the
//! workflow has them, with the tested program instead of a build for each platform.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Registry, external_command, manifest_tool, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn workflow(name: &str) -> Value {
    let path = Path::new(ROOT).join(".github/workflows").join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// Returns the script of a step of a job.
fn script(workflow: &Value, job: &str, step: &str) -> String {
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    let named = steps.iter().find(|candidate| candidate["name"] == step);
    text(&named.unwrap_or_else(|| panic!("job {job} has no step {step}"))["run"]).to_owned()
}

#[test]
fn workflows_are_valid_and_their_scripts_parse() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ci.yml", "release.yml"] {
        let workflow = workflow(name);
        for (job, definition) in workflow["jobs"].as_object().unwrap() {
            for needed in definition["needs"].as_array().into_iter().flatten() {
                assert!(workflow["jobs"][text(needed)].is_object(), "{name}: {job} needs {needed}");
            }
            assert!(definition["runs-on"].is_string(), "{name}: {job}");
            for step in definition["steps"].as_array().unwrap() {
                assert_ne!(step["run"].is_string(), step["uses"].is_string(), "{name}: {job}: {step}");
                let script = step["run"].as_str().unwrap_or_default();
                // GitHub would insert `${{ }}` into the script unquoted, so values come from the environment.
                assert!(!script.contains("${{"), "{name}: {job}: {script}");
                let read = run(external_command("bash".as_ref(), folder.path(), &["-n", "-c", script]), "");
                assert_eq!((read.exit, read.stderr.as_str()), (0, ""), "{name}: {job}: {script}");
            }
        }
    }
}

/// Checks the shell scripts, and the scripts in workflows and pipelines.
#[test]
fn scripts_pass_shellcheck() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, script: &str| {
        // The shebang line of a file names its shell.
        let shell: &[&str] = if script.starts_with("#!") { &[] } else { &["-s", "bash"] };
        let args = [shell, &["-S", "warning", "-"]].concat();
        let checked = run(external_command("shellcheck".as_ref(), folder.path(), &args), script);
        assert_eq!(checked.exit, 0, "{name}: {checked:?}");
    };
    for folder in [
        "action",
        "release",
        "integration",
        "integration/data/signatures",
        "integration/data/signatures/openpgp",
        "examples/pipelines",
    ] {
        for entry in std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sh") {
                check(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    for name in [
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        "examples/pipelines/github-actions.yml",
        "action.yml",
    ] {
        let file: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()).unwrap();
        let jobs = file["jobs"].as_object().into_iter().flatten().map(|(_, job)| job).chain([&file["runs"]]);
        for step in jobs.flat_map(|job| job["steps"].as_array().into_iter().flatten()) {
            if let Some(script) = step["run"].as_str() {
                check(name, script);
            }
        }
    }
}

/// The `rust-version` of Cargo.toml must satisfy every locked dependency, and CI must build with it.
#[test]
fn no_dependency_needs_a_newer_rust_than_the_declared_version() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--edges", "normal,build", "--target", "all", "--prefix", "none"]);
    let listed = cargo.current_dir(ROOT).args(["--format", "{p}"]).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--format-version", "1"]).current_dir(ROOT);
    let metadata: Value = serde_json::from_slice(&metadata.output().unwrap().stdout).unwrap();
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = format!("{} v{}", text(&package["name"]), text(&package["version"]));
        let used = listed.lines().any(|line| line.split(" (").next() == Some(&name));
        if let (true, Some(needed)) = (used, package["rust_version"].as_str()) {
            assert!(number(needed)[..2] <= number(ours)[..2], "{name} needs Rust {needed}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    let tried: Vec<Value> =
        workflow("ci.yml")["jobs"]["builds"]["strategy"]["matrix"]["include"].as_array().unwrap().clone();
    assert!(tried.iter().any(|one| one["rust"] == ours), "{tried:?}");
}

/// Runs the packaging steps of the workflow on the artifacts that earlier jobs upload.
#[test]
fn packages_contain_every_file_and_are_reproducible() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path();
    for file in [
        "linux-amd64/built/linux-amd64/manifest-tool",
        "linux-armv7/built/linux-armv7/manifest-tool",
        "windows-amd64/built/windows-amd64/manifest-tool.exe",
        "debian-ubuntu-24.04/manifest-tool_1.2.3-1_amd64.deb",
        "words/dist/man/manifest-tool.1",
        "words/dist/completions/_manifest-tool",
        "words/sbom/manifest-tool.cdx.json",
    ] {
        let file = path.join("artifacts").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, file.display().to_string()).unwrap();
    }
    for name in ["release", "LICENSE", "README.md", "CHANGELOG.md"] {
        std::os::unix::fs::symlink(Path::new(ROOT).join(name), path.join(name)).unwrap();
    }
    let release = workflow("release.yml");
    let step = |name: &str, umask: &str| {
        let script = format!("umask {umask}; {}", script(&release, "packages", name));
        let mut step = external_command("bash".as_ref(), path, &["-e", "-o", "pipefail", "-c", &script]);
        step.env("VERSION", "v1.2.3");
        let outcome = run(step, "");
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    };
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    step("Collect", "022");
    step("Packages", "022");
    let sums = read("packages/SHA256SUMS");
    step("Packages", "077");
    assert_eq!(read("packages/SHA256SUMS"), sums, "the packages are not reproducible");
    let names: Vec<_> = sums.lines().map(|line| line.split("  ").nth(1).unwrap()).collect();
    let package = |platform: &str| format!("manifest-tool-1.2.3-{platform}.tar.gz");
    let expected = ["linux-amd64", "linux-armv7", "windows-amd64"].map(package);
    assert_eq!(names[..3], expected);
    assert_eq!(names[3..], ["manifest-tool.cdx.json", "manifest-tool_1.2.3-1_amd64.deb"]);
    run(external_command("sha256sum".as_ref(), &path.join("packages"), &["-c", "SHA256SUMS"]), "").success();
    let listed = run(external_command("tar".as_ref(), &path.join("packages"), &["-tzf", &expected[2]]), "");
    for file in ["manifest-tool.exe", "LICENSE", "README.md", "man/manifest-tool.1", "completions/_manifest-tool"] {
        let file = format!("manifest-tool-1.2.3-windows-amd64/{file}\n");
        assert!(listed.stdout.contains(&file), "{listed:?}");
    }
    let failed =
        run(external_command(&Path::new(ROOT).join("release/pack.sh"), path, &["1.2.3", "none", "packages"]), "");
    assert_ne!(failed.exit, 0, "packing without artifacts succeeded");
}

/// Writes the artifact that the job `linux` uploads and the job `image` downloads, without the image. Like a downloaded
/// artifact, the program has no execute bit.
fn write_artifact(path: &Path, name: &str) {
    let artifact = path.join("artifacts").join(name);
    let built = artifact.join("built").join(name);
    std::fs::create_dir_all(&built).unwrap();
    std::fs::create_dir(artifact.join("images")).unwrap();
    let program = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_manifest-tool"));
    std::fs::write(built.join("manifest-tool"), program).unwrap();
}

/// Builds the last stage of the Dockerfile for every platform, and runs the workflow step that assembles the index.
#[test]
fn the_release_image_is_assembled_with_manifest_tool() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path();
    let built = path.join("built/built");
    std::fs::create_dir_all(built.join("etc/ssl/certs")).unwrap();
    std::fs::write(built.join("manifest-tool"), "for any platform").unwrap();
    std::fs::write(built.join("etc/ssl/certs/ca-certificates.crt"), "certificates").unwrap();

    let release = workflow("release.yml");
    let platforms: Vec<&str> =
        release["jobs"]["linux"]["strategy"]["matrix"]["platform"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(release["jobs"]["image"]["env"]["PLATFORMS"], platforms.join(","));
    for platform in &platforms {
        let naming = script(&release, "linux", "Name").replace("$GITHUB_ENV", "env");
        let mut named = external_command("bash".as_ref(), path, &["-e", "-c", &naming]);
        named.env("PLATFORM", platform);
        assert_eq!(run(named, "").exit, 0);
        let env = std::fs::read_to_string(path.join("env")).unwrap();
        let name = env.lines().last().unwrap().strip_prefix("NAME=").unwrap().to_owned();
        write_artifact(path, &name);
        let image = format!("oci-archive:artifacts/{name}/images/{name}.tar");
        for args in [
            &[
                "bud",
                "--isolation",
                "chroot",
                "--platform",
                platform,
                "--build-context",
                "build=built",
                "-t",
                "it",
                ROOT,
            ][..],
            &["push", "it", &image],
        ] {
            let mut buildah = external_command("buildah".as_ref(), path, &["--storage-driver", "vfs"]);
            buildah.args(["--root", "storage", "--runroot", "run"]).args(args);
            let outcome = run(buildah, "");
            assert_eq!(outcome.exit, 0, "{platform}: {outcome:?}");
        }
    }

    let mut collect = external_command("bash".as_ref(), path, &["-e", "-c", &script(&release, "image", "Collect")]);
    collect.env("GITHUB_PATH", "path");
    run(collect, "").success();
    let binaries = std::fs::read_to_string(path.join("path")).unwrap();

    let registry = Registry::start();
    let publish = |version: &str| {
        let script = script(&release, "image", "Image");
        let mut step = external_command("bash".as_ref(), path, &["-e", "-o", "pipefail", "-c", &script]);
        step.env("PATH", format!("{}:{}", binaries.trim(), std::env::var("PATH").unwrap()));
        step.envs([("REPOSITORY", format!("{}/Owner/Tool", registry.host)), ("PLATFORMS", platforms.join(","))]);
        step.envs([("VERSION", version), ("GITHUB_OUTPUT", "output")]);
        run(step, "").success();
    };
    publish("v1.2.3-rc.1");
    assert!(registry.manifest("owner/tool", "latest").is_none(), "a release candidate moved latest");
    publish("v1.2.3");
    let released = registry.manifest("owner/tool", "1.2.3").unwrap();
    assert_eq!(registry.manifest("owner/tool", "latest").unwrap().digest, released.digest);
    let output = std::fs::read_to_string(path.join("output")).unwrap();
    let (name, digest) = (format!("{}/owner/tool", registry.host), &released.digest);
    let expected = format!("name={name}\ndigest={digest}\nimage={name}:1.2.3@{digest}\n");
    assert!(output.ends_with(&expected), "{output}");

    let reference = format!("{}/owner/tool:1.2.3", registry.host);
    let images = manifest_tool(path, &["query", &reference, "--output", "json"]).json();
    assert_eq!(images["images"][0]["platforms"].as_array().unwrap().len(), platforms.len(), "{images}");
    let config = manifest_tool(path, &["inspect", "--config", "--platform", "linux/s390x", &reference]).json();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/manifest-tool"]));
    // The image contains only these files.
    let copied = "oci:image:it";
    manifest_tool(path, &["copy", "--platform", "linux/s390x", &reference, copied]).success();
    let manifest = manifest_tool(path, &["inspect", "--manifest", copied]).json();
    let mut files = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = format!("image/blobs/{}", text(&layer["digest"]).replace(':', "/"));
        let listed = run(external_command("tar".as_ref(), path, &["-tzf", &blob]), "");
        files.extend(listed.stdout.lines().filter(|line| !line.ends_with('/')).map(str::to_owned));
    }
    files.sort();
    assert_eq!(files, ["etc/ssl/certs/ca-certificates.crt", "manifest-tool"]);
}
