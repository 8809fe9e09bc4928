//! Parses `Link`, one header value per line. Any input is parsed or refused, and a parsed URL in a header
//! with other links and parameters must parse to the same URL.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::registry::fuzzing::next_page;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let base: Url = "https://r.io/v2/app/tags/list?n=2".parse().expect("a URL");
    let values: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let Ok(Some(next)) = next_page(&base, &values) else { return };
    assert!(next != base && next.fragment().is_none());

    let title = String::from_utf8_lossy(bytes).replace('\\', r"\\").replace('"', "\\\"");
    let header = format!(r#"<?first>; rel=first, <{next}>; title="{title}"; Rel="last Next"; rel=prev"#);
    assert_eq!(next_page(&base, &[header.as_bytes()]), Ok(Some(next)));
});
