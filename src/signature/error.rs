//! Why a signed request cannot even be verified.

use std::{error::Error as StdError, fmt};

/// A signed request that cannot be verified, whatever the secret.
///
/// Nothing that the client sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// A part that this version of signatures needs is missing, or the version is
    /// unknown: a bad request.
    Incomplete,
    /// Everything is there, but does not have the shape that it must have, or
    /// contradicts itself: an unauthorized request.
    Malformed,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the signed request lacks a part that its signature needs",
            Self::Malformed => "the signed request is malformed",
        })
    }
}

impl StdError for SignatureError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_errors_read_differently() {
        let [incomplete, malformed] = [SignatureError::Incomplete, SignatureError::Malformed];
        assert_ne!(incomplete.to_string(), malformed.to_string());
    }
}
