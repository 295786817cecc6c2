//! Random requests before they are signed, and random keys.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range};

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
    strategy::Union,
};

/// Characters that have broken encoders before.
pub(super) const ODD: &str = "/ +%~*('!)=&;:@,$?#[]\"\\<>|^`{}._-";

/// A request before encoding.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) method: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<&'static str, String>,
    pub(super) body: Vec<u8>,
}

impl Plain {
    /// The path and the query, encoded as by Amazon's SDKs.
    pub(super) fn target(&self) -> String {
        let mut target = format!("/bucket/{}", encoded(&self.key, b"/"));
        for (number, (name, value)) in self.query.iter().enumerate() {
            let before = if number == 0 { '?' } else { '&' };
            let (name, value) = (encoded(name.as_bytes(), b""), encoded(value.as_bytes(), b""));
            write!(target, "{before}{name}={value}").unwrap();
        }
        target
    }
}

/// Encodes everything as `%XX` except letters, digits, `-._~` and these.
pub(super) fn encoded(text: &[u8], also: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}

pub(super) fn plain() -> impl Strategy<Value = Plain> {
    let method = select(vec!["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]);
    let byte = prop_oneof![
        3 => select(ODD.as_bytes()),
        3 => b'a'..=b'z',
        1 => any::<u8>(),
    ];
    let names = vec![
        "cache-control",
        "content-disposition",
        "content-type",
        "if-match",
        "range",
        "x-amz-acl",
        "x-amz-meta-a",
        "x-amz-meta-a-b",
        "x-custom",
        "x-amz-meta-a1",
    ];
    let headers = btree_map(select(names), "( {0,2}[!-~]{0,6}){0,3} {0,2}", 0..5);
    let query = btree_map(text(1..9), text(0..9), 0..6);
    (method, vec(byte, 0..24), query, headers, vec(any::<u8>(), 0..40))
        .prop_map(|(method, key, query, headers, body)| Plain { method, key, query, headers, body })
}

/// A name or a value of a query, or a textual key.
pub(super) fn text(length: Range<usize>) -> impl Strategy<Value = String> {
    let odd = select(ODD.chars().collect::<Vec<_>>());
    let character = Union::new_weighted(vec![
        (3, odd.boxed()),
        (4, proptest::char::range('A', 'z').boxed()),
        (1, proptest::char::any().boxed()),
    ]);
    vec(character, length).prop_map(String::from_iter)
}

/// An access key and a secret of all valid characters.
pub(super) fn key_pair() -> impl Strategy<Value = (String, String)> {
    ("[!-.0-9;-~]{1,128}", "[ -~]{1,256}")
}
