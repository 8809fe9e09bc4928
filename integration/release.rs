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
    let recipe = "release/aur/PKGBUILD";
    check(recipe, &std::fs::read_to_string(Path::new(ROOT).join(recipe)).unwrap());
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

/// The Go image does not download a newer toolchain.
#[test]
fn the_go_image_is_new_enough_for_the_credential_helpers() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    let (module, dockerfile) = (read("release/helpers/go.mod"), read("Dockerfile"));
    let needed = module.lines().find_map(|line| line.strip_prefix("go ")).unwrap();
    let (image, _) = dockerfile.lines().find_map(|line| line.split_once("/golang:")?.1.split_once('-')).unwrap();
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    assert!(number(needed)[..2] <= number(image)[..2], "{needed} {image}");
}

/// Runs the packaging steps of the workflow on the artifacts that earlier jobs upload.
#[test]
fn packages_contain_every_file_and_are_reproducible() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path();
    for file in [
        "darwin-amd64/built/darwin-amd64/manifest-tool",
        "darwin-arm64/built/darwin-arm64/manifest-tool",
        "linux-amd64/built/linux-amd64/manifest-tool",
        "linux-arm64/built/linux-arm64/manifest-tool",
        "linux-armv7/built/linux-armv7/manifest-tool",
        "windows-amd64/built/windows-amd64/manifest-tool.exe",
        "debian-ubuntu-24.04/manifest-tool_1.2.3-1_amd64.deb",
        "debian-ubuntu-24.04-arm/manifest-tool_1.2.3~rc.1-1_arm64.deb",
        "shared-files/dist/man/manifest-tool.1",
        "shared-files/dist/completions/_manifest-tool",
        "shared-files/sbom/manifest-tool.cdx.json",
    ] {
        let file = path.join("artifacts").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, file.display().to_string()).unwrap();
    }
    let texts = ["LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples"];
    for name in texts.iter().chain(&["release"]) {
        std::os::unix::fs::symlink(Path::new(ROOT).join(name), path.join(name)).unwrap();
    }
    let release = workflow("release.yml");
    let step = |name: &str, umask: &str| {
        let script = format!("umask {umask}; {}", script(&release, "packages", name));
        let mut step = external_command("bash".as_ref(), path, &["-e", "-o", "pipefail", "-c", &script]);
        step.env("VERSION", "v1.2.3").env("GITHUB_REPOSITORY_OWNER", "Acme");
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
    let platforms = ["darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64", "linux-armv7", "windows-amd64"];
    assert_eq!(names[..6], platforms.map(package));
    let others = [
        "manifest-tool-1.2.3-windows-amd64.zip",
        "manifest-tool.cdx.json",
        "manifest-tool_1.2.3-1_amd64.deb",
        // GitHub would replace the "~" of a pre-release.
        "manifest-tool_1.2.3.rc.1-1_arm64.deb",
    ];
    assert_eq!(names[6..], others);
    let packages = path.join("packages");
    let check_sums = || {
        run(external_command("sha256sum".as_ref(), &packages, &["-c", "SHA256SUMS"]), "").success();
    };
    check_sums();
    let archive = package("windows-amd64");
    let zip = others[0];
    for (program, args) in [("tar", ["-tzf", archive.as_str()]), ("unzip", ["-Z1", zip])] {
        let listed = run(external_command(program.as_ref(), &packages, &args), "");
        for file in [
            "manifest-tool.exe",
            "LICENSE",
            "README.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "docs/install.md",
            "docs/output.schema.json",
            "examples/pipelines/release.sh",
            "examples/push_hello.rs",
            "man/manifest-tool.1",
            "completions/_manifest-tool",
        ] {
            let file = format!("manifest-tool-1.2.3-windows-amd64/{file}\n");
            assert!(listed.stdout.contains(&file), "{program}: {listed:?}");
        }
    }
    // The texts in a package name the account that hosts the repository. Names of images are lower case.
    let page = "manifest-tool-1.2.3-windows-amd64/docs/install.md";
    let page = run(external_command("unzip".as_ref(), &packages, &["-p", zip, page]), "").stdout;
    for name in ["https://github.com/Acme/manifest-tool/", "ghcr.io/acme/manifest-tool:"] {
        assert!(page.contains(name), "{name}: {page}");
    }
    assert!(!page.contains("OWNER"), "{page}");

    step("Recipes", "022");
    check_sums();
    for recipe in ["manifest-tool.rb", "PKGBUILD"] {
        let filled = read(&format!("packages/{recipe}"));
        let sum = sums.lines().find_map(|line| line.strip_suffix("  manifest-tool-1.2.3-linux-arm64.tar.gz")).unwrap();
        for part in ["https://github.com/Acme/manifest-tool", "1.2.3", sum] {
            assert!(filled.contains(part), "{recipe}: {part}: {filled}");
        }
        for placeholder in ["OWNER", "VERSION", "SHA256-"] {
            assert!(!filled.contains(placeholder), "{recipe}: {placeholder}: {filled}");
        }
    }
    let script = Path::new(ROOT).join("release/recipes.sh");
    let other_version = ["1.2.4", "packages/SHA256SUMS", "Acme", "recipes"];
    let failed = run(external_command(&script, path, &other_version), "");
    assert!(failed.exit == 1 && failed.stderr.contains("has no checksum"), "{failed:?}");
    let failed =
        run(external_command(&Path::new(ROOT).join("release/pack.sh"), path, &["1.2.3", "none", "packages"]), "");
    assert_ne!(failed.exit, 0, "packing without artifacts succeeded");
}

