use super::*;
use crate::spec::{Hint, Lookup};

fn read(text: &str) -> Result<Vec<Spec>, SpecError> {
    from_yaml(&YamlRequest { text, file: "s.yaml", form: Some(Form::Oci), ..YamlRequest::default() })
}

/// Returns the warnings about a text, and checks that the same lines are problems with `strict`.
fn warnings(text: &str) -> Vec<String> {
    let request = YamlRequest { text, file: "s.yaml", form: Some(Form::Oci), ..YamlRequest::default() };
    let specs = from_yaml(&request).unwrap_or_else(|error| panic!("{text}: {error}"));
    let warnings: Vec<String> = specs.iter().flat_map(|spec| &spec.warnings).map(ToString::to_string).collect();
    let strict = from_yaml(&YamlRequest { strict: true, ..request }).err();
    let problems: Vec<String> = strict.iter().flat_map(SpecError::lines).collect();
    assert_eq!(problems, warnings, "{text}");
    warnings
}

#[test]
fn input_that_2_2_1_ignores_gives_a_warning() {
    let image = "image: r.io/a:1\n";
    let entry = "manifests:\n- image: r.io/b:1\n";
    for (text, expected) in [
        (format!("{image}{entry}"), &[][..]),
        (
            format!("{image}version: 1\nname: x\n{entry}"),
            &[
                "s.yaml:2:1: unknown key \"version\" in a spec is ignored",
                "s.yaml:3:1: unknown key \"name\" in a spec is ignored",
            ],
        ),
        (format!("{image}x-own: [1]\n{entry}  x-y: 1\n"), &[]),
        (
            format!("{image}{entry}  size: [1]\n  tags: [a]\n"),
            &[
                "s.yaml:4:3: unknown key \"size\" in an entry of \"manifests\" is ignored",
                "s.yaml:5:3: unknown key \"tags\" in an entry of \"manifests\" is ignored; it is a key of a spec: check the \
             indentation",
            ],
        ),
        (
            format!("{image}{entry}  platform: {{version: '1809', features: [sse4]}}\n"),
            &[
                "s.yaml:4:14: unknown key \"version\" in \"platform\" is ignored",
                "s.yaml:4:31: unknown key \"features\" in \"platform\" is ignored; an index no longer lists CPU features",
            ],
        ),
        (
            format!("{image}{entry}  platform:\n  architecture: amd64\n  os: linux\n  variant: v1\n"),
            &[
                "s.yaml:5:3: unknown key \"architecture\" in an entry of \"manifests\" is ignored; it is a key of \
             \"platform\": check the indentation",
                "s.yaml:6:3: unknown key \"os\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check \
             the indentation",
                "s.yaml:7:3: unknown key \"variant\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": \
             check the indentation",
            ],
        ),
        (
            format!("{image}~: x\n5: y\n{entry}"),
            &[
                "s.yaml:2:1: unknown key \"null\" in a spec is ignored",
                "s.yaml:3:1: unknown key \"5\" in a spec is ignored",
            ],
        ),
        (format!("{image}tags: [a, b, a]\n{entry}"), &["s.yaml:2:14: tag \"a\" is given twice"]),
        (format!("{image}tags: [a, ~]\n{entry}"), &["s.yaml:2:11: an empty item of \"tags\" is dropped"]),
        (format!("{image}{entry}-\n"), &["s.yaml:4:2: an empty entry of \"manifests\" is dropped"]),
        (
            format!("{image}{entry}- image: r.io/b:1\n  platform: {{os: linux, architecture: arm64}}\n"),
            &["s.yaml:4:3: r.io/b:1 is given for two platforms, that of its config and linux/arm64"],
        ),
        (
            format!(
                "{image}{entry}{}",
                ["arm", "arm64", "arm", "arm64"]
                    .map(|name| format!("- image: r.io/b:1\n  platform: {{os: linux, architecture: {name}}}\n"))
                    .concat()
            ),
            &[
                "s.yaml:4:3: r.io/b:1 is given for two platforms, that of its config and linux/arm",
                "s.yaml:6:3: r.io/b:1 is given for two platforms, that of its config and linux/arm64",
            ],
        ),
        (
            format!("{image}platforms: [linux/amd64, linux/arm64]\ntemplate: r.io/b:1\n"),
            &["s.yaml:3:11: the template gives r.io/b:1 for linux/amd64 and for linux/arm64: it has no ARCH"],
        ),
        (
            format!("{image}platforms: [linux/amd64]\ntemplate: r.io/b:ARCH\nmanifests:\n-\n"),
            &["s.yaml:5:2: an empty entry of \"manifests\" is dropped"],
        ),
    ] {
        assert_eq!(warnings(&text), expected, "{text}");
    }
}

