//! From the wire: bodies and queries of v3 credentials.

use http::request::Parts;
use serde_json::Value;

use crate::{
    authority::{CreateCredential, Field, ListCredentials, Match, Matching, UpdateCredential},
    dialect::{
        json::{self, Node, Object},
        keystone, links, path,
    },
    domain::{Attributes, Blob, CredentialId, Kind, ProjectId, UserId},
    error::Error,
};

/// The members that are not attributes.
const KNOWN: [&str; 6] = ["blob", "id", "links", "project_id", "type", "user_id"];

/// Inexact filters, as `type__contains`; an `i` before the word folds case.
const MATCHINGS: [(&str, Matching); 3] = [
    ("contains", Matching::Contains),
    ("endswith", Matching::EndsWith),
    ("startswith", Matching::StartsWith),
];

/// C2.
pub(super) fn create(head: &Parts, body: &[u8]) -> Result<CreateCredential, Error> {
    let members = keystone::read(head, body)?;
    let credential = json::member_object(&members, "credential")?;
    let kind = Kind::new(required(credential, "type")?)?;
    let project_id = json::optional_string(credential, "project_id")?;
    if kind.is_ec2() && !credential.contains_key("project_id") {
        return Err(Error::bad_request("project_id is required for type ec2."));
    }
    Ok(CreateCredential {
        user_id: UserId::new(required(credential, "user_id")?)?,
        project_id: project_id.map(ProjectId::new).transpose()?,
        blob: Blob::new(blob(credential)?),
        attributes: attributes(credential, body, true)?,
        kind,
    })
}

/// C1.
pub(super) fn list(head: &Parts) -> Result<ListCredentials, Error> {
    let query = head.uri.query();
    let (marker, limit) = links::page(head)?;
    let mut list = ListCredentials { marker, limit, ..ListCredentials::default() };
    // What can be no id or type simply finds nothing.
    list.user_id = path::query_value(query, "user_id")?.map(UserId::from_stored);
    list.kind = path::query_value(query, "type")?.map(Kind::from_stored);
    if !query.is_some_and(|query| query.contains("__")) {
        return Ok(list);
    }
    for (name, field) in [("type", Field::Kind), ("user_id", Field::UserId)] {
        for (word, matching) in MATCHINGS {
            for (i, fold_case) in [("", false), ("i", true)] {
                if let Some(text) = path::query_value(query, &format!("{name}__{i}{word}"))? {
                    list.matches.push(Match { field, matching, fold_case, text });
                }
            }
        }
    }
    Ok(list)
}

/// C4.
pub(super) fn update(
    id: &CredentialId,
    head: &Parts,
    body: &[u8],
) -> Result<UpdateCredential, Error> {
    let members = keystone::read(head, body)?;
    let credential = json::member_object(&members, "credential")?;
    if json::optional_string(credential, "id")?.is_some_and(|named| named != id.as_str()) {
        return Err(Error::bad_request("The id in the body is not the path's."));
    }
    let text = |name| Ok::<_, Error>(json::optional_string(credential, name)?.map(str::to_owned));
    let project_id = text("project_id")?;
    Ok(UpdateCredential {
        id: id.clone(),
        blob: Blob::new(blob(credential)?),
        kind: text("type")?,
        user_id: text("user_id")?,
        project_id: credential.contains_key("project_id").then_some(project_id),
        attributes: attributes(credential, body, false)?,
    })
}

fn required<'a>(members: &'a Object<'_>, name: &'static str) -> Result<&'a str, Error> {
    json::optional_string(members, name)?
        .ok_or_else(|| Error::bad_request(format!("{name} is required.")))
}

fn blob<'a>(credential: &'a Object<'_>) -> Result<&'a str, Error> {
    match credential.get("blob") {
        Some(Node::String(blob)) if !blob.is_empty() => Ok(blob),
        Some(_) => Err(Error::bad_request("blob must be a string that is not empty.")),
        None => Err(Error::bad_request("blob is required.")),
    }
}

/// The other members. Keystone renames those of new credentials: `:` and `-`
/// become `_`; what would then stand for another member is refused.
fn attributes(credential: &Object<'_>, body: &[u8], rename: bool) -> Result<Attributes, Error> {
    let mut attributes = Attributes::new();
    if credential.keys().all(|name| KNOWN.contains(&&**name)) {
        return Ok(attributes);
    }
    // Read again, for the values as they are.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(Value::Object(members)) = body.get("credential") else { return Ok(attributes) };
    for (name, value) in members.iter().filter(|(name, _)| !KNOWN.contains(&&***name)) {
        let name = if rename { name.replace([':', '-'], "_") } else { name.clone() };
        let taken = KNOWN.contains(&&*name);
        if taken || attributes.insert(name, value.clone()).is_some() {
            return Err(Error::bad_request("Two members have the same name."));
        }
    }
    Ok(attributes)
}
