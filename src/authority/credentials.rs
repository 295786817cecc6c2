//! Keystone v3 credentials, addressed by their id: create, list, show, change, rotate,
//! delete.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    checks::{Authority, Reading},
    listing::End,
    outcome::{LAST_USED, Listing, Outcome},
    requester::Requester,
    terms::{COMPUTED, GivenTerms, TermFilter},
    write::Address,
};
use crate::{
    backend::{ListQuery, Order, expires_before},
    domain::{
        AccessKey, Attributes, Blob, Caller, Credential, CredentialId, Kind, Material, ProjectId,
        SecretKey, Status, UserId, Version,
    },
    error::Error,
    policy::{Action, Decision, ListScope, Target},
};

#[derive(Debug)]
pub(crate) enum CredentialCommand {
    Create(CreateCredential),
    Delete(CredentialId),
    List(ListCredentials),
    Rotate { id: CredentialId, overlap: Duration },
    Show(CredentialId),
    Update(UpdateCredential),
}

/// A new credential, as the client sent it.
#[derive(Debug)]
pub(crate) struct CreateCredential {
    pub(crate) kind: Kind,
    pub(crate) user_id: UserId,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) blob: Blob,
    pub(crate) attributes: Attributes,
    pub(crate) status: Status,
    pub(crate) terms: GivenTerms,
}

/// Which credentials to list. A record must pass all filters.
#[derive(Debug, Default)]
pub(crate) struct ListCredentials {
    pub(crate) user_id: Option<UserId>,
    pub(crate) kind: Option<Kind>,
    pub(crate) matches: Vec<Match>,
    pub(crate) terms: TermFilter,
    /// The id of the last record of the previous page.
    pub(crate) marker: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// An inexact filter.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) field: Field,
    pub(crate) matching: Matching,
    /// Whether to ignore case.
    pub(crate) fold_case: bool,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    Kind,
    UserId,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Matching {
    Contains,
    EndsWith,
    StartsWith,
}

/// A change of the blob, the status or the terms.
#[derive(Debug)]
pub(crate) struct UpdateCredential {
    pub(crate) id: CredentialId,
    pub(crate) blob: Option<Blob>,
    /// The other members that the client sent. Status and terms are changed, the rest must be as
    /// stored.
    pub(crate) others: Attributes,
}

impl Authority {
    pub(super) async fn run_credential(
        &self,
        caller: &Requester,
        command: CredentialCommand,
    ) -> Result<Outcome, Error> {
        match command {
            CredentialCommand::Create(command) => self.create_credential(caller, command).await,
            CredentialCommand::Delete(id) => {
                self.delete(caller, Action::DeleteCredential, Address::Credential(&id)).await
            }
            CredentialCommand::List(command) => self.list_credentials(caller, command).await,
            CredentialCommand::Rotate { id, overlap } => {
                let actions = (Action::UpdateCredential, Action::CreateCredential);
                self.rotate(caller, actions, Address::Credential(&id), overlap).await
            }
            CredentialCommand::Show(id) => {
                let (action, reading) = (Action::ShowCredential, Reading::Cached);
                let credential = self.find_credential(caller, action, &id, reading).await?;
                Ok(Outcome::Shown(self.credential_view(caller, credential)))
            }
            CredentialCommand::Update(command) => self.update_credential(caller, command).await,
        }
    }

    async fn create_credential(
        &self,
        caller: &Requester,
        command: CreateCredential,
    ) -> Result<Outcome, Error> {
        let CreateCredential { kind, user_id, project_id, blob, mut attributes, status, terms } =
            command;
        if self.usage.is_some() {
            // Clients may copy the member from a response, or make it up. If it were stored,
            // it would be shown once the layer has no log any more.
            attributes.remove(LAST_USED);
        }
        let access_key = kind.is_ec2().then(|| new_pair(&blob)).transpose()?;
        if kind.is_ec2() {
            blob.names_no_other_delegation(caller.delegation.as_ref()).map_err(foreign)?;
        }
        let action = Action::CreateCredential;
        self.permit(caller, action, self.target(&user_id, project_id.as_ref(), Some(&kind)))?;
        self.require_enabled_user(&user_id).await?;
        if let Some(project_id) = &project_id {
            self.require_enabled_project(project_id).await?;
            self.require_place(action, &user_id, project_id).await?;
        }

        let terms = self.new_terms(&terms, &kind, &user_id)?;
        self.count_mint(&caller.user_id)?;
        let id =
            access_key.as_ref().map_or_else(CredentialId::random, |it| Ok(CredentialId::of(it)))?;
        let blob = if kind.is_ec2() { blob.bound_to(caller.delegation.as_ref()) } else { blob };
        let (now, version) = (self.clock.now(), Version::fresh());
        let material = Material::Blob(blob);
        let mut credential = Credential::new(id, kind, user_id, material, now, version);
        credential.project_id = project_id;
        credential.access_key = access_key;
        credential.attributes = attributes;
        credential.status = status;
        credential.terms = terms;
        credential.delegation.clone_from(&caller.delegation);
        self.insert(caller, credential).await
    }

