use super::Error;
use crate::registry::Client;

/// Waits before a blob is read or written again, as often and as long as requests are sent again.
///
/// # Errors
/// The error itself, if another try is of no use or was the last one.
pub(super) async fn wait_before_retry(client: &Client, error: Error, failed: &mut u32) -> Result<(), Error> {
    if !error.is_transient() {
        return Err(error);
    }
    *failed += 1;
    Ok(client.wait_after(&error.into_registry(), *failed).await?)
}
