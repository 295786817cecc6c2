//! [`BoundaryError`].

use std::{error::Error as StdError, fmt};

/// What is wrong with a member.
pub(super) type Invalid = &'static str;

/// Why a boundary is not valid: which member, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundaryError {
    path: String,
    reason: &'static str,
    is_size: bool,
}

impl BoundaryError {
    pub(super) fn new(path: impl Into<String>, reason: &'static str) -> Self {
        Self { path: path.into(), reason, is_size: false }
    }

    /// The error of a document that is too large.
    pub(super) fn size(path: impl Into<String>, reason: Invalid) -> Self {
        Self { is_size: true, ..Self::new(path, reason) }
    }

    /// Returns whether the document is too large.
    pub(crate) fn is_size(&self) -> bool {
        self.is_size
    }

    /// Returns the path of the member, such as `boundary.policy.Statement[0].Action`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for BoundaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl StdError for BoundaryError {}
