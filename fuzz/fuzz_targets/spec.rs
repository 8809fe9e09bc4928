//! Parses YAML specs. An accepted spec must be valid in every part, and must parse to the same spec after a comment is
//! added above it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{Location, check_tag};
use manifest_tool::spec::{Form, Spec, SpecError, YamlRequest, from_yaml};

fuzz_target!(|text: &str| {
    let read = |form| from_yaml(&YamlRequest { text, file: "spec.yaml", form: Some(form), ..YamlRequest::default() });
    let (oci, docker) = (read(Form::Oci), read(Form::Docker));
    check(text, &oci);
    check(text, &docker);
    let lookup = |name: &str| Ok((name.len() < 9).then(|| name.to_owned()));
    let filled = from_yaml(&YamlRequest { text, append: true, variables: Some(&lookup), ..YamlRequest::default() });
    check(text, &filled);
    assert!(docker.is_err() || oci.is_ok());
    for spec in docker.iter().flatten() {
        assert!(spec.annotations.is_empty() && spec.artifact_type.is_none() && spec.subject.is_none());
    }
    // Values are read by their position in the text, which the comment shifts. A byte order mark counts only at the
    // start.
    if let Ok(specs) = oci
        && !text.contains('\u{feff}')
    {
        let text = &format!("# é\n{text}");
        let moved = from_yaml(&YamlRequest { text, form: Some(Form::Oci), ..YamlRequest::default() });
        assert_eq!(format!("{specs:?}"), format!("{:?}", moved.expect("it was accepted without the line")));
    }
});

fn check(text: &str, read: &Result<Vec<Spec>, SpecError>) {
    let specs = match read {
        Ok(specs) => specs,
        Err(error) => {
            let lines = 1 + text.matches(['\n', '\r']).count() as u64;
            assert!(!error.problems.is_empty());
            assert!(error.problems.is_sorted_by_key(|problem| problem.at));
            assert!(error.problems.iter().filter_map(|problem| problem.at).all(|(line, _)| line <= lines));
            return;
        }
    };
    assert!(!specs.is_empty());
    for spec in specs {
        for target in spec.targets() {
            check_reference(&target.location);
            assert!(target.location.tag().is_some() && target.location.digest().is_none());
            for (n, tag) in target.tags.iter().enumerate() {
                assert_eq!(check_tag(tag), Ok(()));
                assert!(!target.tags[..n].contains(tag) && target.location.tag() != Some(tag));
            }
        }
        assert!(!spec.sources.is_empty());
        for source in &spec.sources {
            check_reference(&source.location);
            assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
        }
    }
}

fn check_reference(reference: &Location) {
    assert_eq!(reference.to_string().parse().as_ref(), Ok(reference));
}
