//! Misspelled commands and flags, and those of other programs.

use super::Typos;

const PUSH: [&str; 6] =
    ["--platforms", "linux/amd64,linux/arm64", "--template", "HOST/app:ARCH", "--target", "HOST/app:v2"];

#[test]
fn a_misspelled_command_gets_the_right_one() {
    let mut typos = Typos::new();
    for (typo, rest) in [
        ("inpsect", &["HOST/app:v1"][..]),
        ("insepct", &["HOST/app:v1"]),
        ("Inspect", &["HOST/app:v1"]),
        ("quer", &["HOST/app:v1"]),
        ("verfy", &["HOST/app:v1"]),
        ("digset", &["HOST/app:v1"]),
        ("digests", &["HOST/app:v1"]),
        ("tasg", &["HOST/app"]),
        ("coppy", &["--dry-run", "HOST/app:v1", "HOST/app:v3"]),
        ("pushh", &["--dry-run", "from-spec", "app.yaml"]),
        ("psuh", &["--dry-run", "from-spec", "app.yaml"]),
        ("remov", &["--dry-run", "--platform", "linux/amd64", "HOST/app:v1"]),
        ("lnit", &["app.yaml"]),
        ("shcema", &[]),
        ("completions", &["bash"]),
        ("log-out", &["HOST"]),
        ("from-spec", &["--dry-run", "app.yaml"]),
        // Commands of other programs.
        ("create", &["--dry-run", "-t", "HOST/app:v3", "HOST/app:amd64"]),
        ("merge", &["--dry-run", "-t", "HOST/app:v3", "HOST/app:amd64"]),
        ("list", &["HOST/app"]),
        ("list-tags", &["HOST/app"]),
        ("tag", &["--dry-run", "HOST/app:v1", "HOST/app:v3"]),
        ("config", &["--platform", "linux/amd64", "HOST/app:v1"]),
        ("mquery", &["HOST/app:v1"]),
        ("validate", &["HOST/app:v1"]),
        ("signout", &["HOST"]),
    ] {
        typos.check(&[&[typo], rest].concat(), typo);
    }
    for (typo, rest) in [
        ("from-spce", &["app.yaml"][..]),
        ("fromspec", &["app.yaml"]),
        ("from_spec", &["app.yaml"]),
        ("spec", &["app.yaml"]),
        ("app.yaml", &[]),
        ("from-arg", &PUSH),
        ("from_args", &PUSH),
        ("args", &PUSH),
        ("from-image", &["-t", "HOST/app:v3", "HOST/app:amd64"]),
        ("images", &["-t", "HOST/app:v3", "HOST/app:amd64"]),
    ] {
        typos.check(&[&["push", "--dry-run", typo], rest].concat(), typo);
    }
    typos.finish(36);
}

