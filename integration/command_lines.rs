//! Command lines that manifest-tool 2.2.1 accepts. The digests are those that it printed for the same images.

use indoc::indoc;

use crate::support::images::push_image;
use crate::support::recorded::recorded_registry;
use crate::support::{Outcome, Registry, Sandbox, Workspace, run};

const AMD64_AND_ARM64: &str = "sha256:0c281cf5f2e9c872d5f5dca7789a006088d3473e3e067ad267c7d19e30914db3 708";
const AMD64: &str = "sha256:5112b47699da3875ab7cccc8bc9b8d6470298f6742b51cdaac5e81556d0b4bd0 402";
const AMD64_OCI: &str = "sha256:d0f498d16c856df7f5e963f0f167a70ca892988143e05378644905e8f1fa13c0 384";

fn recorded_sandbox() -> Sandbox {
    Sandbox::with_registry(recorded_registry())
}

fn push(sandbox: &Sandbox, args: &[&str]) -> Outcome {
    sandbox.run(&[&["push"], args].concat())
}

/// Returns stderr with `HOST` for the address of the registry.
fn stderr_without_address(sandbox: &Sandbox, outcome: &Outcome) -> String {
    outcome.stderr.replace(&sandbox.registry.host, "HOST")
}

#[test]
fn every_command_line_gives_the_bytes_of_2_2_1() {
    let sandbox = recorded_sandbox();
    let target = ["--target", "HOST/app:v1"];
    let arch = ["--template", "HOST/app:ARCH"];
    let amd64 = ["from-args", "--platforms", "linux/amd64"];
    for (args, digest, warning) in [
        (&["from-args", "--platforms", "linux/amd64, linux/arm64"][..], AMD64_AND_ARM64, ""),
        (
            &["from-args", "--platforms", "linux/arm64/"],
            "sha256:de39dbfd6862443e466d9c24bebe4895da3d8ae047c9c8d689e638f404942467 427",
            "",
        ),
        (&[&amd64[..], &["--tags", "a, b"]].concat(), AMD64, ""),
        (&[&amd64[..], &["--tags", "a,b,a"]].concat(), AMD64, "tag \"a\" is given twice"),
        (&[&amd64[..], &["--ignore-missing=0"]].concat(), AMD64, ""),
        (
            &["from-args", "--ignore-missing=TRUE", "--platforms", "linux/amd64,linux/riscv64"],
            AMD64,
            "linux/riscv64: skipped",
        ),
        (&[&["--type", "docker", "--type", "oci"], &amd64[..]].concat(), AMD64_OCI, ""),
        (&[&["--type", "docker"], &amd64[..], &["--type", "oci"]].concat(), AMD64_OCI, ""),
        (
            &[&["--type", "oci"], &amd64[..], &["--annotations", "a=b, c=d"]].concat(),
            "sha256:3a3daafb9aebf2daae5e1566eeefd78a81877c5d6532b408345286d189c71fbd 435",
            "",
        ),
        (
            &[&["--type", "oci"], &amd64[..], &["--annotations", " a=b , c = d "]].concat(),
            "sha256:5ea7113f2a8abd7edbfc48376925061dc72853798f174a680da1f2cc77334573 437",
            "",
        ),
        (
            &[&["--type", "oci"], &amd64[..], &["--annotations", "a=", "--annotations", "b=c,d=e"]].concat(),
            "sha256:c4ec96f2ca50ee899d8540c98a62b337894d860049acfde1af83af29d1a18c56 448",
            "",
        ),
        (
            &["from-args", "--platforms", "linux/s390x", "--platforms", "linux/amd64", "--template", "HOST/app:gone"],
            "sha256:9b3af01091a97d15c9e6090a5cb816cfeb5529ec4fdf99e67413ef868b4b2e52 683",
            "",
        ),
        (
            &[&amd64[..], &["--target", "HOST/app:another"]].concat(),
            AMD64,
            "--target is given 2 times; only the last one is used: HOST/app:v1",
        ),
        (&[&["--type="], &amd64[..]].concat(), AMD64, ""),
        (&[&["--type", ""], &amd64[..]].concat(), AMD64, ""),
    ] {
        let outcome = push(&sandbox, &[args, &arch, &target].concat());
        let stdout = format!("Digest: {digest}\n");
        assert_eq!((outcome.exit, &outcome.stdout), (0, &stdout), "{args:?}: {}", outcome.stderr);
        let stderr = stderr_without_address(&sandbox, &outcome);
        assert_eq!(stderr.lines().count(), usize::from(!warning.is_empty()), "{args:?}: {stderr}");
        assert!(stderr.contains(warning), "{args:?}: {stderr}");
    }
    assert!(sandbox.registry.manifest("app", "another").is_none());
    // Like push, lint accepts an empty type.
    sandbox.write("s.yaml", "image: r.io/a:1\nmanifests: [{image: r.io/a:2}]\n");
    sandbox.run(&["lint", "--type", "", "s.yaml"]).success();
}

