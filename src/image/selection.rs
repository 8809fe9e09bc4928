use super::{Descriptor, Index, Platform, media_type, suggestion};

/// Maximum number of platforms in a message, which is cut after 500 characters.
const MAX_NAMES: usize = 30;

impl Index {
    /// Returns the images for a platform, with their positions. Prefers images that any client can run over
    /// artifacts and zstd twins, then the only image whose variant is spelled the same, then the only one with an
    /// equivalent variant.
    #[must_use]
    pub fn images_for(&self, requested: &Platform) -> Vec<(usize, &Descriptor)> {
        let fits = |(_, entry): &(usize, &Descriptor)| {
            !entry.is_attestation()
                && !media_type::is_blob(&entry.media_type)
                && entry.platform.as_ref().is_some_and(|platform| platform.matches(requested))
        };
        let mut images: Vec<(usize, &Descriptor)> = self.manifests.iter().enumerate().filter(fits).collect();
        if images.iter().any(|(_, entry)| entry.is_plain()) {
            images.retain(|(_, entry)| entry.is_plain());
        }
        let spelled = |platform: &Platform| platform.variant == requested.variant;
        let exact = |platform: &Platform| platform.normalized_variant() == requested.normalized_variant();
        for is in [&spelled as &dyn Fn(&Platform) -> bool, &exact] {
            let is = |(_, entry): &(usize, &Descriptor)| entry.platform.as_ref().is_some_and(is);
            if images.iter().filter(|image| is(image)).count() == 1 {
                images.retain(is);
            }
        }
        images
    }

    /// Returns the only image for a platform. The error lists the available platforms.
    pub(crate) fn image_for(&self, requested: &Platform) -> Result<&Descriptor, String> {
        self.find_image(requested)?.ok_or_else(|| {
            format!("no image for {requested}; available: {}{}", self.platform_list(), suggestion(requested))
        })
    }

    /// Returns the only image for a platform; `None` if no image is for it. The error of several images lists the
    /// available platforms.
    pub(crate) fn find_image(&self, requested: &Platform) -> Result<Option<&Descriptor>, String> {
        let images = self.images_for(requested);
        match images.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other.digest == first.digest) => Ok(Some(first)),
            [] => Ok(None),
            images => Err(format!("{} images match {requested}; available: {}", images.len(), self.platform_list())),
        }
    }

    /// Lists the platforms of the images, for error messages.
    #[must_use]
    pub fn platform_list(&self) -> String {
        let images = self.manifests.iter().filter(|entry| !entry.is_attestation());
        let named = images.filter_map(|entry| entry.platform.as_ref().filter(|platform| !platform.is_empty()));
        platform_names(named)
    }
}

/// Lists platforms for error messages; "none" without any.
pub(crate) fn platform_names<'p>(platforms: impl IntoIterator<Item = &'p Platform>) -> String {
    let names: Vec<String> = platforms.into_iter().map(Platform::to_string).collect();
    if names.is_empty() {
        return "none".into();
    }
    let more = if names.len() > MAX_NAMES { format!(", and {} more", names.len() - MAX_NAMES) } else { String::new() };
    names.get(..MAX_NAMES).unwrap_or(&names).join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{COMPRESSION, Digest, REFERENCE_TYPE};

    fn index(platforms: &[&str]) -> Index {
        let entry = |name: &&str| {
            let mut entry = Descriptor::new("m", Digest::sha256(name.as_bytes()));
            if name.starts_with("of ") {
                entry.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
            }
            let (name, version) = name.trim_start_matches("of ").split_once(' ').unwrap_or((name, ""));
            entry.platform =
                Some(Platform { os_version: version.into(), ..name.trim_start_matches("of ").parse().unwrap() });
            entry
        };
        Index { manifests: platforms.iter().map(entry).collect(), ..Index::default() }
    }

    #[test]
    fn the_best_match_for_a_platform_is_selected() {
        for (platforms, requested, expected) in [
            (&["linux/amd64", "linux/arm64/v8"][..], "linux/arm64", &[1][..]),
            (&["linux/amd64", "linux/arm64"], "linux/arm64/v8", &[1]),
            (&["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", &[1]),
            (&["linux/arm/v6", "linux/arm/v7"], "linux/arm", &[1]),
            (&["linux/arm/v5", "linux/arm/v6"], "linux/arm", &[0, 1]),
            (&["linux/arm/v6", "linux/arm"], "linux/arm/v7", &[1]),
            (&["linux/arm", "linux/arm/v7"], "linux/arm/v7", &[1]),
            (&["linux/arm", "linux/arm/v7"], "linux/arm", &[0]),
            (&["linux/amd64/v1", "linux/amd64/v3"], "linux/amd64", &[0]),
            (&["linux/amd64/v3", "linux/amd64"], "linux/amd64/v1", &[1]),
            (&["linux/amd64/v2", "linux/amd64/v3"], "linux/amd64", &[0, 1]),
            (&["linux/amd64"], "linux/amd64/v2", &[]),
            (&["linux/arm/v6", "linux/arm"], "linux/arm", &[1]),
            (&["linux/arm/v7"], "linux/arm", &[0]),
            (&["linux/arm/v7"], "linux/arm/v6", &[]),
            (&["linux/arm64", "linux/arm64/v8"], "linux/arm64/v8", &[1]),
            (&["linux/arm64", "linux/arm64/v8"], "linux/arm64", &[0]),
            (&["windows/amd64 10.0.1", "windows/amd64 10.0.2"], "windows/amd64", &[0, 1]),
            (&["of linux/amd64"], "linux/amd64", &[0]),
            (&["of unknown/unknown"], "unknown/unknown", &[]),
            (&[], "linux/amd64", &[]),
        ] {
            let index = index(platforms);
            let requested: Platform = requested.parse().unwrap();
            let positions: Vec<usize> =
                index.images_for(&requested).into_iter().map(|(position, _)| position).collect();
            assert_eq!(positions, expected, "{platforms:?} {requested}");
            let chosen = index.image_for(&requested).ok().map(|entry| &entry.digest);
            assert_eq!(
                chosen,
                (expected.len() == 1).then(|| &index.manifests[expected[0]].digest),
                "{platforms:?} {requested}"
            );
        }
        let mut twins = index(&["linux/amd64 1", "linux/amd64 2", "linux/amd64 3"]);
        twins.manifests[0].annotations.insert(format!("{COMPRESSION}zstd").into(), "true".into());
        twins.manifests[1].artifact_type = Some("application/vnd.amazon.soci.index.v2+json".into());
        let plain = twins.image_for(&"linux/amd64".parse().unwrap()).unwrap();
        assert_eq!(plain, &twins.manifests[2], "the one that any client runs");
        let twice = index(&["linux/amd64", "linux/amd64"]);
        assert!(twice.image_for(&"linux/amd64".parse().unwrap()).is_ok(), "one image, listed twice");
        let error = index(&[]).image_for(&"linux/amd64".parse().unwrap()).unwrap_err();
        assert_eq!(error, "no image for linux/amd64; available: none");
    }
}
