//! What is said to etcd's JSON gateway and what it answers: bytes are base64 in it, and
//! 64-bit numbers are texts; what is zero is left out.

use std::fmt;

use data_encoding::BASE64;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// Bytes, which are base64 on the wire.
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
                // The text is not repeated: it may hold a secret.
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(Base64).map_err(|_| E::custom("not base64"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A number that is a text on the wire.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number as a text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            text.parse().map_err(|_| E::custom("not a number"))
        }
    }
    deserializer.deserialize_str(Text)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A read of one key, or of all from `key` up to `end`, which is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Range {
    pub(super) key: Base64,
    #[serde(rename = "range_end", skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Base64>,
    /// How many at the most; 0 is no bound.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "as_text")]
    pub(super) limit: i64,
    /// The state to read; 0 is the latest.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "as_text")]
    pub(super) revision: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) keys_only: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) count_only: bool,
}

impl Range {
    /// The latest state of one key.
    pub(super) fn of(key: Vec<u8>) -> Self {
        Self { key: Base64(key), ..Self::default() }
    }

    /// All keys from one up to another, which is left out.
    pub(super) fn between(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self { end: Some(Base64(end)), ..Self::of(start) }
    }

    /// The same in the state at this revision.
    pub(super) fn at(self, revision: i64) -> Self {
        Self { revision, ..self }
    }

    pub(super) fn keys_only(self) -> Self {
        Self { keys_only: true, ..self }
    }
}

/// Writes that are done if all comparisons hold, and reads that are done if not.
#[derive(Default, Serialize)]
pub(super) struct Txn {
    compare: Vec<Compare>,
    success: Vec<Op>,
    failure: Vec<Op>,
    /// About how many bytes etcd counts against its limit of a request.
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

/// What an operation costs beyond its keys and values, in bytes; more than it does.
const OVERHEAD: usize = 24;

impl Txn {
    /// Reads that belong together: all see the same state.
    pub(super) fn reading(ranges: impl IntoIterator<Item = Range>) -> Self {
        let success = ranges.into_iter().map(Op::Range).collect();
        Self { success, ..Self::default() }
    }

    /// The key must have been written last at this revision; 0: must not be there.
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

    /// Reads this if a comparison does not hold. The answers come in this order.
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
    /// The state that was read or made.
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
    /// How many there are, whatever the limit.
    #[serde(deserialize_with = "number")]
    pub(super) count: i64,
}

impl RangeAnswer {
    /// The answer to a read of one key.
    pub(super) fn one(self) -> Option<KeyValue> {
        self.kvs.into_iter().next()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnAnswer {
    pub(super) header: Header,
    /// Whether all comparisons held.
    pub(super) succeeded: bool,
    responses: Vec<OpAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpAnswer {
    response_range: Option<RangeAnswer>,
}

impl TxnAnswer {
    /// What the reads gave, in their order.
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

/// What a failed call is answered with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) message: String,
    /// The status of gRPC.
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
    fn a_transaction_is_said_as_the_gateway_reads_it() {
        let mut txn = Txn::default();
        txn.require(b"k".to_vec(), 0);
        txn.put(b"k".to_vec(), "v");
        txn.delete(b"d".to_vec());
        txn.otherwise(Range::between(b"k".to_vec(), b"l".to_vec()).at(7).keys_only());
        let said = json!({
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
        assert_eq!(serde_json::to_value(&txn).unwrap(), said);
    }

    #[test]
    fn what_is_left_out_of_an_answer_is_zero() {
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