#[test]
fn arguments_are_ignored_after_the_flags_and_rejected_before_a_flag() {
    let sandbox = recorded_sandbox();
    let flags = ["--template", "HOST/app:ARCH", "--target", "HOST/app:v1"];
    let platforms = ["from-args", "--platforms", "linux/amd64"];
    let warning = "2 extra arguments are ignored: from-args takes only flags";
    let outcome = push(&sandbox, &[&platforms[..], &flags, &["more", "words"]].concat());
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Digest: {AMD64}\n")), "{}", outcome.stderr);
    assert_eq!(outcome.stderr, format!("warning: {warning}\n"));
    let json = push(&sandbox, &[&["--output", "json"], &platforms[..], &flags, &["more", "words"]].concat());
    assert!(json.stdout.contains(warning), "{json:?}");
    let strict = push(&sandbox, &[&["--strict"], &platforms[..], &flags, &["more", "words"]].concat());
    assert_eq!((strict.exit, strict.stderr), (1, format!("error: {warning}\n")));
    let strict_flags = ["--strict=F", "--strict", "--strict=false"];
    let lenient = push(&sandbox, &[&strict_flags, &platforms[..], &flags, &["word"]].concat()).success();
    assert!(lenient.stderr.contains("1 extra argument is ignored"), "{lenient:?}");
    // A space instead of a comma, or between a switch and its value: 2.2.1 ignores all flags after it, and fails.
    let before = sandbox.registry.requests(0).len();
    for args in [
        [&platforms[..], &["linux/arm64"], &flags].concat(),
        [&platforms[..], &["--ignore-missing", "true"], &flags].concat(),
        [&["--plain-http"], &platforms[..], &flags, &["x", "--tags", "a"]].concat(),
    ] {
        push(&sandbox, &args).fails(2, "unexpected argument before a flag of from-args");
    }
    assert_eq!(sandbox.registry.requests(0).len(), before);
    // A word processor replaced the dashes of this flag, so it is not ignored as an argument.
    push(&sandbox, &[&platforms[..], &flags, &["\u{2013}debug"]].concat()).fails(2, "unexpected argument");
}

