//! `delete`: a tag alone where the registry does that, and never more than was agreed to.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{OCI, push_image, push_index};
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

fn run(args: &[&str]) -> Outcome {
    manifest_tool(Path::new("/"), &[&["--plain-http", "delete"], args].concat())
}

/// An image with two tags, which an index holds.
struct Scene {
    registry: Registry,
    image: String,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        let entry = push_image(&registry, "app", "image", "amd64");
        let image = entry["digest"].as_str().unwrap().to_owned();
        let bytes = registry.manifest("app", "image").unwrap().bytes;
        registry.push_manifest("app", "other", OCI, &bytes);
        push_index(&registry, "app", "index", &[entry]);
        Self { registry, image }
    }

    fn name(&self, tag: &str) -> String {
        format!("{}/app:{tag}", self.registry.host)
    }

    fn has(&self, name: &str) -> bool {
        self.registry.manifest("app", name).is_some()
    }
}

/// CNCF distribution 2.8 deletes manifests, and no tags.
#[test]
fn where_a_tag_alone_cannot_be_deleted() {
    let scene = Scene::new();
    let outcome = run(&[&scene.name("image")]);
    let said = "registry says: DIGEST_INVALID: provided digest did not match uploaded content)";
    let message = format!(
        "error: {}: not deleted: the tag alone cannot be, refused by the registry (DELETE /v2/app/manifests/image: HTTP \
         400; {said}\n  deleting {} would take every tag of it: image, other\n  and break the indexes that hold it: \
         index\nhint: --yes deletes it all the same, where the registry deletes manifests\n",
        scene.name("image"),
        scene.image
    );
    assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", message));
    assert!(scene.has("image") && scene.has("other"));
    let told: Value = serde_json::from_str(&run(&[&scene.name("image"), "--output", "json"]).stdout).unwrap();
    let part = &told["images"][0];
    assert_eq!((&part["tags"], &part["heldBy"]), (&json!(["image", "other"]), &json!(["index"])));
    assert_eq!((&part["digest"], &told["error"]["exitCode"]), (&json!(scene.image), &json!(1)));

    let outcome = run(&["--yes", &scene.name("image")]);
    let line = format!("Deleted: {}/app@{}, with every tag of it\n", scene.registry.host, scene.image);
    assert_eq!((outcome.exit, outcome.stdout, &*outcome.stderr), (0, line, ""));
    assert!(!scene.has("image") && !scene.has("other") && scene.has("index"));
    let again = run(&["--yes", &scene.name("image")]);
    assert!(again.exit == 1 && again.stderr.contains("app:image not found"), "{again:?}");
}

#[test]
fn by_digest() {
    let scene = Scene::new();
    let named = format!("{}/app@{}", scene.registry.host, scene.image);
    let outcome = run(&[&named]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("would take every tag of it: image, other\n"), "{outcome:?}");
    assert!(scene.has("image"));
    let told: Value = serde_json::from_str(&run(&["--yes", "--output", "json", &named]).stdout).unwrap();
    assert_eq!(told["images"][0], json!({"reference": named, "digest": scene.image, "deleted": "manifest"}));
    assert!(!scene.has("image"));

    // What nothing refers to takes nothing along.
    let entry = push_image(&scene.registry, "alone", "tag", "amd64");
    let digest = entry["digest"].as_str().unwrap();
    let bytes = scene.registry.manifest("alone", "tag").unwrap().bytes;
    push_image(&scene.registry, "alone", "tag", "arm64");
    scene.registry.push_manifest("alone", digest, OCI, &bytes);
    let outcome = run(&[&format!("{}/alone@{digest}", scene.registry.host)]);
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    assert!(scene.registry.manifest("alone", digest).is_none() && scene.registry.manifest("alone", "tag").is_some());
}

