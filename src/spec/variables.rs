use super::problem::{Hint, Mistake};

/// Looks up the value of a variable of a spec, `None` where it has none. An error says why the variable may not be used,
/// as in "it holds credentials", and becomes a [`Problem`](super::Problem) at the variable's place.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// As it is written.
    Text(&'t str),
    /// What a variable stands for. What is in it is not looked at again.
    Value(String),
}

/// Bytes of a text with its variables filled. A short text can name a long variable millions of times.
const MAX_FILLED: usize = 1 << 20;

/// Puts the values of variables, `${NAME}`, into a text; `$${` stands for `${` itself.
///
/// # Errors
/// The first variable that has no value or may not be used, or is not a name; or the text would be longer than 1 MiB.
pub(super) fn fill(text: &str, lookup: Lookup<'_>) -> Result<String, Mistake> {
    let part = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Value(value) => value,
    };
    Ok(pieces(text, Some(lookup))?.into_iter().map(part).collect())
}

/// The pieces of a text, at most 1 MiB together; without a lookup, one piece.
pub(super) fn pieces<'t>(text: &'t str, lookup: Option<Lookup<'_>>) -> Result<Vec<Piece<'t>>, Mistake> {
    let (mut out, mut rest) = (Vec::new(), text);
    let Some(lookup) = lookup else { return Ok(vec![Piece::Text(text)]) };
    let mut length = text.len();
    if text.len() > MAX_FILLED && text.contains("${") {
        return Err(format!("a text with variables in it is longer than {MAX_FILLED} bytes").into());
    }
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.extend([Piece::Text(before), Piece::Value("${".into())]);
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or("\"${\" has no end; \"$${\" stands for itself")?;
        if !is_name(name) {
            let name: String = name.chars().take(60).collect();
            return Err(format!("\"${{{name}}}\" is not a variable: a name has letters, digits and \"_\"").into());
        }
        let value =
            lookup(name).map_err(|reason| format!("${{{name}}} cannot be filled: {reason}"))?.ok_or_else(|| {
                let message = format!("${{{name}}} is not set, or is empty");
                Mistake::with_hint(message, Hint::SetVariable(name.to_owned()))
            })?;
        length = length.saturating_add(value.len());
        if length > MAX_FILLED {
            return Err(format!("with ${{{name}}} filled, the text is longer than {MAX_FILLED} bytes").into());
        }
        out.extend([Piece::Text(before), Piece::Value(value)]);
        rest = tail;
    }
    out.push(Piece::Text(rest));
    Ok(out)
}

/// Whether a variable may be called so.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
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
            ("${V}${REFUSED}", Err("${REFUSED} cannot be filled: it is a secret")),
            ("${V", Err("\"${\" has no end; \"$${\" stands for itself")),
            ("${V:-x}", Err("\"${V:-x}\" is not a variable: a name has letters, digits and \"_\"")),
            ("${}", Err("\"${}\" is not a variable: a name has letters, digits and \"_\"")),
            ("${1a}", Err("\"${1a}\" is not a variable: a name has letters, digits and \"_\"")),
        ] {
            let found = fill(text, &lookup).map_err(|mistake| mistake.message.to_string());
            assert_eq!(found, filled.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_named_in_the_hint() {
        let hints = ["${A}", "${1a}"].map(|text| fill(text, &|_| Ok(None)).unwrap_err().hint);
        assert_eq!(hints, [Some(Hint::SetVariable("A".to_owned())), None]);
    }

    #[test]
    fn what_is_filled_has_a_limit() {
        let lookup = |_: &str| Ok(Some("x".repeat(1_000)));
        assert_eq!(fill(&"${V}".repeat(1_000), &lookup).map(|text| text.len()), Ok(1_000_000));
        for text in ["${V}".repeat(8_000_000), "${V}".repeat(2_000), "x".repeat(MAX_FILLED) + "${V}"] {
            assert!(fill(&text, &lookup).unwrap_err().message.ends_with("longer than 1048576 bytes"));
        }
        let plain = "x".repeat(2 * MAX_FILLED);
        assert_eq!(fill(&plain, &lookup), Ok(plain.clone()));
    }
}
