//! Pagination of lists, with the `Link` headers of registries and proxies. A partial list is never used as complete.

use crate::support::images::{OCI, OCI_INDEX, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::scripted_server::{ReceivedRequest, Response};
use crate::support::{Outcome, Registry, ScriptedServer, Workspace};

const EMPTY: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// The index that tag `c`, on the third page, points at.
const LAST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}"#;

/// Runs a command line. `HOST` is the address of the server, `LAST` the digest of [`LAST`].
fn run(host: &str, args: &[&str]) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    workspace.placeholder("HOST", host).placeholder("LAST", &sha256(LAST.as_bytes())).run(args)
}

fn received_delete(server: &ScriptedServer) -> bool {
    server.requests().iter().any(|request| request.line.starts_with("DELETE "))
}

/// Responds like a repository with the tags `a`, `b` and `c`, one on each page. `link` returns the `Link` header of a
/// page for the number and the target of the next page.
fn respond(request: &ReceivedRequest, link: impl Fn(usize, &str) -> String) -> Response {
    if !request.line.contains("/tags/list") {
        if request.line.starts_with("DELETE ") {
            return (202, vec![], vec![]);
        }
        let is_last = request.line.ends_with("/c") || request.line.ends_with(&sha256(LAST.as_bytes()));
        let bytes = if is_last { LAST } else { EMPTY };
        let headers = vec![("Content-Type", OCI_INDEX.to_owned()), ("Docker-Content-Digest", sha256(bytes.as_bytes()))];
        return (200, headers, bytes.into());
    }
    let last = ["a", "b"].iter().position(|tag| request.line.ends_with(&format!("last={tag}")));
    let page = last.map_or(0, |position| position + 1);
    let tag = ["a", "b", "c"][page];
    let next = format!("/v2/app/tags/list?x=1,2&last={tag}");
    let links = (page < 2).then(|| ("Link", link(page + 1, &next)));
    (200, links.into_iter().collect(), format!(r#"{{"name":"app","tags":["{tag}"]}}"#).into_bytes())
}

/// Lists, copies and deletes. `link` is the header that leads to page `linked_page`; the other page has an ordinary one.
fn list_copy_and_delete(link: &'static str, linked_page: usize) -> [Outcome; 3] {
    let server = ScriptedServer::start(move |request, host| {
        respond(request, |page, next| match page == linked_page {
            true => link.replace("NEXT", next).replace("HOST", host),
            false => format!("<{next}>; rel=\"next\""),
        })
    });
    let listed = run(&server.host, &["tags", "HOST/app"]);
    let copied = run(&server.host, &["copy", "--tags", "*", "HOST/app", "oci:out"]);
    let deleted = run(&server.host, &["delete", "HOST/app@LAST"]);
    assert!(!received_delete(&server), "{link}: {deleted:?}");
    [listed, copied, deleted]
}

#[test]
fn next_pages_are_found_in_every_form_of_link() {
    for link in [
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
        for page in [1, 2] {
            let [listed, copied, deleted] = list_copy_and_delete(link, page);
            assert_eq!((listed.exit, &*listed.stdout), (0, "a\nb\nc\n"), "{link} to page {page}: {listed:?}");
            assert_eq!((copied.exit, copied.stdout.lines().count()), (0, 3), "{link} to page {page}: {copied:?}");
            assert!(deleted.stderr.contains("would delete all its tags: c\n"), "{link} to page {page}: {deleted:?}");
            assert_eq!(deleted.exit, 1, "{link} to page {page}: {deleted:?}");
        }
    }
}

#[test]
fn links_that_cannot_be_read_or_followed_are_errors() {
    for (link, reason) in [
        ("<NEXT; rel=\"next\"", "no closing \">\""),
        ("NEXT>; rel=\"next\"", "not a URL"),
        ("<NEXT>; rel=\"next", "no closing quote"),
        ("<NEXT> rel=\"next\"", "not followed by"),
        ("<>; rel=\"next\"", "its target is empty"),
        ("<NEXT>; rel=\"next\", </other>; rel=\"next\"", "two different next pages"),
        ("<NEXT>; rel=\"next\"\r\nLink: </other>; rel=\"next\"", "two different next pages"),
        ("<NEXT>, </first>", "without marking one as next"),
        ("<http://elsewhere.example/v2/app/tags/list>; rel=\"next\"", "at another host, which is not contacted"),
        ("<ftp://HOSTNEXT>; rel=\"next\"", "it does not use http or https"),
    ] {
        for page in [1, 2] {
            let [listed, copied, deleted] = list_copy_and_delete(link, page);
            for outcome in [&listed, &copied, &deleted] {
                assert_eq!((outcome.exit, &*outcome.stdout), (1, ""), "{link} to page {page}: {outcome:?}");
                let has_reason = outcome.stderr.contains("tags of ") && outcome.stderr.contains(reason);
                assert!(has_reason, "{link} to page {page}: {outcome:?}");
            }
            assert!(deleted.stderr.contains("cannot be listed: tags of "), "{link} to page {page}: {deleted:?}");
        }
    }
}

#[test]
fn an_unreadable_link_is_ignored_if_the_limit_is_reached() {
    let server = ScriptedServer::start(|request, _| respond(request, |_, next| format!("<{next}; rel=next")));
    let listed = run(&server.host, &["tags", "--limit", "1", "HOST/app"]);
    assert_eq!((listed.exit, &*listed.stdout, &*listed.stderr), (0, "a\n", ""));
}

#[test]
fn pages_that_link_in_a_circle_are_an_error() {
    let server = ScriptedServer::start(|request, _| {
        respond(request, |page, next| match page {
            2 => "</v2/app/tags/list>; rel=next".into(),
            _ => format!("<{next}>; rel=next"),
        })
    });
    run(&server.host, &["tags", "HOST/app"]).fails(1, "form a loop");
    assert!(server.requests().len() < 10, "{}", server.requests().len());
    let server = ScriptedServer::start(|request, _| {
        let target = request.line.split_once(' ').unwrap().1.to_owned();
        respond(request, move |_, _| format!("<{target}>; rel=next"))
    });
    run(&server.host, &["tags", "HOST/app"]).fails(1, "names the page itself");
    assert_eq!(server.requests().len(), 1);
}

/// The registry requires credentials and redirects the list to another host, which links to further pages on itself.
#[test]
fn links_after_a_redirect_are_relative_to_the_responding_host_and_get_no_credentials() {
    let elsewhere = ScriptedServer::start(|request, _| {
        let mut request = request.clone();
        request.line = request.line.replace("/pages/", "/v2/app/");
        respond(&request, |_, next| format!("<{}>; rel=\"next\"", next.replace("/v2/app/", "/pages/")))
    });
    let other_host = elsewhere.host.clone();
    let registry = ScriptedServer::start(move |request, _| match &request.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if request.line.contains("/tags/list") => {
            (307, vec![("Location", format!("http://{other_host}/pages/tags/list"))], vec![])
        }
        Some(_) => respond(request, |_, _| String::new()),
    });
    let login = ["--username", "user", "--password", "secret-word"];
    let listed = run(&registry.host, &[&login[..], &["tags", "HOST/app"]].concat());
    assert_eq!((listed.exit, &*listed.stdout), (0, "a\nb\nc\n"), "{listed:?}");
    run(&registry.host, &[&login[..], &["delete", "HOST/app@LAST"]].concat())
        .fails(1, "would delete all its tags: c\n");
    assert!(!received_delete(&registry));
    assert_eq!(elsewhere.requests().len(), 6);
    assert!(
        elsewhere.requests().iter().all(|request| request.authorization.is_none()),
        "the other host received the registry's credentials"
    );
}

/// Without a list in the response, the tags are unknown. Some registries send `null` for an empty list.
#[test]
fn a_response_without_a_list_is_not_an_empty_list() {
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
        let server = ScriptedServer::start(move |request, _| match request.line.contains("/tags/list") {
            true => (200, vec![], body.into()),
            false => respond(request, |_, _| String::new()),
        });
        let deleted = run(&server.host, &["delete", "HOST/app@LAST"]);
        assert_eq!((deleted.exit, received_delete(&server)), (i32::from(!is_list), is_list), "{body}: {deleted:?}");
        assert!(is_list || deleted.stderr.contains("which cannot be listed: tags of "), "{body}: {deleted:?}");
        if !body.contains("no tag!") {
            let listed = run(&server.host, &["tags", "HOST/app"]);
            assert_eq!((listed.exit, &*listed.stdout), (i32::from(!is_list), ""), "{body}: {listed:?}");
        }
    }
}

