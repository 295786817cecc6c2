//! Multipart uploads.

use std::{collections::BTreeMap, error::Error, sync::Arc, time::SystemTime};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use md5::{Digest, Md5};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    buckets::{date, owner},
    conditions,
    content::{Content, Reserved},
    fault::{Fault, Outcome},
    gateway::{Call, empty_response},
    objects::{etag_of, insert, metadata_of, receive},
    store::{Bucket, Buckets, Object},
    xml::{Element, Xml},
};

/// The minimum size of every part but the last.
const MIN_PART: u64 = 5 << 20;

/// The valid part numbers.
const PART_NUMBERS: std::ops::RangeInclusive<u16> = 1..=10_000;

/// An upload that is not complete.
#[derive(Debug)]
pub struct Upload {
    key: String,
    headers: HeaderMap,
    parts: BTreeMap<u16, Part>,
    /// The memory for the entry of the future object.
    entry: Reserved,
}

#[derive(Debug)]
struct Part {
    content: Content,
    md5: [u8; 16],
    modified: SystemTime,
}

pub fn begin(call: &Call<'_>, bucket: &str, key: &str) -> Outcome {
    let id = HEXLOWER.encode(&rand::random::<[u8; 16]>());
    let upload = Upload {
        key: key.to_owned(),
        headers: metadata_of(call.headers)?,
        parts: BTreeMap::new(),
        entry: call.store.entry()?,
    };
    call.store.lock().get(bucket, call.project)?.uploads.insert(id.clone(), upload);
    let document = Xml::document("InitiateMultipartUploadResult", |result| {
        result.text("Bucket", bucket);
        result.text("Key", key);
        result.text("UploadId", id);
    });
    Ok(document.into_response())
}

pub async fn put_part<B>(call: &Call<'_>, bucket: &str, key: &str, body: B) -> Outcome
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (_, md5) = store_part(call, bucket, key, body).await?;
    let mut response = empty_response(StatusCode::OK);
    insert(response.headers_mut(), header::ETAG, &etag_of(&md5));
    Ok(response)
}

/// Receives the part that the query names. Replaces an earlier part with the same number.
pub async fn store_part<B>(
    call: &Call<'_>,
    bucket: &str,
    key: &str,
    body: B,
) -> Result<(SystemTime, [u8; 16]), Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let number = call.query.get("partNumber").and_then(|number| number.parse().ok());
    let number = number.filter(|number| PART_NUMBERS.contains(number)).ok_or_else(|| {
        Fault::invalid_argument("partNumber must be an integer between 1 and 10000")
    })?;
    find(call, &mut call.store.lock(), bucket, key)?;
    let (content, md5) = receive(call, body).await?;
    let modified = SystemClock.now();
    let part = Part { content, md5, modified };
    find(call, &mut call.store.lock(), bucket, key)?.parts.insert(number, part);
    Ok((modified, md5))
}

/// Creates an object from the parts that a document lists.
pub fn complete(call: &Call<'_>, bucket: &str, key: &str, document: &[u8]) -> Outcome {
    let listed = parse_parts(document)?;
    let mut buckets = call.store.lock();
    let upload = find(call, &mut buckets, bucket, key)?;
    let mut all = Md5::new();
    for (place, (number, etag)) in listed.iter().enumerate() {
        let part = upload.parts.get(number).ok_or_else(invalid_part)?;
        if etag_of(&part.md5).trim_matches('"') != *etag {
            return Err(invalid_part());
        }
        if part.content.length() < MIN_PART && place + 1 < listed.len() {
            let message = "Every part but the last must have at least 5 MiB.";
            return Err(Fault::bad("EntityTooSmall", message));
        }
        all.update(part.md5);
    }
    let Bucket { objects, uploads, .. } = buckets.get(bucket, call.project)?;
    conditions::check_write(call.headers, objects.get(key).map(Arc::as_ref))?;
    let etag = format!("\"{}-{}\"", HEXLOWER.encode(&all.finalize()), listed.len());
    let id = call.query.get("uploadId").unwrap_or_default();
    let mut upload = uploads.remove(id).ok_or_else(Fault::no_such_upload)?;
    let parts = listed.iter().filter_map(|(number, _)| upload.parts.remove(number));
    let content = parts.map(|part| part.content).reduce(Content::followed_by);
    let content = Arc::new(content.ok_or_else(invalid_part)?);
    let object = Object::new(content, etag.clone(), upload.headers, upload.entry);
    objects.insert(key.to_owned(), object);
    let document = Xml::document("CompleteMultipartUploadResult", |result| {
        result.text("Location", format_args!("/{bucket}/{key}"));
        result.text("Bucket", bucket);
        result.text("Key", key);
        result.text("ETag", etag);
    });
    Ok(document.into_response())
}

