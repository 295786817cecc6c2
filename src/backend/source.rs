use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::credential_backend::CredentialBackend;
use super::error::BackendError;
use crate::domain::{AccessKey, Credential};

/// Looks up keys for verifiers of signatures.
///
/// [`Uncached`] asks a backend for every request. `Cached` (feature `cache`) answers from
/// memory.
///
/// # Contract
///
/// * Both methods return the record as it is stored, usable or not. The verifier decides
///   whether the key may be used.
/// * The implementation documents how old an answer may be.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Looks up an access key in memory, without waiting. Returns `None` if the access key is
    /// not in memory: then call [`find`](Self::find). Should not allocate, except to start a
    /// refresh in the background.
    fn known(&self, access_key: &str, now: SystemTime) -> Option<Known>;

    /// Returns the credential with this access key.
    ///
    /// # Errors
    ///
    /// [`BackendError`] if the backend could not be asked.
    async fn find(&self, access_key: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError>;
}

/// What a [`KeySource`] knows about an access key.
#[derive(Clone, Debug)]
pub enum Known {
    /// No credential has this access key.
    Absent,
    /// This credential has it.
    Present(Arc<Credential>),
}

/// Returns the credential with this access key: from memory if possible.
#[cfg(feature = "s3")]
pub(crate) async fn look_up(
    keys: &dyn KeySource,
    access_key: &str,
    now: SystemTime,
) -> Result<Option<Arc<Credential>>, BackendError> {
    match keys.known(access_key, now) {
        Some(Known::Absent) => Ok(None),
        Some(Known::Present(credential)) => Ok(Some(credential)),
        None => keys.find(&AccessKey::from_stored(access_key)).await,
    }
}

/// Asks a backend for every request, so that no answer is ever stale.
#[derive(Clone, Debug)]
pub struct Uncached<B>(pub B);

#[async_trait]
impl<B: CredentialBackend> KeySource for Uncached<B> {
    fn known(&self, _access_key: &str, _now: SystemTime) -> Option<Known> {
        None
    }

    async fn find(&self, access_key: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.find_by_access_key(access_key).await
    }
}

forward_pointers!(KeySource {
    fn known(&self, access_key: &str, now: SystemTime) -> Option<Known>;
    async fn find(&self, access_key: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError>;
});
