//! Reads folders of digests, as jobs of a pipeline pass them on: files that are named by a digest or contain one.

use super::list::image_list;
use super::problem::Problem;
use crate::image::{Digest, UntrustedText};

/// A file in a folder of digests.
#[derive(Debug, Clone)]
pub struct DigestFile {
    /// Path of the file, for messages.
    pub path: String,
    /// Name of the file without its folder: the digest's hexadecimal part, or any other name.
    pub name: String,
    /// Text of the file: empty, or a digest or reference with a digest per line.
    pub text: String,
}

/// Returns the images of the files, as digests and as references with a digest. Sorted by digest, because the order of
/// files depends on the system.
pub(super) fn images(files: &[DigestFile]) -> Result<Vec<String>, Vec<Problem>> {
    let (mut images, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match file.images() {
            Ok(found) => images.extend(found),
            Err(message) => {
                let problem = Problem::of_arguments(message);
                problems.push(Problem { file: file.path.as_str().into(), ..problem });
            }
        }
    }
    images.sort_by(|(one, one_text), (other, other_text)| (one.as_str(), one_text).cmp(&(other.as_str(), other_text)));
    if problems.is_empty() { Ok(images.into_iter().map(|(_, text)| text).collect()) } else { Err(problems) }
}

impl DigestFile {
    /// Returns the digests of the images, each with the image as text.
    fn images(&self) -> Result<Vec<(Digest, String)>, String> {
        let lines: Vec<&str> = image_list(&self.text).map(|(_, line)| line).collect();
        let Some(named) = self.named() else {
            if lines.is_empty() {
                return Err("it is neither named by a digest nor contains one".into());
            }
            return lines.into_iter().map(image).collect();
        };
        let images: Vec<(Digest, String)> = lines.iter().filter_map(|line| image(line).ok()).collect();
        match images.iter().find(|(digest, _)| *digest != named) {
            Some((digest, _)) => Err(format!("it is named by {named}, but contains {digest}")),
            // The content may also name the repository.
            None => Ok(vec![images.into_iter().next().unwrap_or_else(|| (named.clone(), named.to_string()))]),
        }
    }

    /// Returns the digest that the name stands for: hexadecimal digits, with or without `sha256-` or `sha256:`.
    fn named(&self) -> Option<Digest> {
        let hex = self.name.strip_prefix("sha256").and_then(|rest| rest.strip_prefix(['-', ':'])).unwrap_or(&self.name);
        Digest::parse(&format!("sha256:{hex}")).ok()
    }
}

/// Parses a line: a digest, or a reference with a digest.
fn image(line: &str) -> Result<(Digest, String), String> {
    let digest = line.rsplit_once('@').map_or(line, |(_, digest)| digest);
    match Digest::parse(digest) {
        Ok(digest) => Ok((digest, line.to_owned())),
        Err(_) => {
            Err(format!("\"{}\" is not a digest (sha256:...) or a reference with one", UntrustedText::from(line)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char) -> String {
        String::from_iter([digit; 64])
    }

    fn file(name: &str, text: &str) -> DigestFile {
        DigestFile { path: format!("digests/{name}"), name: name.to_owned(), text: text.to_owned() }
    }

    fn read(files: &[DigestFile]) -> Result<Vec<String>, Vec<String>> {
        images(files).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_file_is_named_by_a_digest_or_contains_digests() {
        let (a, b) = (format!("sha256:{}", hex('a')), format!("sha256:{}", hex('b')));
        for (file, expected) in [
            (file(&hex('a'), ""), vec![a.clone()]),
            (file(&format!("sha256-{}", hex('a')), ""), vec![a.clone()]),
            (file(&format!("sha256:{}", hex('a')), "linux/amd64\n"), vec![a.clone()]),
            (file(&hex('a'), &a), vec![a.clone()]),
            (file("amd64.txt", &format!("{a}\r\n")), vec![a.clone()]),
            (file(&hex('a'), &format!("r.io/app@{a}")), vec![format!("r.io/app@{a}")]),
            (file("all", &format!("# two\n{b}\n\n{a} # second\n")), vec![a.clone(), b.clone()]),
            (file("ref", &format!("r.io/app@{a}")), vec![format!("r.io/app@{a}")]),
        ] {
            assert_eq!(read(&[file]), Ok(expected));
        }
    }

    #[test]
    fn the_order_of_files_does_not_matter() {
        let files = [file("z", &format!("sha256:{}", hex('c'))), file(&hex('a'), ""), file(&hex('b'), "")];
        let reversed: Vec<DigestFile> = files.iter().rev().cloned().collect();
        let expected: Vec<String> = ['a', 'b', 'c'].map(|digit| format!("sha256:{}", hex(digit))).into();
        assert_eq!((read(&files), read(&reversed)), (Ok(expected.clone()), Ok(expected)));
    }

    #[test]
    fn a_file_without_a_digest_is_refused_by_name() {
        let other = format!("sha256:{}", hex('b'));
        let files = [
            file("empty", ""),
            file("words", "hello"),
            file("short", "sha256:abc"),
            file(&hex('a'), &other),
            file(&hex('c'), ""),
        ];
        let problems = read(&files).unwrap_err();
        let expected = [
            "digests/empty: it is neither named by a digest nor contains one".to_owned(),
            "digests/words: \"hello\" is not a digest (sha256:...) or a reference with one".to_owned(),
            "digests/short: \"sha256:abc\" is not a digest (sha256:...) or a reference with one".to_owned(),
            format!("digests/{0}: it is named by sha256:{0}, but contains {other}", hex('a')),
        ];
        assert_eq!(problems, expected);
    }
}
