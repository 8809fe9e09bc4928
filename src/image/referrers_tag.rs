//! Tags that belong to another manifest.

/// Returns the part of a tag that names another manifest, as [`Digest::referrers_tag`](super::Digest::referrers_tag)
/// writes it. Registries without a referrers API list the referrers of a manifest in the tag `sha256-HEX`, and cosign
/// stores signatures in `sha256-HEX.sig`. `None` for any other tag.
pub(crate) fn subject_of_tag(tag: &str) -> Option<&str> {
    let subject = tag.split_once('.').map_or(tag, |(subject, _)| subject);
    let hex = subject.strip_prefix("sha256-").or_else(|| subject.strip_prefix("sha512-"))?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn only_the_tags_of_referrers_and_signatures_have_a_subject() {
        let subject = Digest::sha256(b"").referrers_tag();
        for suffix in ["", ".sig", ".att", ".sbom", ".other"] {
            assert_eq!(subject_of_tag(&format!("{subject}{suffix}")), Some(&*subject), "{suffix}");
        }
        let long = Digest::parse(&format!("sha512:{}", "a".repeat(128))).unwrap().referrers_tag();
        assert_eq!(subject_of_tag(&long), Some(&*long));
        for tag in ["", "v1", "sha256-", "sha256-abc.sig", "latest.sig"] {
            assert_eq!(subject_of_tag(tag), None, "{tag}");
        }
        for tag in [format!("x{subject}"), format!("{subject}-debug"), subject.to_uppercase(), format!("{subject}0")] {
            assert_eq!(subject_of_tag(&tag), None, "{tag}");
        }
    }
}
