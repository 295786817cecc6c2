//! Lists of a bucket's objects, in pages.

use std::{ops::Bound, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    buckets::{date, owner},
    fault::{Answer, Fault},
    gateway::Call,
    store::{Bucket, Object},
    xml::Xml,
};

/// How many names are on a page at most.
const PAGE: usize = 1_000;

/// What `encoding-type=url` leaves as it is.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What is asked for, in either version.
struct Question<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    after: Option<String>,
    most: usize,
    encodes: bool,
}

/// Names in order; `next` is the last of them when there are more.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Arc<Object>)>,
    prefixes: Vec<String>,
    next: Option<String>,
}

pub fn version_1(call: &Call<'_>, bucket: &str) -> Answer {
    let marker = call.query.text("marker");
    let question = Question::of(call, marker.map(ToOwned::to_owned))?;
    let page = question.page(call.store.lock().get(bucket, call.project)?);
    let document = Xml::document("ListBucketResult", |result| {
        question.repeat(bucket, result);
        result.text("Marker", question.encoded(marker.unwrap_or_default()));
        if let Some(next) = &page.next {
            result.text("NextMarker", question.encoded(next));
        }
        question.tell(&page, Some(call.project), result);
    });
    Ok(document.into_response())
}

pub fn version_2(call: &Call<'_>, bucket: &str) -> Answer {
    if call.query.get("list-type") != Some("2") {
        return Err(Fault::invalid_argument("There is no such type of lists."));
    }
    let (token, start) = (call.query.text("continuation-token"), call.query.text("start-after"));
    let after = match token {
        Some(token) => Some(name_of(token)?),
        None => start.map(ToOwned::to_owned),
    };
    let question = Question::of(call, after)?;
    let page = question.page(call.store.lock().get(bucket, call.project)?);
    let document = Xml::document("ListBucketResult", |result| {
        question.repeat(bucket, result);
        result.text("KeyCount", page.objects.len() + page.prefixes.len());
        if let Some(start) = start {
            result.text("StartAfter", question.encoded(start));
        }
        if let Some(token) = token {
            result.text("ContinuationToken", token);
        }
        if let Some(next) = &page.next {
            result.text("NextContinuationToken", BASE64URL_NOPAD.encode(next.as_bytes()));
        }
        let owner = Some(call.project).filter(|_| call.query.get("fetch-owner") == Some("true"));
        question.tell(&page, owner, result);
    });
    Ok(document.into_response())
}

impl<'a> Question<'a> {
    fn of(call: &Call<'a>, after: Option<String>) -> Result<Self, Fault> {
        let encodes = match call.query.text("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => return Err(Fault::invalid_argument("There is no such encoding.")),
        };
        Ok(Self {
            prefix: call.query.text("prefix").unwrap_or_default(),
            delimiter: call.query.text("delimiter"),
            after,
            most: call.query.at_most("max-keys", PAGE)?,
            encodes,
        })
    }

    /// Looks at no more keys than there are names on the page.
    fn page(&self, bucket: &Bucket) -> Page {
        let mut page = Page::default();
        let mut from = match &self.after {
            Some(after) if **after >= *self.prefix => match self.group(after) {
                // The page before ended with this group of keys.
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
            if page.objects.len() + page.prefixes.len() == self.most {
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

    /// What a key has in common with others, up to the first delimiter after the
    /// prefix.
    fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (delimiter, rest) = (self.delimiter?, key.strip_prefix(self.prefix)?);
        let end = rest.find(delimiter)? + delimiter.len();
        Some(&key[..self.prefix.len() + end])
    }

    /// Tells the client what it asked.
    fn repeat(&self, bucket: &str, result: &mut Xml) {
        result.text("Name", bucket);
        result.text("Prefix", self.encoded(self.prefix));
        if let Some(delimiter) = self.delimiter {
            result.text("Delimiter", self.encoded(delimiter));
        }
        result.text("MaxKeys", self.most);
        if self.encodes {
            result.text("EncodingType", "url");
        }
    }

    fn tell(&self, page: &Page, project: Option<&str>, result: &mut Xml) {
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
        if !self.encodes {
            return text.to_owned();
        }
        utf8_percent_encode(text, ENCODED).to_string()
    }
}

/// The name that a token stands for.
fn name_of(token: &str) -> Result<String, Fault> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| Fault::invalid_argument("The continuation token is not correct."))
}

/// Where the keys begin that come after all of a group; nowhere, if none can.
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
