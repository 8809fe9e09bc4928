//! References: one that parses is printed and parsed again as the same, and fits into a URL as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{Digest, Reference, check_tag};
use url::Url;

fuzz_target!(|text: &str| {
    let reference: Reference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return assert!(format!("{error}").len() < 10_000, "a message of moderate length"),
    };
    same(&reference);
    same(&reference.with_digest(Digest::sha256(text.as_bytes())));
    same(&reference.with_tag("v1"));
    same(&reference.without_name());
    assert!(reference.tag().is_none_or(|tag| check_tag(tag).is_ok()));
    assert!(reference.digest().is_none_or(|digest| Digest::parse(digest.as_str()).as_ref() == Ok(digest)));

    let (repository, name) = (reference.repository(), reference.manifest_name().unwrap_or("x"));
    let path = format!("/v2/{repository}/manifests/{name}");
    // Some hosts, such as 1.2.3.4.5, are none for a URL; the client says so.
    if let Ok(url) = Url::parse(&format!("https://{}{path}", reference.registry())) {
        assert_eq!(url.path(), path);
        assert_eq!((url.username(), url.password(), url.query(), url.fragment()), ("", None, None, None));
    }
});

fn same(reference: &Reference) {
    assert_eq!(reference.to_string().parse().as_ref(), Ok(reference));
}
