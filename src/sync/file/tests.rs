use indoc::indoc;

use super::*;
use crate::image::UntrustedText;

/// Returns a line per repository: what is selected from this list of tags, and what is not verified.
fn read(text: &str, tags: &[&str]) -> Vec<String> {
    let rules = from_yaml(text, "s.yaml").unwrap_or_else(|error| panic!("{text}: {error}"));
    let tags: Vec<UntrustedText> = tags.iter().map(|&tag| tag.into()).collect();
    let line = |rules: &RepositoryRules| {
        let images = rules.select(&tags).images;
        let names = images.iter().map(|at| at.tag().map_or_else(|| at.digest().unwrap().to_string(), str::to_owned));
        format!("{}: {}", rules.repository, names.collect::<Vec<_>>().join(" "))
    };
    let unverified = rules.unverified.iter().map(|host| format!("unverified: {host}"));
    rules.repositories.iter().map(line).chain(unverified).collect()
}

fn problems(text: &str) -> Vec<String> {
    from_yaml(text, "s.yaml").expect_err(text).lines().collect()
}

#[test]
fn every_form_of_skopeo_is_read() {
    let digest = Digest::sha256(b"");
    let text = indoc::formatdoc! {r#"
        registry.example.com:
          images:
            busybox: []
            redis: ["1.0", 2.10, {digest}]
            all:
          images-by-semver:
            alpine: ">= 3.12.0"
          tls-verify: false
        docker.io:
          images-by-tag-regex:
            nginx: ^1\.13\.[12]-alpine-perl$
          exclude:
            nginx: [perl$]
            library/nginx: ["^2"]
        quay.io/team:
          images: {{app: [latest], deep/er: [v1]}}
          images-by-tag-regex: {{app: "^v1"}}
        localhost:5000:
          images: {{a/b: [5e63527, 1e3, true, null_, 0x1F]}}
          tls-verify: true
        x-anchors: &anchor [v1]
    "#};
    let tags = ["v1", "3.12", "3.11", "1.13.1-alpine-perl", "1.13.1-alpine"];
    let expected = [
        format!("registry.example.com/busybox: {}", tags.join(" ")),
        format!("registry.example.com/redis: 1.0 2.10 {digest}"),
        format!("registry.example.com/all: {}", tags.join(" ")),
        "registry.example.com/alpine: 3.12".into(),
        "docker.io/library/nginx: ".into(),
        "quay.io/team/app: latest v1".into(),
        "quay.io/team/deep/er: v1".into(),
        "localhost:5000/a/b: 5e63527 1e3 true null_ 0x1F".into(),
        "unverified: registry.example.com".into(),
    ];
    assert_eq!(read(&text, &tags), expected);
}

#[test]
fn rules_of_one_repository_are_combined() {
    let text = indoc! {"
        docker.io:
          exclude: {busybox: [-rc]}
          images: {busybox: [v1, v1-rc]}
          images-by-semver: {library/busybox: '*'}
        index.docker.io:
          images-by-tag-regex: {busybox: ^edge$}
    "};
    assert_eq!(read(text, &["v1", "v2", "v2-rc", "edge"]), ["docker.io/library/busybox: v1 v2 edge"]);
}

#[test]
fn all_problems_are_reported_with_their_positions() {
    let text = indoc! {r#"
        registry.example.com:
          image: {a: []}
          images-by-tag-regexp: {a: x}
          images:
            App: []
            b: [v 1, "-x", "sha256:12", null]
            c: v1
            d:v1: []
          images-by-tag-regex: {a: "(", b: [x], c: }
          images-by-semver: {a: latest}
          exclude: {zzz: [x], a: ["["], b: x}
          tls-verify: maybe
          cert-dir: /certs
          credentials: {username: john, password: secret-word}
        images:
          a: []
        https://r.io: {images: {a: []}}
        r.io: {}
        s.io:
    "#};
    let expected = indoc! {r#"
        s.yaml:2:3: unknown key "image" of a registry; did you mean "images"?
        s.yaml:3:3: unknown key "images-by-tag-regexp" of a registry; did you mean "images-by-tag-regex"?
    "#};
    let problems = problems(text);
    let all = problems.join("\n");
    assert!(all.starts_with(expected), "{all}");
    for problem in [
        "s.yaml:5:5: ",
        "s.yaml:6:9: invalid tag \"v 1\": ",
        "s.yaml:6:14: invalid tag \"-x\": ",
        "s.yaml:6:20: ",
        "s.yaml:6:33: \"b\" has no value",
        "s.yaml:7:8: \"c\" must have a list, such as [\"v1\"]",
        "s.yaml:8:5: \"d:v1\" has a tag or digest: put it into the list of its repository",
        "s.yaml:9:28: \"(\" is not a regular expression: ",
        "s.yaml:9:36: \"b\" must be a single value, not a list or mapping",
        "\"c\" has no value",
        "s.yaml:10:25: \"latest\" is not a version constraint, such as ",
        "s.yaml:11:18: \"exclude\" names registry.example.com/zzz, from which no rule selects an image",
        "s.yaml:11:27: \"[\" is not a regular expression: ",
        "s.yaml:11:36: \"b\" must have a list, such as [\"v1\"]",
        "s.yaml:12:15: \"tls-verify\" is true or false",
        "s.yaml:13:3: \"cert-dir\" is not supported",
        "s.yaml:14:3: \"credentials\" must not be in a sync file",
        "s.yaml:15:1: \"images\" is not a registry's HOST[:PORT]; it is a key of a registry: check the indentation",
        "s.yaml:17:1: \"https://r.io\" is not a registry: leave out the scheme",
        "s.yaml:18:1: \"r.io\" selects no image: add \"images\", \"images-by-tag-regex\" or \"images-by-semver\"",
        "s.yaml:19:1: \"s.io\" selects no image: ",
    ] {
        assert!(
            problems.iter().any(|line| line.starts_with(problem) || line.contains(": ") && line.ends_with(problem)),
            "{problem}\n{all}"
        );
    }
    assert!(!all.contains("secret-word"), "{all}");
}

#[test]
fn files_that_are_no_mapping_of_registries_are_refused() {
    for (text, problem) in [
        ("", "s.yaml: it is empty"),
        ("# nothing\n", "s.yaml: it is empty"),
        ("{}", "s.yaml:1:1: it is empty"),
        ("~", "s.yaml: it is empty"),
        ("[a]", "s.yaml:1:1: a sync file is a mapping from registries to their images"),
        ("r.io", "s.yaml:1:1: a sync file is a mapping from registries to their images"),
        ("r.io: [a]", "s.yaml:1:7: \"r.io\" must be a mapping with the keys images, images-by-tag-regex, "),
        ("r.io: {images: [a]}", "s.yaml:1:16: \"images\" must be a mapping from repositories"),
        (
            "r.io: {images: {a: []}}\n---\ns.io: {images: {a: []}}\n",
            "s.yaml:3:1: a sync file has only one YAML document",
        ),
        ("r.io: {images: {a: []}", "s.yaml:"),
        ("r.io: {images: {a: []}}\nr.io: {images: {b: []}}\n", "s.yaml:2:1: not valid YAML: "),
    ] {
        let lines = problems(text);
        assert!(lines.len() == 1 && lines[0].starts_with(problem), "{text}: {lines:?}");
    }
}

#[test]
fn aliases_and_nesting_are_limited() {
    let bomb = (0..20).fold("x-0: &a0 [v]\n".to_owned(), |text, n| {
        text + &format!("x-{0}: &a{0} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1)
    });
    for text in [bomb + "r.io: {images: {a: *a20}}", format!("r.io: {}{}", "[".repeat(100), "]".repeat(100))] {
        let lines = problems(&text);
        assert!(lines.len() == 1 && lines[0].len() < 300, "{lines:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_problem(
        text in ".*|(r.io|images|images-by-semver|exclude|: |\n|  |\\[|\\]|\\{|\\}|v1|,|\"|'|- |&a|\\*a|#){0,30}",
    ) {
        if let Err(error) = from_yaml(&text, "s.yaml") {
            proptest::prop_assert!(!error.problems.is_empty());
        }
    }
}
