/// What others wrote, as a part of a line: nothing that a terminal takes for more than text, and no line of its own.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
