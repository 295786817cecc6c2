//! Operations on objects: put, get, delete, copy.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body;

use crate::{
    buckets::date,
    conditions,
    content::{Content, ContentBody},
    fault::{Fault, Outcome},
    gateway::{Call, empty_response},
    store::Object,
    target::{Query, Target},
    uploads,
    xml::{Element, Xml},
};

/// The maximum number of keys in a delete request.
const MAX_DELETED_KEYS: usize = 1_000;

pub async fn put<B>(call: &Call<'_>, bucket: &str, key: &str, body: B) -> Outcome
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let headers = metadata_of(call.headers)?;
    // Rejects early; the body may be large.
    check_conditions(call, bucket, key)?;
    let (content, md5) = receive(call, body).await?;
    let entry = call.store.entry()?;
    let object = Object::new(Arc::new(content), etag_of(&md5), headers, entry);
    let response = stored(&object);
    let mut buckets = call.store.lock();
    let objects = &mut buckets.get(bucket, call.project)?.objects;
    conditions::check_write(call.headers, objects.get(key).map(Arc::as_ref))?;
    objects.insert(key.to_owned(), object);
    Ok(response)
}

pub fn get(call: &Call<'_>, bucket: &str, key: &str) -> Outcome {
    let object = call.store.lock().get(bucket, call.project)?.object(key)?;
    conditions::check_read(call.headers, &object)?;
    let size = object.content.length();
    let range = conditions::range(call.header("range"), size)?;
    let part = range.clone().unwrap_or(0..size);
    let mut response = Response::new(object.content.slice(part.clone()));
    add_headers(call, &object, response.headers_mut());
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let sent = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        insert(response.headers_mut(), header::CONTENT_RANGE, &sent);
    }
    let length = part.end - part.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

/// Succeeds if the object does not exist, as in S3.
pub fn delete(call: &Call<'_>, bucket: &str, key: &str) -> Outcome {
    call.store.lock().get(bucket, call.project)?.objects.remove(key);
    Ok(empty_response(StatusCode::NO_CONTENT))
}

/// Deletes the objects that a document lists.
pub fn delete_all(call: &Call<'_>, bucket: &str, document: &[u8]) -> Outcome {
    let document = Element::read(document, "Delete")?;
    let keys: Option<Vec<_>> = document.all("Object").map(|object| object.get("Key")).collect();
    let keys = keys.filter(|keys| (1..=MAX_DELETED_KEYS).contains(&keys.len()));
    let keys = keys.ok_or_else(Fault::malformed_xml)?;
    let mut buckets = call.store.lock();
    let objects = &mut buckets.get(bucket, call.project)?.objects;
    for key in &keys {
        objects.remove(*key);
    }
    drop(buckets);
    let quiet = document.get("Quiet") == Some("true");
    let result = Xml::document("DeleteResult", |result| {
        for key in keys.into_iter().filter(|_| !quiet) {
            result.element("Deleted", |deleted| deleted.text("Key", key));
        }
    });
    Ok(result.into_response())
}

/// Receives a body, and checks the request's `Content-MD5`.
pub async fn receive<B>(call: &Call<'_>, body: B) -> Result<(Content, [u8; 16]), Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let expected = call.header("content-md5").map(|text| BASE64.decode(text.as_bytes()));
    let invalid = |_| Fault::bad("InvalidDigest", "Content-MD5 must be Base64.");
    let expected = expected.transpose().map_err(invalid)?;
    let (content, md5) = Content::receive(&call.store.budget, body).await?;
    if expected.is_some_and(|expected| expected != md5) {
        let message = "The body does not have the MD5 in Content-MD5.";
        return Err(Fault::bad("BadDigest", message));
    }
    Ok((content, md5))
}

/// The `ETag` of content with this MD5.
pub fn etag_of(md5: &[u8; 16]) -> String {
    format!("\"{}\"", HEXLOWER.encode(md5))
}

pub fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
}

/// Checks the conditions of a request against the current object.
fn check_conditions(call: &Call<'_>, bucket: &str, key: &str) -> Result<(), Fault> {
    let mut buckets = call.store.lock();
    let current = buckets.get(bucket, call.project)?.objects.get(key);
    conditions::check_write(call.headers, current.map(Arc::as_ref))
}

