use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::image::{Descriptor, Digest, Manifest, media_type, parse_manifest};

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

fn digest(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// Returns a descriptor in the field order of OCI.
fn blob(media_type: &str, name: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(name), "size": name.len()})
}

fn oci_image(layers: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": blob(media_type::OCI_CONFIG, "c"), "layers": layers})
}

fn oci_index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries})
}

fn entry(name: &str) -> Value {
    let mut entry = blob(media_type::OCI_MANIFEST, name);
    entry["platform"] = json!({"architecture": name, "os": "linux"});
    entry
}

fn to(format: Format) -> Conversion {
    Conversion { format: Some(format), ..Conversion::default() }
}

fn compress(text: &str) -> Conversion {
    Conversion { encoding: Some(text.parse().unwrap()), ..Conversion::default() }
}

type Outcome = Result<Option<String>, Vec<(String, Option<Remedy>)>>;

fn convert(manifest: &Value, conversion: Conversion, layers: &[&str], children: &[&str]) -> Outcome {
    let bytes = manifest.to_string().into_bytes();
    let (parsed, media_type) = parse_manifest(&bytes, "").unwrap();
    let new = |name: &&str| digest(&format!("new {name}"));
    let result = match &parsed {
        Manifest::Image(image) => {
            let layers = layers.iter().map(|name| (digest(name), LayerChange { digest: new(name), size: 99 }));
            convert_image(&digest("m"), image, &bytes, &media_type, conversion, &layers.collect())
        }
        Manifest::Index(index) => {
            let child = |name| Descriptor { size: 99, ..Descriptor::new(media_type::DOCKER_MANIFEST, new(name)) };
            let children: HashMap<_, _> = children.iter().map(|name| (digest(name), child(name))).collect();
            convert_index(&digest("m"), index, &bytes, &media_type, conversion, &children)
        }
    };
    match result {
        Ok(converted) => Ok(converted.map(|(bytes, _)| String::from_utf8(bytes).unwrap())),
        Err(obstacles) => {
            assert!(obstacles.iter().all(|obstacle| obstacle.manifest == digest("m")));
            Err(obstacles.into_iter().map(|obstacle| (obstacle.reason.to_string(), obstacle.remedy)).collect())
        }
    }
}

#[test]
fn an_image_has_the_types_and_the_field_order_of_its_new_format() {
    let layers = |base: &str, separator: char| [blob(base, "l1"), blob(&format!("{base}{separator}gzip"), "l2")];
    let oci = oci_image(&layers(OCI_LAYER, '+'));
    let entry = |media_type: &str, name: &str| {
        format!(r#"{{"mediaType":"{media_type}","size":{},"digest":"{}"}}"#, name.len(), digest(name))
    };
    let docker = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}}"#,
        media_type::DOCKER_MANIFEST,
        entry(media_type::DOCKER_CONFIG, "c"),
        entry(DOCKER_LAYER, "l1"),
        entry(&format!("{DOCKER_LAYER}.gzip"), "l2"),
    );
    assert_eq!(convert(&oci, to(Format::Docker), &[], &[]), Ok(Some(docker.clone())));
    let docker: Value = serde_json::from_str(&docker).unwrap();
    assert_eq!(convert(&docker, to(Format::Oci), &[], &[]), Ok(Some(oci.to_string())));
    assert_eq!(convert(&oci, to(Format::Oci), &[], &[]), Ok(None));
    assert_eq!(convert(&docker, to(Format::Docker), &[], &[]), Ok(None));
    // An OCI manifest with a layer of Docker's type is OCI after the conversion.
    let mixed = oci_image(&layers(DOCKER_LAYER, '.'));
    assert_eq!(convert(&mixed, to(Format::Oci), &[], &[]), Ok(Some(oci.to_string())));
}

