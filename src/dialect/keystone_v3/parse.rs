//! Parses bodies and queries of v3 credentials.

use http::request::Parts;
use serde_json::Value;

use crate::{
    authority::{
        COMPUTED, CreateCredential, Field, GivenTerms, ListCredentials, Match, Matching, STATUS,
        UpdateCredential, wrong_status,
    },
    dialect::{
        json::{self, Node, Object},
        keystone, links, path, terms,
    },
    domain::{Attributes, Blob, CredentialId, Kind, ProjectId, Status, UserId},
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

/// Parses `POST /v3/credentials`.
pub(super) fn create(head: &Parts, body: &[u8]) -> Result<CreateCredential, Error> {
    let members = keystone::read(head, body)?;
    let credential = json::member_object(&members, "credential")?;
    let kind = Kind::new(json::required_string(credential, "type")?)?;
    let project_id = json::optional_string(credential, "project_id")?;
    if kind.is_ec2() && !credential.contains_key("project_id") {
        return Err(Error::bad_request("project_id is required for type ec2."));
    }
    let mut attributes = attributes(credential, body)?;
    let terms = take_terms(&mut attributes, &kind)?;
    let status = take_status(&mut attributes, &kind)?;
    // These are the stored names: `trust-id` is stored as `trust_id`.
    if kind.is_ec2() {
        let named = |name: &&str| attributes.get(*name).is_some_and(|value| !value.is_null());
        if let Some(name) = Blob::DELEGATION.into_iter().find(named) {
            return Err(Error::bad_request(format!("{name} cannot be set here.")));
        }
    }
    Ok(CreateCredential {
        user_id: UserId::new(json::required_string(credential, "user_id")?)?,
        project_id: project_id.map(ProjectId::new).transpose()?,
        blob: Blob::new(blob(credential)?),
        attributes,
        kind,
        status,
        terms,
    })
}

/// Parses `GET /v3/credentials`.
pub(super) fn list(head: &Parts) -> Result<ListCredentials, Error> {
    let query = head.uri.query();
    let (marker, limit) = links::page(head)?;
    let terms = terms::filter(query)?;
    let mut list = ListCredentials { terms, marker, limit, ..ListCredentials::default() };
    // An invalid id or type finds no record.
    list.user_id = path::query_value(query, "user_id")?.map(UserId::from_stored);
    list.kind = path::query_value(query, "type")?.map(Kind::from_stored);
    if !query.is_some_and(|query| query.contains("__") || query.contains('%')) {
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

/// Parses `PATCH /v3/credentials/{id}`.
pub(super) fn update(
    id: &CredentialId,
    head: &Parts,
    body: &[u8],
) -> Result<UpdateCredential, Error> {
    let members = keystone::read(head, body)?;
    let credential = json::member_object(&members, "credential")?;
    let changes_others = credential.keys().any(|name| GivenTerms::is_name(name) || *name == STATUS);
    let blob = if changes_others && !credential.contains_key("blob") {
        None
    } else {
        Some(Blob::new(blob(credential)?))
    };
    let has_others = credential.len() > 1 || blob.is_none();
    let mut others = if has_others { values(body) } else { Attributes::new() };
    others.remove("blob");
    Ok(UpdateCredential { id: id.clone(), blob, others })
}

fn blob<'a>(credential: &'a Object<'_>) -> Result<&'a str, Error> {
    match credential.get("blob") {
        Some(Node::String(blob)) if !blob.is_empty() => Ok(blob),
        Some(_) => Err(Error::bad_request("blob must be a string that is not empty.")),
        None => Err(Error::bad_request("blob is required.")),
    }
}

/// The other members. Keystone renames those of new credentials: `:` and `-` become `_`.
/// A name that then is the name of another member is rejected.
fn attributes(credential: &Object<'_>, body: &[u8]) -> Result<Attributes, Error> {
    let mut attributes = Attributes::new();
    if credential.keys().all(|name| KNOWN.contains(&&**name)) {
        return Ok(attributes);
    }
    for (name, value) in values(body) {
        if KNOWN.contains(&&*name) {
            continue;
        }
        let name = name.replace([':', '-'], "_");
        let taken = KNOWN.contains(&&*name);
        if taken || attributes.insert(name, value).is_some() {
            return Err(Error::bad_request("Two members have the same name."));
        }
    }
    Ok(attributes)
}

/// Takes the terms out of the attributes of a new credential.
fn take_terms(attributes: &mut Attributes, kind: &Kind) -> Result<GivenTerms, Error> {
    let terms = GivenTerms::parse(attributes)?;
    // Clients may copy the computed members from a response.
    attributes.retain(|name, _| {
        let is_computed = kind.is_ec2() && COMPUTED.contains(&&**name);
        !is_computed && !GivenTerms::is_name(name)
    });
    Ok(terms)
}

/// Takes the status out of the attributes of a new key pair.
fn take_status(attributes: &mut Attributes, kind: &Kind) -> Result<Status, Error> {
    if !kind.is_ec2() {
        return Ok(Status::Active);
    }
    let Some(status) = attributes.remove(STATUS) else { return Ok(Status::Active) };
    status.as_str().and_then(Status::from_word).ok_or_else(wrong_status)
}

/// The members of the credential with all their values, some of which the strict parser
/// leaves out.
fn values(body: &[u8]) -> Attributes {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut body)) => match body.remove("credential") {
            Some(Value::Object(members)) => members,
            _ => Attributes::new(),
        },
        _ => Attributes::new(),
    }
}
