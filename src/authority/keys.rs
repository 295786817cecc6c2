//! Key pairs, addressed by their access key: create, list, show, change, rotate, delete.

use std::{sync::Arc, time::Duration};

use super::{
    checks::{Authority, Reading, no_place},
    listing::End,
    outcome::Outcome,
    requester::Requester,
    terms::{GivenTerms, TermFilter},
    write::Address,
};
use crate::{
    backend::{ACCESS_KEYS_END, ListQuery, Order, access_key_marker},
    domain::{
        AccessKey, Attributes, Caller, Credential, CredentialId, Kind, Material, ProjectId,
        SecretKey, Status, UserId, Version, generate_pair,
    },
    error::Error,
    policy::{Action, ListScope, Target},
};

/// The name of the one attribute that IBM's dialect shows: the owner's IAM identity.
pub(crate) const SUBJECT: &str = "subject_ibm_id";

#[derive(Debug)]
pub(crate) enum KeyCommand {
    Create(CreateKey),
    Delete(AccessKey),
    List(ListKeys),
    Rotate { access_key: AccessKey, overlap: Duration },
    Show(AccessKey),
    Update(UpdateKey),
}

/// A new key pair. A missing user or project is the caller's own, a missing key is generated.
#[derive(Debug)]
pub(crate) struct CreateKey {
    pub(crate) user_id: Option<UserId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) access_key: Option<AccessKey>,
    pub(crate) secret_key: Option<SecretKey>,
    pub(crate) status: Status,
    pub(crate) attributes: Attributes,
    pub(crate) terms: GivenTerms,
}

/// Which keys to list. A project without a user selects its root keys. Neither selects the
/// caller's own keys.
#[derive(Debug)]
pub(crate) struct ListKeys {
    pub(crate) user_id: Option<UserId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) terms: TermFilter,
    pub(crate) end: End,
}

/// A change of status and terms. The other members must be as stored, if they are given.
#[derive(Debug)]
pub(crate) struct UpdateKey {
    pub(crate) access_key: AccessKey,
    pub(crate) status: Option<Status>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) secret_key: Option<SecretKey>,
    pub(crate) terms: GivenTerms,
}

impl Authority {
    pub(super) async fn run_key(
        &self,
        caller: &Requester,
        command: KeyCommand,
    ) -> Result<Outcome, Error> {
        match command {
            KeyCommand::Create(command) => self.create_key(caller, command).await,
            KeyCommand::Delete(access_key) => {
                self.delete(caller, Action::DeleteKey, Address::Key(&access_key)).await
            }
            KeyCommand::List(command) => self.list_keys(caller, command).await,
            KeyCommand::Rotate { access_key, overlap } => {
                let actions = (Action::UpdateKey, Action::CreateKey);
                self.rotate(caller, actions, Address::Key(&access_key), overlap).await
            }
            KeyCommand::Show(access_key) => {
                let (action, reading) = (Action::ShowKey, Reading::Cached);
                let credential = self.find_key(caller, action, &access_key, reading).await?;
                Ok(Outcome::Shown(self.view(caller, credential)))
            }
            KeyCommand::Update(command) => self.update_key(caller, command).await,
        }
    }

    async fn create_key(&self, caller: &Requester, command: CreateKey) -> Result<Outcome, Error> {
        let user_id = command.user_id.unwrap_or_else(|| caller.user_id.clone());
        let project_id = command
            .project_id
            .or_else(|| caller.project_id().cloned())
            .ok_or_else(|| Error::bad_request("project_id is required."))?;
        let action = Action::CreateKey;
        self.permit_about(caller, action, &user_id, Some(&project_id)).await?;

        // A root key belongs to the project: no such user need exist.
        let root = user_id.is_root_of(&project_id);
        if !root {
            self.require_enabled_user(&user_id).await?;
        }
        self.require_enabled_project(&project_id).await?;
        if !root && user_id != caller.user_id {
            self.require_place(action, &user_id, &project_id).await?;
        }

        let kind = Kind::ec2();
        let terms = self.new_terms(&command.terms, &kind, &user_id)?;
        self.count_mint(&caller.user_id)?;
        let (access_key, secret) = match (command.access_key, command.secret_key) {
            (Some(access_key), Some(secret)) => (access_key, secret),
            (Some(access_key), None) => (access_key, SecretKey::generate()?),
            (None, Some(secret)) => (AccessKey::generate()?, secret),
            (None, None) => generate_pair()?,
        };
        let mut credential = Credential::new(
            CredentialId::of(&access_key),
            kind,
            user_id,
            Material::KeyPair { secret: Some(secret) },
            self.clock.now(),
            Version::fresh(),
        );
        credential.project_id = Some(project_id);
        credential.root_key = Some(root);
        credential.access_key = Some(access_key);
        credential.status = command.status;
        credential.attributes = command.attributes;
        credential.terms = terms;
        credential.delegation.clone_from(&caller.delegation);
        self.insert(caller, credential).await
    }