#[test]
fn an_index_refers_to_the_converted_manifests() {
    let index = oci_index(&[entry("amd64"), entry("arm64")]);
    let converted = convert(&index, to(Format::Docker), &[], &["amd64", "arm64"]).unwrap().unwrap();
    let entry = |name: &str| {
        let new = digest(&format!("new {name}"));
        let platform = format!(r#"{{"architecture":"{name}","os":"linux"}}"#);
        format!(r#"{{"mediaType":"{}","size":99,"digest":"{new}","platform":{platform}}}"#, media_type::DOCKER_MANIFEST)
    };
    let start = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":["#, media_type::DOCKER_LIST);
    assert_eq!(converted, format!("{start}{},{}]}}", entry("amd64"), entry("arm64")));
    assert_eq!(convert(&index, to(Format::Oci), &[], &[]), Ok(None));
    let changed = convert(&index, compress("gzip"), &[], &["arm64"]).unwrap().unwrap();
    assert!(changed.contains(digest("amd64").as_str()) && changed.contains(digest("new arm64").as_str()), "{changed}");
}

#[test]
fn only_the_layers_with_another_compression_change() {
    let image = oci_image(&[blob(OCI_LAYER, "l1"), blob(&format!("{OCI_LAYER}+gzip"), "l2")]);
    let gzip = convert(&image, compress("gzip"), &["l1", "l2"], &[]).unwrap().unwrap();
    let new = json!({"mediaType": format!("{OCI_LAYER}+gzip"), "digest": digest("new l1"), "size": 99});
    assert_eq!(gzip, oci_image(&[new, blob(&format!("{OCI_LAYER}+gzip"), "l2")]).to_string());
    let zipped = oci_image(&[blob(&format!("{OCI_LAYER}+gzip"), "l2")]);
    assert_eq!(convert(&zipped, compress("gzip:9"), &[], &[]), Ok(None));
    let Manifest::Image(parsed) = parse_manifest(image.to_string().as_bytes(), "").unwrap().0 else { panic!() };
    for (encoding, positions) in [("gzip", &[0][..]), ("zstd", &[0, 1])] {
        assert_eq!(unlike(&parsed, encoding.parse().unwrap()), positions, "{encoding}");
    }
    assert_eq!(unlike(&parsed, crate::layer::LayerEncoding::TAR), [1]);
}

#[test]
fn annotations_about_the_compressed_bytes_are_left_out_with_them() {
    let mut layer = blob(&format!("{OCI_LAYER}+gzip"), "l1");
    layer["annotations"] = json!({"containerd.io/snapshot/stargz/toc.digest": "x", "org.example": "kept"});
    layer["data"] = "bDE=".into();
    let mut new = json!({"mediaType": format!("{OCI_LAYER}+zstd"), "digest": digest("new l1"), "size": 99});
    new["annotations"] = json!({"org.example": "kept"});
    let converted = convert(&oci_image(&[layer]), compress("zstd"), &["l1"], &[]).unwrap();
    assert_eq!(converted, Some(oci_image(&[new]).to_string()));
}

#[test]
fn everything_that_docker_cannot_hold_is_an_obstacle() {
    let layer = || blob(&format!("{OCI_LAYER}+gzip"), "l1");
    let with = |mut value: Value, name: &str, field: Value| {
        value[name] = field;
        value
    };
    let image = || oci_image(&[layer()]);
    let notes = || json!({"org.example": "x"});
    let annotated = Some(Remedy::DropAnnotations);
    for (manifest, reason, remedy) in [
        (with(image(), "annotations", notes()), "it has annotations: org.example", annotated),
        (with(image(), "artifactType", json!("a/b")), "it has artifactType", None),
        (with(image(), "subject", entry("s")), "it has subject", None),
        (with(image(), "x-other", json!(1)), "it has x-other", None),
        (oci_image(&[with(layer(), "annotations", notes())]), "layer 1 has annotations: org.example", annotated),
        (oci_image(&[with(layer(), "platform", json!({"os": "x"}))]), "layer 1 has platform", None),
        (
            oci_image(&[blob(&format!("{OCI_LAYER}+zstd"), "l")]),
            "layer 1 is compressed with zstd",
            Some(Remedy::Recompress),
        ),
        (oci_image(&[layer(), blob("application/x", "l")]), "layer 2 is of type application/x", None),
        (
            oci_image(&[blob(&format!("{OCI_LAYER}+gzip+encrypted"), "l")]),
            "layer 1 is of type application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
            None,
        ),
        (
            with(image(), "config", blob("application/vnd.cncf.helm.config.v1+json", "c")),
            "it is an artifact, with a config of type application/vnd.cncf.helm.config.v1+json",
            None,
        ),
        (with(oci_index(&[]), "annotations", notes()), "it has annotations: org.example", annotated),
        (with(oci_index(&[]), "artifactType", json!("a/b")), "it has artifactType", None),
        (with(oci_index(&[]), "subject", entry("s")), "it has subject", None),
        (oci_index(&[with(entry("e"), "annotations", notes())]), "entry E has annotations: org.example", annotated),
        (oci_index(&[with(entry("e"), "artifactType", json!("a/b"))]), "entry E has artifactType", None),
        (oci_index(&[with(entry("e"), "urls", json!(["https://a.example"]))]), "entry E has urls", None),
        (oci_index(&[with(entry("e"), "platform", Value::Null)]), "entry E has no platform", None),
        (oci_index(&[with(entry("e"), "mediaType", json!("application/x"))]), "entry E is of type application/x", None),
    ] {
        let reason = reason.replace("entry E", &format!("entry {}", digest("e")));
        assert_eq!(convert(&manifest, to(Format::Docker), &[], &[]), Err(vec![(reason, remedy)]), "{manifest}");
        let drops = Conversion { drops_annotations: true, ..to(Format::Docker) };
        assert_eq!(convert(&manifest, drops, &[], &[]).is_ok(), remedy == annotated, "{manifest}");
        assert!(convert(&manifest, to(Format::Oci), &[], &[]).is_ok(), "{manifest}");
    }
    // Empty fields and embedded content hold nothing that would be lost.
    for (name, field) in [("annotations", json!({})), ("artifactType", json!("")), ("subject", Value::Null)] {
        assert!(convert(&with(image(), name, field), to(Format::Docker), &[], &[]).is_ok(), "{name}");
    }
    assert!(convert(&oci_image(&[with(layer(), "data", json!("bDE="))]), to(Format::Docker), &[], &[]).is_ok());
}

#[test]
fn foreign_layers_keep_their_urls_and_are_not_recompressed() {
    let foreign = |kind: &str| {
        let mut layer = blob(&format!("application/vnd.{kind}"), "l");
        layer["urls"] = json!(["https://layers.example/l"]);
        layer
    };
    let docker = "docker.image.rootfs.foreign.diff.tar.gzip";
    let oci = oci_image(&[foreign("oci.image.layer.nondistributable.v1.tar+gzip")]);
    let converted = convert(&oci, to(Format::Docker), &[], &[]).unwrap().unwrap();
    let back: Value = serde_json::from_str(&converted).unwrap();
    assert_eq!(back["layers"][0]["urls"], json!(["https://layers.example/l"]));
    assert_eq!(back["layers"][0]["mediaType"], format!("application/vnd.{docker}"));
    assert_eq!(convert(&back, to(Format::Oci), &[], &[]), Ok(Some(oci.to_string())));
    assert_eq!(convert(&oci, compress("gzip"), &[], &[]), Ok(None));
    let reason = "layer 1 is stored elsewhere, at its URLs, and cannot be recompressed".to_owned();
    assert_eq!(convert(&oci, compress("zstd"), &[], &[]), Err(vec![(reason, None)]));
}

#[test]
fn zstd_layers_need_the_oci_format() {
    let docker = convert(&oci_image(&[blob(OCI_LAYER, "l")]), to(Format::Docker), &[], &[]).unwrap().unwrap();
    let docker: Value = serde_json::from_str(&docker).unwrap();
    let reason = "layer 1 would be compressed with zstd".to_owned();
    assert_eq!(convert(&docker, compress("zstd"), &["l"], &[]), Err(vec![(reason, Some(Remedy::UseOci))]));
    let both = Conversion { format: Some(Format::Oci), ..compress("zstd") };
    let new = json!({"mediaType": format!("{OCI_LAYER}+zstd"), "digest": digest("new l"), "size": 99});
    assert_eq!(convert(&docker, both, &["l"], &[]), Ok(Some(oci_image(&[new]).to_string())));
    let zstd = oci_image(&[blob(&format!("{OCI_LAYER}+zstd"), "l")]);
    let both = Conversion { format: Some(Format::Docker), ..compress("gzip") };
    let converted = convert(&zstd, both, &["l"], &[]).unwrap().unwrap();
    assert!(converted.contains(&format!("{DOCKER_LAYER}.gzip")), "{converted}");
}

#[test]
fn an_artifact_keeps_its_content_when_layers_are_recompressed() {
    let mut chart = oci_image(&[blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "l")]);
    chart["config"] = blob("application/vnd.cncf.helm.config.v1+json", "c");
    assert_eq!(convert(&chart, compress("zstd"), &["l"], &[]), Ok(None));
    chart["layers"] = json!([blob(&format!("{OCI_LAYER}+gzip"), "l")]);
    assert_eq!(convert(&chart, compress("zstd"), &["l"], &[]), Ok(None));
}

#[test]
fn an_attestation_follows_its_image_and_is_left_out_of_a_docker_list_only_on_request() {
    let mut attestation = blob(media_type::OCI_MANIFEST, "a");
    attestation["annotations"] =
        json!({"vnd.docker.reference.digest": digest("amd64"), "vnd.docker.reference.type": "attestation-manifest"});
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    let index = oci_index(&[entry("amd64"), attestation]);
    let changed = convert(&index, compress("zstd"), &[], &["amd64"]).unwrap().unwrap();
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(changed["manifests"][1]["annotations"]["vnd.docker.reference.digest"], json!(digest("new amd64")));
    assert_eq!(changed["manifests"][1]["digest"], json!(digest("a")));
    let reason = format!("entry {} is an attestation, which an annotation marks", digest("a"));
    let refused = convert(&index, to(Format::Docker), &[], &[]);
    assert_eq!(refused, Err(vec![(reason, Some(Remedy::DropAnnotations))]));
    let drops = Conversion { drops_annotations: true, ..to(Format::Docker) };
    let list = convert(&index, drops, &[], &[]).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["manifests"].as_array().unwrap().len(), 1);
    let Manifest::Index(parsed) = parse_manifest(index.to_string().as_bytes(), "").unwrap().0 else { panic!() };
    assert_eq!(dropped_attestations(&parsed, drops), [digest("a")].into());
    assert!(dropped_attestations(&parsed, to(Format::Oci)).is_empty());
}

