//! Creates, updates and deletes copies of records in Keystone.
//!
//! Keystone assigns an id to each credential: for key pairs the SHA-256 of the access key, as the
//! front does. Each copy contains the id of its record in a member that Keystone stores. So the
//! front finds the copy after its blob was changed, also after a restart. Imported records have
//! Keystone's ids.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tower_credentials::keystone::records::{COPY_OF, for_keystone, is_active, kind_in_keystone};
use tower_credentials::{
    domain::{Credential, CredentialId, Kind},
    keystone::{KeystoneAnswer, KeystoneClient},
};

use crate::{listing::escaped, responses::BoxError};

/// Why a copy was not written.
#[derive(Debug)]
pub enum CopyError {
    /// Another credential has the access key.
    Conflict,
    /// Keystone did not respond, or not as expected. The outcome is unknown.
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for CopyError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Which records are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All that Keystone can store.
    All,
    /// All but key pairs.
    AllButKeyPairs,
}

/// The copies in a Keystone.
#[derive(Clone, Debug)]
pub struct Copies {
    keystone: KeystoneClient,
    coverage: Coverage,
}

/// A credential in Keystone.
struct Copy {
    id: String,
    members: Map<String, Value>,
}

impl Copy {
    fn has(&self, name: &str, value: &str) -> bool {
        self.members.get(name).and_then(Value::as_str) == Some(value)
    }

    /// Whether user and type are those of the record.
    fn has_owner_and_type_of(&self, credential: &Credential) -> bool {
        self.has("user_id", credential.user_id.as_str())
            && kind_in_keystone(credential).is_some_and(|kind| self.has("type", kind))
    }

    /// Whether an update of the blob makes this a copy of the record. Keystone can only change the
    /// blob, and looks up a key by its first id.
    fn can_become(&self, credential: &Credential) -> bool {
        let project = self.members.get("project_id").and_then(Value::as_str);
        let id = pair_id(credential);
        self.has_owner_and_type_of(credential)
            && project == credential.project_id.as_ref().map(AsRef::as_ref)
            && id.is_none_or(|id| id.as_str() == self.id)
    }
}

impl Copies {
    pub fn new(keystone: KeystoneClient, coverage: Coverage) -> Self {
        Self { keystone, coverage }
    }

    /// Whether Keystone may have a copy of this record.
    pub fn covers(&self, credential: &Credential) -> bool {
        let kind = kind_in_keystone(credential);
        kind.is_some_and(|kind| {
            self.coverage == Coverage::All || !kind.eq_ignore_ascii_case(Kind::EC2)
        })
    }

    /// Whether Keystone must have a copy of this record.
    pub fn requires(&self, credential: &Credential) -> bool {
        is_active(credential) && self.covers(credential) && for_keystone(credential).is_some()
    }

    /// Creates the copy of a record. Accepts an existing copy with the same blob.
    pub async fn create(&self, credential: &Credential) -> Result<(), CopyError> {
        let Some((kind, blob)) = for_keystone(credential) else { return Ok(()) };
        let mut members = credential.attributes.clone();
        members.insert("type".into(), kind.into());
        members.insert("blob".into(), blob.expose().into());
        members.insert("user_id".into(), credential.user_id.as_str().into());
        let project = credential.project_id.as_ref().map(|id| Value::from(id.as_str()));
        members.insert("project_id".into(), project.unwrap_or_default());
        members.insert(COPY_OF.into(), credential.id.as_str().into());
        match self.post(members).await {
            Err(CopyError::Conflict) => {}
            result => return result,
        }
        let Some(id) = pair_id(credential) else { return Err(CopyError::Conflict) };
        let found = self.show(id.as_str()).await?;
        let ours = |copy: &Copy| copy.can_become(credential) && copy.has("blob", blob.expose());
        if found.as_ref().is_some_and(ours) { Ok(()) } else { Err(CopyError::Conflict) }
    }

