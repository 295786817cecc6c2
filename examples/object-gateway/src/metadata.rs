//! What clients tell of an object beside its content, and are told again.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{fault::Fault, target::Query};

/// Headers that are kept, beside those of the user.
const KEPT: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// What the user's own headers start with.
const USERS: &str = "x-amz-meta-";

/// How many bytes all of them may be.
const LIMIT: usize = 4 << 10;

/// The headers of a request that are kept with its object.
pub fn kept(headers: &HeaderMap) -> Result<HeaderMap, Fault> {
    let is_kept = |name: &HeaderName| KEPT.contains(name) || name.as_str().starts_with(USERS);
    let mut kept = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_kept(name)) {
        kept.append(name, value.clone());
    }
    let length: usize = kept.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > LIMIT {
        return Err(Fault::bad("MetadataTooLarge", "Your metadata headers are too large."));
    }
    Ok(kept)
}

/// Has an answer carry what is kept of an object, or what the query wants instead.
pub fn tell(kept: &HeaderMap, query: &Query, answer: &mut HeaderMap) {
    answer.extend(kept.clone());
    for name in KEPT {
        let wanted = query.get(&format!("response-{name}"));
        if let Some(Ok(value)) = wanted.map(HeaderValue::try_from) {
            answer.insert(name, value);
        }
    }
    if !answer.contains_key(header::CONTENT_TYPE) {
        let bytes = HeaderValue::from_static("binary/octet-stream");
        answer.insert(header::CONTENT_TYPE, bytes);
    }
}
