//! Exit codes of mistakes: 2 in every command for one on the command line, before any request, and 1 for one in a file.

use super::{SPEC, Typos};

/// References, each with a different mistake.
const BAD_REFERENCES: &[&str] = &[
    "",
    "r.example/App:v1",
    "http://r.example/app:v1",
    "r.example/app:",
    "r.example/app:v1+x",
    "r.example/app@sha256:abc",
    "file:x",
    "oci:",
];

#[test]
fn a_bad_argument_exits_with_2_in_every_command() {
    let sandbox = Typos::new().sandbox;
    let mark = sandbox.registry.requests(0).len();
    for bad in BAD_REFERENCES {
        for args in [
            &["inspect", bad][..],
            &["inspect", "--manifest", bad],
            &["query", bad],
            &["query", "HOST/app:v1", bad],
            &["digest", bad],
            &["tags", bad],
            &["verify", bad],
            &["delete", bad],
            &["copy", bad, "HOST/app:v3"],
            &["copy", "HOST/app:v1", bad],
            &["remove", "--platform", "linux/amd64", bad],
            &["probe", bad, "HOST/app:amd64"],
            &["push", "from-images", "-t", bad, "HOST/app:amd64"],
            &["push", "from-images", "-t", "HOST/app:v3", bad],
        ] {
            sandbox.run(args).exits(2).stdout_is("");
        }
    }
    for bad in ["linux", "linux/", "linux/amd46", "Linux/AMD64", "amd64", "linux/arm/v7/x"] {
        for args in [
            &["inspect", "--platform", bad, "HOST/app:v1"][..],
            &["query", "--platform", bad, "HOST/app:v1"],
            &["digest", "--platform", bad, "HOST/app:v1"],
            &["verify", "--platforms", bad, "HOST/app:v1"],
            &["copy", "--platform", bad, "HOST/app:v1", "HOST/app:v3"],
            &["remove", "--platform", bad, "HOST/app:v1"],
            &["push", "from-images", "-t", "HOST/app:v3", "--platform", bad, "HOST/app:v1"],
        ] {
            sandbox.run(args).exits(2);
        }
    }
    for args in [
        &["query", "HOST/app"][..],
        &["digest", "HOST/app"],
        &["verify", "HOST/app"],
        &["delete", "HOST/app"],
        &["copy", "HOST/app", "HOST/app:v3"],
        &["remove", "--platform", "linux/amd64", "HOST/app"],
        &["probe", "HOST/app", "HOST/app:amd64"],
        &["tags", "HOST/app:v1"],
        &["push", "from-images", "-t", "HOST/app", "HOST/app:amd64"],
        &["push", "from-images", "-t", "HOST/app:v3", "HOST/app"],
        &["push", "from-images", "-t", "HOST/app:v3", "--tags", "a+b", "HOST/app:amd64"],
        &["push", "from-images", "-t", "HOST/app:v3", "--annotations", "x", "HOST/app:amd64"],
        &["push", "from-images", "-t", "HOST/app:v3", "--annotation", "x", "HOST/app:amd64"],
        &["copy", "HOST/app:v1", "HOST/app:v3", "--tags", "a+b"],
        &["remove", "--digest", "abc", "HOST/app:v1"],
        &["remove", "--if-match", "abc", "--platform", "linux/amd64", "HOST/app:v1"],
        &["push", "--if-match", "abc", "from-spec", "app.yaml"],
        &["push", "--type", "x", "from-spec", "app.yaml"],
        &["push", "--settle", "x", "from-spec", "app.yaml"],
        &["lint", "--type", "x", "app.yaml"],
        &["lint", "--timeout", "x", "app.yaml"],
        &["lint", "--plain-http=x/y", "app.yaml"],
        &["lint", "--insecure=x/y", "app.yaml"],
        &["lint", "--output", "x", "app.yaml"],
        &["login", "x/y", "--username", "me", "--password", "word"],
        &["logout", "x/y"],
        &["completion", "x"],
        &["tags", "--limit", "x", "HOST/app"],
    ] {
        sandbox.run(args).exits(2);
    }
    assert_eq!(sandbox.registry.requests(mark), [""; 0]);
    // As in 2.2.1.
    sandbox.run(&["inspect", "HOST/app"]).fails(1, "has no tag or digest");
}

#[test]
fn a_bad_file_exits_with_1() {
    let sandbox = Typos::new().sandbox;
    for (text, more) in [("HOST/app:v2", "HOST/App:v2"), ("manifests:", "manifest:"), ("HOST/app:amd64", "HOST/app")] {
        sandbox.write("bad.yaml", &SPEC.replacen(text, more, 1));
        for args in [&["lint", "bad.yaml"][..], &["push", "from-spec", "bad.yaml"]] {
            sandbox.run(args).exits(1);
        }
    }
}

#[test]
fn a_bad_argument_of_from_args_exits_with_2_and_gets_the_right_one() {
    let mut typos = Typos::new();
    for bad in BAD_REFERENCES {
        for (template, target) in [(*bad, "HOST/app:v3"), ("HOST/app:ARCH", *bad)] {
            let args = ["push", "from-args", "--platforms", "linux/amd64", "--template", template, "--target", target];
            typos.sandbox.run(&args).exits(2).stdout_is("");
        }
    }
    let images = ["--template", "HOST/app:ARCH", "--target", "HOST/app:v3"];
    for (flag, bad) in [
        ("--platforms", "linux/x86_64"),
        ("--tags", "a+b"),
        ("--annotations", "x"),
        ("--annotation", "x"),
        ("--annotation-platform", "linux/amd64:x"),
    ] {
        let platforms: &[&str] = if flag == "--platforms" { &[] } else { &["--platforms", "linux/amd64"] };
        typos.sandbox.run(&[&["push", "from-args", flag, bad], platforms, &images].concat()).exits(2);
    }
    for (typo, flag) in [
        ("linux/x86_64", "--platforms"),
        ("linux-amd64", "--platforms"),
        ("amd64", "--platforms"),
        ("https://HOST/app:v3", "--target"),
        ("HOST/App:ARCH", "--template"),
        ("v1+x", "--tags"),
    ] {
        let value = |name: &str, value| if name == flag { typo } else { value };
        let args = [
            &["push", "--dry-run", "from-args", "--platforms", value("--platforms", "linux/amd64")][..],
            &["--template", value("--template", "HOST/app:ARCH"), "--target", value("--target", "HOST/app:v3")],
            &["--tags", value("--tags", "v4")],
        ];
        typos.check(&args.concat(), typo);
    }
    typos.finish(6);
}
