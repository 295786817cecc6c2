//! What became of a body, for those who no longer have it.

use std::sync::{Arc, OnceLock};

use crate::s3::payload_error::{PayloadError, PayloadErrorKind};

/// Tells whether a body's payload was refused, whatever its reader made of the error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<OnceLock<PayloadErrorKind>>);

impl Verdict {
    /// Why the payload was refused, if it was.
    pub(crate) fn refused(&self) -> Option<PayloadErrorKind> {
        self.0.get().copied()
    }

    /// Refuses the payload.
    pub(super) fn refuse(&self, kind: PayloadErrorKind) -> PayloadError {
        self.hear(PayloadError::new(kind))
    }

    /// Takes note of an error, unless it says nothing of the payload.
    pub(super) fn hear(&self, error: PayloadError) -> PayloadError {
        if error.kind() != PayloadErrorKind::Transport {
            // A body fails once.
            let _ = self.0.set(error.kind());
        }
        error
    }
}
