//! What a server knows of a request besides its text: the client's address, the encryption of its
//! connection, and the id of the request.

use std::{fmt, net::IpAddr, sync::Arc};

use data_encoding::HEXLOWER;
use http::HeaderValue;
use rand::RngExt;

/// The maximum length of a request id in bytes.
const MAX_ID: usize = 128;

/// The client's address. The server inserts it into the extensions of each request; without it,
/// the address is unknown.
///
/// Keys can have conditions on `aws:SourceIp`. Behind a proxy, insert the address that
/// [`TrustedProxies::source`](crate::TrustedProxies::source) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// Whether the client's connection is encrypted. The server inserts it into the extensions of each
/// request; without it, this is unknown.
///
/// Links to this service start with `https://` if the connection is encrypted. Keys can have
/// conditions on `aws:SecureTransport` and `s3:TlsVersion`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientTls {
    /// The connection is not encrypted.
    None,
    /// The connection is encrypted, with this version, such as 1.3, if it is known.
    Version(Option<f64>),
}

/// The id of a request. The server inserts it into the extensions of each request; responses and
/// audit events then contain it. Without it, each response gets an id of its own.
///
/// It has 1 to 128 ASCII letters, digits and `-`, `_`, `.`, `:`, so that it cannot forge a log
/// line or a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns a random id: `req-` and a UUID of version 4, as in OpenStack. It is not secret.
    #[must_use]
    pub fn random() -> Self {
        let mut number: [u8; 16] = rand::rng().random();
        number[6] = number[6] & 0x0f | 0x40;
        number[8] = number[8] & 0x3f | 0x80;
        let mut id = *b"req-00000000-0000-0000-0000-000000000000";
        for (at, bytes) in [(4, 0..4), (13, 4..6), (18, 6..8), (23, 8..10), (28, 10..16)] {
            let bytes = &number[bytes];
            HEXLOWER.encode_mut(bytes, &mut id[at..at + 2 * bytes.len()]);
        }
        Self(str::from_utf8(&id).unwrap_or_default().into())
    }

    /// Returns the id that a proxy sent. `None` if it has other characters or another length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_valid = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_allowed);
        is_valid.then(|| Self(text.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("the characters of an id are valid in a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_request_ids_are_distinct_uuids() {
        let id = RequestId::random();
        let text = id.as_str();
        assert_eq!(text.len(), 40, "{text}");
        assert_eq!((&text[..4], &text[18..19]), ("req-", "4"), "{text}");
        assert!("89ab".contains(&text[23..24]), "{text}");
        assert_ne!(id, RequestId::random());
        assert_eq!(RequestId::parse(text), Some(id));
    }

    #[test]
    fn request_ids_that_could_forge_a_line_or_a_header_are_rejected() {
        let long = "a".repeat(MAX_ID + 1);
        for text in ["", "a b", "a\nb", "a\"b", "a,b", "\u{e9}", &long] {
            assert_eq!(RequestId::parse(text), None, "{text:?}");
        }
        assert!(RequestId::parse(&long[1..]).is_some());
    }
}
