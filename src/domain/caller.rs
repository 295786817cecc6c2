//! Who is calling.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Delegation, ProjectId, UserId};

/// Who the validator says is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The user on whose authority the call is made.
    pub user_id: UserId,
    /// What the token is good for.
    pub scope: Scope,
    /// Names of the caller's roles in that scope.
    pub roles: BTreeSet<String>,
    /// How the caller came to act for the user, when not by the user's own login.
    pub delegation: Option<Delegation>,
    /// When the token ends; never, if `None`.
    pub expires_at: Option<SystemTime>,
}

impl Caller {
    /// A caller without roles, delegation and expiry.
    #[must_use]
    pub fn new(user_id: UserId, scope: Scope) -> Self {
        Self { user_id, scope, roles: BTreeSet::new(), delegation: None, expires_at: None }
    }

    /// Sets the role names.
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

    /// Sets when the token ends.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Whether the caller has this role.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains(name)
    }

    /// The project the token is scoped to, if any.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        match &self.scope {
            Scope::Project(id) => Some(id),
            Scope::Domain(_) | Scope::System | Scope::Unscoped => None,
        }
    }
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One domain, by id.
    Domain(String),
    /// One project.
    Project(ProjectId),
    /// The whole system.
    System,
    /// Nothing in particular.
    Unscoped,
}
