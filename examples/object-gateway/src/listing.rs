//! Lists the objects of a bucket, in pages.

use std::{ops::Bound, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    buckets::{date, owner},
    fault::{Fault, Outcome},
    gateway::Call,
    store::{Bucket, Object},
    xml::Xml,
};

/// The maximum number of names on a page.
const MAX_PAGE: usize = 1_000;

/// The characters that `encoding-type=url` encodes.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The parameters of both versions of the operation.
struct Request<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    after: Option<String>,
    limit: usize,
    url_encoded: bool,
}

/// A page of names in order. If there are more, `next` is the last name.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Arc<Object>)>,
    prefixes: Vec<String>,
    next: Option<String>,
}

pub fn version_1(call: &Call<'_>, bucket: &str) -> Outcome {
    let marker = call.query.text("marker");
    let request = Request::new(call, marker.map(ToOwned::to_owned))?;
    let page = request.page(call.store.lock().get(bucket, call.project)?);
    let document = Xml::document("ListBucketResult", |result| {
        request.echo(bucket, result);
        result.text("Marker", request.encoded(marker.unwrap_or_default()));
        if let Some(next) = &page.next {
            result.text("NextMarker", request.encoded(next));
        }
        request.write_page(&page, Some(call.project), result);
    });
    Ok(document.into_response())
}

pub fn version_2(call: &Call<'_>, bucket: &str) -> Outcome {
    if call.query.get("list-type") != Some("2") {
        return Err(Fault::invalid_argument("list-type must be 2"));
    }
    let (token, start) = (call.query.text("continuation-token"), call.query.text("start-after"));
    let after = match token {
        Some(token) => Some(name_of(token)?),
        None => start.map(ToOwned::to_owned),
    };
    let request = Request::new(call, after)?;
    let page = request.page(call.store.lock().get(bucket, call.project)?);
    let document = Xml::document("ListBucketResult", |result| {
        request.echo(bucket, result);
        result.text("KeyCount", page.objects.len() + page.prefixes.len());
        if let Some(start) = start {
            result.text("StartAfter", request.encoded(start));
        }
        if let Some(token) = token {
            result.text("ContinuationToken", token);
        }
        if let Some(next) = &page.next {
            result.text("NextContinuationToken", BASE64URL_NOPAD.encode(next.as_bytes()));
        }
        let owner = Some(call.project).filter(|_| call.query.get("fetch-owner") == Some("true"));
        request.write_page(&page, owner, result);
    });
    Ok(document.into_response())
}

impl<'a> Request<'a> {
    fn new(call: &Call<'a>, after: Option<String>) -> Result<Self, Fault> {
        let url_encoded = match call.query.text("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => return Err(Fault::invalid_argument("encoding-type must be url")),
        };
        Ok(Self {
            prefix: call.query.text("prefix").unwrap_or_default(),
            delimiter: call.query.text("delimiter"),
            after,
            limit: call.query.at_most("max-keys", MAX_PAGE)?,
            url_encoded,
        })
    }

    /// Examines only as many keys as the page has names.
    fn page(&self, bucket: &Bucket) -> Page {
        let mut page = Page::default();
        let mut from = match &self.after {
            Some(after) if **after >= *self.prefix => match self.group(after) {
                // The previous page ended with this group of keys.
                Some(group) if group == after => after_all(group),
                _ => Some(Bound::Excluded(after.clone())),
            },
            _ => Some(Bound::Included(self.prefix.to_owned())),
        };
        let mut last = None;
        while let Some(start) = &from {
            let start = start.as_ref().map(String::as_str);
            let mut rest = bucket.objects.range::<str, _>((start, Bound::Unbounded));
            let found = rest.next().filter(|(key, _)| key.starts_with(self.prefix));
            let Some((key, object)) = found else { break };
            if page.objects.len() + page.prefixes.len() == self.limit {
                page.next = last;
                break;
            }
            let name = if let Some(group) = self.group(key) {
                from = after_all(group);
                page.prefixes.push(group.to_owned());
                group
            } else {
                from = Some(Bound::Excluded(key.clone()));
                page.objects.push((key.clone(), Arc::clone(object)));
                key
            };
            last = Some(name.to_owned());
        }
        page
    }

    /// The common prefix of a key: up to the first delimiter after the requested prefix.
    fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (delimiter, rest) = (self.delimiter?, key.strip_prefix(self.prefix)?);
        let end = rest.find(delimiter)? + delimiter.len();
        Some(&key[..self.prefix.len() + end])
    }

    /// Repeats the parameters of the request in the response.
    fn echo(&self, bucket: &str, result: &mut Xml) {
        result.text("Name", bucket);
        result.text("Prefix", self.encoded(self.prefix));
        if let Some(delimiter) = self.delimiter {
            result.text("Delimiter", self.encoded(delimiter));
        }
        result.text("MaxKeys", self.limit);
        if self.url_encoded {
            result.text("EncodingType", "url");
        }
    }

    fn write_page(&self, page: &Page, project: Option<&str>, result: &mut Xml) {
        result.text("IsTruncated", page.next.is_some());
        for (key, object) in &page.objects {
            result.element("Contents", |entry| {
                entry.text("Key", self.encoded(key));
                entry.text("LastModified", date(object.modified));
                entry.text("ETag", &object.etag);
                entry.text("Size", object.content.length());
                entry.text("StorageClass", "STANDARD");
                if let Some(project) = project {
                    owner(entry, project);
                }
            });
        }
        for prefix in &page.prefixes {
            result.element("CommonPrefixes", |entry| {
                entry.text("Prefix", self.encoded(prefix));
            });
        }
    }

    fn encoded(&self, text: &str) -> String {
        if !self.url_encoded {
            return text.to_owned();
        }
        utf8_percent_encode(text, ENCODED).to_string()
    }
}

/// Decodes a continuation token.
fn name_of(token: &str) -> Result<String, Fault> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        Fault::invalid_argument("continuation-token must be the NextContinuationToken of a list")
    })
}

/// The lower bound of the keys after a group; `None` if no key can follow.
fn after_all(group: &str) -> Option<Bound<String>> {
    let mut end = group.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(Bound::Included(end));
        }
    }
    None
}
