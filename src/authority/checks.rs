//! [`Authority`] itself, and the checks that its use cases share.

use std::{sync::Arc, time::Duration};

use crate::{
    backend::CredentialBackend,
    clock::Clock,
    directory::{Directory, Project, User},
    domain::{Caller, Credential, Kind, ProjectId, Quota, UserId},
    error::{Error, ErrorKind},
    issuer::TokenIssuer,
    policy::{Action, Decision, Owners, Policy, Target},
    usage::UsageLog,
};

/// Everything the use cases need; no HTTP.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) backend: Arc<dyn CredentialBackend>,
    /// The directory, and its answers about owners of keys. Without a directory, any user
    /// and project exists and everybody belongs everywhere.
    pub(crate) owners: Owners,
    /// Without one, no tokens are issued.
    pub(crate) issuer: Option<Arc<dyn TokenIssuer>>,
    /// Without one, nobody is told when a key was last used.
    pub(crate) usage: Option<Arc<dyn UsageLog>>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quota: Quota,
    /// Whether an unknown access key is answered like a wrong signature.
    pub(crate) hide_unknown_keys: bool,
    /// How old a signed request may be, and how far ahead of our clock.
    pub(crate) max_skew: Duration,
}

impl Authority {
    /// Whether the policy allows this action on a record.
    pub(super) fn allows(&self, caller: &Caller, action: Action, credential: &Credential) -> bool {
        self.policy.decide(caller, action, Target::record(credential)) == Decision::Allow
    }

    /// What is asked for before there is a record.
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
            Decision::Allow => Ok(()),
            Decision::Forbid => Err(Error::forbidden()),
            Decision::Hide => Err(Error::no_such_credential()),
        }
    }

    // The pointers implement the traits too; calling through them would box every
    // future twice.

    pub(super) fn backend(&self) -> &dyn CredentialBackend {
        &*self.backend
    }

    pub(super) fn directory(&self) -> Option<&dyn Directory> {
        self.owners.directory()
    }

    /// The user, who must exist; `None` if there is no directory to tell.
    pub(super) async fn require_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let user = directory.user(id).await?;
        user.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such user."))
    }

    /// The project, which must exist; `None` if there is no directory to tell.
    pub(super) async fn require_project(&self, id: &ProjectId) -> Result<Option<Project>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let project = directory.project(id).await?;
        project.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such project."))
    }

    /// The user, who must exist and may get something new. What a disabled user
    /// has can still be seen and revoked.
    pub(super) async fn require_enabled_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let user = self.require_user(id).await?;
        if user.as_ref().is_some_and(|user| !user.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The user is disabled."));
        }
        Ok(user)
    }

    /// The same for a project.
    pub(super) async fn require_enabled_project(&self, id: &ProjectId) -> Result<(), Error> {
        let project = self.require_project(id).await?;
        if project.is_some_and(|project| !project.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The project is disabled."));
        }
        Ok(())
    }

    /// The user's place in the project, where this kind of creation requires one.
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

    /// Whether the user has a place in the project; without a directory everybody has.
    pub(super) async fn has_place(
        &self,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<bool, Error> {
        let Some(directory) = self.directory() else { return Ok(true) };
        Ok(directory.membership(user, project).await?.is_some())
    }
}

/// The user has no place in the project.
pub(super) fn no_place() -> Error {
    Error::new(ErrorKind::NotInProject, "The user has no access to the project.")
}
