//! `delete`: it deletes only the tag where the registry can, and otherwise never more than the user agreed to.

mod tag_dates;
mod tag_safety;
mod tags;

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::images::{OCI, push_image, push_index};
use crate::support::{Outcome, Sandbox, ScriptedServer};

/// `app` has an image with the tags `image` and `other`, and an index of the image.
struct DeleteFixture {
    sandbox: Sandbox,
    image_digest: String,
}

impl DeleteFixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let registry = &sandbox.registry;
        let entry = push_image(registry, "app", "image", "amd64");
        let image_digest = entry["digest"].as_str().unwrap().to_owned();
        let bytes = registry.manifest("app", "image").unwrap().bytes;
        registry.push_manifest("app", "other", OCI, &bytes);
        push_index(registry, "app", "index", &[entry]);
        Self { sandbox, image_digest }
    }

    fn delete(&self, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["delete"], args].concat())
    }

    fn has(&self, reference: &str) -> bool {
        self.sandbox.registry.manifest("app", reference).is_some()
    }

    /// The files of a tag in the registry's storage. Removing them deletes only the tag, which this registry cannot do.
    fn tag_folder(&self, tag: &str) -> PathBuf {
        let tags = "storage/docker/registry/v2/repositories/app/_manifests/tags";
        self.sandbox.registry.folder.path().join(tags).join(tag)
    }

    /// Copies `HOST/app:SOURCE` to the layout `all`, under each of these tags.
    fn copy_to_layout(&self, copies: &[(&str, &str)]) {
        for (source, tag) in copies {
            self.sandbox.run(&["copy", &format!("HOST/app:{source}"), &format!("oci:all:{tag}")]).success();
        }
    }

    /// Packs the layout `all` with `tar`: a `copy` would replace an archive, and not add to it.
    fn pack_layout(&self, archive: &str) {
        let mut tar = Command::new("tar");
        tar.args(["-cf", archive, "-C", "all", "."]).current_dir(self.sandbox.folder());
        assert!(tar.status().unwrap().success());
    }
}

/// CNCF distribution 2.8 deletes manifests, but not single tags.
#[test]
fn a_registry_that_cannot_delete_a_tag_deletes_the_manifest_only_with_yes() {
    let fixture = DeleteFixture::new();
    let image_digest = &fixture.image_digest;
    let outcome = fixture.delete(&["HOST/app:image"]);
    let refusal = "refused by the registry (DELETE /v2/app/manifests/image: HTTP 400; \
                   registry says: DIGEST_INVALID: provided digest did not match uploaded content)";
    let message = indoc::formatdoc! {"
        error: HOST/app:image: not deleted: cannot delete only the tag: {refusal}
          deleting {image_digest} would delete all its tags: image, other
          and break the indexes that list it: index
        hint: use --yes to delete it anyway, if the registry supports deleting manifests
    "};
    let message = fixture.sandbox.fill(&message);
    assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", message));
    assert!(fixture.has("image") && fixture.has("other"));
    let document = fixture.delete(&["HOST/app:image", "--output", "json"]).json();
    let image = &document["images"][0];
    assert_eq!((&image["tags"], &image["heldBy"]), (&json!(["image", "other"]), &json!(["index"])));
    assert_eq!((&image["digest"], &document["error"]["exitCode"]), (&json!(image_digest), &json!(1)));

    let outcome = fixture.delete(&["--yes", "HOST/app:image"]);
    let line = fixture.sandbox.fill(&format!("Deleted: HOST/app@{image_digest}, with every tag of it\n"));
    assert_eq!((outcome.exit, outcome.stdout, &*outcome.stderr), (0, line, ""));
    assert!(!fixture.has("image") && !fixture.has("other") && fixture.has("index"));
    fixture.delete(&["--yes", "HOST/app:image"]).fails(1, "app:image not found");
}

#[test]
fn a_digest_with_tags_is_deleted_only_with_yes() {
    let fixture = DeleteFixture::new();
    let image_digest = &fixture.image_digest;
    let reference = fixture.sandbox.fill(&format!("HOST/app@{image_digest}"));
    fixture.delete(&[&reference]).fails(1, "would delete all its tags: image, other\n");
    assert!(fixture.has("image"));
    let document = fixture.delete(&["--yes", "--output", "json", &reference]).json();
    assert_eq!(document["images"][0], json!({"reference": reference, "digest": image_digest, "deleted": "manifest"}));
    assert!(!fixture.has("image"));
}

#[test]
fn a_digest_without_tags_or_indexes_is_deleted_without_yes() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let entry = push_image(registry, "single", "tag", "amd64");
    let digest = entry["digest"].as_str().unwrap();
    let bytes = registry.manifest("single", "tag").unwrap().bytes;
    push_image(registry, "single", "tag", "arm64");
    registry.push_manifest("single", digest, OCI, &bytes);
    let outcome = sandbox.run(&["delete", &format!("HOST/single@{digest}")]);
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    assert!(registry.manifest("single", digest).is_none() && registry.manifest("single", "tag").is_some());
}