#[test]
fn flags_and_files_from_empty_pipeline_variables_are_ignored() {
    let sandbox = recorded_sandbox();
    sandbox.write(
        "s.yaml",
        indoc! {"
            image: HOST/app:v1
            manifests: [{image: HOST/app:amd64}]
        "},
    );
    std::fs::create_dir(sandbox.path("folder.yaml")).unwrap();
    for (args, warning) in [
        (&["--username", "", "--password", "", "push", "from-spec", "s.yaml"][..], ""),
        (&["push", "from-spec", "s.yaml", ""], ""),
        (&["push", "from-spec", " ", "s.yaml"], ""),
        // The folder contains `folder.yaml`, which is not a file.
        (&["push", "from-spec", "."], ""),
        (&["--username", "u", "--password=", "push", "from-spec", "s.yaml"], "warning: --password is empty"),
        (&["--username=", "--password", "p", "push", "from-spec", "s.yaml"], "warning: --username is empty"),
    ] {
        let outcome = sandbox.run(args);
        assert_eq!((outcome.exit, &*outcome.stdout), (0, &*format!("Digest: {AMD64}\n")), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(warning), "{args:?}: {outcome:?}");
        assert!(!warning.is_empty() || outcome.stderr.is_empty(), "{args:?}: {outcome:?}");
    }
    sandbox.run(&["push", "from-spec", ""]).fails(1, "no spec given");
}

#[test]
fn a_missing_placeholder_is_a_warning_and_with_strict_an_error_before_any_request() {
    let sandbox = recorded_sandbox();
    for (platforms, template, digest, warning) in [
        (
            "linux/amd64,linux/arm64",
            "HOST/app:amd64",
            "sha256:dcda956af4cdaa17f1cd4acb22843ead5464c803513f802485810a6b5a1758dd 683",
            "the template gives HOST/app:amd64 for linux/amd64 and for linux/arm64: it has no ARCH\n",
        ),
        (
            "linux/arm/v6,linux/arm/v7",
            "HOST/app:ARCH",
            "sha256:9c044ebf0c8737c962677ffd2cc72d37a2383aa020db9798e805836591e09997 729",
            "the template gives HOST/app:arm for linux/arm/v6 and for linux/arm/v7: it has no VARIANT\n",
        ),
    ] {
        let args = ["--platforms", platforms, "--template", template, "--target", "HOST/app:v1"];
        let mark = sandbox.registry.requests(0).len();
        let strict = push(&sandbox, &[&["--strict", "from-args"], &args[..]].concat());
        assert_eq!((strict.exit, stderr_without_address(&sandbox, &strict)), (2, format!("error: {warning}")));
        assert_eq!(sandbox.registry.requests(mark).len(), 0);
        let outcome = push(&sandbox, &[&["from-args"], &args[..]].concat());
        assert_eq!(outcome.stdout, format!("Digest: {digest}\n"), "{outcome:?}");
        let stderr = stderr_without_address(&sandbox, &outcome);
        assert!(stderr.starts_with(&format!("warning: {warning}")), "{stderr}");
    }
    // No warning if the placeholders distinguish the platforms, or if a template without placeholders has one platform.
    for (platforms, template) in [("linux/amd64,linux/arm64", "HOST/app:ARCH"), ("linux/amd64", "HOST/app:amd64")] {
        let args =
            ["--strict", "from-args", "--platforms", platforms, "--template", template, "--target", "HOST/app:v1"];
        let outcome = push(&sandbox, &args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    }
}

#[test]
fn a_missing_image_has_a_hint_about_a_lowercase_placeholder() {
    let sandbox = recorded_sandbox();
    sandbox.write(
        "s.yaml",
        indoc! {"
            image: HOST/app:v1
            platforms: [linux/amd64]
            template: HOST/app:os-Arch
        "},
    );
    let args = ["from-args", "--platforms", "linux/amd64", "--template", "HOST/app:os-Arch", "--target", "HOST/app:v1"];
    for args in [&args[..], &["from-spec", "s.yaml"]] {
        let outcome = push(&sandbox, args);
        let hint = "hint: \"os\" in the template is text; the placeholder is OS; \"Arch\" in the template is text; the \
                    placeholder is ARCH\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(hint), "{outcome:?}");
    }
    let args = ["from-args", "--platforms", "linux/amd64", "--template", "HOST/app:arches", "--target", "HOST/app:v1"];
    let outcome = push(&sandbox, &args);
    assert!(outcome.exit == 1 && !outcome.stderr.contains("hint: "), "{outcome:?}");
}

#[test]
fn an_untagged_target_is_pushed_by_digest_before_its_tags() {
    let sandbox = recorded_sandbox();
    let digest = AMD64_AND_ARM64.split(' ').next().unwrap();
    let args = ["from-args", "--platforms", "linux/amd64,linux/arm64", "--template", "HOST/app:ARCH"];
    let push_to = |more: &[&str]| {
        let mark = sandbox.registry.requests(0).len();
        let outcome = push(&sandbox, &[&args[..], more].concat());
        let requests = sandbox.registry.requests(mark).into_iter();
        (outcome, requests.filter(|line| line.starts_with("PUT ")).collect::<Vec<_>>())
    };
    let (outcome, written) = push_to(&["--target", "HOST/app", "--tags", "t1,t2"]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Digest: {AMD64_AND_ARM64}\n")), "{}", outcome.stderr);
    let put = |name: &str| format!("PUT /v2/app/manifests/{name}");
    assert_eq!(written, [put(digest), put("t1"), put("t2")]);
    let (_, written) = push_to(&["--target", "HOST/app", "--tags", "t1,t2"]);
    assert_eq!(written, [""; 0], "the tags already point at the index");
    for tags in [&[][..], &["--tags", ".bad"]] {
        let (outcome, _) = push_to(&[&["--target", "HOST/app"], tags].concat());
        assert_eq!(outcome.exit, 2, "{outcome:?}");
    }
    let (outcome, _) = push_to(&["--target", "HOST/app"]);
    assert!(outcome.stderr.contains("has no tag"), "{outcome:?}");
    let (outcome, _) = push_to(&["--target", "HOST/app", "--tags", ".bad"]);
    assert_eq!(outcome.stderr.lines().count(), 1, "only the tag is reported: {outcome:?}");
}

#[test]
fn a_command_without_a_subcommand_prints_its_help() {
    let workspace = Workspace::new();
    for (args, usage) in [
        (&[][..], "Usage: manifest-tool [OPTIONS] [COMMAND]"),
        (&["--plain-http"], "Usage: manifest-tool [OPTIONS] [COMMAND]"),
        (&["push"], "Usage: manifest-tool push [OPTIONS] [COMMAND]"),
        (&["--plain-http", "push", "--type", "oci"], "Usage: manifest-tool push [OPTIONS] [COMMAND]"),
    ] {
        let outcome = workspace.run(args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{args:?}: {outcome:?}");
        assert!(outcome.stdout.contains(usage), "{args:?}: {outcome:?}");
    }
    // Credentials without a command are an error: the command was probably forgotten.
    for args in [&["--username", "u", "--password", "p"][..], &["push", "-p", "p"]] {
        let outcome = workspace.run(args);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    }
    workspace.run(&["push", "from-nothing"]).fails(2, "from-nothing");
}

/// A registry with the image `HOST/app:v1`, and a workspace whose runs detect by themselves that it has no TLS.
fn registry_with_image() -> (Registry, Workspace) {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let workspace = Workspace::new().placeholder("HOST", &registry.host);
    (registry, workspace)
}

#[test]
fn the_last_value_of_a_repeated_flag_counts_in_every_command() {
    let (_registry, workspace) = registry_with_image();
    for args in [
        &["--output", "text", "--output", "json", "digest"][..],
        &["--timeout", "1s", "--timeout=30s", "--plain-http", "--output", "json", "--plain-http", "query"],
        &["--debug=1", "--debug=0", "--output=json", "inspect", "--quiet", "--quiet"],
        &["query", "--platform", "linux/arm64", "--platform", "linux/amd64", "--output", "json"],
    ] {
        let outcome = workspace.run(&[args, &["HOST/app:v1"]].concat());
        assert!(outcome.exit == 0 && outcome.stdout.starts_with('{'), "{args:?}: {outcome:?}");
    }
}

#[test]
fn an_invalid_reference_is_rejected_with_the_reason() {
    let workspace = Workspace::new();
    for (image, reason) in [
        ("MyOrg/app:v1", "repository names are lowercase"),
        ("r.example/MyOrg/app:v1", "repository names are lowercase"),
        ("dir:", "it has no path"),
        ("docker-archive:x.tar:App", "\"App\" is not a reference"),
        ("docker-daemon:App:v1", "\"App:v1\" is not a reference"),
        ("file:x", "the transport file: is not supported"),
        ("containers-storage:app", "the transport containers-storage: is not supported"),
    ] {
        for args in [
            &["inspect", image][..],
            &["copy", image, "r.example/app:v1"],
            &["copy", "r.example/app:v1", image],
            &["push", "from-args", "--platforms", "linux/amd64", "--template", image, "--target", "r.example/a:1"],
            &["push", "from-args", "--platforms", "linux/amd64", "--template", "r.example/a:1", "--target", image],
        ] {
            let outcome = workspace.run(args);
            assert!(outcome.exit != 0 && outcome.stderr.contains(reason), "{args:?}: {outcome:?}");
        }
    }
}

#[test]
fn an_unknown_platform_is_rejected_with_the_platform_that_was_meant() {
    let workspace = Workspace::new();
    for (platform, meant) in [
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armv7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
    ] {
        let args = [
            "push",
            "from-args",
            "--platforms",
            platform,
            "--template",
            "r.example/a:ARCH",
            "--target",
            "r.example/a:1",
        ];
        let outcome = workspace.run(&args);
        let expected = format!("error: unsupported platform {platform}; did you mean {meant}?\n");
        assert_eq!((outcome.exit, outcome.stderr), (2, expected));
    }
}

#[test]
fn a_docker_cfg_folder_without_config_json_gives_a_note_and_no_credentials() {
    let (_registry, workspace) = registry_with_image();
    std::fs::create_dir(workspace.path("empty")).unwrap();
    let outcome = workspace.run(&["--docker-cfg", "empty", "digest", "HOST/app:v1"]);
    let note = "note: empty has no config.json; no stored credentials are used\n";
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, note), "{outcome:?}");
    let quiet = workspace.run(&["--quiet", "--docker-cfg", "empty", "digest", "HOST/app:v1"]);
    assert_eq!((quiet.exit, quiet.stderr.as_str()), (0, ""), "{quiet:?}");
    for path in ["typo", "typo/config.json"] {
        workspace
            .run(&["--docker-cfg", path, "digest", "HOST/app:v1"])
            .fails(1, &format!("cannot read {path}, which --docker-cfg names: "));
    }
    // With --docker-cfg, neither the default file nor DOCKER_AUTH_CONFIG is read.
    workspace.write(".docker/config.json", "{broken");
    let mut command = workspace.command(&["--docker-cfg", "empty", "digest", "HOST/app:v1"]);
    command.env("DOCKER_AUTH_CONFIG", "{broken");
    run(command, "").success();
}
