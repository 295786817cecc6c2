//! [`RolePolicy`]: the default policy with its two tables.

use super::{Action, Decision, ListScope, Policy, Target};
use crate::domain::{Caller, Delegation, Kind, Scope};

/// The default policy: roles by name.
///
/// The [table](RoleTable) is the same in every dialect unless Keystone's is chosen for v3
/// and OS-EC2:
///
/// | role | IBM COS, v3, OS-EC2 | v2 grants | `s3tokens`, `ec2tokens` |
/// |---|---|---|---|
/// | `admin` | everything, in every project | everything | validate |
/// | `key_management_user` | create, change, delete own keys in the own project | | |
/// | `key_management_admin` | the same for all users of the own project, and its root keys | | |
/// | `key_listing_user` | list and see own keys in the own project | | |
/// | `key_listing_admin` | list and see all keys of the own project, and its root keys | | |
/// | `impersonate` | extends `key_management_admin`, `key_management_user`, `key_listing_admin` and `key_listing_user` to all projects; shows others' secrets | | |
/// | `service` | see key pairs through OS-EC2, if so [configured](Self::service_sees_key_pairs) | | validate |
///
/// The own project is the project that the token is scoped to. A caller's own key without a
/// project counts as in it. Other users' keys without a project are for admins only. Root
/// keys belong to a project and to no user. Callers see the secrets of their own keys. Other
/// secrets are left out of every response but that to the create. Of other users' records,
/// these roles reach key pairs only, not v3 credentials of other types. OS-EC2 accepts only
/// callers whose token is scoped to a project or to the system; callers without a scope may
/// list and see their own keys. Delegated callers may do nothing, unless
/// [`DelegatedCallers`] allows it.
///
/// With a directory, the owner of a new key needs a place in the key's project, no matter
/// who creates the key. Root keys need none.
///
/// [Callers that are keys](Caller::key) sign requests to IAM. They may create, change, delete,
/// list and see key pairs of their own user in their own project, if the user has one of the roles
/// above for it, or `admin`. No role of the user lets them do more. With Keystone's table, which
/// follows, they may list and see without a role, and `member` is enough for the rest, as in OS-EC2.
///
/// With [`RoleTable::Keystone`], v3 and OS-EC2 follow Keystone 2026.2 instead:
///
/// | role | v3 credentials | OS-EC2 |
/// |---|---|---|
/// | `admin` | everything | everything |
/// | `reader`, scoped to the system | list, see | list, see |
/// | the owner | everything | list, see; create and delete with role `member` |
/// | `service` | | see, if so configured |
///
/// In this table, a caller who may see a credential sees its secret. With a directory, owners
/// may create keys for any project: a key is rejected when it is used, if its owner has no
/// place in the project. Without a directory they may name only the project of their token.
///
/// ```
/// use tower_credentials::policy::RolePolicy;
///
/// let mut policy = RolePolicy::default();
/// policy.names.admin = "cloud_admin".into();
/// policy.service_sees_key_pairs = true;
///
/// let keystone = RolePolicy::keystone();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolePolicy {
    /// The rights of delegated callers on v3 credentials.
    pub delegated: DelegatedCallers,
    /// The names of the roles.
    pub names: RoleNames,
    /// Whether callers with the role `service` may see every key pair through OS-EC2, with
    /// its secret. Gateways that cache secrets then need no admin user. They also see secrets
    /// that the layer [shows once](crate::CredentialLayerBuilder::show_secrets_once). Default:
    /// no, as in Keystone.
    pub service_sees_key_pairs: bool,
    /// The table for v3 and OS-EC2.
    pub table: RoleTable,
}

/// The table that [`RolePolicy`] applies to v3 credentials and OS-EC2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleTable {
    /// The roles of IBM's dialect, in every dialect.
    #[default]
    Strict,
    /// Keystone's own rules, for a layer in front of a Keystone.
    Keystone,
}

/// The rights of delegated callers on v3 credentials under [`RolePolicy`]. Delegated callers have
/// a trust, an application credential, an `OAuth1` token, or an unknown login method. The
/// [table](RoleTable) also limits them.
///
/// Tokens that were obtained with an EC2 or S3 key may do nothing under any of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DelegatedCallers {
    /// Nothing; their lists are empty. As in Keystone 2026.2.
    #[default]
    Refused,
    /// Admins reach key pairs as v3 credentials, other callers reach nothing. This is the one
    /// exception in Keystone 2026.2. Restricted application credentials may not create key
    /// pairs, and no delegated caller may change a key pair: the delegation would not bind
    /// the new secret.
    AdminKeyPairs,
    /// Delegated callers may do what their user may, with credentials of exactly the token's
    /// project. Credentials that they create carry their delegation. Restricted application
    /// credentials may not create key pairs, and no delegated caller may change a key pair.
    /// Otherwise as in Keystone before 2026.2.
    WithinProject,
}

/// The names of the roles that [`RolePolicy`] uses.
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
    /// Default: `member`.
    pub member: String,
    /// Default: `reader`.
    pub reader: String,
    /// Default: `service`.
    pub service: String,
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
            member: "member".into(),
            reader: "reader".into(),
            service: "service".into(),
        }
    }
}

