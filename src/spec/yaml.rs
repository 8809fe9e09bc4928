use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, MessageFormatter as _, NonFiniteFloatPolicy, Spanned, UserMessageFormatter};

use super::{DOCKER_HAS_NO_ANNOTATIONS, Problem, Source, Spec, SpecError, extra_tag, source, target, without_own};
use crate::image::{IndexKind, Platform};

/// Reads the specs of a file, one for each YAML document, or says all that is wrong with them, each with line and
/// column. `file` is for messages.
pub fn from_yaml(text: &str, file: &str, kind: IndexKind) -> Result<Vec<Spec>, SpecError> {
    let error = |problems| SpecError { file: file.to_owned(), problems };
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: MAX_DOCUMENTS, max_depth: MAX_DEPTH, },
        // A tag such as 5e63527 is text, however large a number it would be.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let roots: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|broken| error(vec![syntax_problem(&broken)]))?;
    if roots.is_empty() {
        return Err(error(vec![Problem { at: None, message: "it is empty".into() }]));
    }
    let mut reader = Reader { text, problems: Vec::new() };
    let specs: Vec<Spec> = roots.iter().filter_map(|root| reader.spec(root, kind)).collect();
    if reader.problems.is_empty() {
        return Ok(specs);
    }
    reader.problems.sort_by_key(|problem| problem.at);
    Err(error(reader.problems))
}

/// No file has more.
const MAX_DOCUMENTS: usize = 100_000;

/// A spec has five levels; the rest is for `x-` keys. Each level takes tens of kilobytes of stack in a debug build.
const MAX_DEPTH: usize = 32;

fn syntax_problem(broken: &serde_saphyr::Error) -> Problem {
    let plain = broken.without_snippet();
    Problem {
        at: plain.location().map(|at| (at.line(), at.column())),
        message: format!("not valid YAML: {}", UserMessageFormatter.format_message(plain)),
    }
}

/// YAML as written: what a scalar means is for the spec's keys to say, so `386` and `1.10` keep their spelling.
#[derive(Debug)]
enum Node {
    Null,
    Text(String),
    /// A plain scalar that YAML takes for a number or a boolean; its text is in the source.
    Plain,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

const SPEC_KEYS: &[&str] = &["image", "tags", "manifests", "annotations"];
const ENTRY_KEYS: &[&str] = &["image", "platform"];
const PLATFORM_KEYS: &[&str] =
    &["architecture", "os", "variant", "osversion", "os.version", "osfeatures", "os.features"];

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn note(&mut self, at: Location, message: impl Into<String>) {
        self.problems.push(Problem { at: Some((at.line(), at.column())), message: message.into() });
    }

