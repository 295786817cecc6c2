//! Inserts, changes and deletes records, and logs each write. All use cases write through this
//! module.

use std::sync::Arc;

use super::{
    checks::{Authority, Reading},
    outcome::Outcome,
};
use crate::{
    backend::BackendError,
    domain::{AccessKey, Caller, Credential, CredentialId, Slot, Status, UserId},
    error::{Error, ErrorKind},
    policy::Action,
};

/// The maximum number of attempts of a write that conflicts with other writers.
pub(super) const TRIES: usize = 8;

/// How a dialect addresses a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address<'a> {
    /// v3: by its id.
    Credential(&'a CredentialId),
    /// OS-EC2: by its access key, and by a user who need not be the owner.
    Ec2(&'a UserId, &'a AccessKey),
    /// v2: by its owner and type.
    Grant(&'a UserId, Slot),
    /// IBM: by its access key.
    Key(&'a AccessKey),
}

/// A write to a record.
pub(super) enum Change {
    Delete,
    Keep,
    /// Stores another record, and the new state of this one.
    Rotate {
        credential: Arc<Credential>,
        retired: Arc<Credential>,
    },
    Update(Arc<Credential>),
}

impl Authority {
    /// Finds the record to change, on which the caller may perform this action. A cached state
    /// would not do: the change may be the same as the cached state, or refused because of it.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        action: Action,
        address: Address<'_>,
    ) -> Result<Arc<Credential>, Error> {
        match address {
            Address::Credential(id) => {
                self.find_credential(caller, action, id, Reading::Latest).await
            }
            Address::Ec2(user_id, access_key) => {
                self.find_ec2(caller, action, user_id, access_key, Reading::Latest).await
            }
            Address::Grant(user_id, slot) => self.find_grant(caller, action, user_id, slot).await,
            Address::Key(access_key) => {
                self.find_key(caller, action, access_key, Reading::Latest).await
            }
        }
    }

    /// Stores a new credential.
    pub(super) async fn insert(
        &self,
        caller: &Caller,
        credential: Credential,
    ) -> Result<Outcome, Error> {
        let credential = Arc::new(credential);
        self.backend().insert(&credential, self.quota).await?;
        log_change("created", caller, &credential);
        Ok(Outcome::Created(self.new_view(credential)))
    }

    /// Changes a record, and returns it as it is afterwards. `change` gets the stored record
    /// and a copy to change; `false` leaves the record as it is.
    pub(super) async fn update(
        &self,
        caller: &Caller,
        action: Action,
        address: Address<'_>,
        change: impl Fn(&Credential, &mut Credential) -> Result<bool, Error> + Sync,
    ) -> Result<Arc<Credential>, Error> {
        let change = |stored: &Credential| {
            let now = self.clock.now();
            let mut changed = stored.clone().touched(now);
            let is_changed = change(stored, &mut changed)?;
            if (stored.status, changed.status) == (Status::Inactive, Status::Active) {
                changed.terms.set_enabled_at(now);
            }
            Ok(if is_changed { Change::Update(Arc::new(changed)) } else { Change::Keep })
        };
        self.change(caller, action, address, None, change).await
    }

    pub(super) async fn delete(
        &self,
        caller: &Caller,
        action: Action,
        address: Address<'_>,
    ) -> Result<Outcome, Error> {
        self.change(caller, action, address, None, |_| Ok(Change::Delete)).await?;
        Ok(Outcome::Deleted)
    }

    /// Finds a record, decides about the write, and performs it if the record is still at the
    /// same version. Starts again if it is not. Returns the written record. `found` is the record
    /// if the caller has found it just now.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        action: Action,
        address: Address<'_>,
        mut found: Option<Arc<Credential>>,
        change: impl Fn(&Credential) -> Result<Change, Error> + Sync,
    ) -> Result<Arc<Credential>, Error> {
        for _ in 0..TRIES {
            let stored = match found.take() {
                Some(stored) => stored,
                None => self.find(caller, action, address).await?,
            };
            let (is_written, what, credential) = match change(&stored)? {
                Change::Delete => {
                    let is_deleted = self.backend().delete(&stored.id, stored.version).await?;
                    (is_deleted, "deleted", stored)
                }
                Change::Keep => return Ok(stored),
                Change::Rotate { credential, retired } => {
                    let rotated = self
                        .backend()
                        .rotate(&credential, self.quota, &retired, stored.version)
                        .await;
                    let is_rotated = rotated.map_err(|error| match error {
                        // The same status in every dialect: the key itself is not refused.
                        BackendError::QuotaExceeded => full(),
                        error => error.into(),
                    })?;
                    if is_rotated {
                        log_change("updated", caller, &retired);
                    }
                    (is_rotated, "created", credential)
                }
                Change::Update(changed) => {
                    let is_updated = self.backend().update(&changed, stored.version).await?;
                    (is_updated, "updated", changed)
                }
            };
            if is_written {
                log_change(what, caller, &credential);
                return Ok(credential);
            }
        }
        Err(lost_race())
    }
}

/// Logs who changed what, in one line per change. Clients choose ids and access keys:
/// `Debug` quotes them and escapes what could forge another line.
fn log_change(what: &'static str, caller: &Caller, credential: &Credential) {
    tracing::info!(
        target: "tower_credentials::audit",
        credential_id = ?credential.id.as_str(),
        access_key = credential.access_key.as_ref().map(|key| tracing::field::debug(key.as_str())),
        user_id = ?credential.user_id.as_str(),
        project_id = credential.project_id.as_ref().map(|id| tracing::field::debug(id.as_str())),
        status = credential.status.as_str(),
        caller = ?caller.user_id.as_str(),
        "credential {what}"
    );
}

/// The error for a rotation for which the quota has no room.
fn full() -> Error {
    let message = "The user has as many credentials as permitted: delete one, or rotate without \
                   an overlap.";
    Error::new(ErrorKind::Conflict, message)
}

/// The error for a record that changed at every attempt.
pub(super) fn lost_race() -> Error {
    Error::new(ErrorKind::Conflict, "The credential is being changed by somebody else.")
}
