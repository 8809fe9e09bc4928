//! Parses arguments and files of `push from-images`: targets, tags, platforms, annotations and images, one list per line,
//! separated by spaces; then the text of a metadata file, which is also the text of a file of digests.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::check_tag;
use manifest_tool::spec::{DigestFile, ImageArgument, ImagesRequest, MetadataFile, from_images, image_list};

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(6, '\n');
    let mut words = || {
        let line = lines.next().unwrap_or_default();
        line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (targets, tags, platforms, annotations, images) = (words(), words(), words(), words(), words());
    let images: Vec<ImageArgument> = images.into_iter().map(|text| ImageArgument { text, at: None }).collect();
    let file = lines.next().unwrap_or_default();
    assert!(image_list(file).all(|(number, line)| number > 0 && !line.is_empty() && line == line.trim()));
    let digests = [DigestFile { path: "d/x".into(), name: "x".into(), text: file.into() }];
    for pattern in [None, Some("*")] {
        let metadata = [MetadataFile { name: "m.json", pattern, text: file.as_bytes() }];
        for with_metadata in [true, false] {
            let request = ImagesRequest {
                targets: &targets,
                tags: &tags,
                images: &images,
                metadata: if with_metadata { &metadata } else { &[] },
                digests: if with_metadata { &[] } else { &digests },
                platforms: &platforms,
                leveled_annotations: &annotations,
                ..ImagesRequest::default()
            };
            let spec = match from_images(&request) {
                Ok(spec) => spec,
                Err(error) => {
                    assert!(!error.problems.is_empty());
                    continue;
                }
            };
            assert!(!spec.sources.is_empty() && spec.select.len() <= platforms.len());
            for target in spec.targets() {
                assert!(target.location.tag().is_some() && target.location.digest().is_none());
                assert!(target.tags.iter().all(|tag| check_tag(tag).is_ok() && target.location.tag() != Some(tag)));
            }
            for source in &spec.sources {
                assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
            }
        }
    }
});