    /// The value of a good part; the problem of a bad one is noted where it is.
    fn checked<T>(&mut self, at: Location, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.note(at, message)).ok()
    }

    fn spec(&mut self, root: &Spanned<Node>, kind: IndexKind) -> Option<Spec> {
        let keys = self.keys(root, "a spec", SPEC_KEYS)?;
        let get = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);

        let target = match get("image") {
            Some(node) => {
                let text = self.scalar(node, "image");
                text.and_then(|text| self.checked(node.referenced, target(&text)))
            }
            None => {
                self.note(root.referenced, "\"image\" is missing: the reference of the index to push");
                None
            }
        };
        let (mut tags, mut seen) = (Vec::new(), HashSet::new());
        for (text, at) in get("tags").map(|node| self.scalars(node, "tags")).unwrap_or_default() {
            if self.checked(at, extra_tag(&text, &mut seen)).is_some() {
                tags.push(text);
            }
        }
        let annotations = get("annotations").map(|node| self.annotations(node, kind)).unwrap_or_default();
        let sources = match get("manifests") {
            Some(Spanned { value: Node::List(entries), .. }) if !entries.is_empty() => {
                entries.iter().filter_map(|entry| self.entry(entry)).collect()
            }
            Some(node @ Spanned { value: Node::List(_) | Node::Null, .. }) => {
                self.note(node.referenced, "\"manifests\" is empty: an index needs at least one image");
                Vec::new()
            }
            Some(node) => {
                self.note(node.referenced, "\"manifests\" must be a list of entries with \"image\"");
                Vec::new()
            }
            None => {
                self.note(root.referenced, "\"manifests\" is missing: the list of images to put into the index");
                Vec::new()
            }
        };
        let target = target?;
        Some(Spec { tags: without_own(&target, tags), target, kind, annotations, sources })
    }

    fn entry(&mut self, node: &Spanned<Node>) -> Option<Source> {
        let keys = self.keys(node, "an entry of \"manifests\"", ENTRY_KEYS)?;
        let get = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let platform = get("platform").map(|node| self.platform(node)).unwrap_or_default();
        let Some(image) = get("image") else {
            self.note(node.referenced, "\"image\" is missing: the reference of the image to put into the index");
            return None;
        };
        let text = self.scalar(image, "image")?;
        let location = self.checked(image.referenced, source(&text))?;
        Some(Source { location, platform })
    }

    fn platform(&mut self, node: &Spanned<Node>) -> Platform {
        let mut platform = Platform::default();
        if matches!(node.value, Node::Null) {
            return platform;
        }
        for (key, value) in self.keys(node, "\"platform\"", PLATFORM_KEYS).unwrap_or_default() {
            let field = match key {
                "architecture" => &mut platform.architecture,
                "os" => &mut platform.os,
                "variant" => &mut platform.variant,
                "osversion" | "os.version" => &mut platform.os_version,
                _ => {
                    let features = self.scalars(value, key);
                    if !platform.os_features.is_empty() {
                        self.note(value.referenced, format!("\"{key}\" is given twice, in both spellings"));
                    }
                    platform.os_features = features.into_iter().map(|(text, _)| text).collect();
                    continue;
                }
            };
            if !field.is_empty() {
                self.note(value.referenced, format!("\"{key}\" is given twice, in both spellings"));
            }
            if let Some(text) = self.scalar(value, key) {
                *field = text;
            }
        }
        platform
    }

    fn annotations(&mut self, node: &Spanned<Node>, kind: IndexKind) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        match &node.value {
            Node::Null => {}
            Node::Map(entries) => {
                for (key, value) in entries {
                    if let Some(text) = self.scalar(value, &key.value) {
                        annotations.insert(key.value.clone(), text);
                    }
                }
                if kind == IndexKind::Docker && !annotations.is_empty() {
                    self.note(node.referenced, DOCKER_HAS_NO_ANNOTATIONS);
                }
            }
            _ => self.note(node.referenced, "\"annotations\" must be a mapping of keys to values"),
        }
        annotations
    }

    /// The entries of a mapping whose keys are known; unknown ones are noted with the nearest that is valid.
    /// Keys that start with `x-` are the user's own.
    fn keys<'n>(
        &mut self,
        node: &'n Spanned<Node>,
        what: &str,
        valid: &[&str],
    ) -> Option<Vec<(&'n str, &'n Spanned<Node>)>> {
        let Node::Map(entries) = &node.value else {
            self.note(node.referenced, format!("{what} must be a mapping with the keys {}", valid.join(", ")));
            return None;
        };
        let mut known = Vec::new();
        for (key, value) in entries {
            let name = key.value.as_str();
            if valid.contains(&name) {
                known.push((name, value));
            } else if !name.starts_with("x-") {
                self.note(key.referenced, format!("unknown key \"{name}\" in {what}; {}", suggestion(name, valid)));
            }
        }
        Some(known)
    }

    fn scalars(&mut self, node: &Spanned<Node>, key: &str) -> Vec<(String, Location)> {
        match &node.value {
            Node::Null => Vec::new(),
            Node::List(items) => {
                items.iter().filter_map(|item| Some((self.scalar(item, key)?, item.referenced))).collect()
            }
            _ => {
                self.note(node.referenced, format!("\"{key}\" must be a list"));
                Vec::new()
            }
        }
    }

    /// The scalar's own text in the file.
    fn spelled(&self, node: &Spanned<Node>) -> Option<&str> {
        let span = node.defined.span();
        let from = usize::try_from(span.byte_offset()?).ok()?;
        self.text.get(from..from.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
    }

    /// A scalar as it is spelled in the file; null is empty, as in Go's YAML.
    fn scalar(&mut self, node: &Spanned<Node>, key: &str) -> Option<String> {
        match &node.value {
            Node::Null => Some(String::new()),
            Node::Text(text) => Some(fold_separators(text, self.spelled(node).unwrap_or_default())),
            Node::Plain => {
                let spelled = self.spelled(node).map(|text| text.trim().to_owned());
                if spelled.is_none() {
                    self.note(node.referenced, format!("the value of \"{key}\" cannot be read; put it in quotes"));
                }
                spelled
            }
            Node::List(_) | Node::Map(_) => {
                self.note(node.referenced, format!("\"{key}\" must be a single value, not a list or mapping"));
                None
            }
        }
    }
}

