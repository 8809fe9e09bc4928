//! Command lines that manifest-tool 2.2.1 accepts. Each digest is the one that it printed for the same images.

use crate::drop_in::registry;
use crate::support::images::push_image;
use crate::support::{Outcome, Registry, command, manifest_tool, run};

const TWO: &str = "sha256:0c281cf5f2e9c872d5f5dca7789a006088d3473e3e067ad267c7d19e30914db3 708";
const AMD64: &str = "sha256:5112b47699da3875ab7cccc8bc9b8d6470298f6742b51cdaac5e81556d0b4bd0 402";
const AMD64_OCI: &str = "sha256:d0f498d16c856df7f5e963f0f167a70ca892988143e05378644905e8f1fa13c0 384";

fn push(registry: &Registry, args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("HOST", &registry.host)).collect();
    let args: Vec<&str> = ["--plain-http", "push"].into_iter().chain(args.iter().map(String::as_str)).collect();
    manifest_tool(folder.path(), &args)
}

#[test]
fn every_command_line_gives_the_bytes_of_2_2_1() {
    let registry = registry();
    let target = ["--target", "HOST/app:v1"];
    let arch = ["--template", "HOST/app:ARCH"];
    let amd64 = ["from-args", "--platforms", "linux/amd64"];
    for (args, digest, warning) in [
        (&["from-args", "--platforms", "linux/amd64, linux/arm64"][..], TWO, ""),
        (
            &["from-args", "--platforms", "linux/arm64/"],
            "sha256:de39dbfd6862443e466d9c24bebe4895da3d8ae047c9c8d689e638f404942467 427",
            "",
        ),
        (&[&amd64[..], &["--tags", "a, b"]].concat(), AMD64, ""),
        (&[&amd64[..], &["--tags", "a,b,a"]].concat(), AMD64, "tag \"a\" is named twice"),
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
            "--target is given 2 times; only the last one counts: HOST/app:v1",
        ),
        (&[&["--type="], &amd64[..]].concat(), AMD64, ""),
        (&[&["--type", ""], &amd64[..]].concat(), AMD64, ""),
    ] {
        let outcome = push(&registry, &[args, &arch, &target].concat());
        assert_eq!((outcome.exit, outcome.stdout), (0, format!("Digest: {digest}\n")), "{args:?}: {}", outcome.stderr);
        let told = outcome.stderr.replace(&registry.host, "HOST");
        assert_eq!(told.lines().count(), usize::from(!warning.is_empty()), "{args:?}: {told}");
        assert!(told.contains(warning), "{args:?}: {told}");
    }
    assert!(registry.manifest("app", "another").is_none());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), "image: r.io/a:1\nmanifests: [{image: r.io/a:2}]\n").unwrap();
    let linted = manifest_tool(folder.path(), &["lint", "--type", "", "s.yaml"]);
    assert_eq!(linted.exit, 0, "as push takes it: {linted:?}");
}

#[test]
fn arguments_after_the_flags_are_ignored_and_before_a_flag_refused() {
    let registry = registry();
    let flags = ["--template", "HOST/app:ARCH", "--target", "HOST/app:v1"];
    let platforms = ["from-args", "--platforms", "linux/amd64"];
    let warning = "2 more arguments are ignored: from-args takes only flags";
    let outcome = push(&registry, &[&platforms[..], &flags, &["more", "words"]].concat());
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Digest: {AMD64}\n")), "{}", outcome.stderr);
    assert_eq!(outcome.stderr, format!("warning: {warning}\n"));
    let json = push(&registry, &[&["--output", "json"], &platforms[..], &flags, &["more", "words"]].concat());
    assert!(json.stdout.contains(warning), "{json:?}");
    let strict = push(&registry, &[&["--strict"], &platforms[..], &flags, &["more", "words"]].concat());
    assert_eq!((strict.exit, strict.stderr), (1, format!("error: {warning}\n")));
    let last =
        push(&registry, &[&["--strict=F", "--strict", "--strict=false"], &platforms[..], &flags, &["word"]].concat());
    assert!(last.exit == 0 && last.stderr.contains("one more argument is ignored"), "{last:?}");
    // A blank for a comma, and a switch with its value apart: 2.2.1 reads no flag after these, and fails.
    let before = registry.requests(0).len();
    for args in [
        [&platforms[..], &["linux/arm64"], &flags].concat(),
        [&platforms[..], &["--ignore-missing", "true"], &flags].concat(),
        [&["--plain-http"], &platforms[..], &flags, &["x", "--tags", "a"]].concat(),
    ] {
        let outcome = push(&registry, &args);
        assert!(
            outcome.exit == 2 && outcome.stderr.contains("unexpected argument before a flag of from-args"),
            "{outcome:?}"
        );
    }
    assert_eq!(registry.requests(0).len(), before);
    // A flag whose dashes a word processor replaced is no such argument.
    let dashed = push(&registry, &[&platforms[..], &flags, &["\u{2013}debug"]].concat());
    assert!(dashed.exit == 2 && dashed.stderr.contains("unexpected argument"), "{dashed:?}");
}

