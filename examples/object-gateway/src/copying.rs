//! Copies within the store, from one bucket of a project to another of the same.

use std::sync::Arc;

use http::HeaderName;

use crate::{
    buckets::date,
    conditions,
    fault::{Answer, Fault},
    gateway::Call,
    metadata,
    objects::etag_of,
    store::Object,
    target::Target,
    uploads,
    xml::Xml,
};

/// The copy shares the source's bytes.
pub fn copy(call: &Call<'_>, source: &str, bucket: &str, key: &str) -> Answer {
    let source = find(call, source)?;
    let headers = match call.header("x-amz-metadata-directive") {
        None | Some("COPY") => source.headers.clone(),
        Some("REPLACE") => metadata::kept(call.headers)?,
        Some(_) => return Err(Fault::invalid_argument("Unknown metadata directive.")),
    };
    let content = Arc::clone(&source.content);
    let object = Object::new(content, source.etag.clone(), headers, call.store.entry()?);
    let document = Xml::document("CopyObjectResult", |result| {
        result.text("LastModified", date(object.modified));
        result.text("ETag", &object.etag);
    });
    let mut buckets = call.store.lock();
    let objects = &mut buckets.get(bucket, call.project)?.objects;
    conditions::may_write(call.headers, objects.get(key).map(Arc::as_ref))?;
    objects.insert(key.to_owned(), object);
    Ok(document.into_response())
}

/// The part has bytes of its own, as the source may be much larger.
pub async fn copy_part(call: &Call<'_>, source: &str, bucket: &str, key: &str) -> Answer {
    let source = find(call, source)?;
    let size = source.content.length();
    let range = conditions::range(call.header("x-amz-copy-source-range"), size)?;
    let copied = source.content.part(range.unwrap_or(0..size));
    let (modified, md5) = uploads::take_part(call, bucket, key, copied).await?;
    let document = Xml::document("CopyPartResult", |result| {
        result.text("LastModified", date(modified));
        result.text("ETag", etag_of(&md5));
    });
    Ok(document.into_response())
}

/// The object that is copied, under the conditions that are made for it.
fn find(call: &Call<'_>, source: &str) -> Result<Arc<Object>, Fault> {
    let (bucket, key) = Target::of_source(source)?;
    let object = call.store.lock().get(&bucket, call.project)?.object(&key)?;
    let conditions = call.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-amz-copy-source-")?;
        Some((HeaderName::try_from(name).ok()?, value.clone()))
    });
    // Nobody is told that a copy is not modified.
    conditions::may_read(&conditions.collect(), &object)
        .map_err(|_| Fault::precondition_failed())?;
    Ok(object)
}
