//! What a request means to a store, whatever its spelling. Written independently of the crate,
//! to decide whether a changed byte must be refused.

use http::Request;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    method: String,
    /// Segment by segment: an encoded slash differs from a plain one.
    path: Vec<Vec<u8>>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
    headers: Vec<(String, String)>,
}

impl Meaning {
    /// `None` if the request has no meaning.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let path = request.uri().path().split('/').map(decoded).collect::<Option<_>>()?;
        let query = request.uri().query().unwrap_or_default().replace('+', "%20");
        let parts = query.split('&').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(name)?, decoded(value)?))
        };
        let mut query = parts.map(pair).collect::<Option<Vec<_>>>()?;
        query.sort();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let words = value.to_str().unwrap().split(' ').filter(|word| !word.is_empty());
            (name.to_string(), words.collect::<Vec<_>>().join(" "))
        };
        let mut headers: Vec<_> = request.headers().iter().map(header).collect();
        headers.sort();
        Some(Self { method: request.method().to_string(), path, query, headers })
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            decoded.push(*byte);
            rest = after;
        }
    }
    Some(decoded)
}