    async fn list_credentials(
        &self,
        caller: &Caller,
        command: ListCredentials,
    ) -> Result<Outcome, Error> {
        let action = Action::ListCredentials;
        self.permit(caller, action, Target::default())?;
        let scope = self.policy.list_scope(caller, action).ok_or_else(Error::forbidden)?;
        let ListCredentials { user_id, kind, matches, terms, marker, limit } = command;
        let mut query = ListQuery::new(Order::Key);
        (query.user_id, query.kind) = (user_id, kind);
        match scope {
            ListScope::All => {}
            // The caller's own credentials without a project count as in it. A filter cannot
            // express that.
            ListScope::Project(_) if query.user_id.as_ref() == Some(&caller.user_id) => {}
            ListScope::Project(id) => query.project_id = Some(id),
            ListScope::User(id) if query.user_id.as_ref().is_none_or(|user| *user == id) => {
                query.user_id = Some(id);
            }
            ListScope::Nothing | ListScope::User(_) => {
                return Ok(Outcome::Listed(Listing::default()));
            }
        }
        if query.user_id.is_none()
            && query.project_id.is_none()
            && let Some(time) = terms.expires_before
        {
            // Few records have an expiry.
            query.order = Order::ExpiresAt;
            query.before = Some(expires_before(time));
        }
        self.start_after(&mut query, marker).await?;
        let view = |record: Arc<Credential>| {
            let is_listed = !matches!(record.material, Material::Password { .. })
                && terms.admits(&record)
                && matches.iter().all(|it| it.admits(&record))
                && self.allows(caller, action, &record);
            is_listed.then(|| self.credential_view(caller, record))
        };
        Ok(Outcome::Listed(self.page(query, limit, End::Marked, view, Credential::size).await?))
    }

    async fn update_credential(
        &self,
        caller: &Requester,
        command: UpdateCredential,
    ) -> Result<Outcome, Error> {
        let (action, address) = (Action::UpdateCredential, Address::Credential(&command.id));
        let change = |stored: &Credential, changed: &mut Credential| {
            if !command.leaves_alone(stored, self.usage.is_some()) {
                let message = "Only the blob, the status and the terms can be changed.";
                return Err(Error::bad_request(message));
            }
            if let Some(blob) = &command.blob {
                let blob = self.with_hidden_secret(caller, blob, stored);
                apply(&blob, stored, changed)?;
            }
            if let Some(status) = command.status(stored)? {
                changed.status = status;
            }
            self.change_terms(&command.terms(stored)?, changed)?;
            // Checks the permission for the changed record too.
            self.permit(caller, action, Target::record(changed))?;
            Ok(true)
        };
        let credential = self.update(caller, action, address, change).await?;
        Ok(Outcome::Updated(self.credential_view(caller, credential)))
    }

    /// The blob of a change, with the stored secret if the caller cannot see that, and sends back
    /// what it sees: the same key pair without a secret.
    fn with_hidden_secret(&self, caller: &Caller, blob: &Blob, stored: &Credential) -> Blob {
        let view = self.credential_view(caller, Arc::new(stored.clone()));
        let (Some(access_key), Some(secret)) = (&stored.access_key, stored.secret_key()) else {
            return blob.clone();
        };
        let is_same = blob.access_key().is_ok_and(|named| named == *access_key);
        if view.shows_secret() || !is_same || blob.has_secret() {
            return blob.clone();
        }
        blob.with_pair(access_key, secret)
    }

