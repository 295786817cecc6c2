//! Which keys may sign.

use std::sync::Arc;

use crate::{
    directory::{Directory, DirectoryError},
    domain::{Credential, UserId},
};

/// Which keys may sign: active ones with a secret, of users and projects that are
/// enabled, and none that is bound to a delegation.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Whether keys that are bound to a delegation may sign too.
    pub(super) accept_delegated: bool,
    /// Who knows which users and projects are enabled; without one, all are.
    pub(super) directory: Option<Arc<dyn Directory>>,
}

impl Rules {
    /// Whether the key itself may sign. What may not looks like what is not there.
    pub(super) fn admit(&self, credential: &Credential) -> bool {
        credential.is_usable() && (self.accept_delegated || credential.delegation.is_none())
    }

    /// Whether its user and its project may do anything.
    pub(super) async fn owner_is_enabled(
        &self,
        credential: &Credential,
    ) -> Result<bool, DirectoryError> {
        let Some(directory) = self.directory.as_deref() else { return Ok(true) };
        let project_id = credential.project_id.as_ref();
        // A root key belongs to the project itself: no such user need exist.
        let root = project_id.is_some_and(|id| credential.user_id.is_root_of(id));
        if !root && !is_enabled_user(directory, &credential.user_id).await? {
            return Ok(false);
        }
        match project_id {
            Some(id) => Ok(directory.project(id).await?.is_some_and(|project| project.enabled)),
            None => Ok(true),
        }
    }
}

async fn is_enabled_user(directory: &dyn Directory, id: &UserId) -> Result<bool, DirectoryError> {
    Ok(directory.user(id).await?.is_some_and(|user| user.enabled))
}
