//! `dir:`, beside skopeo.

use super::Images;

fn files(images: &Images, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(images.sandbox.path(folder)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_the_same_as_skopeo_writes_it_and_is_read_by_both() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "dir:ours"]).success();
    images.skopeo(&["--all", "--src-tls-verify=false", "docker://HOST/app:v1", "dir:FOLDER/theirs"]);
    assert_eq!(files(&images, "ours"), files(&images, "theirs"));
    for name in files(&images, "ours") {
        let [ours, theirs] = ["ours", "theirs"].map(|folder| std::fs::read(images.sandbox.path(folder).join(&name)));
        assert!(ours.unwrap() == theirs.unwrap(), "{name}");
    }
    assert_eq!(images.digest("dir:theirs"), images.index);
    images.sandbox.run(&["verify", "--layers", "dir:theirs"]).success();
    images.sandbox.run(&["copy", "dir:theirs", "HOST/ours:v1"]).success();
    images.skopeo(&["--all", "--dest-tls-verify=false", "dir:FOLDER/ours", "docker://HOST/theirs:v1"]);
    assert_eq!(images.digest("HOST/ours:v1"), images.index);
    assert_eq!(images.digest("HOST/theirs:v1"), images.index);
}

#[test]
fn a_copy_replaces_the_image_of_a_folder_and_removes_only_its_files() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "dir:out"]).success();
    images.sandbox.write("out/notes.txt", "mine");
    images.sandbox.write("out/signature-1", "of the index");
    images.sandbox.run(&["copy", "HOST/app:amd64", "dir:out"]).success();
    assert_eq!(images.digest("dir:out"), images.amd64);
    // A config, a layer, and the files with names.
    assert_eq!(files(&images, "out").len(), 5, "{:?}", files(&images, "out"));
    assert!(files(&images, "out").contains(&"notes.txt".to_owned()));
    let again = images.sandbox.run(&["--debug", "copy", "HOST/app:amd64", "dir:out"]).success();
    again.stderr_contains("dir:out is up to date");
    images.sandbox.write("other/notes.txt", "mine");
    let foreign = images.sandbox.run(&["copy", "HOST/app:amd64", "dir:other"]);
    foreign.fails(1, "the folder is neither empty nor an image of dir:");
    assert_eq!(files(&images, "other"), ["notes.txt"]);
    let tags = images.sandbox.run(&["copy", "HOST/app:amd64", "dir:out", "--tags", "latest"]);
    tags.fails(2, "holds one image and cannot have tags");
    images.sandbox.run(&["copy", "--tags", "a*", "HOST/app", "dir:out"]).fails(2, "holds one image");
}

/// The image of the folder becomes an image of the index.
#[test]
fn an_index_that_contains_the_image_of_the_folder_keeps_it() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:amd64", "dir:out"]).success();
    images.sandbox.run(&["copy", "HOST/app:v1", "dir:out"]).success();
    images.sandbox.run(&["verify", "--layers", "dir:out"]).success();
    images.sandbox.run(&["copy", "HOST/app:amd64", "dir:pushed"]).success();
    images.sandbox.run(&["push", "from-images", "-t", "dir:pushed", "dir:pushed", "HOST/app:arm64"]).success();
    images.sandbox.run(&["verify", "--layers", "--platforms", "linux/amd64,linux/arm64", "dir:pushed"]).success();
    images.sandbox.run(&["copy", "--referrers", "HOST/app:v1", "dir:none"]).fails(1, "dir: cannot hold signatures");
    assert!(!images.sandbox.path("none").exists());
}

#[test]
fn an_index_is_pushed_to_a_folder_and_changed_there() {
    let images = Images::new();
    let push = |target| {
        let push = ["push", "from-images", "-t", target, "HOST/app:amd64", "HOST/app:arm64"];
        images.sandbox.run(&push).success().stdout
    };
    assert_eq!(push("dir:out"), push("HOST/pushed:v1"));
    assert_eq!(images.digest("dir:out"), images.digest("HOST/pushed:v1"));
    images.sandbox.run(&["remove", "--platform", "linux/arm64", "dir:out"]).success();
    images.sandbox.run(&["verify", "--platforms", "linux/amd64", "dir:out"]).success();
    let tags = ["push", "from-images", "-t", "dir:out", "--tags", "v1", "HOST/app:amd64"];
    images.sandbox.run(&tags).fails(2, "target dir:out cannot have tags: it has no names");
    images.sandbox.run(&["delete", "dir:out"]).fails(2, "delete works on registries, oci: and oci-archive:");
}

#[test]
fn signatures_are_carried_between_folders_and_missed_elsewhere() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "dir:signed"]).success();
    let of_child = format!("{}.signature-1", &images.amd64[7..]);
    for name in ["signature-1", "signature-2", &of_child] {
        images.sandbox.write(&format!("signed/{name}"), name);
    }
    images.sandbox.run(&["copy", "dir:signed", "dir:copy"]).success();
    assert_eq!(files(&images, "copy"), files(&images, "signed"));
    assert_eq!(images.sandbox.read(&format!("copy/{of_child}")), of_child);
    // An unchanged image gets them too, and the images that stay keep theirs.
    images.sandbox.run(&["copy", "HOST/app:v1", "dir:again"]).success();
    images.sandbox.run(&["copy", "dir:signed", "dir:again"]).success();
    assert_eq!(files(&images, "again"), files(&images, "signed"));
    images.sandbox.run(&["remove", "--platform", "linux/arm64", "dir:again"]).success();
    assert!(files(&images, "again").contains(&of_child) && !files(&images, "again").contains(&"signature-1".into()));
    let part = images.sandbox.run(&["copy", "--platform", "linux/amd64", "dir:signed", "dir:part"]).success();
    part.stderr_contains("dir:signed: 3 signatures were not copied");
    let elsewhere = images.sandbox.run(&["copy", "dir:signed", "HOST/copy:v1"]).success();
    elsewhere.stderr_contains("dir:signed: 3 signatures were not copied; only dir: holds them");
}

#[test]
fn a_damaged_folder_is_an_error_that_names_what_is_wrong() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:amd64", "dir:out"]).success();
    let config = images.config("dir:out");
    std::fs::remove_file(images.sandbox.path("out").join(&config[7..])).unwrap();
    let absent = images.sandbox.run(&["copy", "dir:out", "HOST/copy:v1"]);
    absent.fails(1, &format!("dir:out@{config}: not found in the folder"));
    assert!(images.registry().manifest("copy", "v1").is_none());
    images.sandbox.write(&format!("out/{}", &config[7..]), "other content");
    images.sandbox.run(&["copy", "dir:out", "HOST/copy:v1"]).fails(1, &config);
    images.sandbox.write("out/version", "Something else: 9\n");
    images.sandbox.run(&["inspect", "dir:out"]).fails(1, "its file \"version\" does not start with");
    images.sandbox.write("out/manifest.json", "{");
    images.sandbox.run(&["inspect", "dir:out"]).fails(1, "its ");
    for (location, reason) in [
        ("dir:gone", "the folder does not exist"),
        ("dir:out/version", "it is a file, not a folder"),
        ("dir:.", "it is not a folder of dir: it has no manifest.json"),
    ] {
        images.sandbox.run(&["inspect", location]).fails(1, reason);
    }
}
