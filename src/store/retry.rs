use super::Error;
use crate::registry::Client;

/// Waits before a blob is read or written again. Uses the client's retry limit and delays.
///
/// # Errors
/// `error` itself, if it is not transient or the last retry failed.
pub(super) async fn wait_before_retry(client: &Client, error: Error, failed: &mut u32) -> Result<(), Error> {
    if !error.is_transient() {
        return Err(error);
    }
    *failed += 1;
    Ok(client.wait_after(&error.into_registry(), *failed).await?)
}
