//! Parses bodies and queries of the IBM COS dialect.

use std::borrow::Cow;

use http::request::Parts;

use crate::{
    authority::{CreateKey, End, GivenTerms, KeyCommand, ListKeys, SUBJECT, UpdateKey},
    dialect::{
        json::{self, Node, Object},
        media, path, terms,
    },
    domain::{AccessKey, Attributes, Kind, ProjectId, SecretKey, Status, UserId},
    error::Error,
};

/// Longest IAM identity, in bytes.
const MAX_SUBJECT: usize = 256;

/// Parses `POST /credentials`.
pub(super) fn create(head: &Parts, body: &[u8]) -> Result<KeyCommand, Error> {
    let text = body;
    let body = read(head, body)?;
    let credential = json::member_object(&body, "credential")?;
    let kind = json::optional_string(credential, "type")?;
    check_kind(kind.ok_or_else(|| Error::bad_request("type is required."))?)?;
    json::refuse_delegation(credential)?;

    let mut attributes = Attributes::new();
    if let Some(subject) = json::optional_string(credential, SUBJECT)? {
        let fits = (1..=MAX_SUBJECT).contains(&subject.len());
        if !fits || subject.contains(char::is_control) {
            return Err(Error::bad_request("subject_ibm_id is empty, too long, or not printable."));
        }
        attributes.insert(SUBJECT.into(), subject.into());
    }

    let blob = blob(credential)?;
    let (mut access_key, mut secret_key, mut status) = (None, None, None);
    if let Some(blob) = &blob {
        let access = json::optional_string(blob, "access")?;
        let access = access.ok_or_else(|| Error::bad_request("blob.access is required."))?;
        access_key = Some(AccessKey::new(access)?);
        json::refuse_delegation(blob)?;
        secret_key = secret(blob)?;
        status = self::status(blob)?;
    }
    Ok(KeyCommand::Create(CreateKey {
        user_id: user_id(credential)?,
        project_id: project_id(credential)?,
        access_key,
        secret_key,
        status: status.unwrap_or_default(),
        attributes,
        terms: terms::given(credential, text, &["credential"])?,
    }))
}

/// Parses `GET /credentials`.
pub(super) fn list(head: &Parts) -> Result<KeyCommand, Error> {
    let query = head.uri.query();
    let value = |name| path::query_value(query, name);
    // An empty marker counts as absent, as an empty path segment is not an id.
    let marker = |name| value(name).map(|marker| marker.filter(|marker| !marker.is_empty()));
    Ok(KeyCommand::List(ListKeys {
        user_id: value("user_id")?.map(UserId::new).transpose()?,
        project_id: value("project_id")?.map(ProjectId::new).transpose()?,
        after: marker("marker")?,
        before: marker("end_marker")?,
        limit: path::query_limit(query)?,
        terms: terms::filter(query)?,
        end: End::Short,
    }))
}

/// Parses `PATCH /credentials/{access}`. Accepts the whole object, and the reduced object with
/// only the status or terms.
pub(super) fn update(
    access_key: &AccessKey,
    head: &Parts,
    body: &[u8],
) -> Result<KeyCommand, Error> {
    let text = body;
    let body = read(head, body)?;
    let credential = json::member_object(&body, "credential")?;
    if let Some(kind) = json::optional_string(credential, "type")? {
        check_kind(kind)?;
    }
    let terms = terms::given(credential, text, &["credential"])?;
    let blob = blob(credential)?;
    if blob.is_none() && !credential.keys().any(|name| GivenTerms::is_name(name)) {
        return Err(Error::bad_request("blob is required."));
    }
    let blob = blob.unwrap_or_default();
    json::refuse_delegation(credential)?;
    json::refuse_delegation(&blob)?;
    let named = [json::optional_string(credential, "id")?, json::optional_string(&blob, "access")?];
    if named.into_iter().flatten().any(|name| name != access_key.as_str()) {
        return Err(Error::bad_request("The access key of a credential cannot be changed."));
    }
    Ok(KeyCommand::Update(UpdateKey {
        access_key: access_key.clone(),
        status: status(&blob)?,
        user_id: user_id(credential)?,
        project_id: project_id(credential)?,
        secret_key: secret(&blob)?,
        terms,
    }))
}

fn read<'a>(head: &Parts, body: &'a [u8]) -> Result<Object<'a>, Error> {
    media::check_json(&head.headers)?;
    json::object(body)
}

/// The blob: a string in IBM's tables, an object in all its samples.
fn blob<'a>(credential: &'a Object<'_>) -> Result<Option<Cow<'a, Object<'a>>>, Error> {
    match credential.get("blob") {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Object(blob)) => Ok(Some(Cow::Borrowed(blob))),
        Some(Node::String(text)) => json::object(text.as_bytes()).map(Cow::Owned).map(Some),
        Some(_) => Err(Error::bad_request("blob must be an object, or the JSON text of one.")),
    }
}

fn check_kind(kind: &str) -> Result<(), Error> {
    if kind == Kind::EC2 { Ok(()) } else { Err(Error::bad_request("type must be ec2.")) }
}

fn user_id(credential: &Object<'_>) -> Result<Option<UserId>, Error> {
    let id = json::optional_string(credential, "user_id")?;
    Ok(id.map(UserId::new).transpose()?)
}

fn project_id(credential: &Object<'_>) -> Result<Option<ProjectId>, Error> {
    let id = json::optional_string(credential, "project_id")?;
    Ok(id.map(ProjectId::new).transpose()?)
}

fn secret(blob: &Object<'_>) -> Result<Option<SecretKey>, Error> {
    let secret = json::optional_string(blob, "secret")?;
    Ok(secret.map(SecretKey::new).transpose()?)
}

fn status(blob: &Object<'_>) -> Result<Option<Status>, Error> {
    let status = match blob.get("status") {
        None => return Ok(None),
        Some(Node::String(word)) => Status::from_word(word),
        Some(_) => None,
    };
    status.map(Some).ok_or_else(|| Error::bad_request("status must be Active or Inactive."))
}