#[test]
fn a_registry_that_deletes_tags_keeps_the_manifest() {
    let fixture = DeleteFixture::new();
    let tag_folder = fixture.tag_folder("other");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let deletes_tag = request.line == "DELETE /v2/app/manifests/other";
        deletes_tag.then(|| std::fs::remove_dir_all(&tag_folder).unwrap()).map(|()| (202, vec![], vec![]))
    });
    let reference = format!("{}/app:other", server.host);
    let outcome = fixture.delete(&[&reference]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("Deleted: {reference} ({})\n", fixture.image_digest)));
    assert!(fixture.has("image") && !fixture.has("other"));
    let document = fixture.delete(&["--output", "json", &format!("{}/app:none", server.host)]).json();
    assert!(document["images"][0]["error"]["message"].as_str().unwrap().contains("not found"), "{document}");
}

#[test]
fn a_tag_that_is_gone_after_a_lost_response_counts_as_deleted() {
    let fixture = DeleteFixture::new();
    let tag_folder = fixture.tag_folder("other");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line == "DELETE /v2/app/manifests/other").then(|| match std::fs::remove_dir_all(&tag_folder) {
            Ok(()) => (502, vec![], vec![]),
            Err(_) => (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
        })
    });
    let outcome = fixture.delete(&[&format!("{}/app:other", server.host)]).success();
    assert!(outcome.stdout.starts_with("Deleted: "), "{outcome:?}");
    assert!(fixture.has("image"));
}

#[test]
fn a_registry_that_refuses_deletes_and_tag_lists_is_an_error() {
    let fixture = DeleteFixture::new();
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        let body = |code: &str| json!({"errors": [{"code": code, "message": "no"}]}).to_string().into_bytes();
        match request.line.as_str() {
            line if line.starts_with("DELETE ") => Some((405, vec![], body("UNSUPPORTED"))),
            line if line.contains("/tags/list") => Some((403, vec![], body("DENIED"))),
            _ => None,
        }
    });
    let reference = format!("{}/app:other", server.host);
    fixture
        .delete(&[&reference])
        .stderr_contains("HTTP 405; registry says: UNSUPPORTED: no)")
        .stderr_contains("all its tags, which cannot be listed");
    fixture
        .delete(&["--yes", &reference])
        .fails(1, "HTTP 405; registry says: UNSUPPORTED: no)")
        .stderr_contains(&format!("DELETE /v2/app/manifests/{}", fixture.image_digest));
    assert!(fixture.has("other"));
}

#[test]
fn several_references_are_deleted_in_order_and_failures_are_counted() {
    let fixture = DeleteFixture::new();
    // Deleting the first also deletes the second.
    let references = ["image", "other", "none", "index"].map(|tag| format!("HOST/app:{tag}"));
    let args: Vec<&str> = std::iter::once("--yes").chain(references.iter().map(String::as_str)).collect();
    let outcome = fixture.delete(&args).fails(1, "app:none not found");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
    assert!(outcome.stderr.ends_with("error: 1 of 4 references were not deleted\n"), "{outcome:?}");
    assert!(!fixture.has("image") && !fixture.has("index"));
}

