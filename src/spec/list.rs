//! Lists of images, one per line.

/// Splits a list of images into lines, numbered from 1, without blank lines and comments. A comment begins with `#` at
/// the start of a line or after a blank.
pub fn image_list(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines().map(without_comment)).filter(|(_, line)| !line.is_empty())
}

fn without_comment(line: &str) -> &str {
    let starts_comment = |(at, _): &(usize, &str)| {
        line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    };
    let end = line.match_indices('#').find(starts_comment).map_or(line.len(), |(at, _)| at);
    line.get(..end).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_comments() {
        let text = "# all\nr.io/a:1\n\n  r.io/b:2  # second\r\noci:a#b:x\n\t#\n";
        assert_eq!(image_list(text).collect::<Vec<_>>(), [(2, "r.io/a:1"), (4, "r.io/b:2"), (5, "oci:a#b:x")]);
    }
}
