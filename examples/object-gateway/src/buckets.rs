//! Operations on buckets.

use std::time::SystemTime;

use http::StatusCode;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    content::ContentBody,
    fault::{Fault, Outcome},
    gateway::{Call, empty_response},
    xml::Xml,
};

/// Lists the buckets of the project.
pub fn list(call: &Call<'_>) -> http::Response<ContentBody> {
    let document = Xml::document("ListAllMyBucketsResult", |result| {
        owner(result, call.project);
        result.element("Buckets", |list| {
            for (name, bucket) in call.store.lock().of_project(call.project) {
                list.element("Bucket", |entry| {
                    entry.text("Name", name);
                    entry.text("CreationDate", date(bucket.created));
                });
            }
        });
    });
    document.into_response()
}

pub fn create(call: &Call<'_>, bucket: &str) -> Outcome {
    if !is_valid_name(bucket) {
        return Err(Fault::bad("InvalidBucketName", "The specified bucket name is not valid."));
    }
    call.store.create(bucket, call.project)?;
    let mut created = empty_response(StatusCode::OK);
    if let Ok(location) = format!("/{bucket}").try_into() {
        created.headers_mut().insert(http::header::LOCATION, location);
    }
    Ok(created)
}

pub fn head(call: &Call<'_>, bucket: &str) -> Outcome {
    call.store.lock().get(bucket, call.project)?;
    Ok(empty_response(StatusCode::OK))
}

pub fn delete(call: &Call<'_>, bucket: &str) -> Outcome {
    call.store.lock().remove(bucket, call.project)?;
    Ok(empty_response(StatusCode::NO_CONTENT))
}

/// Returns an empty document, which means `us-east-1`.
pub fn location(call: &Call<'_>, bucket: &str) -> Outcome {
    call.store.lock().get(bucket, call.project)?;
    Ok(Xml::document("LocationConstraint", |_| {}).into_response())
}

/// Returns an empty document, which means that versioning was never enabled.
pub fn versioning(call: &Call<'_>, bucket: &str) -> Outcome {
    call.store.lock().get(bucket, call.project)?;
    Ok(Xml::document("VersioningConfiguration", |_| {}).into_response())
}

pub fn owner(xml: &mut Xml, project: &str) {
    xml.element("Owner", |owner| {
        owner.text("ID", project);
        owner.text("DisplayName", project);
    });
}

/// Formats a time as in S3's documents.
pub fn date(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// Whether this is a valid bucket name.
fn is_valid_name(name: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let is_outer = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (3..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && is_outer(name.bytes().next())
        && is_outer(name.bytes().last())
        && !name.contains("..")
}
