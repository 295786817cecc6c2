//! Inserts, changes and deletes records. All use cases write through this module.

use std::sync::Arc;

use super::{
    checks::{Authority, Reading},
    outcome::Outcome,
    requester::Requester,
};
use crate::{
    audit::{AuditAction, AuditEvent},
    backend::{BackendError, CredentialBackend},
    domain::{AccessKey, Caller, Credential, CredentialId, Quota, Slot, Status, UserId, Version},
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
    /// Gives the record another key pair. With an overlap, stores another record, and the retired
    /// state of this one.
    Rotate {
        credential: Arc<Credential>,
        retired: Option<Arc<Credential>>,
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
        caller: &Requester,
        credential: Credential,
    ) -> Result<Outcome, Error> {
        let credential = Arc::new(credential);
        let event = self.change_event(caller, AuditAction::Create, None, Some(&credential));
        let (backend, quota, new) =
            (Arc::clone(&self.backend), self.quota, Arc::clone(&credential));
        let write = async move { (*backend).insert(&new, quota).await.map(|()| true) };
        self.audited(vec![event], write).await??;
        Ok(Outcome::Created(self.new_view(credential)))
    }

    /// Changes a record, and returns it as it is afterwards. `change` gets the stored record
    /// and a copy to change; `false` leaves the record as it is.
    pub(super) async fn update(
        &self,
        caller: &Requester,
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
        caller: &Requester,
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
        caller: &Requester,
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
            let decided = change(&stored)?;
            if matches!(decided, Change::Keep) {
                // The response shows the record, though nothing is changed.
                self.record_shown(caller, &stored);
                return Ok(stored);
            }
            let is_rotation = matches!(decided, Change::Rotate { .. });
            let events = self.events(caller, &stored, &decided);
            let (backend, quota) = (Arc::clone(&self.backend), self.quota);
            let (expected, id) = (stored.version, stored.id.clone());
            let written = decided.written().unwrap_or(stored);
            let write = async move { decided.write(&*backend, quota, &id, expected).await };
            let is_written = self.audited(events, write).await?.map_err(|error| match error {
                // The same status in every dialect: the key itself is not refused.
                BackendError::QuotaExceeded if is_rotation => full(),
                error => error.into(),
            })?;
            if is_written {
                return Ok(written);
            }
        }
        Err(lost_race())
    }

    /// The events of a write, one for each record that it changes.
    fn events(&self, by: &Requester, stored: &Credential, change: &Change) -> Vec<AuditEvent> {
        let event = |action, before, after| self.change_event(by, action, before, after);
        match change {
            Change::Delete => vec![event(AuditAction::Delete, Some(stored), None)],
            Change::Keep => Vec::new(),
            Change::Rotate { credential, retired: None } => {
                vec![event(AuditAction::Rotate, Some(stored), Some(credential))]
            }
            Change::Rotate { credential, retired: Some(retired) } => vec![
                event(AuditAction::Rotate, Some(stored), Some(retired)),
                event(AuditAction::Create, None, Some(credential)),
            ],
            Change::Update(changed) => {
                vec![event(AuditAction::Update, Some(stored), Some(changed))]
            }
        }
    }
}

impl Change {
    /// Returns the record that the caller gets. `None` if that is the stored one.
    fn written(&self) -> Option<Arc<Credential>> {
        match self {
            Self::Delete | Self::Keep => None,
            Self::Rotate { credential, .. } | Self::Update(credential) => {
                Some(Arc::clone(credential))
            }
        }
    }

    /// Writes the change, if the record with this id still has the expected version.
    async fn write(
        self,
        backend: &dyn CredentialBackend,
        quota: Quota,
        id: &CredentialId,
        expected: Version,
    ) -> Result<bool, BackendError> {
        match self {
            Self::Delete => backend.delete(id, expected).await,
            Self::Keep => Ok(true),
            Self::Rotate { credential, retired: Some(retired) } => {
                backend.rotate(&credential, quota, &retired, expected).await
            }
            Self::Rotate { credential, retired: None } | Self::Update(credential) => {
                backend.update(&credential, expected).await
            }
        }
    }
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
