//! The `Link` header (RFC 8288), in which a registry names the next page of a list.

use url::Url;

/// Finds the next page of a list in the values of a response's `Link` headers (RFC 8288, section 3).
///
/// Targets are relative to `base`, the URL of the response. A link without `rel` counts as the next page if it is the
/// only link, because some registries omit `rel`. A target without `<>`, as Quay once sent, is accepted. A link with an
/// `anchor` other than `base` belongs to another document and is ignored.
///
/// # Errors
///
/// Fails if a header is malformed or the next page is ambiguous, which must not be mistaken for the end of the list.
pub(crate) fn next_page<'a>(base: &Url, values: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Url>, String> {
    let malformed = |why: &str| format!("malformed Link header: {why}");
    let mut links = Vec::new();
    for value in values {
        let value = std::str::from_utf8(value).map_err(|_| malformed("it is not UTF-8"))?;
        links.extend(parse(value).map_err(malformed)?);
    }
    links.retain(|link| link.anchor.as_ref().is_none_or(|anchor| resolve(base, anchor).as_ref() == Some(base)));
    let is_only = links.len() == 1;
    let mut next = None;
    for link in links.iter().filter(|link| link.is_next().unwrap_or(is_only)) {
        let target = resolve(base, link.target).ok_or_else(|| malformed("its target is not a URL"))?;
        if next.replace(target).is_some_and(|other| Some(other) != next) {
            return Err("the Link headers name two different next pages".into());
        }
    }
    if next.is_none() && links.iter().any(|link| link.is_next().is_none()) {
        return Err("the Link headers name several pages without marking one as next".into());
    }
    if next.as_ref() == Some(base) {
        return Err("the Link header names the page itself as the next page".into());
    }
    Ok(next)
}

/// Resolves a URL reference and drops its fragment, because fragments are not sent.
fn resolve(base: &Url, reference: &str) -> Option<Url> {
    let mut url = base.join(reference).ok()?;
    url.set_fragment(None);
    Some(url)
}

/// One link. Only the first occurrence of a parameter counts (RFC 8288, section 3.3).
struct Link<'a> {
    target: &'a str,
    rel: Option<String>,
    anchor: Option<String>,
}

impl Link<'_> {
    /// Whether the link points to the next page; `None` if it has no relation type.
    fn is_next(&self) -> Option<bool> {
        let mut types = self.rel.as_deref()?.split_whitespace().map(|kind| kind.trim_matches('\'')).peekable();
        types.peek()?;
        Some(types.any(|kind| kind.eq_ignore_ascii_case("next")))
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// Parses one header value, which may contain several links.
fn parse(value: &str) -> Result<Vec<Link<'_>>, &'static str> {
    let mut links = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(links);
        }
        let (target, parameters) = split_target(rest)?;
        let mut link = Link { target, rel: None, anchor: None };
        rest = parse_parameters(&mut link, parameters)?;
        links.push(link);
    }
}

fn split_target(text: &str) -> Result<(&str, &str), &'static str> {
    let (target, rest) = match text.strip_prefix('<') {
        Some(inner) => inner.split_once('>').ok_or("its target has no closing \">\"")?,
        None => text.split_at(end_of_bare_target(text)),
    };
    let target = target.trim_matches(BLANK);
    if target.is_empty() {
        return Err("its target is empty");
    }
    // RFC 3986 does not allow these characters in a URL. A `<` or `"` means that a delimiter is missing before it.
    if target.contains([' ', '\t', '"', '<', '>']) {
        return Err("its target is not a URL");
    }
    Ok((target, rest))
}

/// Returns the end of a target without `<>`. A comma is part of the target unless another link must follow it.
fn end_of_bare_target(text: &str) -> usize {
    let ends_target = |(at, character): (usize, char)| match character {
        ';' | ' ' | '\t' => true,
        ',' => text.get(at + 1..).is_none_or(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '<', ','])),
        _ => false,
    };
    text.char_indices().find(|position| ends_target(*position)).map_or(text.len(), |(at, _)| at)
}

/// Parses the parameters of a link and returns the text after the link.
fn parse_parameters<'a>(link: &mut Link<'_>, text: &'a str) -> Result<&'a str, &'static str> {
    let mut rest = text.trim_start_matches(BLANK);
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start_matches(BLANK);
        let end = parameter.find([' ', '\t', '=', ';', ',', '"', '<']).unwrap_or(parameter.len());
        let (name, after) = parameter.split_at(end);
        rest = after.trim_start_matches(BLANK);
        let mut value = String::new();
        if let Some(text) = rest.strip_prefix('=') {
            if name.is_empty() {
                return Err("a parameter has no name");
            }
            let (text, after) = parse_value(text.trim_start_matches(BLANK))?;
            value = text;
            rest = after.trim_start_matches(BLANK);
        }
        if name.eq_ignore_ascii_case("rel") {
            link.rel.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("anchor") {
            link.anchor.get_or_insert(value);
        }
    }
    if rest.is_empty() || rest.starts_with(',') { Ok(rest) } else { Err("a link is not followed by \";\" or \",\"") }
}

/// Parses a token or a quoted string with its escapes (RFC 9110, section 5.6).
fn parse_value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ';', ',']).unwrap_or(text.len()));
        let is_token = !value.contains(['"', '<', '>']);
        return if is_token { Ok((value.to_owned(), rest)) } else { Err("a parameter is not a token") };
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character => value.push(character),
        }
    }
    Err("a quoted string has no closing quote")
}

#[cfg(test)]
mod tests;
