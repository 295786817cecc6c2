//! Parses JSON bodies strictly.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::{domain::Blob, error::Error};

/// The members of a JSON object, borrowed from the body where they can be.
pub(super) type Object<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

/// A JSON value, as far as dialects use it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Object(Object<'a>),
    /// An array, a number or a boolean: no dialect uses their values.
    Other,
    String(Cow<'a, str>),
}

/// Parses a body that must be a JSON object.
///
/// Rejects an object with a duplicate member, at any depth: parsers differ in which of the
/// two they take, and another parser may have checked the body before. The parser bounds
/// the nesting.
pub(super) fn object(body: &[u8]) -> Result<Object<'_>, Error> {
    match serde_json::from_slice(body) {
        Ok(Node::Object(members)) => Ok(members),
        Ok(_) => Err(Error::bad_request("The body must be a JSON object.")),
        // The parser's own message may repeat what the client sent.
        Err(_) => Err(Error::bad_request("The body is not valid JSON.")),
    }
}

/// A member that must be an object.
pub(super) fn member_object<'a>(
    members: &'a Object<'_>,
    name: &'static str,
) -> Result<&'a Object<'a>, Error> {
    match members.get(name) {
        Some(Node::Object(object)) => Ok(object),
        _ => Err(Error::bad_request(format!("{name} must be an object."))),
    }
}

/// A member that must be a string, if it is present and not null.
pub(super) fn optional_string<'a>(
    members: &'a Object<'_>,
    name: &'static str,
) -> Result<Option<&'a str>, Error> {
    match members.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::bad_request(format!("{name} must be a string."))),
    }
}

/// Rejects an object that names a delegation, in a dialect without delegations. Without the
/// delegation, the key would be stronger than the client asked for.
pub(super) fn refuse_delegation(members: &Object<'_>) -> Result<(), Error> {
    let named = |name: &&str| !matches!(members.get(*name), None | Some(Node::Null));
    match Blob::DELEGATION.into_iter().find(named) {
        Some(name) => Err(Error::bad_request(format!("{name} cannot be set here."))),
        None => Ok(()),
    }
}

/// A member that must be present and a string.
pub(super) fn required_string<'a>(
    members: &'a Object<'_>,
    name: &'static str,
) -> Result<&'a str, Error> {
    optional_string(members, name)?
        .ok_or_else(|| Error::bad_request(format!("{name} is required.")))
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::String(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        // Every item is parsed: it may contain a duplicate member.
        while items.next_element::<Node<'de>>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node<'de>, A::Error> {
        let mut object = Object::new();
        while let Some(Name(name)) = members.next_key()? {
            if object.insert(name, members.next_value()?).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Node::Object(object))
    }
}

/// The name of a member, borrowed if it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(NodeVisitor)? {
            Node::String(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("the name of a member is not a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_objects_without_duplicate_members_are_accepted() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        for bad in [
            "",
            " ",
            "{",
            "[]",
            "1",
            "null",
            "\"{}\"",
            "{}x",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            "{'a':1}",
            "{\"a\":1,}",
            &deep,
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(b"{\"a\":[{\"b\":1,\"b\":1}]}").is_err());
        let good = object(b" {\"a\":[1,-2,3.5,true,null,{}],\"b\\u0063\":\"\\n\",\"d\":null} ");
        let good = good.unwrap();
        assert_eq!(good["a"], Node::Other);
        assert_eq!(optional_string(&good, "bc").unwrap(), Some("\n"));
        assert_eq!(optional_string(&good, "d").unwrap(), None);
        assert!(optional_string(&good, "a").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = object(&body);
        }

        #[test]
        fn accepted_members_are_those_of_the_plain_parser(text in "\\{(\"[a-c]\":[0-9]{1,3},?){0,3}\\}") {
            if let Ok(members) = object(text.as_bytes()) {
                let plain: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
                prop_assert!(members.keys().eq(plain.keys()));
            }
        }
    }
}
