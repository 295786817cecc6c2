//! The copies of records that Keystone keeps: made, changed and deleted.
//!
//! Keystone gives each credential an id of its own: for key pairs the same as here,
//! the SHA-256 of the access key. Each copy that is made here says which record it is
//! of, in a member that Keystone keeps; so it is found whatever its blob has become,
//! also after a restart. What was imported has its id here from Keystone.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tower_credentials::keystone::records::{COPY_OF, for_keystone, is_active, kind_in_keystone};
use tower_credentials::{
    domain::{Credential, CredentialId, Kind},
    keystone::{KeystoneAnswer, KeystoneClient},
};

use crate::{answers::BoxError, listing::escaped};

/// Why Keystone does not have what it should.
#[derive(Debug)]
pub enum Refusal {
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

/// What Keystone keeps copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covering {
    /// All that it can hold.
    All,
    /// All but key pairs.
    AllButKeyPairs,
}

/// A Keystone that keeps copies.
#[derive(Clone, Debug)]
pub struct Copies {
    keystone: KeystoneClient,
    covering: Covering,
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

    /// Whether it belongs to the record's owner and is of its type.
    fn is_owned_as(&self, credential: &Credential) -> bool {
        self.has("user_id", credential.user_id.as_str())
            && kind_in_keystone(credential).is_some_and(|kind| self.has("type", kind))
    }

    /// Whether another blob would make it a copy of this record: no more than that can
    /// be changed, and Keystone finds a key by the id that it first had.
    fn fits(&self, credential: &Credential) -> bool {
        let project = self.members.get("project_id").and_then(Value::as_str);
        let place = place(credential);
        self.is_owned_as(credential)
            && project == credential.project_id.as_ref().map(AsRef::as_ref)
            && place.is_none_or(|place| place.as_str() == self.id)
    }
}

impl Copies {
    pub fn new(keystone: KeystoneClient, covering: Covering) -> Self {
        Self { keystone, covering }
    }

    /// Whether Keystone may have a copy of such a record.
    pub fn cover(&self, credential: &Credential) -> bool {
        let kind = kind_in_keystone(credential);
        kind.is_some_and(|kind| {
            self.covering == Covering::All || !kind.eq_ignore_ascii_case(Kind::EC2)
        })
    }

    /// Whether Keystone is to have a copy of this record now.
    pub fn want(&self, credential: &Credential) -> bool {
        is_active(credential) && self.cover(credential) && for_keystone(credential).is_some()
    }

    /// Makes the copy of a record; one that is there already with the same blob will do.
    pub async fn create(&self, credential: &Credential) -> Result<(), Refusal> {
        let Some((kind, blob)) = for_keystone(credential) else { return Ok(()) };
        let mut members = credential.attributes.clone();
        members.insert("type".into(), kind.into());
        members.insert("blob".into(), blob.expose().into());
        members.insert("user_id".into(), credential.user_id.as_str().into());
        let project = credential.project_id.as_ref().map(|id| Value::from(id.as_str()));
        members.insert("project_id".into(), project.unwrap_or_default());
        members.insert(COPY_OF.into(), credential.id.as_str().into());
        match self.post(members).await {
            Err(Refusal::Conflict) => {}
            result => return result,
        }
        let Some(place) = place(credential) else { return Err(Refusal::Conflict) };
        let found = self.show(place.as_str()).await?;
        let ours = |copy: &Copy| copy.fits(credential) && copy.has("blob", blob.expose());
        if found.as_ref().is_some_and(ours) { Ok(()) } else { Err(Refusal::Conflict) }
    }