    async fn post(&self, members: Map<String, Value>) -> Result<(), CopyError> {
        let body = json!({"credential": members});
        let response = self.keystone.call(Method::POST, "/credentials", Some(&body)).await?;
        match response.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::CONFLICT => Err(CopyError::Conflict),
            status => Err(unexpected("a new credential", status)),
        }
    }

    /// Makes Keystone have one copy of the record in the state `now`, or none.
    ///
    /// `stored` are states that the record had. Their access keys belonged to it, so credentials
    /// with these access keys are copies. `attempted` are states of writes that may have failed.
    /// The owner may have created credentials with their access keys in Keystone, so those are
    /// copies only if they contain the record's id.
    ///
    /// The new copy is created before the old one is deleted, except if the access key moves to
    /// another owner: Keystone can only have one credential with it.
    pub async fn reconcile(
        &self,
        stored: &[&Credential],
        attempted: &[&Credential],
        now: Option<&Credential>,
    ) -> Result<(), CopyError> {
        let mut copies = self.find_copies(stored, attempted).await?;
        if let Some(now) = now.filter(|now| self.requires(now)) {
            if let Some(at) = copies.iter().position(|copy| copy.can_become(now)) {
                self.update(&copies.swap_remove(at), now).await?;
            } else if let Some(at) =
                pair_id(now).and_then(|id| copies.iter().position(|copy| copy.id == id.as_str()))
            {
                self.replace(copies.swap_remove(at), now).await?;
            } else {
                self.create(now).await?;
            }
        }
        for copy in copies {
            self.delete(&copy.id).await?;
        }
        Ok(())
    }

    async fn update(&self, copy: &Copy, now: &Credential) -> Result<(), CopyError> {
        let Some((_, blob)) = for_keystone(now) else { return Ok(()) };
        if copy.has("blob", blob.expose()) {
            return Ok(());
        }
        let body = json!({"credential": {"blob": blob.expose()}});
        let response = self.keystone.call(Method::PATCH, &path(&copy.id), Some(&body)).await?;
        match response.status {
            StatusCode::OK => Ok(()),
            _ if response.is_not_found() => self.create(now).await,
            status => Err(unexpected("a changed credential", status)),
        }
    }

    /// Replaces a copy of another owner with the same access key.
    async fn replace(&self, mut copy: Copy, now: &Credential) -> Result<(), CopyError> {
        self.delete(&copy.id).await?;
        let Err(error) = self.create(now).await else { return Ok(()) };
        for name in ["id", "links"] {
            copy.members.remove(name);
        }
        // Restores the old copy. If that fails, a later reconciliation creates it.
        let _ = self.post(copy.members).await;
        Err(error)
    }

    /// Finds all copies of a record; see [`reconcile`](Self::reconcile).
    async fn find_copies(
        &self,
        stored: &[&Credential],
        attempted: &[&Credential],
    ) -> Result<Vec<Copy>, CopyError> {
        let mut copies: Vec<Copy> = Vec::new();
        let mut done = Vec::new();
        let stored = stored.iter().map(|state| (state, true));
        for (state, is_stored) in stored.chain(attempted.iter().map(|state| (state, false))) {
            let Some(kind) = kind_in_keystone(state).filter(|_| self.covers(state)) else {
                continue;
            };
            let ids: Vec<_> = if is_stored {
                pair_id(state).into_iter().chain([state.id.clone()]).collect()
            } else {
                Vec::new()
            };
            let query = (state.user_id.as_str(), kind, ids);
            if done.contains(&query) {
                continue;
            }
            let (listed, is_complete) = self.list(query.0, kind).await?;
            let ids = &query.2;
            let known = |copies: &[Copy], id: &str| copies.iter().any(|copy| copy.id == id);
            for copy in listed {
                let is_copy = copy.has(COPY_OF, state.id.as_str())
                    || ids.iter().any(|id| id.as_str() == copy.id);
                if is_copy && copy.has_owner_and_type_of(state) && !known(&copies, &copy.id) {
                    copies.push(copy);
                }
            }
            if !is_complete {
                for id in ids {
                    if !known(&copies, id.as_str())
                        && let Some(copy) = self.show(id.as_str()).await?
                        && copy.has_owner_and_type_of(state)
                    {
                        copies.push(copy);
                    }
                }
                if copies.is_empty() && kind != Kind::EC2 {
                    return Err("Keystone truncates the list of the user's credentials".into());
                }
            }
            done.push(query);
        }
        Ok(copies)
    }

    /// Lists a user's credentials of a type; returns also whether the list is complete.
    async fn list(&self, user: &str, kind: &str) -> Result<(Vec<Copy>, bool), CopyError> {
        let path = format!("/credentials?user_id={}&type={}", escaped(user), escaped(kind));
        let response = self.keystone.call(Method::GET, &path, None).await?;
        let mut list = object(&response, "a list of credentials")?;
        let Some(Value::Array(listed)) = list.remove("credentials") else {
            return Err("Keystone's response is not a credential list".into());
        };
        let is_complete = list.get("truncated") != Some(&Value::Bool(true));
        Ok((listed.into_iter().filter_map(copy).collect(), is_complete))
    }

    async fn show(&self, id: &str) -> Result<Option<Copy>, CopyError> {
        let response = self.keystone.call(Method::GET, &path(id), None).await?;
        if response.is_not_found() {
            return Ok(None);
        }
        let found = object(&response, "a credential")?.remove("credential").and_then(copy);
        found.map(Some).ok_or_else(|| "Keystone's response is not a credential".into())
    }

    async fn delete(&self, id: &str) -> Result<(), CopyError> {
        let response = self.keystone.call(Method::DELETE, &path(id), None).await?;
        match response.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ if response.is_not_found() => Ok(()),
            status => Err(unexpected("a deletion", status)),
        }
    }
}

fn copy(found: Value) -> Option<Copy> {
    let Value::Object(members) = found else { return None };
    let id = members.get("id")?.as_str()?.to_owned();
    Some(Copy { id, members })
}

/// The id that Keystone assigns to a key pair.
fn pair_id(credential: &Credential) -> Option<CredentialId> {
    let is_pair = kind_in_keystone(credential) == Some(Kind::EC2);
    credential.access_key.as_ref().filter(|_| is_pair).map(CredentialId::of)
}

fn path(id: &str) -> String {
    format!("/credentials/{}", escaped(id))
}

fn object(response: &KeystoneAnswer, what: &str) -> Result<Map<String, Value>, CopyError> {
    if response.status != StatusCode::OK {
        return Err(unexpected(what, response.status));
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| CopyError::from("Keystone's response is not JSON"))
}

/// An error with the status only: Keystone's message repeats the values that it rejects.
fn unexpected(what: &str, status: StatusCode) -> CopyError {
    let hint = match status {
        StatusCode::FORBIDDEN => ": the service user needs the role admin",
        _ => "",
    };
    format!("Keystone returned {status} for {what}{hint}").into()
}
