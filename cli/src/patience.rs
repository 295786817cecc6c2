//! Waiting out what goes by itself: a store that is busy, or fails over.

use std::time::Duration;

use tokio::time::sleep;
use tower_credentials::backend::BackendError;

/// How long to wait before each further attempt.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// Does it again while the store is unavailable, for some seconds. So it must be
/// something that may be done twice.
pub(crate) async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, BackendError>>,
{
    for pause in PAUSES {
        match attempt().await {
            Err(BackendError::Unavailable(error)) => {
                tracing::warn!(%error, "the store is unavailable, trying again");
                sleep(pause).await;
            }
            result => return result,
        }
    }
    attempt().await
}
