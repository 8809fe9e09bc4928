//! Parses references. A parsed reference must print as text that parses to the same reference, and must fit into a URL
//! unescaped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{Digest, Reference, check_tag};
use url::Url;

fuzz_target!(|text: &str| {
    let reference: Reference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return assert!(format!("{error}").len() < 10_000, "a message of moderate length"),
    };
    check_round_trip(&reference);
    check_round_trip(&reference.with_digest(Digest::sha256(text.as_bytes())));
    check_round_trip(&reference.with_tag("v1"));
    check_round_trip(&reference.without_name());
    assert!(reference.tag().is_none_or(|tag| check_tag(tag).is_ok()));
    assert!(reference.digest().is_none_or(|digest| Digest::parse(digest.as_str()).as_ref() == Ok(digest)));

    let (repository, name) = (reference.repository(), reference.manifest_name().unwrap_or("x"));
    let path = format!("/v2/{repository}/manifests/{name}");
    // Some valid registry names, such as 1.2.3.4.5, are not valid URL hosts; the client reports that.
    if let Ok(url) = Url::parse(&format!("https://{}{path}", reference.registry())) {
        assert_eq!(url.path(), path);
        assert_eq!((url.username(), url.password(), url.query(), url.fragment()), ("", None, None, None));
    }
});

fn check_round_trip(reference: &Reference) {
    assert_eq!(reference.to_string().parse().as_ref(), Ok(reference));
}
