//! [`OperationError`].

use std::{error::Error as StdError, fmt};

/// Why the operation of a request is not known for certain.
///
/// Two stores could read such a request differently, or it is no request of S3's API. The text
/// contains nothing that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationError {
    reason: &'static str,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ambiguous request: {}", self.reason)
    }
}

impl StdError for OperationError {}

pub(super) const fn ambiguous(reason: &'static str) -> OperationError {
    OperationError { reason }
}
