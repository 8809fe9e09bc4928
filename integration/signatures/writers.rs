//! Several signers of one image.

use super::{SignedFixture, key};
use crate::support::images::push_image;
use crate::support::{spawn, wait};

#[test]
fn concurrent_signers_keep_each_others_signatures() {
    let keys = ["p256", "p384", "ed25519", "rsa"];
    for form in ["--sig-tag", "--no-progress"] {
        let fixture = SignedFixture::new();
        let signers = keys.map(|name| {
            let key = key(&format!("{name}.key"));
            spawn(fixture.sandbox.command(&["sign", "--key", &key, form, "HOST/app:v1"]))
        });
        for signer in signers {
            wait(signer).success();
        }
        for name in keys {
            let outcome = fixture.verify(&format!("{name}.pub"), &["--signatures"]);
            assert_eq!(outcome.stdout.matches(": valid, made by key ").count(), 1, "{form} {name}: {outcome:?}");
        }
    }
}

#[test]
fn a_tag_with_other_content_is_not_overwritten() {
    let fixture = SignedFixture::new();
    let tag = format!("{}.sig", fixture.digest(0).replace(':', "-"));
    let image = push_image(&fixture.sandbox.registry, "app", &tag, "amd64");
    fixture.sign("p256.key", &["--sig-tag"]).fails(1, "this tag must hold signatures, but it holds other content");
    assert_eq!(fixture.sandbox.registry.manifest("app", &tag).unwrap().digest, image["digest"]);
}

#[test]
fn a_full_tag_is_not_extended() {
    let fixture = SignedFixture::new();
    fixture.push_sig_tag(fixture.digest(0), &vec![(&b"{}"[..], "bm8="); 100]);
    fixture.sign("p256.key", &["--sig-tag"]).fails(1, "it already has 100 signatures, the most that are read");
}
