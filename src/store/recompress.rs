//! Recompresses layers into a temporary folder, from which they are copied like those of any other layout.

use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use tempfile::{NamedTempFile, TempDir};

use super::recompressed_layers::{MEMORY, RecompressedLayer};
use super::{BlobStream, Error, Run};
use crate::image::media_type::compression;
use crate::image::{Descriptor, Digest, LayoutReference, Location, Transport};
use crate::layer::{self, LayerEncoding, Recompressed, USUAL_WINDOW, WIDEST_WINDOW};

impl Run {
    /// Recompresses a layer, once per run, and checks it on the way: its digest and size, its compression, and its
    /// uncompressed digest. The result is kept in the folder for temporary files until the run is dropped.
    ///
    /// # Errors
    /// The layer cannot be read, or is not what its descriptor and `diff_id` say; or the folder for temporary files cannot
    /// be written.
    pub(crate) async fn recompress(
        &self,
        from: &Location,
        layer: &Descriptor,
        diff_id: &str,
        encoding: LayerEncoding,
    ) -> Result<RecompressedLayer, Error> {
        let key = (layer.digest.clone(), layer.media_type.clone(), diff_id.to_owned(), encoding);
        let recompressing = self.recompress_once(from, layer, diff_id, encoding).boxed();
        self.recompressed.known.get_with(&key, |_| true, Error::is_shareable, recompressing).await
    }

    async fn recompress_once(
        &self,
        from: &Location,
        layer: &Descriptor,
        diff_id: &str,
        encoding: LayerEncoding,
    ) -> Result<RecompressedLayer, Error> {
        let subject = format!("layer {}", layer.digest);
        let wrong =
            |reason: String| Error::Content { subject: subject.clone(), reason: reason.into(), is_transient: false };
        let expected = Digest::parse(diff_id).map_err(|error| wrong(format!("its diff_id: {error}")))?;
        let folder = self.recompressed.folder.get_or_try_init(async || layout()).await?.path();
        let mut result = self.recode(from, layer, &expected, encoding, USUAL_WINDOW, folder).await?;
        if result.0.contents.needs_wider_window {
            result = self.recode(from, layer, &expected, encoding, WIDEST_WINDOW, folder).await?;
        }
        let (Recompressed { contents, digest, size }, file) = result;
        if let Some(declared) = compression(&layer.media_type).filter(|declared| *declared != contents.compression) {
            return Err(wrong(format!(
                "it is {}, but its media type declares {}",
                contents.compression,
                declared.declared()
            )));
        }
        match &contents.unpacked {
            Some(Ok(actual)) if *actual == expected => {}
            Some(Ok(actual)) => {
                return Err(wrong(format!("its uncompressed digest is {actual}, but the config declares {expected}")));
            }
            Some(Err(reason)) => return Err(wrong(format!("cannot decompress it: {reason}"))),
            None => return Err(wrong("it was not decompressed".into())),
        }
        file.persist(blob_path(folder, &digest)).map_err(|error| unwritable(folder, &error.error))?;
        let path = folder.to_string_lossy().into_owned();
        let location = Location::Layout(LayoutReference { transport: Transport::Oci, path, name: None, digest: None });
        Ok(RecompressedLayer { location, digest, size })
    }

    /// Reads a layer and writes it with another compression, after reserving memory for both.
    async fn recode(
        &self,
        from: &Location,
        layer: &Descriptor,
        diff_id: &Digest,
        encoding: LayerEncoding,
        window: u64,
        folder: &Path,
    ) -> Result<(Recompressed, NamedTempFile), Error> {
        // Reserve twice the window, because decoders need other buffers as well.
        let decoder = u32::try_from((2 * window) >> 20).unwrap_or(MEMORY);
        let permits = decoder.saturating_add(encoding.mebibytes()).min(MEMORY);
        let _permit = self.recompressed.memory.acquire_many(permits).await.ok();
        let is_remote = from.reference().is_some();
        let read = |stream: BlobStream| {
            let (layer, diff_id, folder) = (layer.clone(), diff_id.clone(), folder.to_owned());
            async move { recode_stream(stream, layer, diff_id, encoding, window, folder, is_remote).await }.boxed()
        };
        self.store().read_blob(from, layer, &read).await
    }
}

async fn recode_stream(
    stream: BlobStream,
    layer: Descriptor,
    diff_id: Digest,
    encoding: LayerEncoding,
    window: u64,
    folder: PathBuf,
    is_remote: bool,
) -> Result<(Recompressed, NamedTempFile), Error> {
    let (digest, parent) = (layer.digest.clone(), folder.display().to_string());
    let recode = move |chunks| {
        let mut file = NamedTempFile::new_in(folder)?;
        let recompressed = layer::recompress(chunks, &digest, &diff_id, window, encoding, file.as_file_mut())?;
        Ok((recompressed, file))
    };
    let subject = format!("layer {}", layer.digest);
    let failed = |reason: String| {
        Error::unsuitable(&subject, format!("cannot write it to {parent} (TMPDIR names another folder): {reason}"))
    };
    let (recompressed, file) = layer::read_on_thread(stream, layer.size, recode, failed).await?;
    let contents = &recompressed.contents;
    let reason = match contents.size {
        size if size > layer.size => format!("it has more than the {} bytes that its descriptor declares", layer.size),
        size if size < layer.size => format!("it has {size} bytes, but its descriptor declares {}", layer.size),
        _ if contents.digest != layer.digest => format!("its bytes have digest {}", contents.digest),
        _ => return Ok((recompressed, file)),
    };
    // A registry's bytes may be right when they are read again.
    Err(Error::Content { subject, reason: reason.into(), is_transient: is_remote })
}

/// Creates an empty layout in the folder for temporary files.
fn layout() -> Result<TempDir, Error> {
    let parent = std::env::temp_dir();
    let create = || {
        let folder = tempfile::Builder::new().prefix("manifest-tool-").tempdir_in(&parent)?;
        for algorithm in ["sha256", "sha512"] {
            std::fs::create_dir_all(folder.path().join("blobs").join(algorithm))?;
        }
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        std::fs::write(folder.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#)?;
        Ok(folder)
    };
    create().map_err(|error| unwritable(&parent, &error))
}

/// Returns the path of a blob in a layout (OCI image-spec, "Image Layout").
fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    let (algorithm, hex) = digest.as_str().split_once(':').unwrap_or_default();
    layout.join("blobs").join(algorithm).join(hex)
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Error {
    Error::unsuitable(format_args!("the folder for temporary files {}", folder.display()), error.to_string())
}