#[test]
fn warnings_are_reported_together_with_problems() {
    let error = read("image: r.io/a:1\nversion: 1\nmanifests: [{imagine: r.io/b:1}]\n").unwrap_err();
    assert_eq!(error.problems.len(), 1);
    let warnings: Vec<String> = error.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("s.yaml:2:1: unknown key \"version\""), "{warnings:?}");
}

#[test]
fn merge_keys_and_aliases_are_read_as_in_2_2_1() {
    let text = "x-platform: &linux {architecture: amd64, os: linux}\nimage: r.io/a:1\nmanifests:\n\
                - &first {image: r.io/a:2, platform: *linux}\n\
                - {<<: *first, image: r.io/a:3, platform: {<<: *linux, architecture: arm64}}\n";
    assert_eq!(warnings(text), [""; 0]);
    let sources: Vec<String> = read(text).unwrap()[0]
        .sources
        .iter()
        .map(|source| format!("{} {}", source.location, source.platform))
        .collect();
    assert_eq!(sources, ["r.io/a:2 linux/amd64", "r.io/a:3 linux/arm64"]);
}

#[test]
fn an_untagged_target_takes_the_first_of_its_tags_and_is_pushed_by_digest() {
    let spec = |tags: &str| read(&format!("image: r.io/a\ntags: [{tags}]\nmanifests: [{{image: r.io/a:2}}]\n"));
    let untagged = &spec("b, c, b").unwrap()[0];
    assert_eq!(
        (untagged.target.to_string(), &untagged.target.tags[..], untagged.target.by_digest),
        ("r.io/a:b".into(), &["c".into()][..], true)
    );
    for tags in ["", "~"] {
        let error = spec(tags).unwrap_err().to_string();
        assert!(error.contains("s.yaml:1:8: target \"r.io/a\" has no tag"), "{error}");
    }
    let problems = problems("image: r.io/a\ntags: [.b]\nmanifests: [{image: r.io/a:2}]\n");
    assert!(problems.len() == 1 && problems[0].contains("invalid tag \".b\""), "{problems:?}");
    let tagged = &read("image: r.io/a:1\ntags: [b]\nmanifests: [{image: r.io/a:2}]\n").unwrap()[0];
    assert!(!tagged.target.by_digest);
}

