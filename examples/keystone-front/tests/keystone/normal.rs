//! Normalizes the responses of two servers for comparison.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::http::Answer;

/// Members that differ in every token.
const NEW_EACH_TIME: [&str; 3] = ["audit_ids", "expires_at", "issued_at"];

/// Names for values, such as generated ids.
pub(crate) type Names = BTreeMap<String, String>;

/// Normalizes a response: removes the server's address, generated ids, times, messages of errors,
/// and the order of lists.
pub(crate) fn normal(answer: &Answer, url: &str, names: &Names) -> Value {
    let mut all = Map::new();
    all.insert("status".into(), answer.status.as_u16().into());
    for header in ["content-type", "vary", "www-authenticate"] {
        let value = answer.headers.get(header).map(|value| value.to_str().unwrap());
        let value = value.map(|value| text(value, url, names));
        all.insert(header.into(), value.into());
    }
    // Keystone's own message for unknown paths.
    let json = serde_json::from_slice(&answer.body).ok();
    let body = json.map(|body| json_of(body, url, names));
    let unknown = || json!(if answer.body.is_empty() { "empty" } else { "not JSON" });
    all.insert("body".into(), body.unwrap_or_else(unknown));
    Value::Object(all)
}

pub(crate) fn json_of(value: Value, url: &str, names: &Names) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<_> =
                values.into_iter().map(|value| json_of(value, url, names)).collect();
            values.sort_by_key(Value::to_string);
            Value::Array(values)
        }
        Value::Object(members) => {
            let one = |(name, value): (String, Value)| {
                let value = match &*name {
                    "catalog" => "a catalog".into(),
                    // Words of an error message; a blob is data.
                    "message" => "words".into(),
                    name if NEW_EACH_TIME.contains(&name) => "new each time".into(),
                    _ => json_of(value, url, names),
                };
                (name, value)
            };
            Value::Object(members.into_iter().map(one).collect())
        }
        Value::String(words) => match serde_json::from_str(&words) {
            // The blob of a key pair.
            Ok(Value::Object(members)) => {
                json!({"in a text": json_of(Value::Object(members), url, names)})
            }
            _ => text(&words, url, names).into(),
        },
        other => other,
    }
}

fn text(words: &str, url: &str, names: &Names) -> String {
    let words = words.replace(url, "<url>");
    names.iter().fold(words, |words, (name, value)| words.replace(value, &format!("<{name}>")))
}

/// The differences of two values, by path.
pub(crate) fn differences(one: &Value, other: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    compare("", one, other, &mut found);
    found
}

fn compare(path: &str, one: &Value, other: &Value, found: &mut BTreeMap<String, String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys()) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => compare(&path, one, other, found),
                    (one, other) => drop(found.insert(path, describe(one, other))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}.{at}"), one, other, found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => drop(found.insert(path.to_owned(), describe(Some(one), Some(other)))),
    }
}

fn describe(one: Option<&Value>, other: Option<&Value>) -> String {
    let text = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
    format!("{} / {}", text(one), text(other))
}
