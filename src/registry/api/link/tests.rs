use super::*;

const BASE: &str = "https://r.io/v2/app/tags/list?n=2";

fn next_page_of(values: &[&[u8]]) -> Result<Option<String>, String> {
    next_page(&BASE.parse().unwrap(), values.iter().copied()).map(|next| next.map(Url::into))
}

#[test]
fn the_next_page_is_found_by_relation_or_as_the_only_link() {
    let page = "https://r.io/v2/app/tags/list?last=b";
    for (values, expected) in [
        (&[][..], None),
        (&["", " , "], None),
        (&[r#"</v2/app/tags/list?last=b>; rel="next""#], Some(page)),
        (&[r#"<https://r.io/v2/app/tags/list?last=b>; rel="next""#], Some(page)),
        (&["<?last=b>;rel=next"], Some(page)),
        (&["< ?last=b >\t; REL = NEXT ;"], Some(page)),
        (&["<?last=b#x>; rel=next"], Some(page)),
        (&["<?last=b>; rel='next'"], Some(page)),
        (&["<list?last=b>; rel=next"], Some(page)),
        (&[r#"<//r.io/v2/app/tags/list?last=b>; rel="prev NEXT last""#], Some(page)),
        (&[r#"<?last=b&x=1,2>; rel="next""#], Some("https://r.io/v2/app/tags/list?last=b&x=1,2")),
        (&[r#"<?last=b;c>; rel="next""#], Some("https://r.io/v2/app/tags/list?last=b;c")),
        (&[r#"<?last=b>; title="a, b"; rel="next""#], Some(page)),
        (&[r#"<?last=b>; title="a\", <x>; rel=prev"; rel="next""#], Some(page)),
        (&[r#"<?last=b>; title="\\"; rel="next""#], Some(page)),
        (&[r#"<?last=b>; title; ; rel="next""#], Some(page)),
        // Several links, in one header value or in several.
        (&[r#"<?first>; rel="first", <?last=b>; rel="next""#], Some(page)),
        (&[r#"<?first>; rel="first",<?last=b>; rel="next",, <?z>; rel=last"#], Some(page)),
        (&[r#"<?first>; rel="first""#, r#"<?last=b>; rel="next""#], Some(page)),
        (&["<?last=b>; rel=next", "<?last=b>; rel=next"], Some(page)),
        (&["<?x>", "<?last=b>; rel=next"], Some(page)),
        // Missing or empty `rel`.
        (&["<?last=b>"], Some(page)),
        (&["<?last=b&x=1,2>"], Some("https://r.io/v2/app/tags/list?last=b&x=1,2")),
        (&[r#"<?last=b>; title="a, b""#], Some(page)),
        (&[r#"<?last=b>; rel="""#], Some(page)),
        (&["<?last=b>; rel"], Some(page)),
        // Without `<>`.
        (&[r#"/v2/app/tags/list?last=b; rel="next""#], Some(page)),
        (&["/v2/app/tags/list?last=b"], Some(page)),
        (&["?last=b ; rel=next"], Some(page)),
        (&["?last=b&x=1,2; rel=next"], Some("https://r.io/v2/app/tags/list?last=b&x=1,2")),
        (&["?first; rel=first, ?last=b; rel=next"], Some(page)),
        // Other relations and other documents.
        (&[r#"<?last=b>; rel="prev""#], None),
        (&[r#"<?last=b>; rel="nextish""#], None),
        (&[r#"<?last=b>; rel="https://r.io/rel/next""#], None),
        (&[r#"<?last=b>; rev="next"; rel="prev""#], None),
        (&["<?last=b>; rel=prev; rel=next"], None),
        (&[r#"<?last=b>; rel="next"; rel="prev""#], Some(page)),
        (&[r#"<?last=b>; rel="next"; anchor="/other""#], None),
        (&[r##"<?last=b>; rel="next"; anchor="#x""##], Some(page)),
        (&[r#"<?last=b>; rel="next"; anchor="?n=2""#], Some(page)),
    ] {
        let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        assert_eq!(next_page_of(&bytes), Ok(expected.map(str::to_owned)), "{values:?}");
    }
}

#[test]
fn malformed_and_ambiguous_headers_are_errors() {
    for (values, part) in [
        (&[&b"<?last=b"[..]][..], "no closing \">\""),
        (&[br#"<?last=b; rel="next""#], "no closing \">\""),
        (&[br#"<?last=b; rel="next", </x>; rel="last""#], "not a URL"),
        (&[br#"?last=b>; rel="next""#], "not a URL"),
        (&[br#"<<?last=b>>; rel="next""#], "not a URL"),
        (&[br#"<?last=b>; rel="next"#], "no closing quote"),
        (&[br#"<?last=b>; rel="next\""#], "no closing quote"),
        (&[br#"<?last=b>; title="a\"; rel="next"#], "not followed by"),
        (&[br#"<?last=b>; title=a"b; rel="next""#], "not a token"),
        (&[br#"<?last=b> rel="next""#], "not followed by"),
        (&[b"<?last=b>; rel=next last"], "not followed by"),
        (&[br#"<?last=b>; ="next""#], "no name"),
        (&[b"<>; rel=next"], "empty"),
        (&[b"; rel=next"], "empty"),
        (&[br#"rel="next""#], "not a URL"),
        (&[b"<https://>; rel=next"], "not a URL"),
        (&[b"<?last=\xff>; rel=next"], "not UTF-8"),
        (&[b"<?a>; rel=next, <?b>; rel=next"], "two different"),
        (&[b"<?a>; rel=next", b"<?b>; rel=next"], "two different"),
        (&[b"<?a>, <?b>"], "without marking one"),
        (&[b"<?a>; rel=prev, <?b>"], "without marking one"),
        (&[b"?last=b, <?first>; rel=first"], "without marking one"),
        (&[b"<?n=2>; rel=next"], "the page itself"),
        (&[b"<#x>; rel=next"], "the page itself"),
        (&[b"</v2/app/tags/list?n=2>"], "the page itself"),
    ] {
        let error = next_page_of(values).unwrap_err();
        assert!(error.contains(part), "{values:?}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn the_next_link_is_found_after_any_title_and_other_links(
        title: String,
        path in "[a-z0-9,;=&?/-]{0,30}",
        before in "(, |<\\?first>; rel=first, |<\\?x>; title=\"a,b\"; rel=\"up up\",){0,3}",
    ) {
        let quoted = title.replace('\\', r"\\").replace('"', "\\\"");
        let value = format!("{before}</x{path}>;title=\"{quoted}\" ; Rel=\"last next\"");
        let expected = resolve(&BASE.parse().unwrap(), &format!("/x{path}")).map(String::from);
        proptest::prop_assert_eq!(next_page_of(&[value.as_bytes()]), Ok(expected));
    }

    #[test]
    fn any_value_is_parsed_or_refused_without_panicking(
        value: Vec<u8>,
        link_like in r#"(<|>|;|,| |=|"|\\|rel|next|/x|\?a|anchor|é){0,40}"#,
    ) {
        for values in [&[&value[..]][..], &[link_like.as_bytes()], &[&value, link_like.as_bytes()]] {
            if let Ok(Some(next)) = next_page(&BASE.parse().unwrap(), values.iter().copied()) {
                proptest::prop_assert!(next.as_str() != BASE && next.fragment().is_none());
            }
        }
    }
}