fn problems(text: &str) -> Vec<String> {
    match read(text) {
        Ok(specs) => vec![format!("valid: {specs:?}")],
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn scalars_keep_their_spelling() {
    let text = "image: r.io/app:1.10\n\
        tags: [1.10, 1.1, 1.20, 1, 0x1F, 1e3, true, \"2.0\", 'v', 1_0]\n\
        annotations: {n: 007, empty: , date: 2026-01-02, text: \"a\\tb\"}\n\
        manifests:\n\
        - image: r.io/a:386\n  \
          platform: {architecture: 386, os: linux, os.version: 10.0, os.features: [1, b]}\n";
    let spec = &read(text).unwrap()[0];
    assert_eq!(spec.target.tags, ["1.1", "1.20", "1", "0x1F", "1e3", "true", "2.0", "v", "1_0"]);
    let annotations: Vec<String> = spec.annotations.iter().map(|(k, v)| [k.as_str(), v.as_str()].join("=")).collect();
    assert_eq!(annotations, ["date=2026-01-02", "empty=", "n=007", "text=a\tb"]);
    let platform = &spec.sources[0].platform;
    assert_eq!(platform.to_string(), "linux/386:10.0 [1 b]");
}

/// Returns a spec in JSON, which is also YAML.
fn json_spec(more: &str) -> String {
    format!(r#"{{"image": "r.io/a:1", {more}}}"#)
}

#[test]
fn keys_that_2_2_1_lacks_are_read() {
    let text = "image: r.io/a:1\ntype: oci\nappend: true\nannotations: {k: v}\nartifactType: application/vnd.x+json\n\
                subject: r.io/a:0\nattestations: drop\nplatforms: [linux/amd64, linux/arm/v7]\n\
                template: r.io/b:ARCHVARIANT\nmanifests: [{image: r.io/c:1, annotations: {e: 1.10}}]\n";
    let request = YamlRequest { text, ..YamlRequest::default() };
    let [spec] = &from_yaml(&request).unwrap()[..] else { panic!("one") };
    assert_eq!((spec.form, spec.append, spec.attestations), (Form::Oci, true, Attestations::Drop));
    assert_eq!(spec.artifact_type.as_deref(), Some("application/vnd.x+json"));
    assert_eq!(spec.subject.as_ref().unwrap().to_string(), "r.io/a:0");
    let sources: Vec<String> = spec.sources.iter().map(|source| source.location.to_string()).collect();
    assert_eq!(sources, ["r.io/b:amd64", "r.io/b:armv7", "r.io/c:1"]);
    assert_eq!(spec.sources[1].platform.to_string(), "linux/arm/v7");
    assert_eq!(spec.sources[2].annotations["e"], "1.10");
    let docker = from_yaml(&YamlRequest { form: Some(Form::Docker), ..request }).unwrap_err().to_string();
    assert_eq!(docker.matches("a Docker manifest list has no").count(), 3, "{docker}");
}

#[test]
fn the_request_overrides_the_form_of_the_spec() {
    for (more, requested, append, form) in [
        ("", None, false, Form::Docker),
        ("", None, true, Form::Target),
        (r#""type": "auto","#, None, true, Form::Auto),
        (r#""type": "oci","#, None, false, Form::Oci),
        (r#""type": "oci","#, Some(Form::Docker), false, Form::Docker),
        (r#""type": null,"#, None, false, Form::Docker),
    ] {
        let text = json_spec(&format!(r#"{more} "manifests": [{{"image": "r.io/a:2"}}]"#));
        let request = YamlRequest { text: &text, form: requested, append, ..YamlRequest::default() };
        assert_eq!(from_yaml(&request).unwrap()[0].form, form, "{more} {requested:?}");
    }
}

#[test]
fn invalid_values_are_rejected() {
    let digest = "a".repeat(64);
    for (more, part) in [
        (r#""type": "OCI""#, "\"type\" is \"OCI\"; expected docker, oci, auto"),
        (r#""append": "maybe""#, "expected true or false"),
        (r#""attestations": "some""#, "expected keep, drop"),
        (r#""artifactType": "json""#, "not a media type"),
        (r#""subject": "r.io/other:1""#, "is not in the target's repository"),
        (r#""subject": "r.io/a""#, "has no tag or digest"),
        (r#""platforms": ["linux/amd64"]"#, "needs a \"template\""),
        (r#""template": "r.io/a:ARCH""#, "needs \"platforms\""),
        (r#""platforms": [], "template": "r.io/a:ARCH""#, "\"platforms\" is empty"),
        (r#""platforms": ["linux"], "template": "r.io/a:ARCH""#, "invalid platform \"linux\""),
        (r#""platforms": ["linux/amd64"], "template": "r.io/ARCH""#, "linux/amd64: source \"r.io/amd64\" has no tag"),
    ] {
        let problems = problems(&json_spec(&format!(r#""manifests": [{{"image": "r.io/a:2"}}], {more}"#)));
        assert!(problems.iter().any(|line| line.contains(part)), "{more}: {problems:?}");
    }
    let text = "image: oci-archive:a.tar:v1\nappend: true\nmanifests: [{image: r.io/a:2}]";
    assert!(problems(text)[0].contains("cannot append to an archive"), "{:?}", problems(text));
    let text = json_spec(&format!(r#""subject": "sha256:{digest}", "manifests": [{{"image": "r.io/a:2"}}]"#));
    assert_eq!(read(&text).unwrap()[0].subject.as_ref().unwrap().to_string(), format!("r.io/a@sha256:{digest}"));
}

#[test]
fn variables_are_expanded_with_a_lookup() {
    let text = "image: r.io/a:${V}\ntags: [\"${V}-x\", '$${V}']\nannotations: {k: \"a: ${Q}\", l: '$${V}'}\n\
                manifests: [{image: r.io/b:1, platform: {architecture: \"${A}\", os: linux}}]";
    let lookup = |name: &str| match name {
        "V" => Ok(Some("1.10".to_owned())),
        "A" => Ok(Some("386".to_owned())),
        "Q" => Ok(Some("{} # ]".to_owned())),
        _ => Ok(None),
    };
    let request = YamlRequest { text, file: "s.yaml", form: Some(Form::Oci), ..YamlRequest::default() };
    let with = |lookup: Lookup<'_>| from_yaml(&YamlRequest { variables: Some(lookup), ..request });
    let error = with(&lookup).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("s.yaml:2:18: invalid tag \"${V}\""), "{error}");
    let text = text.replace(", '$${V}'", "");
    let spec = &from_yaml(&YamlRequest { text: &text, variables: Some(&lookup), ..request }).unwrap()[0];
    assert_eq!((spec.target.to_string(), &spec.target.tags[..]), ("r.io/a:1.10".into(), &["1.10-x".to_owned()][..]));
    let annotations: Vec<&UntrustedText> = spec.annotations.values().collect();
    assert_eq!(annotations, ["a: {} # ]", "${V}"]);
    assert_eq!(spec.sources[0].platform.to_string(), "linux/386");
    let error = with(&|_| Ok(None)).unwrap_err().to_string();
    assert_eq!(error.matches("is not set, or is empty").count(), 4, "{error}");
    // Values are not parsed for placeholders or for the end of a key.
    let text = "image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate: r.io/${P}:${P}-ARCH\nannotations: {\"${K}\": v}";
    let spec = |value: &str| {
        let lookup = |name: &str| Ok(Some(if name == "K" { "a: b" } else { value }.to_owned()));
        from_yaml(&YamlRequest { text, variables: Some(&lookup), ..request })
    };
    let result = spec("ARCH");
    assert!(result.as_ref().unwrap_err().to_string().contains("r.io/ARCH:ARCH-amd64"), "{result:?}");
    let filled = &spec("xos").unwrap()[0];
    assert_eq!(filled.sources[0].location.to_string(), "r.io/xos:xos-amd64");
    assert_eq!(filled.annotations["a: b"], "v");
    let twice = text.replace("v}", "v, x: w}");
    let error = from_yaml(&YamlRequest { text: &twice, variables: Some(&|_| Ok(Some("x".into()))), ..request });
    assert!(error.unwrap_err().to_string().contains("annotation \"x\" is given twice"));
    let text = "image: r.io/a:${V}\nmanifests: [{image: r.io/b:1}]";
    // Without a lookup, variables are plain text as in 2.2.1.
    let problem = from_yaml(&YamlRequest { text, ..request }).unwrap_err().problems.remove(0);
    assert_eq!((problem.at, &problem.hint), (Some((1, 8)), &Some(Hint::FillVariables)), "{problem}");
    let text = "image: r.io/a:1\nannotations: {k: '${V}'}\nmanifests: [{image: r.io/b:1}]";
    assert_eq!(read(text).unwrap()[0].annotations["k"], "${V}");
}

#[test]
fn unicode_separators_are_line_breaks_as_in_yaml_1_1() {
    for (written, value) in [
        ("\"a \u{2028} b\"", "a\u{2028}b"),
        ("'a \u{2028}\u{2029} b'", "a\u{2028}\u{2029}b"),
        ("\"a \\u2028 b\"", "a \u{2028} b"),
        ("\"a  b\"", "a  b"),
    ] {
        let text = format!("image: r.io/a:1\nannotations: {{k: {written}}}\nmanifests: [{{image: r.io/a:2}}]");
        let spec = &read(&text).unwrap()[0];
        assert_eq!(spec.annotations["k"], value, "{written}");
    }
}

#[test]
fn all_problems_are_reported_with_positions() {
    let text = "image: r.io/App:v1\ntag: [x]\ntags: [a, a, -b]\nmanifests:\n  - image: r.io/a\n    platfrom: {}\n  \
                - platform: {arch: amd64}\n  - image: [1]\n";
    assert_eq!(
        problems(text),
        [
            "s.yaml:1:8: invalid reference \"r.io/App:v1\": repository names are lowercase; did you mean \"r.io/app:v1\"?",
            "s.yaml:2:1: unknown key \"tag\" in a spec; did you mean \"tags\"?",
            "s.yaml:3:14: invalid tag \"-b\": a tag may have only letters, digits, \"_\", \".\" and \"-\", and must not start with \".\" or \"-\"; did you mean \"b\"?",
            "s.yaml:5:12: source \"r.io/a\" has no tag or digest; manifest-tool does not default to \"latest\"",
            "s.yaml:6:5: unknown key \"platfrom\" in an entry of \"manifests\"; did you mean \"platform\"?",
            "s.yaml:7:5: \"image\" is missing: the reference of the image to put into the index",
            "s.yaml:7:16: unknown key \"arch\" in \"platform\"; did you mean \"architecture\"?",
            "s.yaml:8:12: \"image\" must be a single value, not a list or mapping",
        ]
    );
}

#[test]
fn malformed_files_are_rejected_with_a_reason() {
    for (text, part) in [
        ("", "s.yaml: it is empty"),
        ("---\n# nothing\n", "s.yaml: it is empty"),
        ("[]", "must be a mapping"),
        ("x", "must be a mapping"),
        ("image: [unclosed", "s.yaml:1"),
        ("image: r.io/a:1\nmanifests: []", "s.yaml:2:12: \"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests:", "\"manifests\" is empty"),
        ("image: r.io/a:1", "\"manifests\" is missing"),
        ("manifests: [{image: r.io/a:1}]", "\"image\" is missing"),
        ("image: r.io/a:1\nimage: r.io/a:2", "s.yaml:2"),
        ("image: r.io/a:1\nmanifests: x", "must be a list of entries"),
        ("image: r.io/a:1\ntags: x\nmanifests: [{image: r.io/a:2}]", "\"tags\" must be a list"),
        ("image: r.io/a\nmanifests: [{image: r.io/a:2}]", "no tag"),
        ("image: r.io/a:1\nmanifests: [{image: 'oci:'}]", "it has no path"),
        ("image: oci:d\nmanifests: [{image: oci:e}]", "no tag"),
        ("a: &a [*a]", "s.yaml"),
    ] {
        let problems = problems(text);
        assert!(problems.iter().any(|line| line.contains(part)), "{text:?}: {problems:?}");
    }
    assert!(problems("x-own: 1\nimage: r.io/a:1\nmanifests: [{image: r.io/a:2, x-y: [z]}]")[0].starts_with("valid"));
}

#[test]
fn each_document_gives_one_spec() {
    let one = |tag: &str| format!("image: r.io/a:{tag}\nmanifests: [{{image: r.io/b:1.10}}]\n");
    let text = format!("---\n{}---\n---\n{}...\n", one("1.10"), one("2.20"));
    let specs = read(&text).unwrap();
    let shown: Vec<String> = specs.iter().map(|spec| format!("{} {}", spec.target, spec.sources[0].location)).collect();
    assert_eq!(shown, ["r.io/a:1.10 r.io/b:1.10", "r.io/a:2.20 r.io/b:1.10"]);
    let text = format!("{}---\nimage: r.io/a:3\ntags: [1.10, 1.10]\nmanifests: [{{imag: r.io/b:1}}]\n", one("x"));
    assert_eq!(problems(&text).len(), 2, "{:?}", problems(&text));
    assert_eq!(
        problems(&text)[0],
        "s.yaml:6:13: \"image\" is missing: the reference of the image to put into the index"
    );
    let many: String = (0..3000).map(|n| format!("---\n{}", one(&n.to_string()))).collect();
    assert_eq!(read(&many).unwrap().len(), 3000);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    for text in ["- ", "? ", "[", "{", "{a: ", "- ? "].map(|part| part.repeat(5000)) {
        assert!(problems(&text)[0].starts_with("s.yaml:1:"), "{:.10}", text);
    }
    let text = format!("image: r.io/a:1\nmanifests: [{{image: r.io/a:2}}]\nx-own:\n{}x", "- ".repeat(20));
    assert!(problems(&text)[0].starts_with("valid"));
}

#[test]
fn a_tag_that_overflows_as_a_number_is_text() {
    let text = "image: r.io/a:1\ntags: [5e63527, 1e999]\nannotations: {a: .inf, b: -.INF, c: .nan}\n\
                manifests: [{image: r.io/a:2}]";
    let spec = &read(text).unwrap()[0];
    assert_eq!(spec.target.tags, ["5e63527", "1e999"]);
    assert_eq!(spec.annotations.values().collect::<Vec<_>>(), [".inf", "-.INF", ".nan"]);
}

#[test]
fn many_tags_and_a_long_key_take_linear_time() {
    let tags: String = (0..50_000).map(|n| format!("t{n}, ")).collect();
    let text = format!("image: r.io/a:1\ntags: [{tags}t7]\n? {}\n: 1\n", "k".repeat(1_000_000));
    // Quadratic time or memory in the number of tags or the length of the key would take hours and gigabytes.
    let problems = problems(&text);
    assert_eq!(problems, ["s.yaml:1:1: \"manifests\" is missing: the list of images to put into the index"]);
}

/// Checks the invariants of every accepted text.
fn check_invariants(text: &str, form: Option<Form>) {
    let lookup = |name: &str| Ok((name != "NO").then(|| name.to_owned()));
    let variables = form.is_none().then_some(&lookup as Lookup<'_>);
    let specs = match from_yaml(&YamlRequest { text, file: "s.yaml", form, variables, ..YamlRequest::default() }) {
        Ok(specs) => specs,
        Err(error) => {
            assert!(!error.problems.is_empty());
            return assert!(error.problems.is_sorted_by_key(|problem| problem.at));
        }
    };
    assert!(!specs.is_empty());
    for spec in specs {
        assert!(
            spec.target.location.tag().is_some() && spec.target.location.digest().is_none() && !spec.sources.is_empty()
        );
        assert!(spec.form != Form::Docker || (spec.annotations.is_empty() && spec.subject.is_none()));
        for source in &spec.sources {
            assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
            assert_eq!(source.location.to_string().parse(), Ok(source.location.clone()));
        }
        for (n, tag) in spec.target.tags.iter().enumerate() {
            assert_eq!(crate::image::check_tag(tag), Ok(()));
            assert!(!spec.target.tags[..n].contains(tag) && spec.target.location.tag() != Some(tag));
        }
    }
}

proptest::proptest! {
    #[test]
    fn accepted_text_gives_valid_specs(
        text: String,
        like in r#"(image: r.io/a:1|manifests:|tags:|platform:|image: |r.io/b:2|type: auto|append: true|subject: |template: |r.io/OS|\$\{A\}|\$\{|\n|\n- |\n  |\[|\]|\{|\}|, |---|&a |\*a|'|"|#|!!int |5|~|é){0,40}"#,
        cut in 0usize..150,
    ) {
        let valid = "image: r.io/a:1\ntags: [1, 'b']\nmanifests:\n- image: &x r.io/a:2\n  \
                    platform: {os: linux, architecture: 386} # é\n- image: *x\n";
        let (before, after) = valid.split_at_checked(cut).unwrap_or((valid, ""));
        for text in [&text, &like, before, &format!("{before}{like}{after}")] {
            check_invariants(text, Some(Form::Docker));
            check_invariants(text, Some(Form::Oci));
            check_invariants(text, None);
        }
    }

    #[test]
    fn plain_tags_keep_their_spelling(
        tags in proptest::collection::hash_set("[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}|[0-9]{1,3}[e._x][0-9]{1,6}", 1..9),
    ) {
        let tags: Vec<String> = tags.into_iter().filter(|tag| !tag.eq_ignore_ascii_case("null")).collect();
        let text = format!("image: r.io/a:longer-than-those\ntags: [{}]\nmanifests: [{{image: r.io/a:1}}]", tags.join(", "));
        proptest::prop_assert_eq!(&read(&text).unwrap()[0].target.tags, &tags);
    }
}
