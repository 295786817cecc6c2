//! [`Caller`]: an authenticated caller.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Delegation, ProjectId, UserId};

/// A caller, as the validator reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The user on whose authority the caller acts.
    pub user_id: UserId,
    /// The scope of the token.
    pub scope: Scope,
    /// The names of the caller's roles in that scope.
    pub roles: BTreeSet<String>,
    /// How the caller came to act for the user, if not by the user's own login.
    pub delegation: Option<Delegation>,
    /// When the token expires; `None` if it does not.
    pub expires_at: Option<SystemTime>,
    /// Set if the caller is not a token but a key of the user, which signed a request to IAM. A
    /// policy must not let a key do more than manage its user's own keys in its own project.
    pub key: Option<KeyRoles>,
}

/// What is known of the roles of a caller that is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRoles {
    /// The user's roles in the project of the key, from a directory.
    Known,
    /// Unknown, because the layer has no directory. The user may manage its own keys.
    Unknown,
}

impl Caller {
    /// Creates a caller with a token, without roles, delegation and expiry.
    #[must_use]
    pub fn new(user_id: UserId, scope: Scope) -> Self {
        let (roles, delegation, expires_at) = (BTreeSet::new(), None, None);
        Self { user_id, scope, roles, delegation, expires_at, key: None }
    }

    /// Replaces the role names.
    #[must_use]
    pub fn with_roles<I>(mut self, roles: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Marks the caller as delegated.
    #[must_use]
    pub fn with_delegation(mut self, delegation: Delegation) -> Self {
        self.delegation = Some(delegation);
        self
    }

    /// Marks the caller as a key.
    #[must_use]
    pub fn with_key(mut self, roles: KeyRoles) -> Self {
        self.key = Some(roles);
        self
    }

    /// Sets when the token expires.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Returns true if the caller has this role.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains(name)
    }

    /// Returns the project that the token is scoped to, if any.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        match &self.scope {
            Scope::Project(id) => Some(id),
            Scope::Domain(_) | Scope::System | Scope::Unscoped => None,
        }
    }
}

/// The scope of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One domain, by id.
    Domain(String),
    /// One project.
    Project(ProjectId),
    /// The whole system.
    System,
    /// No scope.
    Unscoped,
}
