//! Parses arguments of `push from-args`, one per line: target, template, platforms and tags (both separated by spaces),
//! then one annotation per line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::check_tag;
use manifest_tool::spec::{Form, TemplateRequest, from_template, parse_annotations};

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (target, template, platforms, tags) = (line(), line(), words(line()), words(line()));
    let annotations: Vec<String> = lines.map(str::to_owned).collect();
    for form in [Form::Docker, Form::Oci, Form::Auto] {
        let request = TemplateRequest {
            platforms: &platforms,
            template,
            target,
            tags: &tags,
            annotations: &annotations,
            form: Some(form),
            ..TemplateRequest::default()
        };
        let spec = match from_template(&request) {
            Ok(spec) => spec,
            Err(error) => {
                assert!(!error.problems.is_empty());
                continue;
            }
        };
        assert_eq!(spec.sources.len(), platforms.len());
        for (source, asked) in spec.sources.iter().zip(&platforms) {
            let asked = asked.trim();
            assert_eq!(source.platform.to_string(), asked.strip_suffix('/').unwrap_or(asked));
            assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
            assert_eq!(source.location.to_string().parse().as_ref(), Ok(&source.location));
        }
        for target in spec.targets() {
            assert_eq!(target.to_string().parse().as_ref(), Ok(&target.location));
            assert!(target.tags.iter().all(|tag| check_tag(tag).is_ok() && target.location.tag() != Some(tag)));
        }
        assert!(form != Form::Docker || spec.annotations.is_empty());
        assert_eq!(parse_annotations(&annotations).as_ref(), Ok(&spec.annotations));
        // Passing each annotation as an argument of its own must give the same annotations.
        let separate: Vec<String> = spec.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let values_have_pairs = separate.iter().any(|pair| pair.split(',').skip(1).any(|part| part.contains('=')));
        assert!(values_have_pairs || parse_annotations(&separate).as_ref() == Ok(&spec.annotations));
    }
});
