//! The JSON of v2.0.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::entry::{Entry, Parsed, one_of};
use crate::{
    authority::Listing,
    dialect::{
        body::{self, Each},
        json::{self as strict, Node},
        v2_names,
    },
    domain::{SecretText, Slot},
    error::Error,
};

/// Parses one credential object: a body with exactly one root member.
pub(super) fn read(body: &[u8]) -> Result<Parsed, Error> {
    let body = strict::object(body)?;
    let mut roots = body.iter();
    let (Some((root, Node::Object(members))), None) = (roots.next(), roots.next()) else {
        return Err(Error::bad_request("The body must hold one credential object."));
    };
    let slot = v2_names::slot_of_root(root)
        .ok_or_else(|| Error::bad_request("The root member names no type of credential."))?;
    let text = |name| strict::optional_string(members, name);
    let secret = match slot {
        Slot::Password => text("password")?,
        Slot::Ec2 | Slot::S3 => {
            strict::refuse_delegation(members)?;
            one_of(text("secret")?, text("key")?)?
        }
    };
    Ok(Parsed {
        slot,
        username: text("username")?.map(Into::into),
        secret: secret.map(SecretText::new),
        signature: text("signature")?.map(SecretText::new),
    })
}

/// One credential.
pub(super) fn one(entry: &Entry<'_>) -> Bytes {
    body::json(entry, 1)
}

/// A page of credentials.
pub(super) fn many(listing: &Listing, next: Option<&str>) -> Bytes {
    let views = &*listing.views;
    let credentials_links = next.map(|href| [Link { rel: "next", href }]);
    let credentials_links = credentials_links.as_ref().map_or(&[][..], |link| link);
    body::json(
        &Page { credentials: Each { views, shape: Entry::of }, credentials_links },
        views.len(),
    )
}

/// A fault.
pub(super) fn fault(name: &str, code: u16, message: &str) -> Bytes {
    body::json(&json!({name: {"code": code, "message": message}}), 0)
}

#[derive(Serialize)]
struct Page<'a, T> {
    credentials: T,
    credentials_links: &'a [Link<'a>],
}

#[derive(Serialize)]
struct Link<'a> {
    rel: &'static str,
    href: &'a str,
}

#[derive(Serialize)]
struct Members<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { slot, username, secret, signature } = *self;
        let mut root = serializer.serialize_map(Some(1))?;
        root.serialize_entry(v2_names::root_of(slot), &Members { username, secret, signature })?;
        root.end()
    }
}
