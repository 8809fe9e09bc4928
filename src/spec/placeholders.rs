//! The placeholders of templates.

/// What stands for a platform's parts in a template.
pub(super) const PLACEHOLDERS: [&str; 3] = ["OS", "ARCH", "VARIANT"];

/// Says which placeholders a template has in lower case only, which makes text of them.
pub(super) fn lower_case_placeholders(template: &str) -> Option<String> {
    lower_case(template, &PLACEHOLDERS)
}

pub(super) fn lower_case(template: &str, placeholders: &[&str]) -> Option<String> {
    let text = without_variables(template);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(placeholders_in).collect();
    let said = placeholders.iter().filter(|name| !text.contains(*name)).filter_map(|name| {
        let written = words.iter().find(|word| word.eq_ignore_ascii_case(name))?;
        Some(format!("\"{written}\" in the template is text; the placeholder is {name}"))
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The placeholders that a word consists of, in any letter case, such as `arch` and `variant` of `archvariant`. None if
/// anything else is in it, as in `search`.
fn placeholders_in(word: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), word);
    while !rest.is_empty() {
        let starts = |name: &&str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let Some(name) = PLACEHOLDERS.iter().find(|name| starts(name)) else { return Vec::new() };
        let (start, end) = rest.split_at(name.len());
        found.push(start);
        rest = end;
    }
    found
}

/// The text of a template without its `${VARIABLE}`s, whose names and values hold no placeholders.
pub(super) fn without_variables(template: &str) -> String {
    let mut parts = template.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "-" + part.split_once('}').map_or(part, |(_, tail)| tail))
}
