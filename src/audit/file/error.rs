//! Why an audit file cannot be opened.

use std::{error::Error as StdError, fmt, io};

/// An audit key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuditKeyError {
    /// It has fewer than 32 bytes.
    TooShort,
    /// The file or the environment variable cannot be read.
    Unreadable(Box<dyn StdError + Send + Sync>),
}

impl AuditKeyError {
    pub(super) fn unreadable(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unreadable(error.into())
    }
}

impl fmt::Display for AuditKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "an audit key must have at least 32 bytes",
            Self::Unreadable(_) => "the audit key cannot be read",
        })
    }
}

impl StdError for AuditKeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::TooShort => None,
            Self::Unreadable(error) => Some(&**error),
        }
    }
}

/// An audit file cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuditFileError {
    /// Another process writes to the file.
    InUse,
    /// The file cannot be opened, read or written.
    Io(io::Error),
    /// The last line is not that of an audit file, or was changed.
    NotAnAuditFile,
    /// It is not a regular file.
    NotAFile,
}

impl fmt::Display for AuditFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "another process writes to the audit file",
            Self::Io(_) => "the audit file cannot be opened, read or written",
            Self::NotAnAuditFile => {
                "the last line of the audit file is not an audit line under this key: verify the \
                 file, and move it away"
            }
            Self::NotAFile => "the audit file is not a regular file",
        })
    }
}

impl StdError for AuditFileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::InUse | Self::NotAnAuditFile | Self::NotAFile => None,
        }
    }
}

impl AuditFileError {
    /// Returns the message with that of the cause.
    pub(super) fn with_cause(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

impl From<io::Error> for AuditFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
