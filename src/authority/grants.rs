//! v2 grants, addressed by user and slot: grant, list, get, update, revoke.

use std::sync::Arc;

use super::{
    checks::Authority,
    listing::End,
    outcome::{Listing, Outcome},
    requester::Requester,
    terms::GivenTerms,
    write::{Address, TRIES, lost_race},
};
use crate::{
    backend::{BackendError, ListQuery, Order},
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, Material, PasswordHash, ProjectId,
        SecretKey, SecretText, Slot, UserId, Version,
    },
    error::{Error, ErrorKind},
    policy::{Action, Target},
};

#[derive(Debug)]
pub(crate) enum GrantCommand {
    Create { user_id: UserId, grant: Grant },
    Delete { user_id: UserId, slot: Slot },
    List(ListGrants),
    Show { user_id: UserId, slot: Slot },
    Update { user_id: UserId, grant: Grant },
}

/// The parsed body of a grant or an update.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) username: String,
    pub(crate) proof: Proof,
}

/// The secret part of a grant.
#[derive(Debug)]
pub(crate) enum Proof {
    Ec2 { secret: SecretKey, signature: SecretText },
    Password(SecretText),
    S3 { secret: SecretKey, signature: SecretText },
}

#[derive(Debug)]
pub(crate) struct ListGrants {
    pub(crate) user_id: UserId,
    /// Lists only this type.
    pub(crate) slot: Option<Slot>,
    /// The id of the last record of the previous page.
    pub(crate) marker: Option<String>,
    pub(crate) limit: Option<usize>,
}

impl Grant {
    pub(crate) fn slot(&self) -> Slot {
        match self.proof {
            Proof::Ec2 { .. } => Slot::Ec2,
            Proof::Password(_) => Slot::Password,
            Proof::S3 { .. } => Slot::S3,
        }
    }
}

impl Authority {
    pub(super) async fn run_grant(
        &self,
        caller: &Requester,
        command: GrantCommand,
    ) -> Result<Outcome, Error> {
        match command {
            GrantCommand::Create { user_id, grant } => {
                self.create_grant(caller, user_id, grant).await
            }
            GrantCommand::Delete { user_id, slot } => {
                self.delete(caller, Action::DeleteGrant, Address::Grant(&user_id, slot)).await
            }
            GrantCommand::List(command) => self.list_grants(caller, command).await,
            GrantCommand::Show { user_id, slot } => {
                let stored = self.find_grant(caller, Action::ShowGrant, &user_id, slot).await?;
                Ok(Outcome::Shown(self.view(caller, stored)))
            }
            GrantCommand::Update { user_id, grant } => {
                self.update_grant(caller, &user_id, grant).await
            }
        }
    }

