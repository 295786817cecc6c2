//! Where verifiers find the keys that requests are signed with.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::credential_backend::CredentialBackend;
use super::error::BackendError;
use crate::domain::{AccessKey, Credential};

/// Finds keys for those who check signatures.
///
/// [`Uncached`] asks a backend for each request;
/// `Cached` (feature `cache`) remembers what it heard.
///
/// # Contract
///
/// * Both methods answer with the record as it is stored, usable or not: whether
///   it may be used is the verifier's to decide.
/// * How old an answer may be is documented by the implementation.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// What is known of an access key at once, without waiting. `None` if nothing is, and
    /// then [`find`](Self::find) tells. Should not allocate, but to have something asked
    /// anew in the background.
    fn known(&self, access_key: &str, now: SystemTime) -> Option<Known>;

    /// The credential with this access key, if there is one.
    ///
    /// # Errors
    ///
    /// [`BackendError`] if whoever knows could not be asked.
    async fn find(&self, access_key: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError>;
}

/// What is known of an access key.
#[derive(Clone, Debug)]
pub enum Known {
    /// There is none.
    Absent,
    /// There is this one.
    Present(Arc<Credential>),
}

/// The credential with this access key, from what is known at once if it is.
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

/// Asks a backend for each request: no answer is ever old.
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

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: KeySource + ?Sized> KeySource for $pointer<T> {
            fn known(&self, access_key: &str, now: SystemTime) -> Option<Known> {
                (**self).known(access_key, now)
            }

            async fn find(
                &self,
                access_key: &AccessKey,
            ) -> Result<Option<Arc<Credential>>, BackendError> {
                (**self).find(access_key).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