#[test]
fn delete_needs_a_reference_with_either_a_tag_or_a_digest() {
    let fixture = DeleteFixture::new();
    fixture.delete(&[]).exits(2);
    fixture.delete(&["r.example/app"]).exits(2);
    let both = format!("r.example/app:v1@{}", fixture.image_digest);
    fixture.delete(&["--yes", &both]).fails(2, "both a tag and a digest");
}

#[test]
fn tags_and_digests_are_deleted_from_layouts_and_archives() {
    for target in ["oci:out", "oci-archive:out.tar"] {
        let fixture = DeleteFixture::new();
        let (sandbox, image_digest) = (&fixture.sandbox, &fixture.image_digest);
        push_image(&sandbox.registry, "app", "second", "arm64");
        fixture.copy_to_layout(&["index", "other", "image", "second"].map(|tag| (tag, tag)));
        if target == "oci:out" {
            std::fs::rename(sandbox.path("all"), sandbox.path("out")).unwrap();
        } else {
            fixture.pack_layout("out.tar");
        }
        let at = |tag: &str| format!("{target}:{tag}");
        let by_digest = format!("{target}@{image_digest}");
        let outcome = fixture.delete(&[&at("other")]);
        assert_eq!((outcome.exit, outcome.stdout), (0, format!("Deleted: {target}:other ({image_digest})\n")));
        assert_eq!(sandbox.run(&["tags", target]).stdout.lines().count(), 3);
        sandbox.run(&["verify", "--layers", &at("image"), &at("index")]).success();
        fixture.delete(&[&by_digest]).fails(1, "all its tags: image\n");
        fixture.delete(&[&at("none")]).fails(1, "not found in the layout");
        fixture.delete(&["--yes", &by_digest]).success();
        // The image is still a child of the index.
        sandbox.run(&["verify", "--layers", &at("index")]).success();
        fixture.delete(&[&at("index")]).success();
        if target == "oci:out" {
            let blob = sandbox.path("out/blobs").join(image_digest.replace(':', "/"));
            assert!(blob.exists(), "a layout keeps its blobs");
        } else {
            let listed = Command::new("tar").args(["-tf", "out.tar"]).current_dir(sandbox.folder()).output().unwrap();
            let files = String::from_utf8(listed.stdout).unwrap();
            let has = |digest: &str| files.contains(digest.strip_prefix("sha256:").unwrap());
            assert!(!has(image_digest), "an archive drops unreferenced blobs");
            assert!(has(&sandbox.registry.manifest("app", "second").unwrap().digest));
        }
        sandbox.run(&["verify", "--layers", target]).success();
        // Even the last image must be named.
        fixture.delete(&[target]).exits(2);
        fixture.delete(&[&at("second")]).success();
        sandbox.run(&["tags", target]).success().stdout_is("");
        let mut names = std::fs::read_dir(sandbox.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.all(|name| !name.to_string_lossy().starts_with('.')), "a temporary file is left");
    }
}

#[test]
fn indexes_that_hold_an_image_through_another_index_are_named() {
    let fixture = DeleteFixture::new();
    let index = fixture.sandbox.registry.manifest("app", "index").unwrap();
    let nested = json!({"mediaType": index.media_type, "digest": index.digest, "size": index.bytes.len()});
    push_index(&fixture.sandbox.registry, "app", "outer", &[nested]);
    fixture.delete(&["HOST/app:image"]).stderr_contains("\n  and break the indexes that list it: index, outer\n");
}

/// Only the registry's own 400 means that it cannot delete tags. One of a proxy does not.
#[test]
fn a_400_of_a_proxy_does_not_delete_the_manifest_even_with_yes() {
    let fixture = DeleteFixture::new();
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        request.line.starts_with("DELETE ").then(|| (400, vec![], b"<html>bad request</html>".to_vec()))
    });
    fixture
        .delete(&["--yes", &format!("{}/app:other", server.host)])
        .fails(1, "HTTP 400; registry says: <html>bad request");
    let requests = server.requests();
    assert!(requests.iter().all(|request| !request.line.contains("DELETE /v2/app/manifests/sha256:")));
    assert!(fixture.has("other"));
}