/// YAML 1.1, which Go reads, takes U+2028 and U+2029 for line breaks: blanks around one that is written out in a
/// quoted or plain scalar do not count. YAML 1.2, which is read here, takes them for ordinary characters.
fn fold_separators(text: &str, spelled: &str) -> String {
    const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
    if !spelled.contains(SEPARATORS) || spelled.starts_with(['|', '>']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(SEPARATORS) {
        let piece = if out.ends_with(SEPARATORS) { piece.trim_start_matches([' ', '\t']) } else { piece };
        match piece.strip_suffix(SEPARATORS) {
            Some(line) => {
                out.push_str(line.trim_end_matches([' ', '\t']));
                out.extend(piece.chars().last());
            }
            None => out.push_str(piece),
        }
    }
    out
}

fn suggestion(name: &str, valid: &[&str]) -> String {
    // The distance takes memory for each character of one times each of the other: what is long is near to none.
    let near = if name.len() > 64 { &[] } else { valid };
    let nearest = near
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&name.to_lowercase(), key), key))
        .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
        .min();
    match nearest {
        Some((_, key)) => format!("did you mean \"{key}\"?"),
        None => format!("valid keys are {}", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match from_yaml(text, "s.yaml", IndexKind::Oci) {
            Ok(specs) => vec![format!("good: {specs:?}")],
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
        let spec = &from_yaml(text, "s.yaml", IndexKind::Oci).unwrap()[0];
        assert_eq!(spec.tags, ["1.1", "1.20", "1", "0x1F", "1e3", "true", "2.0", "v", "1_0"]);
        let annotations: Vec<String> = spec.annotations.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(annotations, ["date=2026-01-02", "empty=", "n=007", "text=a\tb"]);
        let platform = &spec.sources[0].platform;
        assert_eq!(platform.to_string(), "linux/386:10.0 [1 b]");
    }

    #[test]
    fn separators_are_line_breaks_as_in_yaml_1_1() {
        for (written, value) in [
            ("\"a \u{2028} b\"", "a\u{2028}b"),
            ("'a \u{2028}\u{2029} b'", "a\u{2028}\u{2029}b"),
            ("\"a \\u2028 b\"", "a \u{2028} b"),
            ("\"a  b\"", "a  b"),
        ] {
            let text = format!("image: r.io/a:1\nannotations: {{k: {written}}}\nmanifests: [{{image: r.io/a:2}}]");
            let spec = &from_yaml(&text, "s.yaml", IndexKind::Oci).unwrap()[0];
            assert_eq!(spec.annotations["k"], value, "{written}");
        }
    }

    #[test]
    fn all_problems_with_their_places() {
        let text = "image: r.io/App:v1\ntag: [x]\ntags: [a, a, -b]\nmanifests:\n  - image: r.io/a\n    platfrom: {}\n  \
                    - platform: {arch: amd64}\n  - image: [1]\n";
        assert_eq!(
            problems(text),
            [
                "s.yaml:1:8: invalid reference \"r.io/App:v1\": the repository must be lowercase",
                "s.yaml:2:1: unknown key \"tag\" in a spec; did you mean \"tags\"?",
                "s.yaml:3:11: duplicate tag \"a\"",
                "s.yaml:3:14: invalid tag \"-b\": a tag may have only letters, digits, \"_\", \".\" and \"-\", and starts with none of the last two",
                "s.yaml:5:12: source \"r.io/a\" has no tag or digest; manifest-tool does not default to \"latest\"",
                "s.yaml:6:5: unknown key \"platfrom\" in an entry of \"manifests\"; did you mean \"platform\"?",
                "s.yaml:7:5: \"image\" is missing: the reference of the image to put into the index",
                "s.yaml:7:16: unknown key \"arch\" in \"platform\"; valid keys are architecture, os, variant, osversion, os.version, osfeatures, os.features",
                "s.yaml:8:12: \"image\" must be a single value, not a list or mapping",
            ]
        );
    }

    #[test]
    fn shapes() {
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
            let found = problems(text);
            assert!(found.iter().any(|line| line.contains(part)), "{text:?}: {found:?}");
        }
        assert!(problems("x-own: 1\nimage: r.io/a:1\nmanifests: [{image: r.io/a:2, x-y: [z]}]")[0].starts_with("good"));
    }

    #[test]
    fn a_document_for_each_index() {
        let one = |tag: &str| format!("image: r.io/a:{tag}\nmanifests: [{{image: r.io/b:1.10}}]\n");
        let text = format!("---\n{}---\n---\n{}...\n", one("1.10"), one("2.20"));
        let specs = from_yaml(&text, "s.yaml", IndexKind::Oci).unwrap();
        let shown: Vec<String> =
            specs.iter().map(|spec| format!("{} {}", spec.target, spec.sources[0].location)).collect();
        assert_eq!(shown, ["r.io/a:1.10 r.io/b:1.10", "r.io/a:2.20 r.io/b:1.10"]);
        let text = format!("{}---\nimage: r.io/a:3\ntags: [1.10, 1.10]\nmanifests: [{{imag: r.io/b:1}}]\n", one("x"));
        assert_eq!(problems(&text).len(), 3, "{:?}", problems(&text));
        assert_eq!(problems(&text)[0], "s.yaml:5:14: duplicate tag \"1.10\"");
        let many: String = (0..3000).map(|n| format!("---\n{}", one(&n.to_string()))).collect();
        assert_eq!(from_yaml(&many, "s.yaml", IndexKind::Oci).unwrap().len(), 3000);
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_the_end_of_the_stack() {
        for text in ["- ", "? ", "[", "{", "{a: ", "- ? "].map(|part| part.repeat(5000)) {
            assert!(problems(&text)[0].starts_with("s.yaml:1:"), "{:.10}", text);
        }
        let text = format!("image: r.io/a:1\nmanifests: [{{image: r.io/a:2}}]\nx-own:\n{}x", "- ".repeat(20));
        assert!(problems(&text)[0].starts_with("good"));
    }

    #[test]
    fn a_tag_that_would_be_an_endless_number_is_text() {
        let text = "image: r.io/a:1\ntags: [5e63527, 1e999]\nannotations: {a: .inf, b: -.INF, c: .nan}\n\
                    manifests: [{image: r.io/a:2}]";
        let spec = &from_yaml(text, "s.yaml", IndexKind::Oci).unwrap()[0];
        assert_eq!(spec.tags, ["5e63527", "1e999"]);
        assert_eq!(spec.annotations.values().collect::<Vec<_>>(), [".inf", "-.INF", ".nan"]);
    }

    #[test]
    fn many_tags_and_long_keys_are_quick() {
        let tags: String = (0..50_000).map(|n| format!("t{n}, ")).collect();
        let text = format!("image: r.io/a:1\ntags: [{tags}t7]\n? {}\n: 1\n", "k".repeat(1_000_000));
        let begun = std::time::Instant::now();
        let found = problems(&text);
        assert!(found.iter().any(|line| line.ends_with("duplicate tag \"t7\"")));
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    /// What holds of every text that is read.
    fn check(text: &str, kind: IndexKind) {
        let specs = match from_yaml(text, "s.yaml", kind) {
            Ok(specs) => specs,
            Err(error) => {
                assert!(!error.problems.is_empty());
                return assert!(error.problems.is_sorted_by_key(|problem| problem.at));
            }
        };
        assert!(!specs.is_empty());
        for spec in specs {
            assert!(spec.target.tag().is_some() && spec.target.digest().is_none() && !spec.sources.is_empty());
            assert!(kind == IndexKind::Oci || spec.annotations.is_empty());
            for source in &spec.sources {
                assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
                assert_eq!(source.location.to_string().parse(), Ok(source.location.clone()));
            }
            for (n, tag) in spec.tags.iter().enumerate() {
                assert_eq!(crate::image::check_tag(tag), Ok(()));
                assert!(!spec.tags[..n].contains(tag) && spec.target.tag() != Some(tag));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_is_valid(
            text: String,
            like in r#"(image: r.io/a:1|manifests:|tags:|platform:|image: |r.io/b:2|\n|\n- |\n  |\[|\]|\{|\}|, |---|&a |\*a|'|"|#|!!int |5|~|é){0,40}"#,
            cut in 0usize..150,
        ) {
            let good = "image: r.io/a:1\ntags: [1, 'b']\nmanifests:\n- image: &x r.io/a:2\n  \
                        platform: {os: linux, architecture: 386} # é\n- image: *x\n";
            let (before, after) = good.split_at_checked(cut).unwrap_or((good, ""));
            for text in [&text, &like, before, &format!("{before}{like}{after}")] {
                check(text, IndexKind::Docker);
                check(text, IndexKind::Oci);
            }
        }

        #[test]
        fn plain_tags_keep_their_spelling(
            tags in proptest::collection::hash_set("[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}|[0-9]{1,3}[e._x][0-9]{1,6}", 1..9),
        ) {
            let tags: Vec<String> = tags.into_iter().filter(|tag| !tag.eq_ignore_ascii_case("null")).collect();
            let text = format!("image: r.io/a:longer-than-those\ntags: [{}]\nmanifests: [{{image: r.io/a:1}}]", tags.join(", "));
            proptest::prop_assert_eq!(&from_yaml(&text, "s.yaml", IndexKind::Oci).unwrap()[0].tags, &tags);
        }
    }
}
