//! Which keys may sign.

use std::{sync::Arc, time::SystemTime};

use crate::{
    directory::DirectoryError,
    domain::Credential,
    policy::{Owners, Remembered, Standing},
};

/// Which keys may sign: active ones with a secret and without a delegation, whose owner
/// may use them now.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Whether keys that are bound to a delegation may sign too.
    pub(super) accept_delegated: bool,
    /// Knows whether a key's owner may use it.
    pub(super) owners: Owners,
}

impl Rules {
    /// Whether the key itself may sign. What may not looks like what is not there.
    pub(super) fn admit(&self, credential: &Credential) -> bool {
        credential.is_usable() && (self.accept_delegated || credential.delegation.is_none())
    }

    /// Whether the key's owner may use it now, if that is known at once. `owner` is what
    /// is remembered about the key; nothing is without a directory.
    pub(super) fn owner_is_good(&self, owner: Option<&Remembered>, now: SystemTime) -> bool {
        owner.is_none_or(|owner| self.owners.is_good(owner, now))
    }

    /// Whether the key's owner may use it now.
    pub(super) async fn ask(
        &self,
        credential: &Credential,
        owner: Option<&Remembered>,
        now: SystemTime,
    ) -> Result<bool, DirectoryError> {
        let Some(owner) = owner else { return Ok(true) };
        let standing = self.owners.ask(credential, owner, now).await?;
        Ok(standing.is_none_or(|standing| matches!(*standing, Standing::Good(_))))
    }

    /// What is remembered about the key's owner; `None` without a directory.
    pub(super) fn owner_of(&self, credential: &Credential) -> Option<Arc<Remembered>> {
        self.owners.remembered(credential)
    }
}
