use std::collections::{HashMap, HashSet};

use super::annotation::parse_annotations;
use super::arguments::Arguments;
use super::model::{Form, Source, Spec, is_possible, source};
use super::placeholders::{lower_case, without_variables};
use super::problem::{Mistake, SpecError};
use super::variables::{Lookup, Piece, pieces};
use crate::image::{Location, Platform, odd_pair, unsupported};

/// Arguments for a spec, as `push from-args` takes them.
#[derive(Debug, Clone, Default)]
pub struct TemplateRequest<'a> {
    /// Platforms, each as `OS/ARCH[/VARIANT]`.
    pub platforms: &'a [String],
    /// Reference with the placeholders `OS`, `ARCH` and `VARIANT`.
    pub template: &'a str,
    /// Reference of the index.
    pub target: &'a str,
    /// Extra tags.
    pub tags: &'a [String],
    /// Annotations of the index, each as `KEY=VALUE`.
    pub annotations: &'a [String],
    /// Annotations with a level, each as `[LEVEL[PLATFORM]:]KEY=VALUE`, as `docker buildx build --annotation` takes them.
    /// The levels are `index`, the default, and `manifest-descriptor`.
    pub leveled_annotations: &'a [String],
    /// Annotations of the entries for a platform, each as `OS/ARCH[/VARIANT]:KEY=VALUE`.
    pub entry_annotations: &'a [String],
    /// Add the labels that all images share as annotations of the index. Defaults to false.
    pub annotations_from_labels: bool,
    /// Form of the index. Defaults to [`Form::Docker`], or to [`Form::Target`] with `append`.
    pub form: Option<Form>,
    /// Start from the existing index of the target. Defaults to false.
    pub append: bool,
    /// Treat warnings as errors. Defaults to false.
    pub strict: bool,
}

/// Creates a spec from platforms and a template.
///
/// # Errors
/// An argument is invalid. The error lists all problems and, with [`TemplateRequest::strict`], the warnings.
pub fn from_template(request: &TemplateRequest<'_>) -> Result<Spec, SpecError> {
    let mut arguments = Arguments::default();
    let targets = arguments.targets(&[request.target], request.tags);
    let mut sources = fill_all(&mut arguments, request);
    let (annotations, entry_annotations) = arguments.annotations(request.annotations, request.leveled_annotations);
    for argument in request.entry_annotations {
        arguments.checked(annotate(&mut sources, argument));
    }
    let form = Form::or_default(request.form, request.append);
    arguments.check_annotations(form, &annotations, request.annotations_from_labels);
    if request.append {
        arguments.check_append(&targets);
    }
    let mut targets = targets.into_iter();
    let spec = targets.next().map(|target| Spec {
        more_targets: targets.collect(),
        append: request.append,
        annotations,
        annotations_from_labels: request.annotations_from_labels,
        entry_annotations,
        template: Some(request.template.to_owned()),
        ..Spec::with_defaults(target, form, sources)
    });
    arguments.finish(spec, request.strict)
}

/// Fills the template for each platform.
fn fill_all(arguments: &mut Arguments, request: &TemplateRequest<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    for text in request.platforms {
        // Check the platform first. Otherwise it would be reported as an invalid reference.
        match text.parse().ok().filter(|platform| !is_possible(platform)) {
            Some(platform) => arguments.note(unsupported(&platform)),
            None => sources.extend(arguments.checked(source_for(text, request.template, None))),
        }
    }
    if request.platforms.is_empty() {
        arguments.note("no platforms given");
    }
    arguments.warn(sources.iter().filter_map(|source| odd_pair(&source.platform)));
    arguments.warn(missing_placeholders(request.template, &sources));
    sources
}

/// Warns about references that the template produces for several platforms, and names the missing placeholders.
pub(super) fn missing_placeholders(template: &str, sources: &[Source]) -> Vec<String> {
    let mut order: Vec<&Location> = Vec::new();
    let mut platforms: HashMap<&Location, Vec<&Platform>> = HashMap::new();
    let mut seen = HashSet::new();
    for source @ Source { location, platform, .. } in sources {
        let same_location = platforms.entry(location).or_insert_with(|| {
            order.push(location);
            Vec::new()
        });
        if seen.insert((&source.location, platform)) {
            same_location.push(platform);
        }
    }
    let groups = order.into_iter().filter_map(|location| Some((location, platforms.get(location)?)));
    groups
        .filter(|(_, platforms)| platforms.len() > 1)
        .map(|(location, platforms)| {
            let mut names: Vec<String> = platforms.iter().take(MAX_NAMES).map(ToString::to_string).collect();
            if platforms.len() > MAX_NAMES {
                names.push(format!("{} others", platforms.len() - MAX_NAMES));
            }
            let missing = missing_for(template, platforms);
            format!("the template gives {location} for {}{missing}", names.join(" and for "))
        })
        .collect()
}

