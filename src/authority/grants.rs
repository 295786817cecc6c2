//! v2 grants, addressed by user and slot: grant, list, get, update, revoke.

use std::sync::Arc;

use super::{Authority, Listing, MAX_PAGE, MAX_READS, Outcome, RACES, View, log_change, lost_race};
use crate::{
    backend::{BackendError, ListQuery, Order},
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, Material, PasswordHash, ProjectId,
        SecretKey, SecretText, Slot, UserId, Version,
    },
    error::{Error, ErrorKind},
    policy::{Action, Decision, Target},
};

#[derive(Debug)]
pub(crate) enum GrantCommand {
    Create { user_id: UserId, grant: Grant },
    Delete { user_id: UserId, slot: Slot },
    List(ListGrants),
    Show { user_id: UserId, slot: Slot },
    Update { user_id: UserId, grant: Grant },
}

/// What is granted: the parsed body of a grant or an update.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) username: String,
    pub(crate) proof: Proof,
}

/// What proves that somebody is the name it was granted to.
#[derive(Debug)]
pub(crate) enum Proof {
    Ec2 { secret: SecretKey, signature: SecretText },
    Password(SecretText),
    S3 { secret: SecretKey, signature: SecretText },
}

#[derive(Debug)]
pub(crate) struct ListGrants {
    pub(crate) user_id: UserId,
    /// Only what belongs to this slot's type.
    pub(crate) slot: Option<Slot>,
    /// Id of the last record of the page before.
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
        caller: &Caller,
        command: GrantCommand,
    ) -> Result<Outcome, Error> {
        match command {
            GrantCommand::Create { user_id, grant } => {
                self.create_grant(caller, user_id, grant).await
            }
            GrantCommand::Delete { user_id, slot } => {
                self.delete_grant(caller, &user_id, slot).await
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
        caller: &Caller,
        user_id: UserId,
        grant: Grant,
    ) -> Result<Outcome, Error> {
        self.permit(caller, Action::CreateGrant, self.target(&user_id, None, None))?;
        let project_id = self.grant_project(caller, &user_id).await?;

        let (slot, username) = (grant.slot(), grant.username.clone());
        // Asked before a password is hashed: that costs too much to give away.
        if slot == Slot::Password && self.backend().find_by_slot(&user_id, slot).await?.is_some() {
            return Err(BackendError::AlreadyExists.into());
        }
        let material = grant.into_material().await?;
        for _ in 0..RACES {
            // A password is no key pair, so its name is no access key.
            let wanted = (slot != Slot::Password).then(|| AccessKey::from_stored(&*username));
            let access_key = self.free_access_key(&user_id, wanted.clone()).await?;
            let id = match &access_key {
                Some(access_key) => CredentialId::of(access_key),
                None => CredentialId::random()?,
            };
            let kind = if slot == Slot::Password { Kind::password() } else { Kind::ec2() };
            let (now, version) = (self.clock.now(), Version::fresh());
            let user_id = user_id.clone();
            let mut credential = Credential::new(id, kind, user_id, material.clone(), now, version);
            credential.project_id.clone_from(&project_id);
            credential.slot = Some(slot);
            credential.delegation.clone_from(&caller.delegation);
            credential.access_key = access_key;
            let credential = Arc::new(credential);
            match self.backend().insert(&credential, self.quota).await {
                Ok(()) => {
                    log_change("created", caller, &credential);
                    return Ok(Outcome::Created(self.new_view(credential)));
                }
                Err(BackendError::AlreadyExists) => {
                    let owner = &credential.user_id;
                    let slot_taken = self.backend().find_by_slot(owner, slot).await?.is_some();
                    let now_free = self.free_access_key(owner, wanted).await?;
                    if slot_taken || now_free == credential.access_key {
                        return Err(BackendError::AlreadyExists.into());
                    }
                    // The same user took the access key meanwhile: go without one.
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(lost_race())
    }

    /// The access key of a new grant: the wanted one if it is free; none if the
    /// same user holds it already under another type.
    async fn free_access_key(
        &self,
        user_id: &UserId,
        wanted: Option<AccessKey>,
    ) -> Result<Option<AccessKey>, Error> {
        let Some(wanted) = wanted else { return Ok(None) };
        match self.backend().find_by_access_key(&wanted).await? {
            Some(holder) if holder.user_id == *user_id => Ok(None),
            // Taken by another user. The insert says so, after the quota.
            Some(_) | None => Ok(Some(wanted)),
        }
    }

    /// The user's default project, else the caller's, else none.
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
        if let Some(marker) = &marker {
            let record = self.backend().get(&CredentialId::from_stored(&**marker)).await?;
            if record.is_none_or(|record| record.user_id != user_id) {
                return Err(Error::new(ErrorKind::NotFound, "No such marker."));
            }
        }

        let limit = limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let listing = match slot {
            _ if limit == 0 => Listing { views: Vec::new(), next: None },
            Some(slot @ (Slot::Password | Slot::S3)) => {
                self.list_slot(caller, &user_id, slot, marker, limit).await?
            }
            // Other key pairs are listed as this type, beside the slot's own.
            Some(Slot::Ec2) | None => self.list_all(caller, user_id, slot, marker, limit).await?,
        };
        Ok(Outcome::Listed(listing))
    }

    /// A type of which a user has at most one.
    async fn list_slot(
        &self,
        caller: &Caller,
        user_id: &UserId,
        slot: Slot,
        marker: Option<String>,
        limit: usize,
    ) -> Result<Listing, Error> {
        let found = self.backend().find_by_slot(user_id, slot).await?;
        let follows = |record: &Credential| marker.is_none_or(|it| record.id.as_str() > &*it);
        let shown = found.filter(|record| self.lists(caller, record) && follows(record));
        let views = shown.into_iter().take(limit).map(|record| self.view(caller, record));
        Ok(Listing { views: views.collect(), next: None })
    }

    async fn list_all(
        &self,
        caller: &Caller,
        user_id: UserId,
        slot: Option<Slot>,
        marker: Option<String>,
        limit: usize,
    ) -> Result<Listing, Error> {
        let mut query = ListQuery::new(Order::Id).with_limit(limit + 1);
        query.user_id = Some(user_id);
        query.after = marker;
        // One more than fits, to know whether anything follows that would be shown.
        let mut views: Vec<View> = Vec::new();
        for _ in 0..MAX_READS {
            let page = self.backend().list(&query).await?;
            let shown = page.credentials.into_iter().filter(|record| {
                listed_as(record).is_some_and(|listed| slot.is_none_or(|slot| slot == listed))
                    && self.lists(caller, record)
            });
            let room = limit + 1 - views.len();
            views.extend(shown.take(room).map(|record| self.view(caller, record)));
            query.after = page.next;
            if views.len() > limit || query.after.is_none() {
                break;
            }
        }
        if views.len() <= limit {
            // The end, or as far as one list looks: the next one goes on from there.
            return Ok(Listing { views, next: query.after });
        }
        views.truncate(limit);
        let next = views.last().map(|last| last.credential.id.to_string());
        Ok(Listing { views, next })
    }

    fn lists(&self, caller: &Caller, record: &Credential) -> bool {
        let target = Target::record(record);
        self.policy.decide(caller, Action::ListGrants, target) == Decision::Allow
    }

    async fn update_grant(
        &self,
        caller: &Caller,
        user_id: &UserId,
        grant: Grant,
    ) -> Result<Outcome, Error> {
        let (slot, username) = (grant.slot(), grant.username.clone());
        // Asked before the password is hashed: that costs too much to give away.
        self.find_grant(caller, Action::UpdateGrant, user_id, slot).await?;
        let material = grant.into_material().await?;
        for _ in 0..RACES {
            let stored = self.find_grant(caller, Action::UpdateGrant, user_id, slot).await?;
            // The name of a key is what its signatures are looked up by.
            let renamed = matches!(&stored.material, Material::Grant { username: kept, .. } if *kept != username);
            if renamed {
                return Err(Error::bad_request("The username of a credential cannot be changed."));
            }
            let mut changed = Credential::clone(&stored).touched(self.clock.now());
            changed.material = material.clone();
            let changed = Arc::new(changed);
            if self.backend().update(&changed, stored.version).await? {
                log_change("updated", caller, &changed);
                return Ok(Outcome::Updated(self.view(caller, changed)));
            }
        }
        Err(lost_race())
    }

    async fn delete_grant(
        &self,
        caller: &Caller,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Outcome, Error> {
        for _ in 0..RACES {
            let stored = self.find_grant(caller, Action::DeleteGrant, user_id, slot).await?;
            if self.backend().delete(&stored.id, stored.version).await? {
                log_change("deleted", caller, &stored);
                return Ok(Outcome::Deleted);
            }
        }
        Err(lost_race())
    }

    /// The record in a slot on which the caller may do this.
    async fn find_grant(
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
    /// What is stored of it. Hashing a password blocks, so that is done aside.
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

/// As which type v2 lists a record: a slot's own, and `ec2` for other key pairs.
pub(crate) fn listed_as(credential: &Credential) -> Option<Slot> {
    let pair = credential.kind.is_ec2() && credential.access_key.is_some();
    credential.slot.or_else(|| pair.then_some(Slot::Ec2))
}
