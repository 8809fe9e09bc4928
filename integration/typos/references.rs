//! Mistaken references.

use super::Typos;

#[test]
fn a_mistaken_reference_gets_the_right_one() {
    let mut typos = Typos::new();
    let digest = typos.sandbox.registry.manifest("app", "v1").unwrap().digest;
    let hex = digest.strip_prefix("sha256:").unwrap();
    let mistakes = [
        "http://HOST/app:v1".to_owned(),
        "https://HOST/app:v1".into(),
        "HTTPS://HOST/app:v1/".into(),
        "https:/HOST/app:v1".into(),
        "Docker://HOST/app:v1".into(),
        "oci://HOST/app:v1".into(),
        "docker-image://HOST/app:v1".into(),
        "https://me:word@HOST/app:v1".into(),
        "https://HOST/v2/app/manifests/v1".into(),
        "HOST/App:v1".into(),
        "HOST/APP:v1".into(),
        "HOST/app:v1:".into(),
        "HOST/app:v1/".into(),
        "HOST/app:v1,".into(),
        "HOST/app:v1;".into(),
        "HOST/app:v1@".into(),
        "HOST/app@v1".into(),
        "HOST/app::v1".into(),
        "HOST/app;v1".into(),
        "HOST/app#v1".into(),
        "HOST/app: v1".into(),
        "HOST /app:v1".into(),
        "HOST//app:v1".into(),
        "HOST\\app:v1".into(),
        "HOST:app:v1".into(),
        "HOST/app:-v1".into(),
        " HOST/app:v1".into(),
        "HOST/app:v1 ".into(),
        "HOST/app:v1\n".into(),
        "\"HOST/app:v1\"".into(),
        "'HOST/app:v1'".into(),
        "`HOST/app:v1`".into(),
        "\u{201c}HOST/app:v1\u{201d}".into(),
        "HOST/app:v1\u{200b}".into(),
        "HOST/app\u{ff1a}v1".into(),
        format!("HOST/app@{hex}"),
        format!("HOST/app@sha256-{hex}"),
        format!("HOST/app@sha256={hex}"),
        format!("HOST/app@SHA256:{hex}"),
        format!("HOST/app@sha256:{}", hex.to_uppercase()),
        format!("HOST/app:sha256:{hex}"),
        format!("HOST/app:@sha256:{hex}"),
        format!("HOST/app/@sha256:{hex}"),
        format!("http://HOST/App@sha256:{}", hex.to_uppercase()),
    ];
    for typo in &mistakes {
        for args in [
            &["inspect", typo][..],
            &["query", typo],
            &["digest", typo],
            &["copy", "--dry-run", typo, "HOST/app:v3"],
            &["push", "--dry-run", "from-images", "-t", "HOST/app:v3", typo],
        ] {
            // from-images takes lines of a list, whose ends may have blanks.
            if !args.contains(&"from-images") || typo.trim() == typo {
                typos.check(args, typo);
            }
        }
    }
    typos.finish(mistakes.len() * 5 - 3);
}

#[test]
fn a_mistaken_reference_gets_the_right_one_in_every_command() {
    let mut typos = Typos::new();
    let typo = "https://HOST/App:v1";
    for args in [
        &["verify", typo][..],
        &["remove", "--dry-run", "--platform", "linux/amd64", typo],
        &["copy", "--dry-run", "HOST/app:v1", typo],
        &["push", "--dry-run", "from-images", "-t", typo, "HOST/app:amd64"],
        &["push", "--dry-run", "from-images", "-t", "HOST/app:v3", "--tags", typo, "HOST/app:amd64"],
    ] {
        typos.check(args, typo);
    }
    typos.check(&["tags", "HOST/app:v1"], "HOST/app:v1");
    typos.check(&["tags", "https://HOST/App"], "https://HOST/App");
    for (typo, image) in [("ociarchive:out.tar", "oci-archive"), ("OCI-archive:./out.tar", "oci-archive")] {
        typos.check(&["copy", "HOST/app:v1", typo], typo);
        assert!(typos.sandbox.path("out.tar").exists(), "{image}");
        std::fs::remove_file(typos.sandbox.path("out.tar")).unwrap();
    }
    typos.finish(9);
}

#[test]
fn a_reference_that_is_too_unclear_gets_a_reason_and_no_suggestion() {
    let sandbox = Typos::new().sandbox;
    for (reference, reason) in [
        ("r.example/app:", "the tag is empty"),
        ("r.example/app@sha256:abc", "but it has 3"),
        ("r.example:5000:v1", "\"r.example:5000\" has no repository"),
        ("r.example/app:v1,v2", "a tag may have only"),
        ("r.example/app:$TAG", "a tag may have only"),
        ("r.example/app:<tag>", "a tag may have only"),
        ("r.example:port/app:v1", "\"port\" is not a port"),
        ("./app", "an image is HOST/REPOSITORY:TAG, oci:FOLDER, oci-archive:FILE"),
        ("containers-storage:app", "the transport containers-storage: is not supported"),
    ] {
        sandbox.run(&["inspect", reference]).fails(2, reason).stderr_lacks("did you mean");
    }
}

#[test]
fn text_in_a_suggestion_cannot_control_the_terminal() {
    let sandbox = Typos::new().sandbox;
    for reference in ["OCI:\u{9b}31mout", "ocidir:##vso[task.x]", "oci-layout://a\u{202e}b", "R.io/a:v1\u{1b}[31m"] {
        let outcome = sandbox.run(&["inspect", reference]).exits(2);
        assert!(!outcome.stderr.chars().any(|c| c.is_control() && c != '\n'), "{outcome:?}");
        assert!(!outcome.stderr.contains("##vso[") && !outcome.stderr.contains('\u{202e}'), "{outcome:?}");
    }
}