    async fn post(&self, members: Map<String, Value>) -> Result<(), Refusal> {
        let body = json!({"credential": members});
        let answer = self.keystone.call(Method::POST, "/credentials", Some(&body)).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::CONFLICT => Err(Refusal::Conflict),
            status => Err(unexpected("a new credential", status)),
        }
    }

    /// Leaves one copy of a record in Keystone, as `now` it is, or none.
    ///
    /// `held` are states that the record has had: its access key was its own, so what
    /// Keystone has by that is a copy. `tried` are states that a write was to bring; what
    /// Keystone has by their access keys may be the owner's from elsewhere, and is a copy
    /// only if it says so.
    ///
    /// What is new is there before what is old is deleted, but where one access key
    /// changes hands: Keystone has a place for one only.
    pub async fn settle(
        &self,
        held: &[&Credential],
        tried: &[&Credential],
        now: Option<&Credential>,
    ) -> Result<(), Refusal> {
        let mut copies = self.copies_of(held, tried).await?;
        if let Some(now) = now.filter(|now| self.want(now)) {
            if let Some(at) = copies.iter().position(|copy| copy.fits(now)) {
                self.bring_up_to_date(&copies.swap_remove(at), now).await?;
            } else if let Some(at) = place(now)
                .and_then(|place| copies.iter().position(|copy| copy.id == place.as_str()))
            {
                self.hand_over(copies.swap_remove(at), now).await?;
            } else {
                self.create(now).await?;
            }
        }
        for copy in copies {
            self.delete(&copy.id).await?;
        }
        Ok(())
    }

    async fn bring_up_to_date(&self, copy: &Copy, now: &Credential) -> Result<(), Refusal> {
        let Some((_, blob)) = for_keystone(now) else { return Ok(()) };
        if copy.has("blob", blob.expose()) {
            return Ok(());
        }
        let body = json!({"credential": {"blob": blob.expose()}});
        let answer = self.keystone.call(Method::PATCH, &path(&copy.id), Some(&body)).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            _ if answer.is_not_found() => self.create(now).await,
            status => Err(unexpected("a changed credential", status)),
        }
    }

    /// Makes a copy in place of one with the same access key.
    async fn hand_over(&self, mut copy: Copy, now: &Credential) -> Result<(), Refusal> {
        self.delete(&copy.id).await?;
        let Err(refusal) = self.create(now).await else { return Ok(()) };
        for name in ["id", "links"] {
            copy.members.remove(name);
        }
        // Whether this succeeds or not: the record is settled again.
        let _ = self.post(copy.members).await;
        Err(refusal)
    }

    /// All copies of a record; see [`settle`](Self::settle).
    async fn copies_of(
        &self,
        held: &[&Credential],
        tried: &[&Credential],
    ) -> Result<Vec<Copy>, Refusal> {
        let mut copies: Vec<Copy> = Vec::new();
        let mut asked = Vec::new();
        let held = held.iter().map(|state| (state, true));
        for (state, is_held) in held.chain(tried.iter().map(|state| (state, false))) {
            let Some(kind) = kind_in_keystone(state).filter(|_| self.cover(state)) else {
                continue;
            };
            let ids: Vec<_> = if is_held {
                place(state).into_iter().chain([state.id.clone()]).collect()
            } else {
                Vec::new()
            };
            let question = (state.user_id.as_str(), kind, ids);
            if asked.contains(&question) {
                continue;
            }
            let (listed, whole) = self.list(question.0, kind).await?;
            let ids = &question.2;
            let known = |copies: &[Copy], id: &str| copies.iter().any(|copy| copy.id == id);
            for copy in listed {
                let is_it = copy.has(COPY_OF, state.id.as_str())
                    || ids.iter().any(|id| id.as_str() == copy.id);
                if is_it && copy.is_owned_as(state) && !known(&copies, &copy.id) {
                    copies.push(copy);
                }
            }
            if !whole {
                for id in ids {
                    if !known(&copies, id.as_str())
                        && let Some(copy) = self.show(id.as_str()).await?
                        && copy.is_owned_as(state)
                    {
                        copies.push(copy);
                    }
                }
                if copies.is_empty() && kind != Kind::EC2 {
                    return Err("Keystone lists only some credentials of the user".into());
                }
            }
            asked.push(question);
        }
        Ok(copies)
    }

    /// A user's credentials of a type, and whether these are all.
    async fn list(&self, user: &str, kind: &str) -> Result<(Vec<Copy>, bool), Refusal> {
        let path = format!("/credentials?user_id={}&type={}", escaped(user), escaped(kind));
        let answer = self.keystone.call(Method::GET, &path, None).await?;
        let mut list = object(&answer, "a list of credentials")?;
        let Some(Value::Array(listed)) = list.remove("credentials") else {
            return Err("Keystone's list of credentials is none".into());
        };
        let whole = list.get("truncated") != Some(&Value::Bool(true));
        Ok((listed.into_iter().filter_map(copy).collect(), whole))
    }

    async fn show(&self, id: &str) -> Result<Option<Copy>, Refusal> {
        let answer = self.keystone.call(Method::GET, &path(id), None).await?;
        if answer.is_not_found() {
            return Ok(None);
        }
        let found = object(&answer, "a credential")?.remove("credential").and_then(copy);
        found.map(Some).ok_or_else(|| "Keystone's credential is none".into())
    }

    async fn delete(&self, id: &str) -> Result<(), Refusal> {
        let answer = self.keystone.call(Method::DELETE, &path(id), None).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ if answer.is_not_found() => Ok(()),
            status => Err(unexpected("a deletion", status)),
        }
    }
}

fn copy(found: Value) -> Option<Copy> {
    let Value::Object(members) = found else { return None };
    let id = members.get("id")?.as_str()?.to_owned();
    Some(Copy { id, members })
}

/// The id that Keystone gives to a key pair.
fn place(credential: &Credential) -> Option<CredentialId> {
    let is_pair = kind_in_keystone(credential) == Some(Kind::EC2);
    credential.access_key.as_ref().filter(|_| is_pair).map(CredentialId::of)
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
    let hint = match status {
        StatusCode::FORBIDDEN => ": the service user needs the role admin",
        _ => "",
    };
    format!("Keystone answered {status} to {what}{hint}").into()
}
