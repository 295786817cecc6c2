//! Operations on whole objects.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;

use crate::{
    conditions,
    content::{Content, Outgoing},
    fault::{Answer, Fault},
    gateway::{Call, done},
    metadata,
    store::Object,
    xml::{Element, Xml},
};

/// How many objects one request may delete.
const MOST_DELETED: usize = 1_000;

pub async fn put<B>(call: &Call<'_>, bucket: &str, key: &str, body: B) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let headers = metadata::kept(call.headers)?;
    // What will be refused need not be sent first.
    conditions_hold(call, bucket, key)?;
    let (content, md5) = receive(call, body).await?;
    let entry = call.store.entry()?;
    let object = Object::new(Arc::new(content), etag_of(&md5), headers, entry);
    let stored = stored(&object);
    let mut buckets = call.store.lock();
    let objects = &mut buckets.get(bucket, call.project)?.objects;
    conditions::may_write(call.headers, objects.get(key).map(Arc::as_ref))?;
    objects.insert(key.to_owned(), object);
    Ok(stored)
}

pub fn get(call: &Call<'_>, bucket: &str, key: &str) -> Answer {
    let object = call.store.lock().get(bucket, call.project)?.object(key)?;
    conditions::may_read(call.headers, &object)?;
    let size = object.content.length();
    let range = conditions::range(call.header("range"), size)?;
    let part = range.clone().unwrap_or(0..size);
    let mut answer = Response::new(object.content.part(part.clone()));
    describe(call, &object, answer.headers_mut());
    if range.is_some() {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let sent = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        insert(answer.headers_mut(), header::CONTENT_RANGE, &sent);
    }
    let length = part.end - part.start;
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(answer)
}

/// One that is not there is as good as deleted.
pub fn delete(call: &Call<'_>, bucket: &str, key: &str) -> Answer {
    call.store.lock().get(bucket, call.project)?.objects.remove(key);
    Ok(done(StatusCode::NO_CONTENT))
}

/// Deletes what a document lists.
pub fn delete_all(call: &Call<'_>, bucket: &str, document: &[u8]) -> Answer {
    let document = Element::read(document, "Delete")?;
    let keys: Option<Vec<_>> = document.all("Object").map(|object| object.get("Key")).collect();
    let keys = keys.filter(|keys| (1..=MOST_DELETED).contains(&keys.len()));
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

/// Takes in a body, which must have the MD5 that its request names, if any.
pub async fn receive<B>(call: &Call<'_>, body: B) -> Result<(Content, [u8; 16]), Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let named = call.header("content-md5").map(|named| BASE64.decode(named.as_bytes()));
    let invalid = |_| Fault::bad("InvalidDigest", "The Content-MD5 you specified is not valid.");
    let named = named.transpose().map_err(invalid)?;
    let (content, md5) = Content::receive(&call.store.space, body).await?;
    if named.is_some_and(|named| named != md5) {
        let message = "The Content-MD5 you specified is not that of what was received.";
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

/// Whether an object may be written where this key leads to, as things are.
fn conditions_hold(call: &Call<'_>, bucket: &str, key: &str) -> Result<(), Fault> {
    let mut buckets = call.store.lock();
    let current = buckets.get(bucket, call.project)?.objects.get(key);
    conditions::may_write(call.headers, current.map(Arc::as_ref))
}

fn stored(object: &Object) -> Response<Outgoing> {
    let mut stored = done(StatusCode::OK);
    insert(stored.headers_mut(), header::ETAG, &object.etag);
    stored
}

fn describe(call: &Call<'_>, object: &Object, headers: &mut HeaderMap) {
    metadata::tell(&object.headers, call.query, headers);
    insert(headers, header::ETAG, &object.etag);
    let modified = httpdate::fmt_http_date(object.modified);
    insert(headers, header::LAST_MODIFIED, &modified);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}
