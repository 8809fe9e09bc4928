//! Finds placeholders in templates.

/// The placeholders for the parts of a platform in a template.
pub(super) const PLACEHOLDERS: [&str; 3] = ["OS", "ARCH", "VARIANT"];

/// Describes the placeholders that a template has only in lowercase, which makes them plain text.
pub(super) fn lower_case_placeholders(template: &str) -> Option<String> {
    lower_case(template, &PLACEHOLDERS)
}

/// Describes those of `placeholders` that a template has only in the wrong letter case.
pub(super) fn lower_case(template: &str, placeholders: &[&str]) -> Option<String> {
    let text = without_variables(template);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(placeholders_in).collect();
    let messages = placeholders.iter().filter(|name| !text.contains(*name)).filter_map(|name| {
        let written = words.iter().find(|word| word.eq_ignore_ascii_case(name))?;
        Some(format!("\"{written}\" in the template is text; the placeholder is {name}"))
    });
    let messages: Vec<String> = messages.collect();
    (!messages.is_empty()).then(|| messages.join("; "))
}

/// Splits a word into placeholders in any letter case, such as `archvariant` into `arch` and `variant`. Returns an
/// empty list if the word contains anything else, such as `search`.
fn placeholders_in(word: &str) -> Vec<&str> {
    let (mut placeholders, mut rest) = (Vec::new(), word);
    while !rest.is_empty() {
        let starts = |name: &&str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let Some(name) = PLACEHOLDERS.iter().find(|name| starts(name)) else { return Vec::new() };
        let (start, end) = rest.split_at(name.len());
        placeholders.push(start);
        rest = end;
    }
    placeholders
}

/// Removes the `${VARIABLE}`s from a template, because placeholders in their names and values are not filled.
pub(super) fn without_variables(template: &str) -> String {
    let mut parts = template.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "-" + part.split_once('}').map_or(part, |(_, tail)| tail))
}
