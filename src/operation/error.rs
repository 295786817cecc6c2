//! [`OperationError`].

use std::{error::Error as StdError, fmt};

/// Why a request has no operation.
///
/// Two stores could read the request differently, S3's API does not have it, or the store does not
/// serve it. The text contains nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationError {
    reason: &'static str,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot determine the operation: {}", self.reason)
    }
}

impl StdError for OperationError {}

pub(super) const fn ambiguous(reason: &'static str) -> OperationError {
    OperationError { reason }
}
