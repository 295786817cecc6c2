//! The copies of records that Keystone keeps: made, changed and deleted.
//!
//! Keystone gives each credential an id of its own: for key pairs the same as here,
//! the SHA-256 of the access key; for others one that is found by what it is a copy of.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tower_credentials::{
    domain::{Credential, CredentialId, Kind, Material},
    keystone::{KeystoneAnswer, KeystoneClient},
};

use crate::{answers::BoxError, listing::escaped, records::for_keystone};

/// Why Keystone does not have what it should.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Somebody else has the access key.
    Conflict,
    /// It did not answer, or not with what was asked for; it may have done it or not.
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A Keystone that keeps copies.
#[derive(Clone, Debug)]
pub(crate) struct Copies(KeystoneClient);

impl Copies {
    pub(crate) fn new(client: KeystoneClient) -> Self {
        Self(client)
    }

    /// Makes the copy of a record; one that is there already with the same blob will do.
    pub(crate) async fn create(&self, credential: &Credential) -> Result<(), Refusal> {
        match self.post(credential).await {
            Err(Refusal::Conflict) => {}
            result => return result,
        }
        let Some(access_key) = &credential.access_key else { return Err(Refusal::Conflict) };
        let found = self.show(CredentialId::of(access_key).as_str()).await?;
        let blob = found.as_ref().and_then(|found| found.get("blob")?.as_str());
        let wanted = for_keystone(credential).map(|(_, blob)| blob);
        let ours = found.as_ref().is_some_and(|found| owned(found, credential));
        if ours && blob == wanted.as_deref() { Ok(()) } else { Err(Refusal::Conflict) }
    }

    /// Asks for a new credential. What is not for Keystone needs none.
    async fn post(&self, credential: &Credential) -> Result<(), Refusal> {
        let Some((kind, blob)) = for_keystone(credential) else { return Ok(()) };
        let mut members = credential.attributes.clone();
        members.insert("type".into(), kind.into());
        members.insert("blob".into(), blob.into());
        members.insert("user_id".into(), credential.user_id.as_str().into());
        let project = credential.project_id.as_ref().map(|id| Value::from(id.as_str()));
        members.insert("project_id".into(), project.unwrap_or_default());
        let body = json!({"credential": members});
        let answer = self.0.call(Method::POST, "/credentials", Some(&body)).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::CONFLICT => Err(Refusal::Conflict),
            status => Err(unexpected("a new credential", status)),
        }
    }

    /// Makes the copy of what was `old` one of what is `new`, or a new one if there is
    /// none.
    pub(crate) async fn replace(&self, old: &Credential, new: &Credential) -> Result<(), Refusal> {
        let Some((_, blob)) = for_keystone(new) else { return self.delete(old).await };
        let Some(copy) = self.copy_of(old).await? else { return self.create(new).await };
        let moved = old.user_id != new.user_id
            || old.project_id != new.project_id
            || old.kind != new.kind
            || old.access_key != new.access_key;
        if moved {
            // Keystone changes blobs only, and finds a key by the id that it first had.
            self.delete_copy(&copy).await?;
            return self.create(new).await;
        }
        let body = json!({"credential": {"blob": blob}});
        let answer = self.0.call(Method::PATCH, &path(&copy), Some(&body)).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            _ if is_missing(&answer) => self.create(new).await,
            status => Err(unexpected("a changed credential", status)),
        }
    }

    /// Deletes the copy of a record, if there is one.
    pub(crate) async fn delete(&self, credential: &Credential) -> Result<(), Refusal> {
        match self.copy_of(credential).await? {
            Some(copy) => self.delete_copy(&copy).await,
            None => Ok(()),
        }
    }

    /// The id of a record's copy.
    async fn copy_of(&self, credential: &Credential) -> Result<Option<String>, Refusal> {
        if let Material::Password { .. } = credential.material {
            return Ok(None);
        }
        let by_key = credential.access_key.as_ref().map(CredentialId::of);
        let by_key = by_key.filter(|id| *id != credential.id);
        for id in by_key.iter().chain([&credential.id]) {
            let found = self.show(id.as_str()).await?;
            if found.is_some_and(|found| owned(&found, credential)) {
                return Ok(Some(id.as_str().to_owned()));
            }
        }
        let Some((kind, blob)) = for_keystone(credential) else { return Ok(None) };
        if kind == Kind::EC2 {
            return Ok(None);
        }
        let user = escaped(credential.user_id.as_str());
        let path = format!("/credentials?user_id={user}&type={}", escaped(kind));
        let answer = self.0.call(Method::GET, &path, None).await?;
        let mut list = object(&answer, "a list of credentials")?;
        let Some(Value::Array(listed)) = list.remove("credentials") else {
            return Err("Keystone's list of credentials is none".into());
        };
        let same = |found: &&Value| {
            found.get("blob").and_then(Value::as_str) == Some(&blob)
                && found.as_object().is_some_and(|found| owned(found, credential))
        };
        let found = listed.iter().find(same).and_then(|found| found.get("id")?.as_str());
        Ok(found.map(ToOwned::to_owned))
    }

    async fn show(&self, id: &str) -> Result<Option<Map<String, Value>>, Refusal> {
        let answer = self.0.call(Method::GET, &path(id), None).await?;
        if is_missing(&answer) {
            return Ok(None);
        }
        match object(&answer, "a credential")?.remove("credential") {
            Some(Value::Object(found)) => Ok(Some(found)),
            _ => Err("Keystone's credential is none".into()),
        }
    }

    async fn delete_copy(&self, id: &str) -> Result<(), Refusal> {
        let answer = self.0.call(Method::DELETE, &path(id), None).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ if is_missing(&answer) => Ok(()),
            status => Err(unexpected("a deletion", status)),
        }
    }
}

/// Whether what Keystone has belongs to the record's owner and is of its type.
fn owned(found: &Map<String, Value>, credential: &Credential) -> bool {
    let is = |name: &str, value: &str| found.get(name).and_then(Value::as_str) == Some(value);
    is("user_id", credential.user_id.as_str()) && is("type", credential.kind.as_str())
}

/// Whether Keystone itself says that there is no such credential, and not something on
/// the way that knows no such path.
fn is_missing(answer: &KeystoneAnswer) -> bool {
    let said = || serde_json::from_slice::<Value>(&answer.body).ok();
    answer.status == StatusCode::NOT_FOUND
        && said().is_some_and(|said| said["error"]["code"] == 404)
}

fn path(id: &str) -> String {
    format!("/credentials/{}", escaped(id))
}

fn object(answer: &KeystoneAnswer, what: &str) -> Result<Map<String, Value>, Refusal> {
    if answer.status != StatusCode::OK {
        return Err(unexpected(what, answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Refusal::from("Keystone's answer is no JSON"))
}

/// Only the status is told: Keystone's words repeat what they refuse.
fn unexpected(what: &str, status: StatusCode) -> Refusal {
    format!("Keystone answered {status} to {what}").into()
}
