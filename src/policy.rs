//! Who may do what: the whole authorization table.

use std::{fmt, sync::Arc};

use crate::domain::{Caller, Credential, ProjectId, UserId};

/// Decides who may do what.
///
/// # Contract
///
/// Decisions are pure functions of caller, action and target. Targets are built
/// from paths, parsed ids and stored records only; nothing else that a client
/// sends ever gets into them.
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// Whether the caller may do this to the target.
    ///
    /// Asked before the store is, with what is known then, and again for every
    /// record before it is shown or changed.
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision;

    /// Which records a list may hold; narrows the query, beside the decision
    /// that is made for each of them. `None` if the caller may not list at all.
    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope>;
}

impl<T: Policy + ?Sized> Policy for Arc<T> {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        (**self).decide(caller, action, target)
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        (**self).list_scope(caller, action)
    }
}

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Grant a v2 credential.
    CreateGrant,
    /// Create a key pair.
    CreateKey,
    /// Delete a v2 grant.
    DeleteGrant,
    /// Delete a key pair.
    DeleteKey,
    /// List a user's v2 credentials.
    ListGrants,
    /// List key pairs.
    ListKeys,
    /// See a v2 grant.
    ShowGrant,
    /// See a key pair, without its secret.
    ShowKey,
    /// See a key pair's secret.
    ShowSecret,
    /// Change a v2 grant.
    UpdateGrant,
    /// Change a key pair's status.
    UpdateKey,
}

/// Whose it is that something is to be done to; `None` where it is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The owner.
    pub user_id: Option<&'a UserId>,
    /// The project.
    pub project_id: Option<&'a ProjectId>,
}

impl<'a> Target<'a> {
    /// A stored record.
    #[must_use]
    pub fn record(credential: &'a Credential) -> Self {
        Self { user_id: Some(&credential.user_id), project_id: credential.project_id.as_ref() }
    }

    fn is_root_key(self) -> bool {
        let project_id = self.project_id;
        self.user_id.is_some_and(|id| project_id.is_some_and(|project| id.is_root_of(project)))
    }
}

/// What a [`Policy`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allow,
    /// It may not be done.
    Forbid,
    /// It may not be done, and whether the target exists is not to be told.
    Hide,
}

/// Which records a list may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListScope {
    /// Everybody's.
    All,
    /// One project's.
    Project(ProjectId),
    /// One user's.
    User(UserId),
}

/// The default policy: roles by name.
///
/// | role | may |
/// |---|---|
/// | `admin` | everything, everywhere; the only role for v2 grants |
/// | `key_management_user` | create, update, delete own keys in the own project |
/// | `key_management_admin` | the same for any user of the own project, and the project's root keys |
/// | `key_listing_user` | list and see own keys in the own project |
/// | `key_listing_admin` | list and see all keys of the own project |
/// | `impersonate` | what the other roles give, in all projects; see others' secrets |
///
/// The own project is the one that the token is scoped to; an own key without a
/// project counts as in it. Root keys are keys whose user id is the project's
/// id. A caller may always see the secrets of the own keys that it may see at
/// all. Delegated callers may do nothing.
///
/// ```
/// use tower_credentials::policy::RolePolicy;
///
/// let mut policy = RolePolicy::default();
/// policy.names.admin = "cloud_admin".into();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePolicy {
    /// The names of the roles.
    pub names: RoleNames,
}

/// The names under which [`RolePolicy`] looks for its roles.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleNames {
    /// Default: `admin`.
    pub admin: String,
    /// Default: `impersonate`.
    pub impersonate: String,
    /// Default: `key_listing_admin`.
    pub key_listing_admin: String,
    /// Default: `key_listing_user`.
    pub key_listing_user: String,
    /// Default: `key_management_admin`.
    pub key_management_admin: String,
    /// Default: `key_management_user`.
    pub key_management_user: String,
}

impl Default for RoleNames {
    fn default() -> Self {
        Self {
            admin: "admin".into(),
            impersonate: "impersonate".into(),
            key_listing_admin: "key_listing_admin".into(),
            key_listing_user: "key_listing_user".into(),
            key_management_admin: "key_management_admin".into(),
            key_management_user: "key_management_user".into(),
        }
    }
}

impl Policy for RolePolicy {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        if caller.delegation.is_some() {
            return Decision::Forbid;
        }
        if caller.has_role(&self.names.admin) {
            return Decision::Allow;
        }
        match action {
            Action::CreateGrant
            | Action::DeleteGrant
            | Action::ListGrants
            | Action::ShowGrant
            | Action::UpdateGrant => Decision::Forbid,
            Action::CreateKey | Action::ListKeys => {
                if self.holds_role_for(caller, action) && self.covers(caller, action, target) {
                    Decision::Allow
                } else {
                    Decision::Forbid
                }
            }
            Action::DeleteKey | Action::ShowKey | Action::UpdateKey => {
                if !self.holds_role_for(caller, action) {
                    Decision::Forbid
                } else if self.covers(caller, action, target) {
                    Decision::Allow
                } else if self.covers(caller, Action::ShowKey, target) {
                    // It may be seen, so there is nothing to hide.
                    Decision::Forbid
                } else {
                    Decision::Hide
                }
            }
            Action::ShowSecret => {
                let own = target.user_id == Some(&caller.user_id) && !target.is_root_key();
                let allowed = own || caller.has_role(&self.names.impersonate);
                if allowed { Decision::Allow } else { Decision::Forbid }
            }
        }
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        if caller.delegation.is_some() {
            return None;
        }
        if caller.has_role(&self.names.admin) {
            return Some(ListScope::All);
        }
        if action != Action::ListKeys || !self.holds_role_for(caller, action) {
            return None;
        }
        let (_, admin) = self.roles_for(action);
        if !caller.has_role(admin) {
            return Some(ListScope::User(caller.user_id.clone()));
        }
        if caller.has_role(&self.names.impersonate) {
            return Some(ListScope::All);
        }
        match caller.project_id() {
            Some(project_id) => Some(ListScope::Project(project_id.clone())),
            None => Some(ListScope::User(caller.user_id.clone())),
        }
    }
}

impl RolePolicy {
    /// The roles for an action on keys: for own keys, and for everybody's.
    fn roles_for(&self, action: Action) -> (&str, &str) {
        let names = &self.names;
        match action {
            Action::ListKeys | Action::ShowKey => {
                (&names.key_listing_user, &names.key_listing_admin)
            }
            _ => (&names.key_management_user, &names.key_management_admin),
        }
    }

    fn holds_role_for(&self, caller: &Caller, action: Action) -> bool {
        let (user, admin) = self.roles_for(action);
        caller.has_role(user) || caller.has_role(admin)
    }

    /// Whether the caller's roles for this action reach the target. What is not
    /// known of the target does not stand in the way: the record itself is
    /// checked again when it is.
    fn covers(&self, caller: &Caller, action: Action, target: Target<'_>) -> bool {
        let (user, admin) = self.roles_for(action);
        let everywhere = caller.has_role(&self.names.impersonate);
        let in_own_project =
            |id: &ProjectId| everywhere || caller.project_id().is_some_and(|own| own == id);
        let own = target.user_id.is_none_or(|id| *id == caller.user_id) && !target.is_root_key();

        let as_user = caller.has_role(user) && own && target.project_id.is_none_or(in_own_project);
        let as_admin = caller.has_role(admin)
            && match target.project_id {
                Some(id) => in_own_project(id),
                None => own || everywhere,
            };
        as_user || as_admin
    }
}

#[cfg(test)]
mod tests;