impl Policy for RolePolicy {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        if let Some(roles) = caller.key {
            return self.decide_for_key(caller, roles, action, target);
        }
        if let Some(delegation) = &caller.delegation
            && !self.lets_delegated(caller, delegation, action, target)
        {
            return Decision::Forbid;
        }
        let admin = caller.has_role(&self.names.admin);
        let service = caller.has_role(&self.names.service);
        match action {
            Action::ValidateSignature => allow(admin || service),
            Action::CreateEc2 | Action::DeleteEc2 if !takes_scope(caller, false) => {
                Decision::Forbid
            }
            Action::ListEc2 | Action::ShowEc2 if !takes_scope(caller, owns(caller, target)) => {
                Decision::Forbid
            }
            Action::ShowSecretAgain => allow(service && self.service_sees_key_pairs),
            _ if admin => Decision::Allow,
            _ if is_of_grants(action) => Decision::Forbid,
            Action::ShowEc2 | Action::ShowCredentialSecret
                if service && self.service_sees_key_pairs =>
            {
                Decision::Allow
            }
            _ if self.table == RoleTable::Keystone && is_of_keystone(action) => {
                allow(self.lets_as_keystone(caller, action, target))
            }
            Action::ShowSecret | Action::ShowCredentialSecret => {
                allow(owns(caller, target) || caller.has_role(&self.names.impersonate))
            }
            _ => self.decide_by_roles(caller, action, target),
        }
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        let own = || Some(ListScope::User(caller.user_id.clone()));
        if let Some(roles) = caller.key {
            return own().filter(|_| self.lets_key(caller, roles, action));
        }
        let admin = caller.has_role(&self.names.admin);
        if caller.delegation.is_some() && action != Action::ListEc2 {
            // v3's lists are empty for delegated callers, all others are refused.
            let is_listed = is_of_credentials(action)
                && !matches!(action, Action::CreateCredential | Action::ShowCredentialSecret);
            match self.delegated {
                _ if !is_listed => return None,
                DelegatedCallers::Refused => return Some(ListScope::Nothing),
                DelegatedCallers::AdminKeyPairs if !admin => return Some(ListScope::Nothing),
                DelegatedCallers::AdminKeyPairs | DelegatedCallers::WithinProject => {}
            }
        }
        if admin {
            return Some(ListScope::All);
        }
        if self.table == RoleTable::Keystone && is_of_keystone(action) {
            let reads = !changes(action) && self.reads_system(caller);
            return if reads { Some(ListScope::All) } else { own() };
        }
        if is_of_grants(action) || !self.holds_role_for(caller, action) {
            return None;
        }
        let (_, key_admin) = self.roles_for(action);
        if !caller.has_role(key_admin) {
            return own();
        }
        if caller.has_role(&self.names.impersonate) {
            return Some(ListScope::All);
        }
        caller.project_id().cloned().map(ListScope::Project).or_else(own)
    }

    fn requires_place(&self, action: Action) -> bool {
        !(self.table == RoleTable::Keystone && is_of_keystone(action))
    }
}

impl RolePolicy {
    /// The default policy with [Keystone's table](RoleTable::Keystone).
    #[must_use]
    pub fn keystone() -> Self {
        Self { table: RoleTable::Keystone, ..Self::default() }
    }

    /// Keystone's table, for callers who are not admins.
    fn lets_as_keystone(&self, caller: &Caller, action: Action, target: Target<'_>) -> bool {
        let own = owns(caller, target);
        match action {
            Action::CreateCredential => own && names_own_project(caller, target),
            Action::CreateEc2 => {
                own && names_own_project(caller, target) && caller.has_role(&self.names.member)
            }
            Action::DeleteCredential | Action::UpdateCredential => own,
            Action::DeleteEc2 => own && caller.has_role(&self.names.member),
            _ => own || self.reads_system(caller),
        }
    }

    /// The strict table, for callers who are not admins.
    fn decide_by_roles(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        if self.reaches(caller, action, target) {
            return Decision::Allow;
        }
        match action {
            // A key that the caller may see is not hidden.
            Action::DeleteKey | Action::ShowKey | Action::UpdateKey
                if self.holds_role_for(caller, action)
                    && !self.reaches(caller, Action::ShowKey, target) =>
            {
                Decision::Hide
            }
            _ => Decision::Forbid,
        }
    }

    /// Returns whether the delegation lets the caller perform the action, if its roles do.
    fn lets_delegated(
        &self,
        caller: &Caller,
        delegation: &Delegation,
        action: Action,
        target: Target<'_>,
    ) -> bool {
        if *delegation == Delegation::Ec2Credential {
            return false;
        }
        // Validating a signature is not about the caller's own credentials.
        if action == Action::ValidateSignature {
            return true;
        }
        let ec2 = is_of_ec2(action);
        if !ec2 && !is_of_credentials(action) {
            return false;
        }
        let within_project = self.delegated == DelegatedCallers::WithinProject;
        // The layer asks again for each record.
        let Some(kind) = target.kind else {
            return !ec2 || within_project && caller.project_id().is_some();
        };
        match self.delegated {
            DelegatedCallers::Refused => false,
            DelegatedCallers::AdminKeyPairs => {
                !ec2 && kind.is_ec2()
                    && caller.has_role(&self.names.admin)
                    && !bars_new_pair(delegation, action)
            }
            DelegatedCallers::WithinProject => {
                caller.project_id().is_some()
                    && target.project_id == caller.project_id()
                    && !(kind.is_ec2() && bars_new_pair(delegation, action))
            }
        }
    }