#[test]
fn empty_variables_of_a_pipeline_count_as_not_given() {
    let registry = registry();
    let folder = tempfile::tempdir().unwrap();
    let host = registry.host.as_str();
    let spec = format!("image: {host}/app:v1\nmanifests: [{{image: \"{host}/app:amd64\"}}]\n");
    std::fs::write(folder.path().join("s.yaml"), spec).unwrap();
    std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    for (args, warning) in [
        (&["--username", "", "--password", "", "push", "from-spec", "s.yaml"][..], ""),
        (&["push", "from-spec", "s.yaml", ""], ""),
        (&["push", "from-spec", " ", "s.yaml"], ""),
        // A folder whose name looks like that of a spec.
        (&["push", "from-spec", "."], ""),
        (&["--username", "u", "--password=", "push", "from-spec", "s.yaml"], "warning: --password is empty"),
        (&["--username=", "--password", "p", "push", "from-spec", "s.yaml"], "warning: --username is empty"),
    ] {
        let outcome = manifest_tool(folder.path(), &[&["--plain-http"], args].concat());
        assert_eq!((outcome.exit, &*outcome.stdout), (0, &*format!("Digest: {AMD64}\n")), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(warning), "{args:?}: {outcome:?}");
        assert!(!warning.is_empty() || outcome.stderr.is_empty(), "{args:?}: {outcome:?}");
    }
    let outcome = manifest_tool(folder.path(), &["push", "from-spec", ""]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("no spec is named"), "{outcome:?}");
}