/// Names the missing placeholders of the template in which these platforms differ.
fn missing_for(template: &str, platforms: &[&Platform]) -> String {
    let differ = |field: fn(&Platform) -> &str| {
        let mut values = platforms.iter().map(|platform| field(platform));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let by_field =
        [("OS", differ(|p| &p.os)), ("ARCH", differ(|p| &p.architecture)), ("VARIANT", differ(|p| &p.variant))];
    let text = without_variables(template);
    let missing = by_field.into_iter().filter(|(name, differs)| *differs && !text.contains(name));
    let names: Vec<&str> = missing.map(|(name, _)| name).collect();
    match names.as_slice() {
        [] => String::new(),
        _ => {
            let written = lower_case(template, &names).map(|message| format!("; {message}")).unwrap_or_default();
            format!(": it has no {}{written}", names.join(" and no "))
        }
    }
}

/// Maximum number of platforms in a warning, because a spec may have thousands.
const MAX_NAMES: usize = 20;

/// Maximum size of a template in bytes. References have at most about 600 bytes, paths 4096.
const MAX_TEMPLATE: usize = 8 << 10;
/// Maximum size of a platform name in bytes.
const MAX_PLATFORM: usize = 256;

/// Fills a template for a platform, given as the user wrote it.
pub(super) fn source_for(text: &str, template: &str, variables: Option<Lookup<'_>>) -> Result<Source, Mistake> {
    // Limit both, because each placeholder inserts a copy of the platform.
    if template.len() > MAX_TEMPLATE || text.len() > MAX_PLATFORM {
        return Err(format!(
            "a template may have at most {MAX_TEMPLATE} bytes and a platform {MAX_PLATFORM}; these have {} and {}",
            template.len(),
            text.len()
        )
        .into());
    }
    let platform = text.parse::<Platform>().map_err(|error| error.to_string())?;
    let part = |piece| match piece {
        Piece::Text(text) => fill(text, &platform),
        Piece::Value(value) => value,
    };
    let filled: String = pieces(template, variables)?.into_iter().map(part).collect();
    match source(&filled) {
        Ok(location) => Ok(Source::new(location, platform)),
        Err(mistake) => Err(mistake.with_prefix(&format!("{text}: "))),
    }
}

/// Adds the annotations of `PLATFORM:KEY=VALUE` to the sources for that platform.
fn annotate(sources: &mut [Source], argument: &str) -> Result<(), String> {
    let (name, pairs) = argument
        .split_once(':')
        .ok_or_else(|| format!("invalid annotation \"{argument}\": expected PLATFORM:KEY=VALUE"))?;
    let platform = name.parse::<Platform>().map_err(|error| error.to_string())?;
    let annotations = parse_annotations(&[pairs.to_owned()]).map_err(|error| error.to_string())?;
    let mut matching = sources.iter_mut().filter(|source| source.platform == platform).peekable();
    if matching.peek().is_none() {
        return Err(format!("annotation \"{argument}\" is for a platform that was not given"));
    }
    matching.for_each(|source| source.annotations.extend(annotations.clone()));
    Ok(())
}

/// Fills all placeholders in one pass, so that inserted values are not searched for placeholders.
fn fill(template: &str, platform: &Platform) -> String {
    let values = [("ARCH", &platform.architecture), ("OS", &platform.os), ("VARIANT", &platform.variant)];
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(next) = rest.chars().next() {
        match values.iter().find_map(|(name, value)| rest.strip_prefix(name).map(|tail| (tail, value))) {
            Some((tail, value)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse::<Platform>().unwrap()
    }

    #[test]
    fn every_placeholder_is_filled_once() {
        for (template, with, filled) in [
            ("r/app-ARCH:v1", "linux/amd64", "r/app-amd64:v1"),
            ("r/app-ARCHVARIANT:v1", "linux/arm/v7", "r/app-armv7:v1"),
            ("r/app-ARCHVARIANT:v1", "linux/s390x", "r/app-s390x:v1"),
            ("r/OS/app:ARCH-OS", "linux/amd64", "r/linux/app:amd64-linux"),
            ("r/OS:ARCH", "ARCH/OS", "r/ARCH:OS"),
            ("é/OS", "linux/x", "é/linux"),
        ] {
            assert_eq!(fill(template, &platform(with)), filled);
        }
    }

    #[test]
    fn the_warning_names_missing_placeholders() {
        let warning = |template: &str, platforms: &[&str]| {
            let location: Location = "r.io/a:1".parse().unwrap();
            let source = |text: &&str| Source::new(location.clone(), platform(text));
            missing_placeholders(template, &platforms.iter().map(source).collect::<Vec<_>>()).join("\n")
        };
        for (template, platforms, end) in [
            ("r.io/a:1", &["linux/amd64", "linux/arm64"][..], "linux/amd64 and for linux/arm64: it has no ARCH"),
            ("r.io/a:${ARCH}", &["linux/amd64", "linux/arm64"], "linux/arm64: it has no ARCH"),
            ("r.io/a:ARCH", &["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7: it has no VARIANT"),
            (
                "r.io/a:os-archvariant",
                &["linux/amd64", "linux/arm64"],
                "it has no ARCH; \"arch\" in the template is text; the placeholder is ARCH",
            ),
            ("r.io/search:1", &["linux/amd64", "linux/arm64"], "it has no ARCH"),
        ] {
            let warning = warning(template, platforms);
            assert!(warning.starts_with("the template gives r.io/a:1 for ") && warning.ends_with(end), "{warning}");
        }
        let many: Vec<String> = (0..5000).map(|number| format!("linux/a{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(warning("r.io/a:1", &many).ends_with(" and for linux/a19 and for 4980 others: it has no ARCH"));
        for (template, start) in [
            ("r.io/a:v1-archvariant", Some("\"arch\" in the template is text; the placeholder is ARCH; \"variant\"")),
            ("r.io/a:ARCH-${arch}", None),
            ("r.io/archive:1", None),
        ] {
            let hint = crate::spec::placeholders::lower_case_placeholders(template);
            assert_eq!(hint.is_some(), start.is_some(), "{template}: {hint:?}");
            assert!(hint.unwrap_or_default().starts_with(start.unwrap_or_default()), "{template}");
        }
    }

    #[test]
    fn all_problems_of_arguments_are_reported() {
        let request = TemplateRequest {
            platforms: &["linux".into(), "linux/amd64".into(), "linux//v1".into()],
            template: "other.example/app-ARCH",
            target: "r.example/app:v1",
            tags: &["v1".into(), "x".into(), "x".into(), "-bad".into()],
            annotations: &["a=b".into()],
            entry_annotations: &["linux/amd64:novalue".into(), "linux/arm:a=b".into(), "a=b".into()],
            ..TemplateRequest::default()
        };
        let error = from_template(&request).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 8, "{error}");
        for (line, part) in lines.iter().zip([
            "invalid tag \"-bad\"",
            "invalid platform \"linux\"",
            "has no tag or digest",
            "invalid platform \"linux//v1\"",
            "invalid annotation \"novalue\"",
            "\"linux/arm:a=b\" is for a platform that was not given",
            "expected PLATFORM:KEY=VALUE",
            "no annotations",
        ]) {
            assert!(line.contains(part), "{line} does not contain {part}");
        }
    }

    proptest::proptest! {
        #[test]
        fn accepted_arguments_give_a_valid_spec(
            template in ".*|r.io/(a|OS|ARCH|VARIANT|-){0,5}:(v|OS|ARCH|VARIANT|-){0,3}",
            target in ".*|r.io/a:v[0-9]",
            platforms in proptest::collection::vec(".*|(linux|OS|/){1,3}/(arm|ARCH)(/v7|/ARCH)?", 0..4),
            tags in proptest::collection::vec(".*|v[0-9]", 0..4),
            annotations in proptest::collection::vec(".*|[ab=, ]{0,9}", 0..4),
        ) {
            for form in [Form::Docker, Form::Oci, Form::Auto] {
                let (platforms, tags, annotations) = (&platforms, &tags, &annotations);
                let request = TemplateRequest {
                    platforms,
                    template: &template,
                    target: &target,
                    tags,
                    annotations,
                    form: Some(form),
                    ..TemplateRequest::default()
                };
                let Ok(spec) = from_template(&request) else { continue };
                assert!(form != Form::Docker || spec.annotations.is_empty());
                assert_eq!(spec.sources.len(), platforms.len());
                for (source, platform) in spec.sources.iter().zip(platforms) {
                    let platform = platform.trim();
                    assert_eq!(source.platform.to_string(), platform.strip_suffix('/').unwrap_or(platform));
                    assert!(source.location.reference().is_none_or(|reference| reference.manifest_name().is_some()));
                }
                assert!(spec.target.tags.iter().all(|tag| tags.contains(tag) && spec.target.location.tag() != Some(tag)));
            }
        }
    }
}