pub fn abort(call: &Call<'_>, bucket: &str, key: &str) -> Outcome {
    let mut buckets = call.store.lock();
    find(call, &mut buckets, bucket, key)?;
    let id = call.query.get("uploadId").unwrap_or_default();
    buckets.get(bucket, call.project)?.uploads.remove(id);
    Ok(empty_response(StatusCode::NO_CONTENT))
}

pub fn list_parts(call: &Call<'_>, bucket: &str, key: &str) -> Outcome {
    let limit = call.query.at_most("max-parts", 1_000)?;
    let marker = call.query.at_most("part-number-marker", usize::from(u16::MAX))?;
    let has_marker = call.query.text("part-number-marker").is_some();
    let after = |number: &u16| !has_marker || usize::from(*number) > marker;
    let mut buckets = call.store.lock();
    let upload = find(call, &mut buckets, bucket, key)?;
    let mut parts = upload.parts.iter().filter(|(number, _)| after(number)).peekable();
    let document = Xml::document("ListPartsResult", |result| {
        result.text("Bucket", bucket);
        result.text("Key", key);
        result.text("UploadId", call.query.get("uploadId").unwrap_or_default());
        owner(result, call.project);
        result.text("MaxParts", limit);
        let mut last = None;
        for (number, part) in parts.by_ref().take(limit) {
            result.element("Part", |entry| {
                entry.text("PartNumber", number);
                entry.text("LastModified", date(part.modified));
                entry.text("ETag", etag_of(&part.md5));
                entry.text("Size", part.content.length());
            });
            last = Some(number);
        }
        let is_truncated = parts.peek().is_some();
        result.text("IsTruncated", is_truncated);
        if let Some(last) = last.filter(|_| is_truncated) {
            result.text("NextPartNumberMarker", last);
        }
    });
    Ok(document.into_response())
}

/// The upload that the query names, if it belongs to this key.
fn find<'a>(
    call: &Call<'_>,
    buckets: &'a mut Buckets,
    bucket: &str,
    key: &str,
) -> Result<&'a mut Upload, Fault> {
    let id = call.query.get("uploadId").unwrap_or_default();
    let found = buckets.get(bucket, call.project)?.uploads.get_mut(id);
    found.filter(|upload| upload.key == key).ok_or_else(Fault::no_such_upload)
}

/// Parses the numbers and `ETag`s of a document. The numbers must be in order.
fn parse_parts(document: &[u8]) -> Result<Vec<(u16, String)>, Fault> {
    let document = Element::read(document, "CompleteMultipartUpload")?;
    let part = |part: &Element| {
        let number = part.get("PartNumber")?.trim().parse().ok()?;
        Some((number, part.get("ETag")?.trim().trim_matches('"').to_owned()))
    };
    let parts: Option<Vec<_>> = document.all("Part").map(part).collect();
    let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(Fault::malformed_xml)?;
    if !parts.is_sorted_by(|(one, _), (next, _)| one < next) {
        let message = "The list of parts was not in ascending order.";
        return Err(Fault::bad("InvalidPartOrder", message));
    }
    Ok(parts)
}

fn invalid_part() -> Fault {
    Fault::bad("InvalidPart", "One or more of the specified parts could not be found.")
}
