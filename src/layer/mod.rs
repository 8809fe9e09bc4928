//! The compression of layers: reads and hashes a layer with its uncompressed content, and recompresses it.

mod chunks;
mod encoding;
mod recompress;
mod unpack;

pub(crate) use chunks::read_on_thread;
pub use encoding::{EncodingError, LayerEncoding};
pub(crate) use recompress::{Recompressed, recompress};
pub(crate) use unpack::{Contents, USUAL_WINDOW, WIDEST_WINDOW, read};
