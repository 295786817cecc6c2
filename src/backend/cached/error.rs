//! Errors, and sharing one error among several callers.

use std::{error::Error as StdError, fmt, sync::Arc};

use crate::backend::BackendError;

/// A task that called the backend panicked, or its runtime was shut down.
#[derive(Debug)]
pub(super) struct GivenUp;

fixed_error!(GivenUp, "the call to the credential store ended without a result");

pub(super) fn given_up() -> BackendError {
    BackendError::Unavailable(Box::new(GivenUp))
}

/// The error of a lookup that timed out.
pub(super) fn too_slow() -> Arc<BackendError> {
    Arc::new(BackendError::Unavailable("the credential store did not answer in time".into()))
}

/// Returns a copy of an error, with the same cause.
pub(super) fn share(error: &Arc<BackendError>) -> BackendError {
    let cause = || Box::new(Cause(Arc::clone(error)));
    match &**error {
        BackendError::AlreadyExists => BackendError::AlreadyExists,
        BackendError::Corrupt(_) => BackendError::Corrupt(cause()),
        BackendError::QuotaExceeded => BackendError::QuotaExceeded,
        BackendError::Rejected(_) => BackendError::Rejected(cause()),
        BackendError::Unavailable(_) => BackendError::Unavailable(cause()),
        BackendError::Unstorable(_) => BackendError::Unstorable(cause()),
    }
}

/// Displays the cause of the shared error.
#[derive(Debug)]
struct Cause(Arc<BackendError>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_error_reports_its_cause_once() {
        let io = std::io::Error::other("connection refused");
        let shared = share(&Arc::new(BackendError::Corrupt(Box::new(io))));
        assert!(matches!(shared, BackendError::Corrupt(_)));
        let cause = shared.source().unwrap();
        assert_eq!(cause.to_string(), "connection refused");
        assert!(cause.source().is_none());
    }
}
