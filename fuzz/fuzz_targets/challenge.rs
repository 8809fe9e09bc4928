//! Parses `WWW-Authenticate`, one header value per line. Parsed values must come from the input, and quoting them must
//! give the same values again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::registry::fuzzing::challenge;

fuzz_target!(|text: &str| {
    let values: Vec<&str> = text.split('\n').collect();
    let Some(found) = challenge(&values) else { return };
    let [realm, service, scope] = &found;
    if realm.is_empty() {
        assert!(text.to_ascii_lowercase().contains("basic"));
        return assert!(service.is_empty() && scope.is_empty());
    }
    let longest = values.iter().map(|value| value.len()).filter(|length| *length <= 16 * 1024).max();
    assert!(longest.is_some_and(|longest| realm.len() + service.len() + scope.len() < longest));

    let quoted = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
    let [realm, service, scope] = [realm, service, scope].map(|value| quoted(value));
    let again = format!(r#"Basic realm="x", Bearer realm="{realm}",service="{service}",scope="{scope}""#);
    // Escapes may make the value longer than the parser's limit.
    if again.len() <= 16 * 1024 {
        assert_eq!(challenge(&[&again]), Some(found));
    }
});
