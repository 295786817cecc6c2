//! The JSON of v2.0.

use serde_json::{Map, Value, json};

use super::{grant::Parsed, names, render::Entry};
use crate::{
    dialect::json as strict,
    domain::{SecretText, Slot},
    error::Error,
};

/// Reads one credential object: a body with exactly one root member.
pub(super) fn read(body: &[u8]) -> Result<Parsed, Error> {
    let body = strict::object(body)?;
    let mut roots = body.iter();
    let (Some((root, Value::Object(members))), None) = (roots.next(), roots.next()) else {
        return Err(Error::bad_request("The body must hold one credential object."));
    };
    let slot = names::slot_of_root(root)
        .ok_or_else(|| Error::bad_request("The root member names no type of credential."))?;
    let text = |name| strict::optional_string(members, name);
    let secret = match slot {
        Slot::Password => text("password")?,
        Slot::Ec2 | Slot::S3 => one_of(text("secret")?, text("key")?)?,
    };
    Ok(Parsed {
        slot,
        username: text("username")?.map(Into::into),
        secret: secret.map(SecretText::new),
        signature: text("signature")?.map(SecretText::new),
    })
}

/// Two names of one member: at most one may be used, unless they agree.
pub(super) fn one_of<'a>(
    one: Option<&'a str>,
    other: Option<&'a str>,
) -> Result<Option<&'a str>, Error> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(Error::bad_request("secret and key are given and differ."))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// One credential.
pub(super) fn one(entry: &Entry<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    write(&mut body, &Value::Object(object(entry)));
    body
}

/// A page of credentials.
pub(super) fn many<'a>(entries: impl Iterator<Item = Entry<'a>>, next: Option<&str>) -> Vec<u8> {
    let credentials: Vec<_> = entries.map(|entry| Value::Object(object(&entry))).collect();
    let links: Vec<_> = next.map(|href| json!({"rel": "next", "href": href})).into_iter().collect();
    let mut body = Vec::with_capacity(256 * (credentials.len() + 1));
    write(&mut body, &json!({"credentials": credentials, "credentials_links": links}));
    body
}

/// A fault.
pub(super) fn fault(name: &str, code: u16, message: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    write(&mut body, &json!({name: {"code": code, "message": message}}));
    body
}

fn object(entry: &Entry<'_>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("username".into(), entry.username.into());
    if let Some(secret) = entry.secret {
        members.insert("secret".into(), secret.into());
    }
    if let Some(signature) = entry.signature {
        members.insert("signature".into(), signature.into());
    }
    let mut root = Map::new();
    root.insert(names::root_of(entry.slot).into(), Value::Object(members));
    root
}

fn write(body: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(&mut *body, value).expect("writing to memory cannot fail");
    body.push(b'\n');
}
