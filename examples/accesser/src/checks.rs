//! Checks that `s3s-fs` lacks: keys, part numbers, delimiters, and bodies.
//!
//! `s3s-fs` resolves a key as a path below the folder of its bucket: `../other/x` is in another
//! bucket; `a//b`, `a/./b` and `a/b/` are the object `a/b`; `/x` is outside of the folder. These
//! checks accept a key only if it is the path itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http_body_util::BodyExt;
use s3s::{Body, S3Error, S3ErrorCode, S3Result, dto::StreamingBlob, s3_error};

/// The maximum length of a key in S3, in bytes.
const MAX_KEY: usize = 1024;

/// The maximum length of a file name, in bytes.
const MAX_NAME: usize = 255;

/// Checks a decoded key.
pub(crate) fn check_key(key: &str) -> S3Result<()> {
    let parts = || key.split('/');
    if key.len() > MAX_KEY || parts().any(|part| part.len() > MAX_NAME) {
        return Err(too_long());
    }
    if parts().any(|part| matches!(part, "" | "." | "..")) {
        let message = "This server keeps objects in folders: no part of a key between slashes \
                       may be empty, `.` or `..`.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
    }
    if key.chars().any(char::is_control) {
        let message = "This server keeps objects in folders: a key must not contain control \
                       characters.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
    }
    Ok(())
}

/// Checks the length of the file names for metadata that `s3s-fs` derives from a key. Those of a
/// multipart upload are longer.
pub(crate) fn check_derived_names(bucket: &str, key: &str, is_multipart: bool) -> S3Result<()> {
    // Base64 without padding.
    let encoded = |text: &str| (text.len() * 4).div_ceil(3);
    let upload =
        if is_multipart { ".upload-00000000-0000-0000-0000-000000000000".len() } else { 0 };
    let affixes = ".bucket-.object-.metadata.json".len() + upload;
    if affixes + encoded(bucket) + encoded(key) > MAX_NAME {
        return Err(too_long());
    }
    Ok(())
}

fn too_long() -> S3Error {
    let message = "Your key is too long for this server, which keeps objects in folders.";
    S3Error::with_message(S3ErrorCode::KeyTooLongError, message)
}

pub(crate) fn check_number(part: i32) -> S3Result<()> {
    if (1..=10_000).contains(&part) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

/// Removes an empty delimiter. `s3s-fs` splits keys after the first byte of the delimiter.
pub(crate) fn check_delimiter(delimiter: &mut Option<String>) -> S3Result<()> {
    *delimiter = delimiter.take().filter(|delimiter| !delimiter.is_empty());
    match delimiter {
        Some(delimiter) if delimiter.len() > 1 => {
            Err(s3_error!(InvalidArgument, "The delimiter must be one ASCII character"))
        }
        _ => Ok(()),
    }
}

/// Records whether a body ended early or does not match its headers. `s3s-fs` reports these as
/// internal errors.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyWatch(Arc<AtomicBool>);

impl BodyWatch {
    /// Wraps a body, and records its failure.
    pub(crate) fn watch(&self, body: Option<StreamingBlob>) -> Option<StreamingBlob> {
        let failed = Arc::clone(&self.0);
        let watched = Body::from(body?).map_err(move |error| {
            failed.store(true, Ordering::Relaxed);
            error
        });
        Some(StreamingBlob::from(Body::http_body_unsync(watched)))
    }

    /// Replaces an internal error by a client error if the body failed.
    pub(crate) fn blame_client<T>(&self, result: S3Result<T>) -> S3Result<T> {
        result.map_err(|error| {
            if self.0.load(Ordering::Relaxed) && *error.code() == S3ErrorCode::InternalError {
                return s3_error!(
                    IncompleteBody,
                    "The body ended early or does not match its signature."
                );
            }
            error
        })
    }
}