#[test]
fn the_digest_of_the_reference_is_deleted_and_not_that_of_a_head_response() {
    let fixture = DeleteFixture::new();
    let image_digest = &fixture.image_digest;
    let other_digest = fixture.sandbox.registry.manifest("app", "index").unwrap().digest;
    let head = format!("HEAD /v2/app/manifests/{image_digest}");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line == head).then(|| (200, vec![("Docker-Content-Digest", other_digest.clone())], vec![]))
    });
    fixture.delete(&["--yes", &format!("{}/app@{image_digest}", server.host)]).success();
    assert!(!fixture.has(image_digest) && fixture.has("index"));
}

#[cfg(unix)]
#[test]
fn an_archive_keeps_its_mode_and_the_link_to_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = DeleteFixture::new();
    let sandbox = &fixture.sandbox;
    fixture.copy_to_layout(&["index", "image"].map(|tag| (tag, tag)));
    fixture.pack_layout("real.tar");
    let archive = sandbox.path("real.tar");
    std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real.tar", sandbox.path("link.tar")).unwrap();
    fixture.delete(&["oci-archive:link.tar:image"]).success();
    assert!(std::fs::symlink_metadata(sandbox.path("link.tar")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sandbox.run(&["tags", "oci-archive:real.tar"]).stdout, "index\n");
}

/// Rewriting the archive would lose other files.
#[test]
fn an_archive_with_other_files_than_those_of_docker_save_is_not_changed() {
    let fixture = DeleteFixture::new();
    let sandbox = &fixture.sandbox;
    fixture.copy_to_layout(&["index", "image"].map(|tag| (tag, tag)));
    sandbox.write("all/notes.txt", "mine");
    fixture.pack_layout("saved.tar");
    fixture.delete(&["oci-archive:saved.tar:image"]).fails(1, "notes.txt\", which is not part of a layout");
    assert_eq!(sandbox.run(&["tags", "oci-archive:saved.tar"]).stdout, "index\nimage\n");
    // Docker's list is written again for the images that stay.
    std::fs::remove_file(sandbox.path("all/notes.txt")).unwrap();
    sandbox.write("all/manifest.json", "[]");
    fixture.pack_layout("saved.tar");
    fixture.delete(&["oci-archive:saved.tar:index"]).success();
    assert_eq!(sandbox.run(&["tags", "oci-archive:saved.tar"]).stdout, "image\n");
    let mut tar = Command::new("tar");
    let list = tar.args(["-xOf", "saved.tar", "manifest.json"]).current_dir(sandbox.folder()).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("\"RepoTags\":null") && list.contains("blobs/sha256/"), "{list}");
}

#[test]
fn concurrent_deletes_from_one_archive_all_succeed() {
    let fixture = DeleteFixture::new();
    let tags: Vec<String> = (0..8).map(|n| format!("v{n}")).collect();
    let copies: Vec<(&str, &str)> = tags.iter().map(|tag| ("image", tag.as_str())).collect();
    fixture.copy_to_layout(&copies);
    fixture.pack_layout("all.tar");
    let fixture = &fixture;
    std::thread::scope(|scope| {
        for tag in &tags[1..] {
            scope.spawn(move || fixture.delete(&[&format!("oci-archive:all.tar:{tag}")]).success());
        }
    });
    assert_eq!(fixture.sandbox.run(&["tags", "oci-archive:all.tar"]).stdout, "v0\n");
}

#[test]
fn the_only_tag_of_a_manifest_is_deleted_without_yes() {
    let fixture = DeleteFixture::new();
    // No other tag points at the index, and no index lists it.
    fixture.delete(&["HOST/app:index"]).success().stdout_contains("Deleted: ");
    assert!(!fixture.has("index") && fixture.has("image"));
    // Now only the two tags use the image.
    fixture.delete(&["HOST/app:image"]).fails(1, "would delete all its tags: image, other");
    assert!(fixture.has("image") && fixture.has("other"));
}