    /// Permits a request about this user's keys in this project. Refuses it in the order of
    /// IBM's dialect: the caller has no role for the action; the caller has no place in the
    /// project; the caller's roles do not reach the target.
    async fn permit_about(
        &self,
        caller: &Caller,
        action: Action,
        user_id: &UserId,
        project_id: Option<&ProjectId>,
    ) -> Result<(), Error> {
        self.permit(caller, action, Target::default())?;
        let root_key = project_id.is_some_and(|id| user_id.is_root_of(id));
        if let Some(project_id) = project_id
            && *user_id == caller.user_id
            && !root_key
            && self.policy.requires_place(action)
            && !self.has_place(user_id, project_id).await?
            && self.exist(user_id, project_id).await?
        {
            return Err(no_place());
        }
        self.permit(caller, action, Target { root_key, ..self.target(user_id, project_id, None) })
    }

    /// Returns whether the directory knows both the user and the project.
    async fn exist(&self, user_id: &UserId, project_id: &ProjectId) -> Result<bool, Error> {
        let Some(directory) = self.directory() else { return Ok(true) };
        let user = directory.user(user_id).await?;
        Ok(user.is_some() && directory.project(project_id).await?.is_some())
    }

    async fn list_keys(&self, caller: &Caller, command: ListKeys) -> Result<Outcome, Error> {
        let user_id = match (&command.user_id, &command.project_id) {
            (Some(user_id), _) => user_id.clone(),
            (None, Some(project_id)) => UserId::root_of(project_id),
            (None, None) => caller.user_id.clone(),
        };
        // Another user's keys, without a project, are those in the caller's own project.
        let own = user_id == caller.user_id;
        let implied = if own { None } else { caller.project_id() };
        let project_id = command.project_id.as_ref().or(implied);
        let action = Action::ListKeys;
        self.permit_about(caller, action, &user_id, project_id).await?;
        let scope = self.policy.list_scope(caller, action).ok_or_else(Error::forbidden)?;

        let root = project_id.is_some_and(|id| user_id.is_root_of(id));
        if !root && !own {
            self.require_user(&user_id).await?;
        }
        if let Some(project_id) = &command.project_id {
            self.require_project(project_id).await?;
            if !root && !own {
                self.require_place(action, &user_id, project_id).await?;
            }
        }
        let mut query = ListQuery::new(Order::Key);
        query.kind = Some(Kind::ec2());
        query.project_id = command.project_id;
        query.after = command.after.as_deref().map(access_key_marker);
        let before = command.before.as_deref().map(access_key_marker);
        query.before = Some(before.unwrap_or_else(|| ACCESS_KEYS_END.into()));
        match scope {
            ListScope::All => {}
            // The caller's own keys without a project count as in it. A filter cannot express that.
            ListScope::Project(_) if own => {}
            ListScope::Project(id) => {
                query.project_id.get_or_insert(id);
            }
            ListScope::User(id) if id == user_id => {}
            ListScope::Nothing | ListScope::User(_) => return Err(Error::forbidden()),
        }
        query.user_id = Some(user_id);

        let view = |record: Arc<Credential>| {
            let is_listed = (!root || record.is_root_key())
                && command.terms.admits(&record)
                && self.allows(caller, action, &record);
            is_listed.then(|| self.view(caller, record))
        };
        Ok(Outcome::Listed(self.page(query, command.limit, command.end, view, shown_size).await?))
    }

    async fn update_key(&self, caller: &Requester, command: UpdateKey) -> Result<Outcome, Error> {
        let change = |stored: &Credential, changed: &mut Credential| {
            let UpdateKey { status, user_id, project_id, secret_key, .. } = &command;
            let same = user_id.as_ref().is_none_or(|id| *id == stored.user_id)
                && project_id.as_ref().is_none_or(|id| Some(id) == stored.project_id.as_ref())
                && secret_key.as_ref().is_none_or(|key| {
                    // A caller who may not see the secret may not guess it here either.
                    self.allows(caller, Action::ShowSecret, stored)
                        && Some(key) == stored.secret_key()
                });
            if !same {
                let message = "Only the status and the terms of a credential can be changed.";
                return Err(Error::bad_request(message));
            }
            changed.status = status.unwrap_or(stored.status);
            self.change_terms(&command.terms, changed)?;
            let is_same = changed.status == stored.status
                && changed.terms == stored.terms
                && changed.attributes == stored.attributes;
            Ok(!is_same)
        };
        let address = Address::Key(&command.access_key);
        let credential = self.update(caller, Action::UpdateKey, address, change).await?;
        Ok(Outcome::Updated(self.view(caller, credential)))
    }

    /// Finds the key pair, on which the caller may perform this action.
    pub(super) async fn find_key(
        &self,
        caller: &Caller,
        action: Action,
        access_key: &AccessKey,
        reading: Reading,
    ) -> Result<Arc<Credential>, Error> {
        // A caller who may not do this to any record is refused before the store is read.
        self.permit(caller, action, Target::default())?;
        let found = self.read_by_access_key(access_key, reading).await?;
        let credential =
            found.filter(|found| found.kind.is_ec2()).ok_or_else(Error::no_such_credential)?;
        self.permit(caller, action, Target::record(&credential))?;
        Ok(credential)
    }
}

/// The size of what IBM's dialect shows of a key pair.
///
/// The dialect has no sign that more keys follow, so its pages must not end early because of
/// bytes that it leaves out: a blob and other attributes that came through v3.
fn shown_size(credential: &Credential) -> usize {
    credential.size_of_pair(SUBJECT)
}