    /// Finds the record, on which the caller may perform this action. Only callers who may
    /// perform it on every record learn that a record does not exist.
    pub(super) async fn find_credential(
        &self,
        caller: &Caller,
        action: Action,
        id: &CredentialId,
        reading: Reading,
    ) -> Result<Arc<Credential>, Error> {
        self.permit(caller, action, Target::default())?;
        let found = self.read(id, reading).await?;
        let visible =
            |record: &Arc<Credential>| !matches!(record.material, Material::Password { .. });
        let missing = || {
            let everything = self.policy.list_scope(caller, action) == Some(ListScope::All);
            if everything { Error::no_such_credential() } else { Error::forbidden() }
        };
        let credential = found.filter(visible).ok_or_else(missing)?;
        match self.policy.decide(caller, action, Target::record(&credential)) {
            Decision::Allow => Ok(credential),
            Decision::Forbid => Err(Error::forbidden()),
            Decision::Hide => Err(missing()),
        }
    }
}

/// The error for a client that names a delegation other than its own. Without the delegation,
/// the key would be stronger than the client asked for.
fn foreign(name: &'static str) -> Error {
    Error::bad_request(format!("{name} must be that of the token, or absent."))
}

/// The name of the status. In v3 it is an attribute of records that are not key pairs.
pub(crate) const STATUS: &str = "status";

/// The error for a status that does not exist.
pub(crate) fn wrong_status() -> Error {
    Error::bad_request("status must be Active or Inactive.")
}

/// The access key in the blob of a new key pair.
fn new_pair(blob: &Blob) -> Result<AccessKey, Error> {
    // A longer secret would cost more hashing than a missing key.
    if let Some(secret) = blob.secret_key() {
        SecretKey::new(secret.expose())?;
    }
    Ok(blob.access_key()?)
}

impl Match {
    fn admits(&self, credential: &Credential) -> bool {
        let value = match self.field {
            Field::Kind => credential.kind.as_str(),
            Field::UserId => credential.user_id.as_str(),
        };
        let matches = |value: &str, text: &str| match self.matching {
            Matching::Contains => value.contains(text),
            Matching::EndsWith => value.ends_with(text),
            Matching::StartsWith => value.starts_with(text),
        };
        if self.fold_case {
            matches(&value.to_lowercase(), &self.text.to_lowercase())
        } else {
            matches(value, &self.text)
        }
    }
}

impl UpdateCredential {
    /// Returns whether the other members are as stored. With a usage log (`logged`), the
    /// value of `last_used` does not matter.
    fn leaves_alone(&self, stored: &Credential, logged: bool) -> bool {
        let project_id = stored.project_id.as_ref().map(ProjectId::as_str);
        self.others.iter().all(|(name, given)| match name.as_str() {
            "id" => given == stored.id.as_str(),
            // Links are not stored.
            "links" => true,
            LAST_USED if logged => true,
            STATUS if stored.kind.is_ec2() => true,
            name if GivenTerms::is_name(name) => true,
            // Dialects compute them.
            name if COMPUTED.contains(&name) && !stored.attributes.contains_key(name) => true,
            "project_id" => given.as_str() == project_id && (given.is_string() || given.is_null()),
            "type" => given == stored.kind.as_str(),
            "user_id" => given == stored.user_id.as_str(),
            _ => stored.attributes.get(name) == Some(given),
        })
    }

    /// The terms to change. A member that an earlier release stored as an attribute, and that is
    /// sent as it was shown, is not a term.
    fn terms(&self, stored: &Credential) -> Result<GivenTerms, Error> {
        let is_term = |(name, value): &(&String, &Value)| {
            GivenTerms::is_name(name) && !is_attribute(stored, name, value)
        };
        let given = self.others.iter().filter(is_term);
        GivenTerms::parse(&given.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The new status of a key pair. Records of other types have an attribute of this name.
    fn status(&self, stored: &Credential) -> Result<Option<Status>, Error> {
        let given = self.others.get(STATUS).filter(|_| stored.kind.is_ec2());
        let given = given.filter(|given| !is_attribute(stored, STATUS, given));
        let Some(given) = given else { return Ok(None) };
        let status = given.as_str().and_then(Status::from_word);
        status.map(Some).ok_or_else(wrong_status)
    }
}

/// Returns whether the record shows this value as an attribute.
fn is_attribute(stored: &Credential, name: &str, value: &Value) -> bool {
    stored.attributes.get(name) == Some(value)
}

/// Changes the blob of a record.
fn apply(blob: &Blob, stored: &Credential, changed: &mut Credential) -> Result<(), Error> {
    let blob = blob.clone();
    if !stored.kind.is_ec2() {
        changed.material = Material::Blob(blob);
        return Ok(());
    }
    let access_key = new_pair(&blob)?;
    let before = stored.blob().unwrap_or_else(|| Blob::new(""));
    before
        .same_origin(&blob)
        .map_err(|name| Error::bad_request(format!("{name} of a credential cannot be changed.")))?;
    // An opaque blob may become a key pair that is bound to a delegation.
    if changed.delegation.is_none() {
        changed.delegation = before.delegation()?;
    }
    if let Material::Grant { username, signature, .. } = &stored.material {
        // v2 addresses the record by its name.
        let secret = blob.secret_key().filter(|_| access_key.as_str() == username);
        let secret = secret.cloned().ok_or_else(|| {
            Error::bad_request("Only the secret of a granted credential can be changed.")
        })?;
        let (username, signature) = (username.clone(), signature.clone());
        changed.material = Material::Grant { username, secret, signature };
    } else {
        changed.material = Material::Blob(blob);
        changed.access_key = Some(access_key);
    }
    Ok(())
}