/// Users copy the commands of the page, so they name the version of this source.
#[test]
fn the_install_page_names_this_version() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/install.md")).unwrap();
    let versions =
        ["/download/v", "refs/tags/v", "--branch v", "manifest-tool:", "manifest-tool-", "manifest-tool_", "`"];
    for before in versions {
        let lines: Vec<&str> = page.split(before).skip(1).filter_map(|after| after.lines().next()).collect();
        let mut named = lines.iter().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).peekable();
        assert!(named.peek().is_some(), "{before}");
        let other = named.find(|line| !line.starts_with(env!("CARGO_PKG_VERSION")));
        assert_eq!(other, None, "{before}");
    }
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

/// Builds both images of the Dockerfile for every platform, and runs the workflow steps that assemble and tag their
/// indexes.
#[test]
fn the_release_images_are_assembled_with_manifest_tool() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path();
    let built = path.join("built/built");
    std::fs::create_dir_all(built.join("etc/ssl/certs")).unwrap();
    std::fs::write(built.join("manifest-tool"), "for any platform").unwrap();
    std::fs::write(built.join("etc/ssl/certs/ca-certificates.crt"), "certificates").unwrap();
    // The credential helpers of the debug image, and the image that it gets its shell from.
    for file in ["helpers/helpers/bin/docker-credential-gcr", "helpers/helpers/licenses/LICENSE", "shell/bin/sh"] {
        let file = path.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "for any platform").unwrap();
    }
    std::fs::write(path.join("shell/Dockerfile"), "FROM scratch\nCOPY bin /bin\n").unwrap();
    let dockerfile = std::fs::read_to_string(Path::new(ROOT).join("Dockerfile")).unwrap();
    let shell = dockerfile.lines().find_map(|line| line.strip_prefix("FROM ")?.strip_suffix(" AS debug")).unwrap();

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
        let buildah = |args: &[&str]| {
            let mut buildah = external_command("buildah".as_ref(), path, &["--storage-driver", "vfs"]);
            buildah.args(["--root", "storage", "--runroot", "run"]).args(args);
            let outcome = run(buildah, "");
            assert_eq!(outcome.exit, 0, "{platform}: {outcome:?}");
        };
        let build = |args: &[&str]| {
            let common = ["bud", "--isolation", "chroot", "--platform", platform, "-t"];
            buildah(&[&common[..], args].concat());
        };
        let source = "SOURCE=https://github.com/Owner/Tool";
        let contexts =
            ["--build-arg", source, "--build-context", "build=built", "--build-context", "helpers=helpers", ROOT];
        build(&[shell, "shell"]);
        build(&[&["it"][..], &contexts[..]].concat());
        buildah(&["push", "it", &format!("oci-archive:artifacts/{name}/images/{name}.tar")]);
        build(&[&["it", "--target", "debug"][..], &contexts[..]].concat());
        buildah(&["push", "it", &format!("oci-archive:artifacts/{name}/images/debug-{name}.tar")]);
    }

    let mut collect = external_command("bash".as_ref(), path, &["-e", "-c", &script(&release, "image", "Collect")]);
    collect.env("GITHUB_PATH", "path");
    run(collect, "").success();
    let binaries = std::fs::read_to_string(path.join("path")).unwrap();

    let registry = Registry::start();
    let run_step = |name: &str, variables: &[(&str, &str)]| {
        let script = script(&release, "image", name);
        let mut step = external_command("bash".as_ref(), path, &["-e", "-o", "pipefail", "-c", &script]);
        step.env("PATH", format!("{}:{}", binaries.trim(), std::env::var("PATH").unwrap()));
        step.envs([("REPOSITORY", format!("{}/Owner/Tool", registry.host)), ("PLATFORMS", platforms.join(","))]);
        step.envs([("VERSION", "v1.2.3"), ("SOURCE", "https://github.com/Owner/Tool"), ("GITHUB_OUTPUT", "output")]);
        step.envs(variables.iter().copied());
        run(step, "").success();
    };
    run_step("Images", &[]);
    let released = registry.manifest("owner/tool", "1.2.3").unwrap();
    let debug = registry.manifest("owner/tool", "1.2.3-debug").unwrap();
    let output = std::fs::read_to_string(path.join("output")).unwrap();
    let (name, digest) = (format!("{}/owner/tool", registry.host), &released.digest);
    let expected =
        format!("name={name}\ndigest={digest}\nimage={name}:1.2.3@{digest}\ndebug-digest={}\n", debug.digest);
    assert!(output.ends_with(&expected), "{output}");

    // The last step of a release, but not of a pre-release.
    let last = release["jobs"]["image"]["steps"].as_array().unwrap().last().unwrap();
    assert_eq!((text(&last["name"]), text(&last["if"])), ("Tags", "!contains(github.ref_name, '-')"));
    for tag in ["latest", "debug"] {
        assert!(registry.manifest("owner/tool", tag).is_none(), "{tag} moved before the images are attested");
    }
    run_step("Tags", &[("NAME", &name), ("DIGEST", digest), ("DEBUG_DIGEST", &debug.digest)]);
    assert_eq!(registry.manifest("owner/tool", "latest").unwrap().digest, released.digest);
    assert_eq!(registry.manifest("owner/tool", "debug").unwrap().digest, debug.digest);

    let certificates = "etc/ssl/certs/ca-certificates.crt";
    let helper = "usr/local/bin/docker-credential-gcr";
    let licence = "usr/local/share/licenses/manifest-tool/LICENSE";
    let others = "usr/local/share/licenses/LICENSE";
    for (tag, expected) in [
        ("1.2.3", &[certificates, "manifest-tool", licence][..]),
        ("1.2.3-debug", &["bin/sh", certificates, "manifest-tool", helper, others, licence][..]),
    ] {
        let reference = format!("{}/owner/tool:{tag}", registry.host);
        let images = manifest_tool(path, &["query", &reference, "--output", "json"]).json();
        assert_eq!(images["images"][0]["platforms"].as_array().unwrap().len(), platforms.len(), "{images}");
        let config = manifest_tool(path, &["inspect", "--config", "--platform", "linux/s390x", &reference]).json();
        assert_eq!(config["config"]["User"], "65532:65532", "{tag}");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/manifest-tool"]), "{tag}");
        let labels = &config["config"]["Labels"];
        assert_eq!(labels["org.opencontainers.image.licenses"], env!("CARGO_PKG_LICENSE"), "{tag}");
        assert_eq!(labels["org.opencontainers.image.source"], "https://github.com/Owner/Tool", "{tag}");
        let index = manifest_tool(path, &["inspect", "--manifest", &reference]).json();
        assert_eq!(index["annotations"]["org.opencontainers.image.source"], "https://github.com/Owner/Tool", "{tag}");
        // The image contains only these files.
        let copied = format!("oci:image-{tag}:it");
        manifest_tool(path, &["copy", "--platform", "linux/s390x", &reference, &copied]).success();
        let manifest = manifest_tool(path, &["inspect", "--manifest", &copied]).json();
        let mut files = Vec::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let blob = format!("image-{tag}/blobs/{}", text(&layer["digest"]).replace(':', "/"));
            let listed = run(external_command("tar".as_ref(), path, &["-tzf", &blob]), "");
            files.extend(listed.stdout.lines().filter(|line| !line.ends_with('/')).map(str::to_owned));
        }
        files.sort();
        assert_eq!(files, expected, "{tag}");
    }
}
