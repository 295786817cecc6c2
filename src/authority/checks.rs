//! [`Authority`], and the checks that its use cases share.

use std::{sync::Arc, time::Duration};

use super::{minting::MintLimit, turns::Turns};
use crate::{
    audit::AuditSink,
    backend::{BackendError, CredentialBackend},
    clock::Clock,
    directory::{Directory, Project, User},
    domain::{AccessKey, Caller, Credential, CredentialId, Kind, ProjectId, Quota, UserId},
    error::{Error, ErrorKind},
    issuer::TokenIssuer,
    policy::{Action, Decision, Owners, Policy, Target, is_beyond_key},
    usage::UsageLog,
};

/// The state that the use cases share.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) backend: Arc<dyn CredentialBackend>,
    /// The directory, and its answers about owners of keys. Without a directory, every user
    /// and project exists, and every user has a place in every project.
    pub(crate) owners: Owners,
    /// Without an issuer, `ec2tokens` is not served.
    pub(crate) issuer: Option<Arc<dyn TokenIssuer>>,
    /// Without a log, views do not contain the last use.
    pub(crate) usage: Option<Arc<dyn UsageLog>>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quota: Quota,
    /// The longest time from the creation of a key to its expiry.
    pub(crate) max_key_life: Option<Duration>,
    /// Whether secrets are shown in the response to a create or a rotation only.
    pub(crate) show_secrets_once: bool,
    /// Whether `s3tokens` and `ec2tokens` accept keys with a boundary.
    pub(crate) accept_bounded: bool,
    /// Whether an unknown access key looks like a wrong signature.
    pub(crate) hide_unknown_keys: bool,
    /// How much the time of a signed request may differ from the clock.
    pub(crate) max_skew: Duration,
    /// How many credentials and sessions a caller may create in a minute.
    pub(crate) mint_limit: Option<MintLimit>,
}

/// How current a record must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// A cache may know it.
    Cached,
    /// As it is stored now.
    Latest,
}

impl Authority {
    /// Returns whether the policy allows this action on a record.
    pub(super) fn allows(&self, caller: &Caller, action: Action, credential: &Credential) -> bool {
        let target = Target::record(credential);
        !is_beyond_key(caller, target)
            && self.policy.decide(caller, action, target) == Decision::Allow
    }

    /// The target of an action for which no record is known yet.
    pub(super) fn target<'a>(
        &self,
        user_id: &'a UserId,
        project_id: Option<&'a ProjectId>,
        kind: Option<&'a Kind>,
    ) -> Target<'a> {
        let (user_id, directory) = (Some(user_id), self.directory().is_some());
        Target { user_id, project_id, kind, root_key: false, directory }
    }

    /// The policy's decision as a result.
    pub(super) fn permit(
        &self,
        caller: &Caller,
        action: Action,
        target: Target<'_>,
    ) -> Result<(), Error> {
        match self.policy.decide(caller, action, target) {
            // A policy of the app's may not know of callers that are keys.
            Decision::Allow if is_beyond_key(caller, target) => Err(Error::no_such_credential()),
            Decision::Allow => Ok(()),
            Decision::Forbid => Err(Error::forbidden()),
            Decision::Hide => Err(Error::no_such_credential()),
        }
    }

    /// Counts a credential or session that a caller, who may have it, is about to create.
    pub(super) fn count_mint(&self, caller: &UserId) -> Result<(), Error> {
        match &self.mint_limit {
            Some(limit) => limit.count(caller, self.clock.now()),
            None => Ok(()),
        }
    }

    // The pointers implement the traits too. A call through them would box every future
    // twice.

    pub(super) fn backend(&self) -> &dyn CredentialBackend {
        &*self.backend
    }

    pub(super) async fn read(
        &self,
        id: &CredentialId,
        reading: Reading,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        match reading {
            Reading::Cached => self.backend().get(id).await,
            Reading::Latest => self.backend().get_latest(id).await,
        }
    }

    pub(super) async fn read_by_access_key(
        &self,
        access_key: &AccessKey,
        reading: Reading,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        match reading {
            Reading::Cached => self.backend().find_by_access_key(access_key).await,
            Reading::Latest => self.backend().find_latest_by_access_key(access_key).await,
        }
    }

    pub(super) fn directory(&self) -> Option<&dyn Directory> {
        self.owners.directory()
    }

    /// The user, who must exist; `None` without a directory.
    pub(super) async fn require_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let user = directory.user(id).await?;
        user.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such user."))
    }

    /// The project, which must exist; `None` without a directory.
    pub(super) async fn require_project(&self, id: &ProjectId) -> Result<Option<Project>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let project = directory.project(id).await?;
        project.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such project."))
    }

    /// The user, who must exist and be enabled, as for a create. Credentials of a disabled
    /// user can still be shown and deleted.
    pub(super) async fn require_enabled_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let user = self.require_user(id).await?;
        if user.as_ref().is_some_and(|user| !user.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The user is disabled."));
        }
        Ok(user)
    }

    /// Checks that the project exists and is enabled.
    pub(super) async fn require_enabled_project(&self, id: &ProjectId) -> Result<(), Error> {
        let project = self.require_project(id).await?;
        if project.is_some_and(|project| !project.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The project is disabled."));
        }
        Ok(())
    }

    /// Checks that the user has a place in the project, if this kind of create requires it.
    pub(super) async fn require_place(
        &self,
        action: Action,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<(), Error> {
        if self.policy.requires_place(action) && !self.has_place(user, project).await? {
            return Err(no_place());
        }
        Ok(())
    }

    /// Returns whether the user has a place in the project. True without a directory.
    pub(super) async fn has_place(
        &self,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<bool, Error> {
        let Some(directory) = self.directory() else { return Ok(true) };
        Ok(directory.membership(user, project).await?.is_some())
    }
}

/// The error for a user who has no place in the project.
pub(super) fn no_place() -> Error {
    Error::new(ErrorKind::NotInProject, "The user has no access to the project.")
}