#[test]
fn a_missing_placeholder_is_a_warning_and_an_error_before_any_request_with_strict() {
    let registry = registry();
    for (platforms, template, digest, warning) in [
        (
            "linux/amd64,linux/arm64",
            "HOST/app:amd64",
            "sha256:dcda956af4cdaa17f1cd4acb22843ead5464c803513f802485810a6b5a1758dd 683",
            "the template makes HOST/app:amd64 of linux/amd64 and of linux/arm64: it has no ARCH\n",
        ),
        (
            "linux/arm/v6,linux/arm/v7",
            "HOST/app:ARCH",
            "sha256:9c044ebf0c8737c962677ffd2cc72d37a2383aa020db9798e805836591e09997 729",
            "the template makes HOST/app:arm of linux/arm/v6 and of linux/arm/v7: it has no VARIANT\n",
        ),
    ] {
        let args = ["--platforms", platforms, "--template", template, "--target", "HOST/app:v1"];
        let mark = registry.requests(0).len();
        let strict = push(&registry, &[&["--strict", "from-args"], &args[..]].concat());
        let told = strict.stderr.replace(&registry.host, "HOST");
        assert_eq!((strict.exit, told), (1, format!("error: {warning}")));
        assert_eq!(registry.requests(mark).len(), 0);
        let outcome = push(&registry, &[&["from-args"], &args[..]].concat());
        assert_eq!(outcome.stdout, format!("Digest: {digest}\n"), "{outcome:?}");
        let told = outcome.stderr.replace(&registry.host, "HOST");
        assert!(told.starts_with(&format!("warning: {warning}")), "{told}");
    }
    // A template with all that tells the platforms apart, and one platform for a template without, are as they should be.
    for (platforms, template) in [("linux/amd64,linux/arm64", "HOST/app:ARCH"), ("linux/amd64", "HOST/app:amd64")] {
        let args =
            ["--strict", "from-args", "--platforms", platforms, "--template", template, "--target", "HOST/app:v1"];
        let outcome = push(&registry, &args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    }
}

#[test]
fn a_placeholder_in_lower_case_is_named_where_an_image_is_not_found() {
    let registry = registry();
    let spec = "image: HOST/app:v1\nplatforms: [linux/amd64]\ntemplate: HOST/app:os-Arch\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), spec.replace("HOST", &registry.host)).unwrap();
    let args = ["from-args", "--platforms", "linux/amd64", "--template", "HOST/app:os-Arch", "--target", "HOST/app:v1"];
    for outcome in
        [push(&registry, &args), manifest_tool(folder.path(), &["--plain-http", "push", "from-spec", "s.yaml"])]
    {
        let hint = "hint: \"os\" in the template is text; the placeholder is OS; \"Arch\" in the template is text; the \
                    placeholder is ARCH\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(hint), "{outcome:?}");
    }
    let args = ["from-args", "--platforms", "linux/amd64", "--template", "HOST/app:arches", "--target", "HOST/app:v1"];
    let outcome = push(&registry, &args);
    assert!(outcome.exit == 1 && !outcome.stderr.contains("hint: "), "{outcome:?}");
}

#[test]
fn an_untagged_target_is_pushed_by_digest_before_its_tags() {
    let registry = registry();
    let digest = TWO.split(' ').next().unwrap();
    let args = ["from-args", "--platforms", "linux/amd64,linux/arm64", "--template", "HOST/app:ARCH"];
    let push_to = |more: &[&str]| {
        let mark = registry.requests(0).len();
        let outcome = push(&registry, &[&args[..], more].concat());
        let requests = registry.requests(mark).into_iter();
        (outcome, requests.filter(|line| line.starts_with("PUT ")).collect::<Vec<_>>())
    };
    let (outcome, written) = push_to(&["--target", "HOST/app", "--tags", "t1,t2"]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Digest: {TWO}\n")), "{}", outcome.stderr);
    let put = |name: &str| format!("PUT /v2/app/manifests/{name}");
    assert_eq!(written, [put(digest), put("t1"), put("t2")]);
    let (_, written) = push_to(&["--target", "HOST/app", "--tags", "t1,t2"]);
    assert_eq!(written, [""; 0], "the tags point at the index already");
    for tags in [&[][..], &["--tags", ".bad"]] {
        let (outcome, _) = push_to(&[&["--target", "HOST/app"], tags].concat());
        assert_eq!(outcome.exit, 1, "{outcome:?}");
    }
    let (outcome, _) = push_to(&["--target", "HOST/app"]);
    assert!(outcome.stderr.contains("has no tag"), "{outcome:?}");
    let (outcome, _) = push_to(&["--target", "HOST/app", "--tags", ".bad"]);
    assert_eq!(outcome.stderr.lines().count(), 1, "only the tag is wrong: {outcome:?}");
}

#[test]
fn a_command_without_a_subcommand_prints_its_help() {
    let folder = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&[][..], "Usage: manifest-tool [OPTIONS] [COMMAND]"),
        (&["--plain-http"], "Usage: manifest-tool [OPTIONS] [COMMAND]"),
        (&["push"], "Usage: manifest-tool push [OPTIONS] [COMMAND]"),
        (&["--plain-http", "push", "--type", "oci"], "Usage: manifest-tool push [OPTIONS] [COMMAND]"),
    ] {
        let outcome = manifest_tool(folder.path(), args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{args:?}: {outcome:?}");
        assert!(outcome.stdout.contains(part), "{args:?}: {outcome:?}");
    }
    // A user name or password without a command was meant for one.
    for args in [&["--username", "u", "--password", "p"][..], &["push", "-p", "p"]] {
        let outcome = manifest_tool(folder.path(), args);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    }
    let outcome = manifest_tool(folder.path(), &["push", "from-nothing"]);
    assert!(outcome.exit == 2 && outcome.stderr.contains("from-nothing"), "{outcome:?}");
}

#[test]
fn the_last_of_repeated_flags_counts_in_every_command() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let folder = tempfile::tempdir().unwrap();
    let image = format!("{}/app:v1", registry.host);
    for args in [
        &["--output", "text", "--output", "json", "digest"][..],
        &["--timeout", "1s", "--timeout=30s", "--plain-http", "--output", "json", "--plain-http", "query"],
        &["--debug=1", "--debug=0", "--output=json", "inspect", "--quiet", "--quiet"],
        &["query", "--platform", "linux/arm64", "--platform", "linux/amd64", "--output", "json"],
    ] {
        let outcome = manifest_tool(folder.path(), &[args, &[image.as_str()]].concat());
        assert!(outcome.exit == 0 && outcome.stdout.starts_with('{'), "{args:?}: {outcome:?}");
    }
}