#[test]
fn a_zstd_copy_of_another_image_is_not_made_the_same() {
    let mut twin = entry("amd64");
    twin["digest"] = json!(digest("twin"));
    twin["annotations"] = json!({"io.github.containers.compression.zstd": "true"});
    let (pair, alone) = (oci_index(&[entry("amd64"), twin.clone()]), oci_index(&[twin]));
    for encoding in ["gzip", "zstd"] {
        let refused = convert(&pair, compress(encoding), &[], &[]).unwrap_err();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].1, Some(Remedy::SelectPlatforms));
    }
    assert_eq!(convert(&pair, to(Format::Oci), &[], &[]), Ok(None));
    assert_eq!(convert(&alone, compress("zstd"), &[], &[]), Ok(None));
    // An image whose layers are not zstd is not marked as such.
    let gzip = convert(&alone, compress("gzip"), &[], &[]).unwrap().unwrap();
    assert!(!gzip.contains("annotations"), "{gzip}");
}

proptest::proptest! {
    #[test]
    fn a_converted_manifest_is_not_converted_again(
        layers in proptest::collection::vec((0usize..8, proptest::option::of("[a-z]{1,9}")), 0..5),
        to_docker: bool,
        encoding in proptest::sample::select(vec![None, Some("gzip"), Some("zstd")]),
    ) {
        let types = [
            OCI_LAYER, DOCKER_LAYER, &format!("{OCI_LAYER}+gzip"), &format!("{OCI_LAYER}+zstd"),
            &format!("{DOCKER_LAYER}.gzip"), "application/vnd.in-toto+json",
            "application/vnd.oci.image.layer.nondistributable.v1.tar", &format!("{OCI_LAYER}+gzip+encrypted"),
        ];
        let layers: Vec<Value> = layers.into_iter().map(|(kind, note)| {
            let mut layer = blob(types[kind], "l");
            if let Some(note) = note {
                layer["annotations"] = json!({note: "x"});
            }
            layer
        }).collect();
        let image = oci_image(&layers);
        let format = if to_docker { Format::Docker } else { Format::Oci };
        let encoding = encoding.map(|encoding| encoding.parse().unwrap());
        let conversion = Conversion { format: Some(format), encoding, drops_annotations: true };
        if let Ok(Some(converted)) = convert(&image, conversion, &[], &[]) {
            let converted: Value = serde_json::from_str(&converted).unwrap();
            proptest::prop_assert_eq!(convert(&converted, conversion, &[], &[]), Ok(None));
        }
    }
}
