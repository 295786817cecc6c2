//! What is checked before `s3s-fs` sees it: it takes it, and then fails over it.

use std::fs::Metadata;

use s3s::{S3Result, s3_error};

/// What can be at a key.
#[derive(Debug)]
pub(crate) enum At {
    /// Nothing, since a part of the key is an object.
    BelowObject,
    /// A folder, in which the objects below the key are.
    Folder,
    Nothing,
    Object(Metadata),
}

pub(crate) fn check_number(part: i32) -> S3Result<()> {
    if (1..=10_000).contains(&part) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

/// An empty delimiter is as none. `s3s-fs` cuts keys behind its first byte.
pub(crate) fn check_delimiter(delimiter: &mut Option<String>) -> S3Result<()> {
    *delimiter = delimiter.take().filter(|delimiter| !delimiter.is_empty());
    match delimiter {
        Some(delimiter) if delimiter.len() > 1 => {
            Err(s3_error!(InvalidArgument, "The delimiter must be one ASCII character"))
        }
        _ => Ok(()),
    }
}