fn stored(object: &Object) -> Response<ContentBody> {
    let mut response = empty_response(StatusCode::OK);
    insert(response.headers_mut(), header::ETAG, &object.etag);
    response
}

fn add_headers(call: &Call<'_>, object: &Object, headers: &mut HeaderMap) {
    add_metadata(&object.headers, call.query, headers);
    insert(headers, header::ETAG, &object.etag);
    let modified = httpdate::fmt_http_date(object.modified);
    insert(headers, header::LAST_MODIFIED, &modified);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// Copies an object. The copy shares the content of the source.
pub fn copy(call: &Call<'_>, source: &str, bucket: &str, key: &str) -> Outcome {
    let source = find_source(call, source)?;
    let headers = match call.header("x-amz-metadata-directive") {
        None | Some("COPY") => source.headers.clone(),
        Some("REPLACE") => metadata_of(call.headers)?,
        Some(_) => {
            return Err(Fault::invalid_argument(
                "x-amz-metadata-directive must be COPY or REPLACE",
            ));
        }
    };
    let content = Arc::clone(&source.content);
    let object = Object::new(content, source.etag.clone(), headers, call.store.entry()?);
    let document = Xml::document("CopyObjectResult", |result| {
        result.text("LastModified", date(object.modified));
        result.text("ETag", &object.etag);
    });
    let mut buckets = call.store.lock();
    let objects = &mut buckets.get(bucket, call.project)?.objects;
    conditions::check_write(call.headers, objects.get(key).map(Arc::as_ref))?;
    objects.insert(key.to_owned(), object);
    Ok(document.into_response())
}

/// Copies a part. The part has its own content, because the source may be much larger.
pub async fn copy_part(call: &Call<'_>, source: &str, bucket: &str, key: &str) -> Outcome {
    let source = find_source(call, source)?;
    let size = source.content.length();
    let range = conditions::range(call.header("x-amz-copy-source-range"), size)?;
    let copied = source.content.slice(range.unwrap_or(0..size));
    let (modified, md5) = uploads::store_part(call, bucket, key, copied).await?;
    let document = Xml::document("CopyPartResult", |result| {
        result.text("LastModified", date(modified));
        result.text("ETag", etag_of(&md5));
    });
    Ok(document.into_response())
}

/// Finds the source of a copy, and checks the conditions for it.
fn find_source(call: &Call<'_>, source: &str) -> Result<Arc<Object>, Fault> {
    let (bucket, key) = Target::of_source(source)?;
    let object = call.store.lock().get(&bucket, call.project)?.object(&key)?;
    let conditions = call.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-amz-copy-source-")?;
        Some((HeaderName::try_from(name).ok()?, value.clone()))
    });
    // A copy is never answered with `Not Modified`.
    conditions::check_read(&conditions.collect(), &object)
        .map_err(|_| Fault::precondition_failed())?;
    Ok(object)
}

/// Headers that are stored with an object.
const STORED_HEADERS: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// The prefix of user-defined headers, which are stored too.
const USER_PREFIX: &str = "x-amz-meta-";

/// The maximum size of the stored headers.
const MAX_METADATA: usize = 4 << 10;

/// The headers of a request that are stored with its object.
pub fn metadata_of(headers: &HeaderMap) -> Result<HeaderMap, Fault> {
    let is_stored =
        |name: &HeaderName| STORED_HEADERS.contains(name) || name.as_str().starts_with(USER_PREFIX);
    let mut stored = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_stored(name)) {
        stored.append(name, value.clone());
    }
    let length: usize = stored.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > MAX_METADATA {
        return Err(Fault::bad("MetadataTooLarge", "The metadata headers exceed 4 KiB."));
    }
    Ok(stored)
}

/// Adds the stored headers to a response, replaced by those in the query.
fn add_metadata(stored: &HeaderMap, query: &Query, headers: &mut HeaderMap) {
    headers.extend(stored.clone());
    for name in STORED_HEADERS {
        let requested = query.get(&format!("response-{name}"));
        if let Some(Ok(value)) = requested.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        let bytes = HeaderValue::from_static("binary/octet-stream");
        headers.insert(header::CONTENT_TYPE, bytes);
    }
}
