use super::*;
use crate::delete::tag_list::{Created, UndatedReason};
use crate::delete::tag_rules::TagOrder;
use crate::image::Timestamp;

fn digest(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// Returns the date in January 2026 that a word such as `d12` stands for, or why the date is unknown.
fn created(word: &str) -> Created {
    match word {
        "none" => Err(UndatedReason::NoDate),
        "epoch" => Err(UndatedReason::Placeholder(Timestamp::parse("1970-01-01T00:00:00Z").unwrap())),
        day => Ok(Timestamp::parse(&format!("2026-01-{}T00:00:00Z", day.trim_start_matches('d'))).unwrap()),
    }
}

/// Parses a list such as `v1=A v2=B@d12 I=A,B`: tags with the manifests that they point at and the dates of their
/// images, and the entries of indexes, whose names are uppercase on the left side too.
fn list(text: &str) -> TagList {
    let mut list = TagList::default();
    for (name, content) in text.split_whitespace().map(|part| part.split_once('=').unwrap()) {
        if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            list.entries.insert(digest(name), content.split(',').map(digest).collect());
            continue;
        }
        let (manifest, date) = content.split_once('@').unwrap_or((content, ""));
        let created = (!date.is_empty()).then(|| created(date));
        list.tags.push(ListedTag { tag: name.into(), digest: digest(manifest), created });
    }
    list
}

fn rules(patterns: &str) -> TagRules {
    TagRules { patterns: patterns.split(',').map(str::to_owned).collect(), ..TagRules::default() }
}

fn planned(text: &str, rules: &TagRules) -> Result<TagPlan, Error> {
    plan("r.io/app".parse().unwrap(), list(text), rules)
}

fn joined(tags: &[UntrustedText]) -> String {
    tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>().join(",")
}

fn uses_text(uses: &Uses) -> String {
    if uses.is_empty() { String::new() } else { format!("[{}|{}]", joined(&uses.tags), joined(&uses.held_by)) }
}