#[test]
fn what_is_no_reference_is_named_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (image, part) in [
        ("MyOrg/app:v1", "repository names are lowercase"),
        ("r.example/MyOrg/app:v1", "repository names are lowercase"),
        ("dir:x", "the transport dir: is not supported"),
        ("docker-archive:x.tar", "the transport docker-archive: is not supported"),
        ("docker-daemon:app:v1", "the transport docker-daemon: is not supported"),
        ("containers-storage:app", "the transport containers-storage: is not supported"),
    ] {
        for args in [
            &["inspect", image][..],
            &["copy", image, "r.example/app:v1"],
            &["copy", "r.example/app:v1", image],
            &["push", "from-args", "--platforms", "linux/amd64", "--template", image, "--target", "r.example/a:1"],
            &["push", "from-args", "--platforms", "linux/amd64", "--template", "r.example/a:1", "--target", image],
        ] {
            let outcome = manifest_tool(folder.path(), args);
            assert!(outcome.exit != 0 && outcome.stderr.contains(part), "{args:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_platform_that_is_not_known_is_refused_with_the_one_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (given, meant) in [
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armv7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
    ] {
        let args =
            ["push", "from-args", "--platforms", given, "--template", "r.example/a:ARCH", "--target", "r.example/a:1"];
        let outcome = manifest_tool(folder.path(), &args);
        let expected = format!("error: unsupported platform {given}; did you mean {meant}?\n");
        assert_eq!((outcome.exit, outcome.stderr), (1, expected));
    }
}

#[test]
fn a_folder_without_a_configuration_is_anonymous_with_a_note() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let image = format!("{}/app:v1", registry.host);
    let outcome = manifest_tool(folder.path(), &["--docker-cfg", "empty", "digest", &image]);
    let note = "note: empty has no config.json; no stored credentials are used\n";
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, note), "{outcome:?}");
    let quiet = manifest_tool(folder.path(), &["--quiet", "--docker-cfg", "empty", "digest", &image]);
    assert_eq!((quiet.exit, quiet.stderr.as_str()), (0, ""), "{quiet:?}");
    for path in ["typo", "typo/config.json"] {
        let outcome = manifest_tool(folder.path(), &["--docker-cfg", path, "digest", &image]);
        let part = format!("cannot read {path}, which --docker-cfg names: ");
        assert!(outcome.exit == 1 && outcome.stderr.contains(&part), "{outcome:?}");
    }
    // Not from another file either: this one was named.
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    std::fs::write(folder.path().join(".docker/config.json"), "{broken").unwrap();
    let mut named = command(folder.path(), &["--docker-cfg", "empty", "digest", &image]);
    named.env("DOCKER_AUTH_CONFIG", "{broken");
    assert_eq!(run(named, "").exit, 0);
}
