//! The signed headers and their canonical form.

use http::HeaderName;

use super::{
    error::RequestError,
    head::{Named, OF_AMAZON, One, RequestHead},
};
use crate::signature::scan;

/// Checks a `SignedHeaders` list: it must be lower case, sorted, without duplicates, and
/// contain the host. It must also name every `x-amz-` header of the request, of which there
/// are `of_amazon`: anybody on the way could set an unsigned one.
///
/// `malformed` makes the error for the place where the list was found.
#[expect(clippy::needless_bitwise_bool, reason = "a branch keeps the compiler from vectorizing")]
pub(super) fn check(
    of_amazon: usize,
    names: &str,
    malformed: fn(&'static str) -> RequestError,
) -> Result<(), RequestError> {
    if scan::any(names.as_bytes(), |byte| byte.is_ascii_uppercase() | (byte == b' ')) {
        return Err(malformed("The signed headers must be named in lower case."));
    }
    let (mut previous, mut has_host, mut signed): (&[u8], _, _) = (b"", false, 0);
    for name in split(names) {
        // An empty name is never greater than the previous one. Most names differ in the first
        // byte.
        if name.first() <= previous.first() && name <= previous {
            return Err(malformed("The signed headers must be sorted, each named once."));
        }
        has_host |= name == b"host";
        signed += usize::from(name.starts_with(OF_AMAZON.as_bytes()));
        previous = name;
    }
    if !has_host {
        return Err(malformed("The host must be among the signed headers."));
    }
    // A listed header that is not in the request is rejected when the headers are written.
    // So if the request has no more than are listed, all of them are listed.
    if of_amazon > signed {
        return Err(RequestError::not_signed());
    }
    Ok(())
}

/// Returns the names of a list.
fn split(names: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(names.as_bytes());
    std::iter::from_fn(move || {
        let names = rest?;
        let (name, others) = match scan::split(names, b';') {
            Some((name, others)) => (name, Some(others)),
            None => (names, None),
        };
        rest = others;
        Some(name)
    })
}

/// Up to this number of headers, scanning all of them is faster than hashing a name.
const FEW: usize = 24;

/// Writes `name:value` for each name. Returns `false` if the request lacks one.
pub(super) fn write(
    text: &mut Vec<u8>,
    head: RequestHead<'_>,
    found: &Named<'_>,
    names: &str,
) -> Result<bool, RequestError> {
    let headers = head.headers();
    for name in split(names) {
        let value = match name {
            b"host" => Some(head.host_of(found.host)?.as_bytes()),
            b"x-amz-content-sha256" => bytes(found.content_sha256)?,
            b"x-amz-date" => bytes(found.date)?,
            name if headers.len() <= FEW => {
                let its = headers.iter().filter(|(header, _)| header.as_str().as_bytes() == name);
                bytes(its.map(|(_, value)| value).collect())?
            }
            name => match HeaderName::from_bytes(name) {
                Ok(name) => bytes(headers.get_all(name).iter().collect())?,
                Err(_) => None,
            },
        };
        let Some(value) = value else { return Ok(false) };
        text.extend_from_slice(name);
        text.push(b':');
        write_value(text, value);
        text.push(b'\n');
    }
    Ok(true)
}

/// Returns the bytes of a header, if it occurs.
///
/// Several values would be signed joined by commas, like one value with commas. An app that
/// reads the first would see a value that was not signed.
fn bytes(header: One<'_>) -> Result<Option<&[u8]>, RequestError> {
    match header {
        One::None => Ok(None),
        One::Once(value) => Ok(Some(value.as_bytes())),
        One::Twice => Err(RequestError::header_twice()),
    }
}

/// Writes a value trimmed, with one space for each inner run of spaces.
pub(super) fn write_value(text: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    if !scan::any(value, |byte| byte == b' ') {
        text.extend_from_slice(value);
        return;
    }
    let mut before = b'x';
    for byte in value {
        if (before, *byte) != (b' ', b' ') {
            text.push(*byte);
        }
        before = *byte;
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn canonical(request: &Request<()>, names: &str) -> Option<String> {
        let mut text = Vec::new();
        let head = RequestHead::from(request);
        let complete = write(&mut text, head, &head.named(), names).unwrap();
        complete.then(|| String::from_utf8(text).unwrap())
    }

    fn listed(names: &str) -> Result<(), RequestError> {
        check(0, names, RequestError::header)
    }

    #[test]
    fn every_amazon_header_must_be_listed() {
        let list = "host;x-amz-a;x-amz-b";
        for (there, fine) in [(0, true), (2, true), (3, false)] {
            assert_eq!(check(there, list, RequestError::header).is_ok(), fine, "{there}");
        }
    }

    #[test]
    fn signed_headers_list_has_exactly_one_form() {
        for good in ["host", "a;host", "host;x-amz-date", "content-type;host;x-amz-date"] {
            assert!(listed(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x-amz-date",
            "Host",
            "host;",
            ";host",
            "host;host",
            "x;host",
            "host; x",
            "host;;x",
            "host,x",
            "host;X-Amz-Date",
        ] {
            assert!(listed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn header_values_are_trimmed_and_inner_spaces_collapse() {
        let request = Request::get("/")
            .header("host", "example.com:81")
            .header("my-a", "  a   b \t")
            .header("my-b", "\"x  y\"")
            .header("my-c", "")
            .header("my-d", "one, two")
            .body(())
            .unwrap();
        let signed = "host:example.com:81\nmy-a:a b\nmy-b:\"x y\"\nmy-c:\nmy-d:one, two\n";
        let names = "host;my-a;my-b;my-c;my-d";
        assert_eq!(canonical(&request, names).as_deref(), Some(signed));
        assert_eq!(canonical(&request, "host;my-e"), None);
    }

    #[test]
    fn authority_replaces_a_missing_host() {
        let request = Request::get("http://example.com/x").body(()).unwrap();
        assert_eq!(canonical(&request, "host").as_deref(), Some("host:example.com\n"));
        let both = Request::get("http://example.com/x").header("host", "example.com");
        assert!(RequestHead::from(&both.body(()).unwrap()).host().is_ok());
        for bad in [
            Request::get("/x"),
            Request::get("/x").header("host", ""),
            Request::get("/x").header("host", "a").header("host", "a"),
            Request::get("http://example.com/x").header("host", "example.org"),
        ] {
            assert!(RequestHead::from(&bad.body(()).unwrap()).host().is_err());
        }
    }
}