#[test]
fn an_image_of_an_index_with_one_tag_is_not_deleted_without_yes() {
    let fixture = DeleteFixture::new();
    push_image(&fixture.sandbox.registry, "app", "single", "arm64");
    let entry = push_image(&fixture.sandbox.registry, "app", "single", "arm64");
    push_index(&fixture.sandbox.registry, "app", "holder", &[entry]);
    fixture.delete(&["HOST/app:single"]).fails(1, "break the indexes that list it: holder");
    assert!(fixture.has("single"));
}

#[test]
fn a_dry_run_deletes_nothing_and_names_what_a_registry_may_delete_as_well() {
    let fixture = DeleteFixture::new();
    let digest = &fixture.image_digest;
    let planned = fixture.delete(&["--dry-run", "HOST/app:image", "HOST/app:index"]).success();
    let index_digest = fixture.sandbox.registry.manifest("app", "index").unwrap().digest;
    let expected = indoc::formatdoc! {"
        plan: nothing is written
        HOST/app:image
            digest     {digest}
          - deleted    HOST/app:image
            note       a registry that deletes only manifests needs --yes, and also deletes the tags other and breaks the indexes index
        HOST/app:index
            digest     {index_digest}
          - deleted    HOST/app:index
        plan: 2 tags to delete
    "};
    assert_eq!(planned.stdout, fixture.sandbox.fill(&expected));
    assert!(fixture.has("image") && fixture.has("index"));
    let by_digest = format!("HOST/app@{digest}");
    fixture.delete(&["--dry-run", &by_digest]).fails(1, "would delete all its tags: image, other");
    let planned = fixture.delete(&["--dry-run", "--yes", &by_digest]).success();
    assert!(planned.stdout.ends_with("plan: 1 manifest to delete\n"), "{planned:?}");
    assert!(fixture.has("image"));
    let document = fixture.delete(&["--dry-run", "HOST/app:image", "--output", "json"]).success().json();
    assert_eq!((&document["dryRun"], &document["images"][0]["deleted"]), (&json!(true), &json!("tag")));
}

#[test]
fn a_dry_run_of_a_missing_tag_fails() {
    let fixture = DeleteFixture::new();
    fixture.delete(&["--dry-run", "HOST/app:gone"]).fails(1, "/app:gone not found").stdout_is("");
}

#[test]
fn one_image_in_two_repositories_is_deleted_from_both() {
    let fixture = DeleteFixture::new();
    fixture.sandbox.run(&["copy", "HOST/app:index", "HOST/mirror:index"]).success();
    let outcome = fixture.delete(&["HOST/app:index", "HOST/mirror:index"]).success();
    assert_eq!(outcome.stdout.matches("Deleted: ").count(), 2, "{outcome:?}");
    assert!(!fixture.has("index") && fixture.sandbox.registry.manifest("mirror", "index").is_none());
}

/// A replica without a recent write answers 404 for a tag that it lists. The tag may be of an index that lists the image.
#[test]
fn a_listed_tag_that_cannot_be_read_counts_as_a_use() {
    let fixture = DeleteFixture::new();
    push_image(&fixture.sandbox.registry, "app", "single", "arm64");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        request.line.ends_with("/manifests/index").then(|| (404, vec![], vec![]))
    });
    let reference = format!("{}/app:single", server.host);
    fixture.delete(&[&reference]).fails(1, "cannot be listed");
    assert!(fixture.has("single"));
}

#[test]
fn a_dry_run_names_the_indexes_and_each_tag_of_a_manifest() {
    let fixture = DeleteFixture::new();
    fixture
        .delete(&["--dry-run", "HOST/app:image"])
        .success()
        .stdout_contains("needs --yes, and also deletes the tags other and breaks the indexes index\n");
    let by_digest = format!("HOST/app@{}", fixture.image_digest);
    let planned = fixture.delete(&["--dry-run", "--yes", &by_digest, "HOST/app:other"]).success();
    let planned = planned.stdout_contains("plan: 1 manifest to delete");
    planned.stdout_contains("note       also deletes the tags image, other and breaks the indexes index\n");
    fixture
        .delete(&["--dry-run", "--yes", "HOST/app:image"])
        .success()
        .stdout_contains("needs --yes, and also deletes the tags other and breaks the indexes index\n");
}