    /// Returns whether the caller may read everything in the system.
    fn reads_system(&self, caller: &Caller) -> bool {
        caller.scope == Scope::System && caller.has_role(&self.names.reader)
    }

    /// The roles for an action: that for own keys, and that for all keys.
    fn roles_for(&self, action: Action) -> (&str, &str) {
        let names = &self.names;
        if changes(action) {
            (&names.key_management_user, &names.key_management_admin)
        } else {
            (&names.key_listing_user, &names.key_listing_admin)
        }
    }

    pub(super) fn holds_role_for(&self, caller: &Caller, action: Action) -> bool {
        let (user, admin) = self.roles_for(action);
        caller.has_role(user) || caller.has_role(admin)
    }

    /// Returns whether the caller's roles for this action reach the target. Unknown fields
    /// of the target match everything: the layer asks again when it has the record.
    fn reaches(&self, caller: &Caller, action: Action, target: Target<'_>) -> bool {
        let everywhere = caller.has_role(&self.names.impersonate);
        let in_own_project = |id| everywhere || caller.project_id() == Some(id);
        let own = owns(caller, target) && target.project_id.is_none_or(in_own_project);
        let others = caller.has_role(self.roles_for(action).1)
            && is_pair(target)
            && match target.project_id {
                Some(id) => in_own_project(id),
                // Without a type no record is known yet, and its project may be any.
                None => everywhere && target.kind.is_none(),
            };
        self.holds_role_for(caller, action) && (own || others)
    }
}

fn allow(allowed: bool) -> Decision {
    if allowed { Decision::Allow } else { Decision::Forbid }
}

/// Returns whether the caller is the owner, or may be, as far as the target is known. No
/// user owns a root key.
pub(super) fn owns(caller: &Caller, target: Target<'_>) -> bool {
    !target.root_key && target.user_id.is_none_or(|id| *id == caller.user_id)
}

/// Returns whether the target is a key pair, or may be, as far as it is known.
pub(super) fn is_pair(target: Target<'_>) -> bool {
    target.kind.is_none_or(Kind::is_ec2)
}

/// Returns whether a new record is in the project of the token. With a directory it need
/// not be: a key for a project in which its owner has no place is rejected when it is used.
fn names_own_project(caller: &Caller, target: Target<'_>) -> bool {
    target.directory || target.project_id.is_none() || target.project_id == caller.project_id()
}

/// Returns whether the delegation must not perform this action on a key pair, which makes a
/// new pair.
fn bars_new_pair(delegation: &Delegation, action: Action) -> bool {
    match action {
        Action::CreateCredential | Action::CreateEc2 => {
            matches!(delegation, Delegation::ApplicationCredential { restricted: true, .. })
        }
        // A new secret makes a new pair, which the delegation would not bind.
        Action::UpdateCredential => true,
        _ => false,
    }
}

/// Returns whether Keystone has rules of its own for an action.
fn is_of_keystone(action: Action) -> bool {
    is_of_credentials(action) || is_of_ec2(action)
}

fn is_of_credentials(action: Action) -> bool {
    matches!(
        action,
        Action::CreateCredential
            | Action::DeleteCredential
            | Action::ListCredentials
            | Action::ShowCredential
            | Action::ShowCredentialSecret
            | Action::UpdateCredential
    )
}

fn is_of_ec2(action: Action) -> bool {
    matches!(action, Action::CreateEc2 | Action::DeleteEc2 | Action::ListEc2 | Action::ShowEc2)
}

fn is_of_grants(action: Action) -> bool {
    matches!(
        action,
        Action::CreateGrant
            | Action::DeleteGrant
            | Action::ListGrants
            | Action::ShowGrant
            | Action::UpdateGrant
    )
}

/// Returns whether an action creates, changes or deletes a record.
pub(super) fn changes(action: Action) -> bool {
    matches!(
        action,
        Action::CreateCredential
            | Action::CreateEc2
            | Action::CreateGrant
            | Action::CreateKey
            | Action::DeleteCredential
            | Action::DeleteEc2
            | Action::DeleteGrant
            | Action::DeleteKey
            | Action::UpdateCredential
            | Action::UpdateGrant
            | Action::UpdateKey
    )
}

/// Returns whether OS-EC2 accepts the scope of the caller's token. With `unscoped`, it also
/// accepts a token without a scope.
fn takes_scope(caller: &Caller, unscoped: bool) -> bool {
    match caller.scope {
        Scope::Project(_) | Scope::System => true,
        Scope::Unscoped => unscoped,
        Scope::Domain(_) => false,
    }
}