/// Returns the deletions, each with the remaining uses of its manifest, and the kept tags with their reasons.
fn text_of(plan: &TagPlan) -> String {
    let deletions =
        plan.deletions.iter().map(|planned| format!("-{}{}", planned.tag, uses_text(&planned.remaining_uses)));
    let kept = plan.kept.iter().map(|kept| {
        let reason = match &kept.reason {
            KeepReason::Newest(_) => "newest",
            KeepReason::Recent(_) => "recent",
            KeepReason::Undated(_) => "undated",
            KeepReason::Referrers => "referrers",
            KeepReason::Used(_) | KeepReason::Moved { .. } => unreachable!("not planned"),
        };
        format!("{}:{reason}", kept.tag)
    });
    deletions.chain(kept).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_newest_versions_stay() {
    let tags = "v1.10=A v1.2=B v1.9=C v1.10-rc.1=D latest=A edge=Z";
    for (patterns, keep, expected) in [
        ("v*", 0, "-v1.2 -v1.9 -v1.10-rc.1 -v1.10[latest|]"),
        ("v*", 1, "-v1.2 -v1.9 -v1.10-rc.1 v1.10:newest"),
        // A pre-release counts, and precedes its release.
        ("v*", 2, "-v1.2 -v1.9 v1.10-rc.1:newest v1.10:newest"),
        ("v1.9,v1.2", 1, "-v1.2 v1.9:newest"),
        ("v*", 9, "v1.2:newest v1.9:newest v1.10-rc.1:newest v1.10:newest"),
        // Without --keep, tags need not be versions.
        ("latest,edge", 0, "-edge -latest[v1.10|]"),
    ] {
        let plan = planned(tags, &TagRules { keep, ..rules(patterns) }).unwrap();
        assert_eq!(text_of(&plan), expected, "{patterns} {keep}");
    }
}

#[test]
fn tags_that_are_not_versions_cannot_be_kept_by_version() {
    let rules = TagRules { keep: 1, ..rules("*") };
    let error = planned("v1=A latest=A v2=B 0123abc=C", &rules).unwrap_err();
    let message = "r.io/app: the newest versions cannot be kept, because these tags are not versions: 0123abc, latest";
    assert_eq!(error.to_string(), message);
    let error = planned("a=A b=A c=B d=C e=D f=E g=F v1=A", &rules).unwrap_err();
    assert!(error.to_string().ends_with(": a, b, c, d, e and 2 more"), "{error}");
    // Tags outside of the patterns do not matter.
    assert!(planned("v1=A latest=A", &TagRules { patterns: vec!["v*".into()], ..rules }).is_ok());
}

#[test]
fn the_newest_images_stay_by_time() {
    let tags = "a=A@d03 b=B@d09 c=C@d05 d=D@none e=E@epoch v2=F@d09 v10=G@d09";
    for (patterns, keep, expected) in [
        ("?", 1, "-a -c d:undated e:undated b:newest"),
        ("?", 2, "-a d:undated e:undated c:newest b:newest"),
        // Tags of the same date are ordered by version.
        ("v*", 1, "-v2 v10:newest"),
        ("d,e", 1, "d:undated e:undated"),
    ] {
        let plan = planned(tags, &TagRules { keep, order: TagOrder::Time, ..rules(patterns) }).unwrap();
        assert_eq!(text_of(&plan), expected, "{patterns} {keep}");
    }
}

#[test]
fn only_tags_of_older_images_are_deleted() {
    let tags = "v1=A@d01 v2=B@d09 v3=C@d10 v4=D@none v5=E@epoch";
    for (keep, order, expected) in [
        (0, TagOrder::Version, "-v1 -v2 v3:recent v4:undated v5:undated"),
        // Both rules must agree.
        (1, TagOrder::Version, "-v1 -v2 v3:recent v4:undated v5:newest"),
        (4, TagOrder::Version, "-v1 v2:newest v3:newest v4:newest v5:newest"),
        (2, TagOrder::Time, "-v1 v4:undated v5:undated v2:newest v3:newest"),
    ] {
        let created_before = created("d10").ok();
        let plan = planned(tags, &TagRules { keep, order, created_before, ..rules("v*") }).unwrap();
        let mut sorted: Vec<&str> = expected.split(' ').collect();
        let text = text_of(&plan);
        let mut actual: Vec<&str> = text.split(' ').collect();
        sorted.sort_unstable();
        actual.sort_unstable();
        assert_eq!(actual, sorted, "{keep} {order:?}");
    }
}

#[test]
fn remaining_tags_and_indexes_that_use_a_manifest_are_known() {
    for (tags, patterns, expected) in [
        ("a=A", "a", "-a"),
        ("a=A b=A c=A", "a,b", "-a[c|] -b[c|]"),
        ("a=A b=A", "*", "-a -b"),
        // An index, a nested index, and both.
        ("a=A i=I I=A,B", "a", "-a[|i]"),
        ("a=A o=O O=I I=A,B", "a", "-a[|o]"),
        ("i=I o=O O=I I=A,B", "i", "-i[|o]"),
        ("a=A x=A i=I I=A", "a", "-a[x|i]"),
        // The index goes as well, and goes first.
        ("a=A i=I I=A,B", "*", "-i -a"),
        ("a=A i=I o=O O=I I=A", "*", "-o -i -a"),
        ("a=A i=I j=J I=A J=A", "a,i", "-i -a[|j]"),
        // An index that is listed but could not be read lists nothing.
        ("a=A o=O O=I", "a", "-a"),
    ] {
        assert_eq!(text_of(&planned(tags, &rules(patterns)).unwrap()), expected, "{tags}");
    }
    let tags: Vec<String> = (10..40).map(|n| format!("t{n}=A i{n}=I")).collect();
    let plan = planned(&format!("a=A I=A {}", tags.join(" ")), &rules("a")).unwrap();
    let Uses { tags, held_by } = &plan.deletions[0].remaining_uses;
    assert_eq!((tags.len(), held_by.len()), (MAX_NAMED, MAX_NAMED));
}

#[test]
fn tags_of_referrers_stay_and_are_reported_if_their_subject_goes() {
    let (a, b) = (digest("A").referrers_tag(), digest("B").referrers_tag());
    let tags = format!("v1=I v2=J I=A J=B {a}=R {a}.sig=S {b}.sig=T");
    let plan = planned(&tags, &rules("*")).unwrap();
    assert_eq!(text_of(&plan), format!("-v1 -v2 {a}:referrers {a}.sig:referrers {b}.sig:referrers"));
    let orphaned = |plan: &TagPlan, deleted: &[&str]| {
        let orphaned = plan.orphaned_tags(|tag| deleted.contains(&tag));
        orphaned.iter().map(|orphan| orphan.tag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(orphaned(&plan, &["v1"]), [a.clone(), format!("{a}.sig")]);
    assert_eq!(orphaned(&plan, &["v2"]), [format!("{b}.sig")]);
    assert_eq!(orphaned(&plan, &[]), [""; 0]);
    assert_eq!(orphaned(&plan, &["v2", &format!("{b}.sig")]), [""; 0]);
    assert_eq!(plan.orphaned_tags(|tag| tag == "v2")[0].subject, digest("B"));
    // The image has another tag.
    let plan = planned(&format!("{tags} kept=A"), &rules("v1")).unwrap();
    assert_eq!((text_of(&plan), orphaned(&plan, &["v1"])), ("-v1".to_owned(), vec![]));
    let plan = planned(&tags, &rules("sha256-*.sig,v1")).unwrap();
    assert!(text_of(&plan).starts_with("-") && plan.kept.is_empty() && plan.deletions.len() == 3);
}

#[test]
fn a_pattern_that_matches_no_tag_is_an_error() {
    let error = planned("v1=A v2=B", &rules("v*,x*")).unwrap_err();
    assert_eq!(error.to_string(), "no tag of r.io/app matches \"x*\": it has 2 tags");
    let Error::NoTagMatches(error) = error else { panic!("{error}") };
    assert_eq!((error.patterns, error.tags), (vec!["x*".into()], vec!["v1".into(), "v2".into()]));
}