#[test]
fn names_that_are_not_valid_tags_are_skipped_with_a_warning() {
    let body = r#"{"tags":["a","no tag!","../b"]}"#;
    let server = ScriptedServer::start(move |_, _| (200, vec![], body.into()));
    let listed = run(&server.host, &["tags", "HOST/app"]);
    assert_eq!((listed.exit, &*listed.stdout), (0, "a\n"), "{listed:?}");
    assert!(listed.stderr.contains("left out 2 listed names that are not valid tags\n"), "{listed:?}");
}

/// An unreadable index may contain the manifest that would be deleted. A manifest of another media type cannot.
#[test]
fn delete_is_refused_if_the_index_of_a_tag_is_unreadable() {
    for (content_type, body, is_known) in [
        (OCI_INDEX, "{\"manifests\":", false),
        (OCI_INDEX, r#"{"manifests":[],"layers":[]}"#, false),
        ("application/vnd.example.other+json", "{}", true),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1}"#, true),
    ] {
        let server = ScriptedServer::start(move |request, _| {
            if request.line.ends_with("/manifests/b") {
                let headers =
                    vec![("Content-Type", content_type.to_owned()), ("Docker-Content-Digest", sha256(body.as_bytes()))];
                return (200, headers, body.into());
            }
            if request.line.contains("/tags/list") {
                return (200, vec![], br#"{"tags":["a","b"]}"#.to_vec());
            }
            respond(request, |_, _| String::new())
        });
        let deleted = run(&server.host, &["delete", "HOST/app@LAST"]);
        assert_eq!(deleted.exit, i32::from(!is_known), "{body}: {deleted:?}");
        assert!(is_known || deleted.stderr.contains("cannot be listed: "), "{body}: {deleted:?}");
    }
}

#[test]
fn referrers_on_two_pages_are_joined_and_a_missing_page_makes_them_unknown() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let referrers = ["one", "two"].map(|tag| push_image(&registry, "app", tag, "amd64"));
    let v1 = registry.manifest("app", "v1").unwrap();
    assert_eq!(descriptor(OCI, &v1.digest, &v1.bytes)["size"], v1.bytes.len());
    for (link, has_second_page, count) in [
        ("<NEXT>; title=\"a, b\"; rel=\"next\"", true, Some(2)),
        ("<NEXT>", true, Some(2)),
        ("<NEXT", true, None),
        ("<NEXT>; rel=\"next\"", false, None),
    ] {
        let referrers = referrers.clone();
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            let index = |entry: &serde_json::Value| {
                let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]});
                (200, vec![("Content-Type", OCI_INDEX.to_owned())], index.to_string().into_bytes())
            };
            let target = request.line.strip_prefix("GET ").filter(|line| line.contains("/referrers/"))?;
            if target.ends_with("page=1,2") {
                return Some(if has_second_page { index(&referrers[1]) } else { (404, vec![], vec![]) });
            }
            let mut first = index(&referrers[0]);
            first.1.push(("Link", link.replace("NEXT", &format!("{target}?page=1,2"))));
            Some(first)
        });
        let outcome = run(&proxy.host, &["inspect", "--output", "json", "HOST/app:v1"]);
        let referrers = outcome.json()["referrers"].as_array().map(Vec::len);
        assert_eq!(referrers, count, "{link}: {outcome:?}");
        if count.is_none() {
            run(&proxy.host, &["copy", "--referrers", "HOST/app:v1", "oci:out"]).fails(1, "referrers of ");
        }
    }
    // A registry that responds without a list has no referrers API, so the list is read from the fallback tag.
    for body in ["{}", "<html>hello</html>"] {
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            request.line.contains("/referrers/").then(|| (200, vec![], body.into()))
        });
        let outcome = run(&proxy.host, &["inspect", "--output", "json", "HOST/app:v1"]);
        assert!(outcome.exit == 0 && outcome.stdout.contains("\"referrers\": []"), "{body}: {outcome:?}");
        let tag = format!("/v2/app/manifests/{}", v1.digest.replace(':', "-"));
        assert!(proxy.requests().iter().any(|request| request.line.ends_with(&tag)), "{body}");
    }
}
