use super::problem::{Hint, Mistake};

/// Looks up the value of a variable in a spec. Returns `None` if the variable is not set, and an error if it must not
/// be used, such as "it holds credentials". The error becomes a [`Problem`](super::Problem) at the variable's position.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

/// A part of a text with variables.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Literal text.
    Text(&'t str),
    /// The value of a variable, which is not expanded again.
    Value(String),
}

/// Maximum size of an expanded text, in bytes. A short text can use a long variable millions of times.
const MAX_FILLED: usize = 1 << 20;

/// Expands the variables `${NAME}` in a text. `$${` is a literal `${`.
///
/// # Errors
/// A variable has no value, must not be used or has an invalid name, or the expanded text is longer than 1 MiB.
pub(super) fn fill(text: &str, lookup: Lookup<'_>) -> Result<String, Mistake> {
    let part = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Value(value) => value,
    };
    Ok(pieces(text, Some(lookup))?.into_iter().map(part).collect())
}

/// Splits a text into literal text and variable values of at most 1 MiB in total. Without a lookup, the text is one
/// piece.
pub(super) fn pieces<'t>(text: &'t str, lookup: Option<Lookup<'_>>) -> Result<Vec<Piece<'t>>, Mistake> {
    let (mut out, mut rest) = (Vec::new(), text);
    let Some(lookup) = lookup else { return Ok(vec![Piece::Text(text)]) };
    let mut length = text.len();
    if text.len() > MAX_FILLED && text.contains("${") {
        return Err(format!("text with variables is longer than {MAX_FILLED} bytes").into());
    }
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.extend([Piece::Text(before), Piece::Value("${".into())]);
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or("\"${\" is not closed; write \"$${\" for a literal \"${\"")?;
        if !is_name(name) {
            let name: String = name.chars().take(60).collect();
            return Err(format!("\"${{{name}}}\" is not a variable; a name has only letters, digits and \"_\"").into());
        }
        let value =
            lookup(name).map_err(|reason| format!("cannot expand ${{{name}}}: {reason}"))?.ok_or_else(|| {
                let message = format!("${{{name}}} is not set, or is empty");
                Mistake::with_hint(message, Hint::SetVariable(name.to_owned()))
            })?;
        length = length.saturating_add(value.len());
        if length > MAX_FILLED {
            return Err(format!("with ${{{name}}} expanded, the text is longer than {MAX_FILLED} bytes").into());
        }
        out.extend([Piece::Text(before), Piece::Value(value)]);
        rest = tail;
    }
    out.push(Piece::Text(rest));
    Ok(out)
}

/// Returns whether a text is a valid variable name.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_once() {
        let lookup = |name: &str| match name {
            "V" => Ok(Some("1.2".to_owned())),
            "NESTED" => Ok(Some("${V}".to_owned())),
            "EMPTY" => Ok(Some(String::new())),
            "REFUSED" => Err("it is a secret".to_owned()),
            _ => Ok(None),
        };
        for (text, filled) in [
            ("app:${V}", Ok("app:1.2")),
            ("${V}${V}-${EMPTY}x", Ok("1.21.2-x")),
            ("${NESTED}", Ok("${V}")),
            ("$V $ {V} $5", Ok("$V $ {V} $5")),
            ("$${V} $$${V}", Ok("${V} $${V}")),
            ("no", Ok("no")),
            ("${NO}", Err("${NO} is not set, or is empty")),
            ("${V}${REFUSED}", Err("cannot expand ${REFUSED}: it is a secret")),
            ("${V", Err("\"${\" is not closed; write \"$${\" for a literal \"${\"")),
            ("${V:-x}", Err("\"${V:-x}\" is not a variable; a name has only letters, digits and \"_\"")),
            ("${}", Err("\"${}\" is not a variable; a name has only letters, digits and \"_\"")),
            ("${1a}", Err("\"${1a}\" is not a variable; a name has only letters, digits and \"_\"")),
        ] {
            let result = fill(text, &lookup).map_err(|mistake| mistake.message.to_string());
            assert_eq!(result, filled.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_named_in_the_hint() {
        let hints = ["${A}", "${1a}"].map(|text| fill(text, &|_| Ok(None)).unwrap_err().hint);
        assert_eq!(hints, [Some(Hint::SetVariable("A".to_owned())), None]);
    }

    #[test]
    fn an_expanded_text_has_at_most_1_mib() {
        let lookup = |_: &str| Ok(Some("x".repeat(1_000)));
        assert_eq!(fill(&"${V}".repeat(1_000), &lookup).map(|text| text.len()), Ok(1_000_000));
        for text in ["${V}".repeat(8_000_000), "${V}".repeat(2_000), "x".repeat(MAX_FILLED) + "${V}"] {
            assert!(fill(&text, &lookup).unwrap_err().message.ends_with("longer than 1048576 bytes"));
        }
        let plain = "x".repeat(2 * MAX_FILLED);
        assert_eq!(fill(&plain, &lookup), Ok(plain.clone()));
    }
}
