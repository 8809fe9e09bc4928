//! Lists in pages: `Link` in the forms that registries and proxies send. A part of a list never passes for all of it.

use crate::support::images::{OCI, OCI_INDEX, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::scripted::{Answer, Asked};
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

const EMPTY: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// What the tag `c`, on the third page, points at.
const LAST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}"#;

fn run(args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    manifest_tool(folder.path(), &[&["--plain-http", "--retries", "0"], args].concat())
}

/// The answer of a repository with the tags `a`, `b` and `c`, one to a page. `link` makes the `Link` header of a page
/// from its number and the target of the next page.
fn app(asked: &Asked, link: impl Fn(usize, &str) -> String) -> Answer {
    if !asked.line.contains("/tags/list") {
        if asked.line.starts_with("DELETE ") {
            return (202, vec![], vec![]);
        }
        let is_last = asked.line.ends_with("/c") || asked.line.ends_with(&sha256(LAST.as_bytes()));
        let bytes = if is_last { LAST } else { EMPTY };
        let headers = vec![("Content-Type", OCI_INDEX.to_owned()), ("Docker-Content-Digest", sha256(bytes.as_bytes()))];
        return (200, headers, bytes.into());
    }
    let last = ["a", "b"].iter().position(|tag| asked.line.ends_with(&format!("last={tag}")));
    let page = last.map_or(0, |at| at + 1);
    let tag = ["a", "b", "c"][page];
    let next = format!("/v2/app/tags/list?x=1,2&last={tag}");
    let links = (page < 2).then(|| ("Link", link(page + 1, &next)));
    (200, links.into_iter().collect(), format!(r#"{{"name":"app","tags":["{tag}"]}}"#).into_bytes())
}

/// Lists, copies and deletes, where the header of page `at` is `form` and that of the other page is an ordinary one.
fn outcomes(form: &'static str, at: usize) -> [Outcome; 3] {
    let server = Scripted::start(move |asked, host| {
        app(asked, |page, next| match page == at {
            true => form.replace("NEXT", next).replace("HOST", host),
            false => format!("<{next}>; rel=\"next\""),
        })
    });
    let app = format!("{}/app", server.host);
    let listed = run(&["tags", &app]);
    let copied = run(&["copy", "--tags", "*", &app, "oci:out"]);
    let deleted = run(&["delete", &format!("{app}@{}", sha256(LAST.as_bytes()))]);
    assert!(server.asked().iter().all(|asked| !asked.line.starts_with("DELETE ")), "{form}: {deleted:?}");
    [listed, copied, deleted]
}

#[test]
fn links_in_every_form_are_followed() {
    for form in [
        "<NEXT>; rel=\"next\"",
        "<http://HOSTNEXT>;rel=next",
        "<NEXT>; title=\"a, b\"; rel=\"next\"",
        "<NEXT>; title=\"a \\\" b, <c>\"; REL=\"prev Next\"",
        "<NEXT>",
        "<NEXT>; title=\"a, b\"",
        "NEXT; rel=\"next\"",
        "NEXT",
        "</first>; rel=\"first\", <NEXT>; rel=\"next\"",
        "</first>; rel=\"first\"\r\nLink: <NEXT>; rel=\"next\"",
    ] {
        for at in [1, 2] {
            let [listed, copied, deleted] = outcomes(form, at);
            assert_eq!((listed.exit, &*listed.stdout), (0, "a\nb\nc\n"), "{form} on page {at}: {listed:?}");
            assert_eq!((copied.exit, copied.stdout.lines().count()), (0, 3), "{form} on page {at}: {copied:?}");
            let says = deleted.stderr.contains("would take every tag of it: c\n");
            assert!(deleted.exit == 1 && says, "{form} on page {at}: {deleted:?}");
        }
    }
}

#[test]
fn links_that_cannot_be_read_or_followed_are_errors() {
    for (form, reason) in [
        ("<NEXT; rel=\"next\"", "no closing \">\""),
        ("NEXT>; rel=\"next\"", "not a URL"),
        ("<NEXT>; rel=\"next", "no closing quote"),
        ("<NEXT> rel=\"next\"", "not followed by"),
        ("<>; rel=\"next\"", "its target is empty"),
        ("<NEXT>; rel=\"next\", </other>; rel=\"next\"", "two different next pages"),
        ("<NEXT>; rel=\"next\"\r\nLink: </other>; rel=\"next\"", "two different next pages"),
        ("<NEXT>, </first>", "not which of them is the next"),
        ("<http://elsewhere.example/v2/app/tags/list>; rel=\"next\"", "at another host, which is not asked"),
        ("<ftp://HOSTNEXT>; rel=\"next\"", "it is not http or https"),
    ] {
        for at in [1, 2] {
            let [listed, copied, deleted] = outcomes(form, at);
            for outcome in [&listed, &copied, &deleted] {
                assert_eq!((outcome.exit, &*outcome.stdout), (1, ""), "{form} on page {at}: {outcome:?}");
                let says = outcome.stderr.contains("tags of ") && outcome.stderr.contains(reason);
                assert!(says, "{form} on page {at}: {outcome:?}");
            }
            assert!(deleted.stderr.contains("cannot be told: tags of "), "{form} on page {at}: {deleted:?}");
        }
    }
}

#[test]
fn a_limit_that_is_reached_needs_no_next_page() {
    let server = Scripted::start(|asked, _| app(asked, |_, next| format!("<{next}; rel=next")));
    let listed = run(&["tags", "--limit", "1", &format!("{}/app", server.host)]);
    assert_eq!((listed.exit, &*listed.stdout, &*listed.stderr), (0, "a\n", ""));
}

#[test]
fn pages_that_name_one_another_are_an_error() {
    let server = Scripted::start(|asked, _| {
        app(asked, |page, next| match page {
            2 => "</v2/app/tags/list>; rel=next".into(),
            _ => format!("<{next}>; rel=next"),
        })
    });
    let listed = run(&["tags", &format!("{}/app", server.host)]);
    assert!(listed.exit == 1 && listed.stderr.contains("there is no last"), "{listed:?}");
    assert!(server.asked().len() < 10, "{}", server.asked().len());
    let server = Scripted::start(|asked, _| {
        let target = asked.line.split_once(' ').unwrap().1.to_owned();
        app(asked, move |_, _| format!("<{target}>; rel=next"))
    });
    let listed = run(&["tags", &format!("{}/app", server.host)]);
    assert!(listed.exit == 1 && listed.stderr.contains("names the page itself"), "{listed:?}");
    assert_eq!(server.asked().len(), 1);
}

/// The registry wants credentials, and redirects its list to another host, which names further pages relative to itself.
#[test]
fn pages_behind_a_redirect_are_relative_to_the_host_that_answered() {
    let elsewhere = Scripted::start(|asked, _| {
        let mut asked = asked.clone();
        asked.line = asked.line.replace("/pages/", "/v2/app/");
        app(&asked, |_, next| format!("<{}>; rel=\"next\"", next.replace("/v2/app/", "/pages/")))
    });
    let there = elsewhere.host.clone();
    let registry = Scripted::start(move |asked, _| match &asked.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if asked.line.contains("/tags/list") => {
            (307, vec![("Location", format!("http://{there}/pages/tags/list"))], vec![])
        }
        Some(_) => app(asked, |_, _| String::new()),
    });
    let app = format!("{}/app", registry.host);
    let login = ["--username", "user", "--password", "secret-word"];
    let listed = run(&[&login[..], &["tags", &app]].concat());
    assert_eq!((listed.exit, &*listed.stdout), (0, "a\nb\nc\n"), "{listed:?}");
    let image = format!("{app}@{}", sha256(LAST.as_bytes()));
    let deleted = run(&[&login[..], &["delete", &image]].concat());
    assert!(deleted.exit == 1 && deleted.stderr.contains("would take every tag of it: c\n"), "{deleted:?}");
    assert!(registry.asked().iter().all(|asked| !asked.line.starts_with("DELETE ")));
    assert_eq!(elsewhere.asked().len(), 6);
    assert!(elsewhere.asked().iter().all(|asked| asked.authorization.is_none()), "credentials are the registry's own");
}

/// Of an answer without a list it cannot be told which tags there are. Null stands for an empty list.
#[test]
fn an_answer_without_a_list_is_not_an_empty_list() {
    for (body, is_list) in [
        ("{}", false),
        (r#"{"name":"app"}"#, false),
        ("<html>sign in</html>", false),
        ("", false),
        ("[]", false),
        (r#"{"tags":{}}"#, false),
        (r#"{"tags":["a","no tag!"]}"#, false),
        (r#"{"name":"app","tags":null}"#, true),
        (r#"{"name":"app","tags":[]}"#, true),
    ] {
        let server = Scripted::start(move |asked, _| match asked.line.contains("/tags/list") {
            true => (200, vec![], body.into()),
            false => app(asked, |_, _| String::new()),
        });
        let app = format!("{}/app", server.host);
        let deleted = run(&["delete", &format!("{app}@{}", sha256(LAST.as_bytes()))]);
        let is_sent = server.asked().iter().any(|asked| asked.line.starts_with("DELETE "));
        assert_eq!((deleted.exit, is_sent), (i32::from(!is_list), is_list), "{body}: {deleted:?}");
        assert!(is_list || deleted.stderr.contains("which these are cannot be told: tags of "), "{body}: {deleted:?}");
        if !body.contains("no tag!") {
            let listed = run(&["tags", &app]);
            assert_eq!((listed.exit, &*listed.stdout), (i32::from(!is_list), ""), "{body}: {listed:?}");
        }
    }
}

#[test]
fn names_that_are_not_tags_are_left_out_with_a_warning() {
    let body = r#"{"tags":["a","no tag!","../b"]}"#;
    let server = Scripted::start(move |_, _| (200, vec![], body.into()));
    let listed = run(&["tags", &format!("{}/app", server.host)]);
    assert_eq!((listed.exit, &*listed.stdout), (0, "a\n"), "{listed:?}");
    assert!(listed.stderr.contains("2 of the names listed are not valid tags and are left out\n"), "{listed:?}");
}

/// A tag that cannot be read may be an index that holds the manifest; one of another type cannot.
#[test]
fn a_tag_that_cannot_be_read_may_be_a_use() {
    for (content_type, body, is_known) in [
        (OCI_INDEX, "{\"manifests\":", false),
        (OCI_INDEX, r#"{"manifests":[],"layers":[]}"#, false),
        ("application/vnd.example.other+json", "{}", true),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1}"#, true),
    ] {
        let server = Scripted::start(move |asked, _| {
            if asked.line.ends_with("/manifests/b") {
                let headers =
                    vec![("Content-Type", content_type.to_owned()), ("Docker-Content-Digest", sha256(body.as_bytes()))];
                return (200, headers, body.into());
            }
            if asked.line.contains("/tags/list") {
                return (200, vec![], br#"{"tags":["a","b"]}"#.to_vec());
            }
            app(asked, |_, _| String::new())
        });
        let deleted = run(&["delete", &format!("{}/app@{}", server.host, sha256(LAST.as_bytes()))]);
        assert_eq!(deleted.exit, i32::from(!is_known), "{body}: {deleted:?}");
        assert!(is_known || deleted.stderr.contains("cannot be told: "), "{body}: {deleted:?}");
    }
}

/// Two referrers, on two pages; and a second page that is not there.
#[test]
fn pages_of_referrers() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let referrers = ["one", "two"].map(|tag| push_image(&registry, "app", tag, "amd64"));
    let v1 = registry.manifest("app", "v1").unwrap();
    assert_eq!(descriptor(OCI, &v1.digest, &v1.bytes)["size"], v1.bytes.len());
    for (form, second, count) in [
        ("<NEXT>; title=\"a, b\"; rel=\"next\"", true, Some(2)),
        ("<NEXT>", true, Some(2)),
        ("<NEXT", true, None),
        ("<NEXT>; rel=\"next\"", false, None),
    ] {
        let referrers = referrers.clone();
        let front = Scripted::before(&registry, move |asked| {
            let index = |entry: &serde_json::Value| {
                let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]});
                (200, vec![("Content-Type", OCI_INDEX.to_owned())], index.to_string().into_bytes())
            };
            let target = asked.line.strip_prefix("GET ").filter(|line| line.contains("/referrers/"))?;
            if target.ends_with("page=1,2") {
                return Some(if second { index(&referrers[1]) } else { (404, vec![], vec![]) });
            }
            let mut first = index(&referrers[0]);
            first.1.push(("Link", form.replace("NEXT", &format!("{target}?page=1,2"))));
            Some(first)
        });
        let outcome = run(&["inspect", "--output", "json", &format!("{}/app:v1", front.host)]);
        let shown: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let found = shown["referrers"].as_array().map(Vec::len);
        assert_eq!(found, count, "{form}: {outcome:?}");
        if count.is_none() {
            let copied = run(&["copy", "--referrers", &format!("{}/app:v1", front.host), "oci:out"]);
            assert!(copied.exit == 1 && copied.stderr.contains("referrers of "), "{form}: {copied:?}");
        }
    }
    // An answer without a list stands for a registry without one: the tag holds it.
    for body in ["{}", "<html>hello</html>"] {
        let front = Scripted::before(&registry, move |asked| {
            asked.line.contains("/referrers/").then(|| (200, vec![], body.into()))
        });
        let outcome = run(&["inspect", "--output", "json", &format!("{}/app:v1", front.host)]);
        assert!(outcome.exit == 0 && outcome.stdout.contains("\"referrers\": []"), "{body}: {outcome:?}");
        let tag = format!("/v2/app/manifests/{}", v1.digest.replace(':', "-"));
        assert!(front.asked().iter().any(|asked| asked.line.ends_with(&tag)), "{body}");
    }
}