/// A registry that deletes tags, put together of one that does not.
#[test]
fn where_tags_are_deleted() {
    let scene = Scene::new();
    let tag = scene.registry.folder.path().join("storage/docker/registry/v2/repositories/app/_manifests/tags/other");
    let front = Scripted::before(&scene.registry, move |asked| {
        let is_it = asked.line == "DELETE /v2/app/manifests/other";
        is_it.then(|| std::fs::remove_dir_all(&tag).unwrap()).map(|()| (202, vec![], vec![]))
    });
    let named = format!("{}/app:other", front.host);
    let outcome = run(&[&named]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Deleted: {named} ({})\n", scene.image)));
    assert!(scene.has("image") && !scene.has("other"));
    let told: Value =
        serde_json::from_str(&run(&["--output", "json", &format!("{}/app:none", front.host)]).stdout).unwrap();
    assert!(told["images"][0]["error"]["message"].as_str().unwrap().contains("not found"), "{told}");
}

/// The answer was lost, and the tag is gone: that was this run.
#[test]
fn a_lost_answer() {
    let scene = Scene::new();
    let tag = scene.registry.folder.path().join("storage/docker/registry/v2/repositories/app/_manifests/tags/other");
    let front = Scripted::before(&scene.registry, move |asked| {
        (asked.line == "DELETE /v2/app/manifests/other").then(|| match std::fs::remove_dir_all(&tag) {
            Ok(()) => (502, vec![], vec![]),
            Err(_) => (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
        })
    });
    let outcome = run(&[&format!("{}/app:other", front.host)]);
    assert!(outcome.exit == 0 && outcome.stdout.starts_with("Deleted: "), "{outcome:?}");
    assert!(scene.has("image"));
}

#[test]
fn a_registry_that_deletes_nothing_or_lists_nothing() {
    let scene = Scene::new();
    let front = Scripted::before(&scene.registry, |asked| {
        let body = |code: &str| json!({"errors": [{"code": code, "message": "no"}]}).to_string().into_bytes();
        match asked.line.as_str() {
            line if line.starts_with("DELETE ") => Some((405, vec![], body("UNSUPPORTED"))),
            line if line.contains("/tags/list") => Some((403, vec![], body("DENIED"))),
            _ => None,
        }
    });
    let named = format!("{}/app:other", front.host);
    let outcome = run(&[&named]);
    assert!(outcome.stderr.contains("HTTP 405; registry says: UNSUPPORTED: no)"), "{outcome:?}");
    assert!(outcome.stderr.contains("every tag of it; which these are cannot be told"), "{outcome:?}");
    let outcome = run(&["--yes", &named]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 405; registry says: UNSUPPORTED: no)"), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("DELETE /v2/app/manifests/{}", scene.image)), "{outcome:?}");
    assert!(scene.has("other"));
}

#[test]
fn several_one_after_another() {
    let scene = Scene::new();
    let [one, other, none, index] = ["image", "other", "none", "index"].map(|tag| scene.name(tag));
    // The first takes the second along.
    let outcome = run(&["--yes", &one, &other, &none, &index]);
    assert_eq!((outcome.exit, outcome.stdout.lines().count()), (1, 2), "{outcome:?}");
    assert!(outcome.stderr.contains("app:none not found"), "{outcome:?}");
    assert!(outcome.stderr.ends_with("error: 1 of 4 references are not deleted\n"), "{outcome:?}");
    assert!(!scene.has("image") && !scene.has("index"));
    assert_eq!(run(&[]).exit, 2);
    assert_eq!(run(&["r.example/app"]).exit, 1);
    let both = run(&["--yes", &format!("r.example/app:v1@{}", scene.image)]);
    assert!(both.exit == 2 && both.stderr.contains("both a tag and a digest"), "{both:?}");
}

#[test]
fn names_of_layouts() {
    let scene = Scene::new();
    push_image(&scene.registry, "app", "second", "arm64");
    let folder = tempfile::tempdir().unwrap();
    let tool = |args: &[&str]| manifest_tool(folder.path(), args);
    for place in ["oci:out", "oci-archive:out.tar"] {
        // Several in one archive have to be written in one run: out of a folder.
        for tag in ["index", "other", "image", "second"] {
            let (from, to) = (scene.name(tag), format!("oci:all:{tag}"));
            assert_eq!(tool(&["--plain-http", "copy", &from, &to]).exit, 0);
        }
        if place == "oci:out" {
            std::fs::rename(folder.path().join("all"), folder.path().join("out")).unwrap();
        } else {
            let mut pack = Command::new("tar");
            pack.args(["-cf", "out.tar", "-C", "all", "."]).current_dir(folder.path());
            assert!(pack.status().unwrap().success());
        }
        let outcome = tool(&["delete", &format!("{place}:other")]);
        assert_eq!((outcome.exit, outcome.stdout), (0, format!("Deleted: {place}:other ({})\n", scene.image)));
        assert_eq!(tool(&["tags", place]).stdout.lines().collect::<Vec<_>>().len(), 3);
        assert_eq!(tool(&["verify", "--layers", &format!("{place}:image"), &format!("{place}:index")]).exit, 0);
        let outcome = tool(&["delete", &format!("{place}@{}", scene.image)]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("every tag of it: image\n"), "{outcome:?}");
        let outcome = tool(&["delete", &format!("{place}:none")]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("not found in the layout"), "{outcome:?}");
        let outcome = tool(&["delete", "--yes", &format!("{place}@{}", scene.image)]);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        // It is part of the index, which stays whole.
        assert_eq!(tool(&["verify", "--layers", &format!("{place}:index")]).exit, 0);
        assert_eq!(tool(&["delete", &format!("{place}:index")]).exit, 0);
        let has = |digest: &str| {
            let listed = Command::new("tar").args(["-tf", "out.tar"]).current_dir(folder.path()).output();
            String::from_utf8(listed.unwrap().stdout).unwrap().contains(digest.strip_prefix("sha256:").unwrap())
        };
        if place == "oci:out" {
            assert!(folder.path().join("out/blobs").join(scene.image.replace(':', "/")).exists(), "blobs stay");
        } else {
            assert!(!has(&scene.image), "nothing in the archive refers to it any more");
            let second = scene.registry.manifest("app", "second").unwrap().digest;
            assert!(has(&second));
        }
        let last = tool(&["verify", "--layers", place]);
        assert_eq!(last.exit, 0, "the last one: {last:?}");
        assert_eq!(tool(&["delete", place]).exit, 2, "it has to be named");
        assert_eq!(tool(&["delete", &format!("{place}:second")]).exit, 0);
        assert_eq!((tool(&["tags", place]).exit, tool(&["tags", place]).stdout), (0, String::new()));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    }
}

/// An index in an index, and what this program cannot read, are uses of a manifest as well.
#[test]
fn uses_that_are_not_on_the_surface() {
    let scene = Scene::new();
    let held = scene.registry.manifest("app", "index").unwrap();
    let inner = json!({"mediaType": held.media_type, "digest": held.digest, "size": held.bytes.len()});
    push_index(&scene.registry, "app", "outer", &[inner]);
    let outcome = run(&[&scene.name("image")]);
    assert!(outcome.stderr.contains("\n  and break the indexes that hold it: index, outer\n"), "{outcome:?}");

    // A proxy's 400 does not make more of a tag than it is.
    let front = Scripted::before(&scene.registry, |asked| {
        asked.line.starts_with("DELETE ").then(|| (400, vec![], b"<html>bad request</html>".to_vec()))
    });
    let outcome = run(&["--yes", &format!("{}/app:other", front.host)]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 400; registry says: <html>bad request"), "{outcome:?}");
    assert!(front.asked().iter().all(|asked| !asked.line.contains("DELETE /v2/app/manifests/sha256:")));
    assert!(scene.has("other"));

    // A digest is deleted by the name that the user gave it, whatever a HEAD says.
    let (image, lie) = (scene.image.clone(), held.digest.clone());
    let wanted = format!("HEAD /v2/app/manifests/{image}");
    let front = Scripted::before(&scene.registry, move |asked| {
        (asked.line == wanted).then(|| (200, vec![("Docker-Content-Digest", lie.clone())], vec![]))
    });
    let outcome = run(&["--yes", &format!("{}/app@{image}", front.host)]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(!scene.has(&image) && scene.has("index"));
}

/// An archive stays what it was to others: its mode, the link to it, and the files of `docker save` in it.
#[cfg(unix)]
#[test]
fn archives_as_they_were() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let tool = |args: &[&str]| manifest_tool(folder.path(), args);
    for tag in ["index", "image"] {
        assert_eq!(tool(&["--plain-http", "copy", &scene.name(tag), &format!("oci:all:{tag}")]).exit, 0);
    }
    let pack = |name: &str| {
        let mut pack = Command::new("tar");
        pack.args(["-cf", name, "-C", "all", "."]).current_dir(folder.path());
        assert!(pack.status().unwrap().success());
    };
    pack("real.tar");
    let real = folder.path().join("real.tar");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real.tar", folder.path().join("link.tar")).unwrap();
    assert_eq!(tool(&["delete", "oci-archive:link.tar:image"]).exit, 0);
    assert!(std::fs::symlink_metadata(folder.path().join("link.tar")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(tool(&["tags", "oci-archive:real.tar"]).stdout, "index\n");

    std::fs::write(folder.path().join("all/manifest.json"), "[]").unwrap();
    pack("saved.tar");
    let outcome = tool(&["delete", "oci-archive:saved.tar:image"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("manifest.json\" as well"), "{outcome:?}");
    assert_eq!(tool(&["tags", "oci-archive:saved.tar"]).stdout, "index\nimage\n");
}

#[test]
fn two_at_once_on_one_archive() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let tool = |args: &[&str]| manifest_tool(folder.path(), args);
    let names: Vec<String> = (0..8).map(|n| format!("v{n}")).collect();
    for name in &names {
        assert_eq!(tool(&["--plain-http", "copy", &scene.name("image"), &format!("oci:all:{name}")]).exit, 0);
    }
    let mut pack = Command::new("tar");
    assert!(pack.args(["-cf", "all.tar", "-C", "all", "."]).current_dir(folder.path()).status().unwrap().success());
    std::thread::scope(|scope| {
        for name in &names[1..] {
            scope.spawn(move || {
                let outcome = tool(&["delete", &format!("oci-archive:all.tar:{name}")]);
                assert_eq!(outcome.exit, 0, "{outcome:?}");
            });
        }
    });
    assert_eq!(tool(&["tags", "oci-archive:all.tar"]).stdout, "v0\n");
}
