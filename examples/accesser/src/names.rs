//! Which keys the folder can hold.
//!
//! `s3s-fs` takes a key for a path below the folder of its bucket, and resolves it as a path:
//! `../other/x` is in another bucket, `a//b`, `a/./b` and `a/b/` are the object `a/b`, and `/x`
//! is outside of the folder. Here a key is either the path itself, or refused.

use s3s::{S3Error, S3ErrorCode, S3Result};

/// The longest key of S3, in bytes.
const LONGEST_KEY: usize = 1024;

/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;

/// Checks a key as the folder gets it, with all escapes decoded.
pub(crate) fn check(key: &str) -> S3Result<()> {
    let parts = || key.split('/');
    if key.len() > LONGEST_KEY || parts().any(|part| part.len() > LONGEST_NAME) {
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

/// Checks that the files which `s3s-fs` keeps beside an object have names that are not too
/// long. Those of an upload in parts are longer.
pub(crate) fn check_beside(bucket: &str, key: &str, in_parts: bool) -> S3Result<()> {
    // Base64 without padding.
    let encoded = |text: &str| (text.len() * 4).div_ceil(3);
    let upload = if in_parts { ".upload-00000000-0000-0000-0000-000000000000".len() } else { 0 };
    let around = ".bucket-.object-.metadata.json".len() + upload;
    if around + encoded(bucket) + encoded(key) > LONGEST_NAME {
        return Err(too_long());
    }
    Ok(())
}

fn too_long() -> S3Error {
    let message = "Your key is too long for this server, which keeps objects in folders.";
    S3Error::with_message(S3ErrorCode::KeyTooLongError, message)
}