#[test]
fn a_misspelled_flag_gets_the_right_one() {
    let mut typos = Typos::new();
    for typo in ["--platform", "--platfroms", "--plattforms", "--Platforms"] {
        let args = ["push", "--dry-run", "from-args", typo, "linux/amd64"];
        typos.check(&[&args[..], &["--template", "HOST/app:ARCH", "--target", "HOST/app:v2"]].concat(), typo);
    }
    for typo in ["--targets", "--traget"] {
        let args = [
            "push",
            "--dry-run",
            "from-args",
            "--platforms",
            "linux/amd64",
            "--template",
            "HOST/app:ARCH",
            typo,
            "HOST/app:v2",
        ];
        typos.check(&args, typo);
    }
    for typo in ["--temlate", "--templates", "--tmeplate"] {
        let args = [
            "push",
            "--dry-run",
            "from-args",
            "--platforms",
            "linux/amd64",
            typo,
            "HOST/app:ARCH",
            "--target",
            "HOST/app:v2",
        ];
        typos.check(&args, typo);
    }
    for typo in ["--ignore-missng", "--ignoremissing", "--ignore_missing", "--ignore"] {
        typos.check(&[&["push", "--dry-run", "from-args"], &PUSH[..], &[typo]].concat(), typo);
    }
    for (typo, value) in [
        ("--platforms", "=linux/amd64"),
        ("--dryrun", ""),
        ("--dry_run", ""),
        ("--dry", ""),
        ("-n", ""),
        ("--plainhttp", ""),
        ("--plain_http", ""),
        ("--http", ""),
        ("--docker-config", "=."),
        ("--config", "=."),
        ("--authfile", "=."),
        ("--max-retries", "=2"),
        ("--retry", "=2"),
        ("--jobs", "=2"),
        ("--parallel", "=2"),
        ("--concurency", "=2"),
        ("--insecure-registry", ""),
        ("--skip-tls-verify", ""),
        ("--tls-verify", ""),
        ("--json", ""),
        ("--silent", ""),
        ("--quite", ""),
        ("--log-level", ""),
        ("--verbose", ""),
        ("--timout", "=5s"),
        ("--dead-line", "=5m"),
        ("--output-format", "=json"),
        ("--tag", "=v4"),
        ("--no_progress", ""),
        ("--referrer", ""),
        ("-O", "=json"),
        ("-Q", ""),
        ("-v", ""),
        ("-k", ""),
    ] {
        typos.check(&["copy", "--dry-run", "HOST/app:v1", "HOST/app:v3", &format!("{typo}{value}")], typo);
    }
    for (typo, file) in [("--digestfile", "d.txt"), ("--metadata_file", "m.json"), ("--metadata", "m.json")] {
        typos.check(&["copy", "HOST/app:v1", "HOST/app:v3", typo, file], typo);
        assert!(typos.sandbox.path(file).exists());
    }
    typos.check(&["login", "HOST", "--user", "me", "--password-stdin", "--help"], "--user");
    typos.finish(47);
}

#[test]
fn a_value_after_a_flag_that_needs_an_equals_sign_gets_the_right_form() {
    let sandbox = Typos::new().sandbox;
    for (args, tip) in [
        (&["--plain-http", "localhost:5000", "inspect", "HOST/app:v1"][..], "tip: use --plain-http=localhost:5000\n"),
        (&["--insecure", "r.example", "inspect", "HOST/app:v1"], "tip: use --insecure=r.example\n"),
        (&["--debug", "true", "inspect", "HOST/app:v1"], "tip: use --debug=true\n"),
        (&["--dry-run", "push", "from-spec", "app.yaml"], "tip: write --dry-run after push\n"),
        (
            &["query", "--dry-run", "HOST/app:v1"],
            "tip: --dry-run is a flag of push, remove, sign, delete, copy and sync\n",
        ),
        (&["inspect", "\u{2014}raw", "HOST/app:v1"], "did you mean \"--raw\"?"),
    ] {
        sandbox.run(args).fails(2, tip).stderr_lacks("as a value");
    }
}

#[test]
fn a_misplaced_password_is_not_shown_in_a_suggestion() {
    let sandbox = Typos::new().sandbox;
    for args in [
        &["inspect", "--passwrod=hunter2-secret", "HOST/app:v1"][..],
        &["inspect", "--passwrod", "hunter2-secret", "HOST/app:v1"],
        &["inspect", "--pass", "hunter2-secret", "HOST/app:v1"],
        &["inspect", "https://me:hunter2-secret@r.example/app:v1"],
        &["inspect", "me:hunter2-secret@r.example/app:v1"],
        &["copy", "HOST/app:v1", "https://me:hunter2-secret@r.example/app:v1"],
        &["login", "me:hunter2-secret@r.example"],
        &["--plain-http=me:hunter2-secret@r.example", "inspect", "HOST/app:v1"],
        &["push", "from-images", "-t", "https://me:hunter2-secret@r.example/app:v1", "HOST/app:v1"],
    ] {
        sandbox.run(args).exits(2).stderr_lacks("hunter2");
    }
}
