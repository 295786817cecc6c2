//! The requests and responses of etcd's JSON gateway. Bytes are base64, 64-bit numbers are
//! strings, and zero values are left out.

use std::fmt;

use data_encoding::BASE64;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// Bytes, encoded as base64.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Base64(pub(super) Vec<u8>);

/// Values hold secrets.
impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
                // The error does not repeat the text, which may hold a secret.
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(Base64).map_err(|_| E::custom("not base64"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Deserializes a number from a string.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number as a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            text.parse().map_err(|_| E::custom("not a number"))
        }
    }
    deserializer.deserialize_str(Text)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Reads one key, or all keys from `key` up to and without `end`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Range {
    pub(super) key: Base64,
    #[serde(rename = "range_end", skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Base64>,
    /// Maximum number of keys; 0 for all.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "as_text")]
    pub(super) limit: i64,
    /// The revision to read; 0 for the latest.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "as_text")]
    pub(super) revision: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) keys_only: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) count_only: bool,
}

impl Range {
    /// Reads one key at the latest revision.
    pub(super) fn of(key: Vec<u8>) -> Self {
        Self { key: Base64(key), ..Self::default() }
    }

    /// Reads all keys from `start` up to and without `end`.
    pub(super) fn between(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self { end: Some(Base64(end)), ..Self::of(start) }
    }

    /// The same at this revision.
    pub(super) fn at(self, revision: i64) -> Self {
        Self { revision, ..self }
    }

    pub(super) fn keys_only(self) -> Self {
        Self { keys_only: true, ..self }
    }
}

/// A transaction: writes if all comparisons are true, reads otherwise.
#[derive(Default, Serialize)]
pub(super) struct Txn {
    compare: Vec<Compare>,
    success: Vec<Op>,
    failure: Vec<Op>,
    /// Approximate size of the request as etcd counts it.
    #[serde(skip)]
    bytes: usize,
}

#[derive(Serialize)]
struct Compare {
    result: &'static str,
    target: &'static str,
    key: Base64,
    #[serde(serialize_with = "as_text")]
    mod_revision: i64,
}

#[derive(Serialize)]
enum Op {
    #[serde(rename = "request_put")]
    Put { key: Base64, value: Base64 },
    #[serde(rename = "request_delete_range")]
    Delete { key: Base64 },
    #[serde(rename = "request_range")]
    Range(Range),
}

/// Upper bound of the overhead of an operation, in bytes.
const OVERHEAD: usize = 24;

impl Txn {
    /// Reads several ranges at the same revision.
    pub(super) fn reading(ranges: impl IntoIterator<Item = Range>) -> Self {
        let success = ranges.into_iter().map(Op::Range).collect();
        Self { success, ..Self::default() }
    }

    /// Requires that the key was last written at this revision; 0: that it does not exist.
    pub(super) fn require(&mut self, key: Vec<u8>, mod_revision: i64) {
        self.bytes += key.len() + OVERHEAD;
        self.compare.push(Compare {
            result: "EQUAL",
            target: "MOD",
            key: Base64(key),
            mod_revision,
        });
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: impl Into<Vec<u8>>) {
        let value = value.into();
        self.bytes += key.len() + value.len() + OVERHEAD;
        self.success.push(Op::Put { key: Base64(key), value: Base64(value) });
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.bytes += key.len() + OVERHEAD;
        self.success.push(Op::Delete { key: Base64(key) });
    }

    /// Reads a range if a comparison is false. The answers are in the order of the calls.
    pub(super) fn otherwise(&mut self, range: Range) {
        self.bytes += range.key.0.len() + OVERHEAD;
        self.failure.push(Op::Range(range));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    /// The revision that was read or written.
    #[serde(deserialize_with = "number")]
    pub(super) revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Base64,
    #[serde(deserialize_with = "number")]
    pub(super) create_revision: i64,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: i64,
    pub(super) value: Base64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeAnswer {
    pub(super) header: Header,
    pub(super) kvs: Vec<KeyValue>,
    /// The number of keys in the range, whatever the limit.
    #[serde(deserialize_with = "number")]
    pub(super) count: i64,
}

impl RangeAnswer {
    /// The key, if a single key was read.
    pub(super) fn one(self) -> Option<KeyValue> {
        self.kvs.into_iter().next()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnAnswer {
    pub(super) header: Header,
    /// Whether all comparisons were true.
    pub(super) succeeded: bool,
    responses: Vec<OpAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpAnswer {
    response_range: Option<RangeAnswer>,
}

impl TxnAnswer {
    /// The results of the reads, in order.
    pub(super) fn ranges(self) -> impl Iterator<Item = RangeAnswer> {
        self.responses.into_iter().filter_map(|answer| answer.response_range)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    /// The size of the member's database, in bytes.
    #[serde(rename = "dbSize", deserialize_with = "number")]
    pub(super) db_size: i64,
}

#[derive(Serialize)]
pub(super) struct Authenticate<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Authenticated {
    pub(super) token: String,
}

/// The response to a failed call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) message: String,
    /// The gRPC status code.
    pub(super) code: u32,
}

#[derive(Serialize)]
pub(super) struct Watch {
    pub(super) create_request: WatchCreate,
}

#[derive(Serialize)]
pub(super) struct WatchCreate {
    pub(super) key: Base64,
    #[serde(serialize_with = "as_text")]
    pub(super) start_revision: i64,
}

/// One line of a watch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Watched {
    pub(super) result: Option<WatchResult>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchResult {
    pub(super) canceled: bool,
    pub(super) created: bool,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) kv: KeyValue,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn transaction_is_encoded_for_the_gateway() {
        let mut txn = Txn::default();
        txn.require(b"k".to_vec(), 0);
        txn.put(b"k".to_vec(), "v");
        txn.delete(b"d".to_vec());
        txn.otherwise(Range::between(b"k".to_vec(), b"l".to_vec()).at(7).keys_only());
        let expected = json!({
            "compare": [
                {"result": "EQUAL", "target": "MOD", "key": "aw==", "mod_revision": "0"},
            ],
            "success": [
                {"request_put": {"key": "aw==", "value": "dg=="}},
                {"request_delete_range": {"key": "ZA=="}},
            ],
            "failure": [{"request_range": {
                "key": "aw==", "range_end": "bA==", "revision": "7", "keys_only": true,
            }}],
        });
        assert_eq!(serde_json::to_value(&txn).unwrap(), expected);
    }

    #[test]
    fn missing_members_of_an_answer_are_zero() {
        let text = r#"{"header":{"revision":"9"},"responses":[
            {"response_range":{"header":{},"kvs":[{"key":"aw==","mod_revision":"3"}],"count":"1"}},
            {"response_put":{}},{"response_range":{}}]}"#;
        let answer: TxnAnswer = serde_json::from_str(text).unwrap();
        assert_eq!((answer.header.revision, answer.succeeded), (9, false));
        let mut ranges = answer.ranges();
        let found = ranges.next().unwrap().one().unwrap();
        assert_eq!((found.mod_revision, found.create_revision, found.value.0), (3, 0, vec![]));
        assert!(ranges.next().unwrap().one().is_none());
        assert!(ranges.next().is_none());
    }
}
