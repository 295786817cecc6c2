//! Operations on buckets.

use std::time::SystemTime;

use http::StatusCode;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    content::Outgoing,
    fault::{Answer, Fault},
    gateway::{Call, done},
    xml::Xml,
};

/// The buckets of the signer's project.
pub fn list(call: &Call<'_>) -> http::Response<Outgoing> {
    let document = Xml::document("ListAllMyBucketsResult", |result| {
        owner(result, call.project);
        result.element("Buckets", |list| {
            for (name, bucket) in call.store.lock().of(call.project) {
                list.element("Bucket", |entry| {
                    entry.text("Name", name);
                    entry.text("CreationDate", date(bucket.created));
                });
            }
        });
    });
    document.into_response()
}

pub fn create(call: &Call<'_>, bucket: &str) -> Answer {
    if !is_name(bucket) {
        return Err(Fault::bad("InvalidBucketName", "The specified bucket is not valid."));
    }
    call.store.create(bucket, call.project)?;
    let mut created = done(StatusCode::OK);
    if let Ok(location) = format!("/{bucket}").try_into() {
        created.headers_mut().insert(http::header::LOCATION, location);
    }
    Ok(created)
}

pub fn head(call: &Call<'_>, bucket: &str) -> Answer {
    call.store.lock().get(bucket, call.project)?;
    Ok(done(StatusCode::OK))
}

pub fn delete(call: &Call<'_>, bucket: &str) -> Answer {
    call.store.lock().remove(bucket, call.project)?;
    Ok(done(StatusCode::NO_CONTENT))
}

/// Empty, which means `us-east-1`.
pub fn location(call: &Call<'_>, bucket: &str) -> Answer {
    call.store.lock().get(bucket, call.project)?;
    Ok(Xml::document("LocationConstraint", |_| {}).into_response())
}

/// Empty, which means that versions were never kept.
pub fn versioning(call: &Call<'_>, bucket: &str) -> Answer {
    call.store.lock().get(bucket, call.project)?;
    Ok(Xml::document("VersioningConfiguration", |_| {}).into_response())
}

pub fn owner(xml: &mut Xml, project: &str) {
    xml.element("Owner", |owner| {
        owner.text("ID", project);
        owner.text("DisplayName", project);
    });
}

/// A time as S3's documents write it.
pub fn date(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// Whether a bucket may have this name.
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let is_outer = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (3..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && is_outer(name.bytes().next())
        && is_outer(name.bytes().last())
        && !name.contains("..")
}