    async fn create_grant(
        &self,
        caller: &Requester,
        user_id: UserId,
        grant: Grant,
    ) -> Result<Outcome, Error> {
        self.permit(caller, Action::CreateGrant, self.target(&user_id, None, None))?;
        let project_id = self.grant_project(caller, &user_id).await?;

        self.count_mint(&caller.user_id)?;
        let (slot, username) = (grant.slot(), grant.username.clone());
        // Checked before a password is hashed, which is expensive.
        if slot == Slot::Password && self.backend().find_by_slot(&user_id, slot).await?.is_some() {
            return Err(BackendError::AlreadyExists.into());
        }
        let material = grant.into_material().await?;
        for _ in 0..TRIES {
            // A password is not a key pair, so its name is not an access key.
            let wanted = (slot != Slot::Password).then(|| AccessKey::from_stored(&*username));
            let access_key = self.free_access_key(&user_id, wanted.clone()).await?;
            let id = match &access_key {
                Some(access_key) => CredentialId::of(access_key),
                None => CredentialId::random()?,
            };
            let kind = if slot == Slot::Password { Kind::password() } else { Kind::ec2() };
            let (now, version) = (self.clock.now(), Version::fresh());
            let (owner, material) = (user_id.clone(), material.clone());
            let mut credential = Credential::new(id, kind, owner, material, now, version);
            credential.project_id.clone_from(&project_id);
            credential.terms =
                self.new_terms(&GivenTerms::default(), &credential.kind, &user_id)?;
            credential.slot = Some(slot);
            credential.delegation.clone_from(&caller.delegation);
            let before = access_key.clone();
            credential.access_key = access_key;
            match self.insert(caller, credential).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    let slot_taken = self.backend().find_by_slot(&user_id, slot).await?.is_some();
                    if slot_taken || self.free_access_key(&user_id, wanted).await? == before {
                        return Err(error);
                    }
                    // The same user took the access key meanwhile: store the grant without it.
                }
                result => return result,
            }
        }
        Err(lost_race())
    }

    /// The access key of a new grant, or `None` if the same user already has it under another
    /// type.
    async fn free_access_key(
        &self,
        user_id: &UserId,
        wanted: Option<AccessKey>,
    ) -> Result<Option<AccessKey>, Error> {
        let Some(wanted) = wanted else { return Ok(None) };
        match self.backend().find_latest_by_access_key(&wanted).await? {
            Some(holder) if holder.user_id == *user_id => Ok(None),
            // If another user has it, the insert reports that, after the quota.
            Some(_) | None => Ok(Some(wanted)),
        }
    }

    /// The project of a new grant: the user's default project, else the caller's, else none.
    async fn grant_project(
        &self,
        caller: &Caller,
        user_id: &UserId,
    ) -> Result<Option<ProjectId>, Error> {
        let user = self.require_enabled_user(user_id).await?;
        let default = user.and_then(|user| user.default_project_id);
        let project_id = default.or_else(|| caller.project_id().cloned());
        if let Some(project_id) = &project_id {
            self.require_place(Action::CreateGrant, user_id, project_id).await?;
        }
        Ok(project_id)
    }

    async fn list_grants(&self, caller: &Caller, command: ListGrants) -> Result<Outcome, Error> {
        let ListGrants { user_id, slot, marker, limit } = command;
        self.permit(caller, Action::ListGrants, self.target(&user_id, None, None))?;
        self.require_user(&user_id).await?;
        let mut query = ListQuery::new(Order::Key);
        query.user_id = Some(user_id.clone());
        self.start_after(&mut query, marker).await?;
        let listing = match slot {
            Some(slot @ (Slot::Password | Slot::S3)) => {
                self.list_slot(caller, &user_id, slot, &query, limit).await?
            }
            // Other key pairs are listed as this type too, beside the slot's own.
            Some(Slot::Ec2) | None => {
                let view = |record: Arc<Credential>| {
                    let listed = listed_as(&record);
                    let is_listed = listed.is_some_and(|it| slot.is_none_or(|slot| slot == it))
                        && self.allows(caller, Action::ListGrants, &record);
                    is_listed.then(|| self.view(caller, record))
                };
                self.page(query, limit, End::Marked, view, Credential::size).await?
            }
        };
        Ok(Outcome::Listed(listing))
    }

    /// Lists a type of which a user has at most one record.
    async fn list_slot(
        &self,
        caller: &Caller,
        user_id: &UserId,
        slot: Slot,
        query: &ListQuery,
        limit: Option<usize>,
    ) -> Result<Listing, Error> {
        let mut found = self.backend().find_by_slot(user_id, slot).await?;
        found = found.filter(|record| {
            limit != Some(0)
                && query.order.marker(record) > query.after
                && self.allows(caller, Action::ListGrants, record)
        });
        let views = found.into_iter().map(|record| self.view(caller, record)).collect();
        Ok(Listing { views, next: None })
    }

    async fn update_grant(
        &self,
        caller: &Requester,
        user_id: &UserId,
        grant: Grant,
    ) -> Result<Outcome, Error> {
        let (slot, username) = (grant.slot(), grant.username.clone());
        // Checked before the password is hashed, which is expensive.
        self.find_grant(caller, Action::UpdateGrant, user_id, slot).await?;
        let material = grant.into_material().await?;
        let change = |stored: &Credential, changed: &mut Credential| {
            if let Material::Grant { username: kept, .. } = &stored.material
                && *kept != username
            {
                // Signatures are looked up by the name of the key.
                let message = "The username of a credential cannot be changed.";
                return Err(Error::bad_request(message));
            }
            changed.material = material.clone();
            Ok(true)
        };
        let address = Address::Grant(user_id, slot);
        let credential = self.update(caller, Action::UpdateGrant, address, change).await?;
        Ok(Outcome::Updated(self.view(caller, credential)))
    }

    /// Finds the record in a slot, on which the caller may perform this action.
    pub(super) async fn find_grant(
        &self,
        caller: &Caller,
        action: Action,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Arc<Credential>, Error> {
        self.permit(caller, action, self.target(user_id, None, None))?;
        self.require_user(user_id).await?;
        let found = self.backend().find_by_slot(user_id, slot).await?;
        let stored = found.ok_or_else(Error::no_such_credential)?;
        self.permit(caller, action, Target::record(&stored))?;
        Ok(stored)
    }
}

impl Grant {
    /// The stored form. A blocking thread hashes the password.
    async fn into_material(self) -> Result<Material, Error> {
        let username = self.username;
        Ok(match self.proof {
            Proof::Ec2 { secret, signature } | Proof::S3 { secret, signature } => {
                Material::Grant { username, secret, signature }
            }
            Proof::Password(password) => {
                let hashing = tokio::task::spawn_blocking(move || PasswordHash::derive(&password));
                let hash = hashing.await.map_err(Error::unavailable)??;
                Material::Password { username, hash }
            }
        })
    }
}

/// The type under which v2 lists a record: that of its slot, and `ec2` for other key pairs.
pub(crate) fn listed_as(credential: &Credential) -> Option<Slot> {
    let pair = credential.kind.is_ec2() && credential.access_key.is_some();
    credential.slot.or_else(|| pair.then_some(Slot::Ec2))
}
