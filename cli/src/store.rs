//! Opening stores, and retrying while a store is unavailable.

use std::time::Duration;

use tokio::time::sleep;
use tower_credentials::{
    backend::{BackendError, OpenErrorKind, OpenMode, Store, encrypted::KeyRing},
    secret_files::SecretFiles,
};

use crate::{
    options::StoreArgs,
    report::{Exit, Failure},
};

/// Opens a store, with its key ring if it is sealed.
pub(crate) async fn open(
    args: &StoreArgs,
    files: SecretFiles,
    mode: OpenMode,
) -> Result<Store, Failure> {
    let mut store = Store::builder(&args.url).mode(mode);
    if let Some(name) = &args.key_ring {
        store = store.keys(key_ring(name, files)?);
    }
    store.build().await.map_err(|error| match error.kind() {
        OpenErrorKind::Sealed => {
            let message = format!("the store is sealed: pass {} FILE", args.key_ring_option);
            Failure::new(Exit::Problem, message)
        }
        _ => error.into(),
    })
}

/// Opens a store that may contain plain records, to seal them.
pub(crate) async fn adopt(
    args: &StoreArgs,
    files: SecretFiles,
    key_ring_name: &str,
) -> Result<Store, Failure> {
    let store = Store::builder(&args.url).mode(OpenMode::Existing);
    Ok(store.keys(key_ring(key_ring_name, files)?).accept_plain(true).build().await?)
}

fn key_ring(name: &str, files: SecretFiles) -> Result<KeyRing, Failure> {
    KeyRing::resolve(name, files).map_err(|error| Failure::of(Exit::Problem, &error))
}

/// The pause before each retry.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// Retries an idempotent call for about ten seconds while the store is unavailable, because it
/// is busy or fails over.
pub(crate) async fn retry<T, F>(mut call: impl FnMut() -> F) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, BackendError>>,
{
    for pause in PAUSES {
        match call().await {
            Err(BackendError::Unavailable(error)) => {
                tracing::warn!(%error, "store unavailable, retrying");
                sleep(pause).await;
            }
            result => return result,
        }
    }
    call().await
}
