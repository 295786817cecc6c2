//! [`RolePolicy`]: the default policy, and its two tables.

use super::{Action, Decision, ListScope, Policy, Target};
use crate::domain::{Caller, Delegation, Kind, ProjectId, Scope};

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
/// | `impersonate` | extends the four roles above to all projects; shows others' secrets | | |
/// | `service` | see key pairs through OS-EC2, if so [configured](Self::service_sees_key_pairs) | | validate |
///
/// The own project is the one that the token is scoped to. An own key without a project
/// counts as in it; other users' keys without a project are for admins only. Root keys
/// belong to a project and to no user. Callers see the secrets of their own keys; other
/// secrets are left out of every answer but the one to the create. Of other users' records
/// these roles reach key pairs only, not v3 credentials of other types. OS-EC2 takes only callers whose token is scoped to a project or to the
/// system; callers without a scope may list and see their own keys. Delegated callers may
/// do nothing; [`DelegatedCallers`] says what can be allowed.
///
/// With a directory, the owner of a new key needs a place in the key's project, whoever
/// creates it. Root keys need none.
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
/// There, who may see a credential sees its secret. With a directory, owners may create
/// keys for any project: without a place in it such a key is refused where it is used.
/// Without a directory they may name only the project of their token.
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
    /// What delegated callers may do with v3 credentials.
    pub delegated: DelegatedCallers,
    /// The names of the roles.
    pub names: RoleNames,
    /// Whether role `service` is enough to see any key pair through OS-EC2, with
    /// its secret: gateways that remember secrets then need no admin user.
    /// Default: no, as in Keystone.
    pub service_sees_key_pairs: bool,
    /// Which table is in force for v3 and OS-EC2.
    pub table: RoleTable,
}

/// The table that [`RolePolicy`] applies to v3 credentials and OS-EC2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleTable {
    /// The roles of IBM's dialect, in every dialect.
    #[default]
    Strict,
    /// Keystone's own rules. For what stands in front of a Keystone.
    Keystone,
}

/// What [`RolePolicy`] lets delegated callers do with v3 credentials: those with a
/// trust, an application credential, an `OAuth1` token, or an unknown login method.
/// What they may do is also bounded by the [table](RoleTable).
///
/// Tokens that were obtained with an EC2 or S3 key may do nothing under any of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DelegatedCallers {
    /// Nothing; their lists are empty. As in Keystone 2026.2.
    #[default]
    Refused,
    /// Admins reach key pairs as v3 credentials, others nothing; Keystone 2026.2's
    /// one exception. Restricted application credentials create no key pairs, and no
    /// delegated caller changes one: its delegation would not bind the new secret.
    AdminKeyPairs,
    /// What their user may, with credentials of exactly the token's project. What
    /// they create carries their delegation. Restricted application credentials create
    /// no key pairs, and no delegated caller changes one. Otherwise as in Keystone
    /// before 2026.2.
    WithinProject,
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
            _ if admin => Decision::Allow,
            Action::CreateGrant
            | Action::DeleteGrant
            | Action::ListGrants
            | Action::ShowGrant
            | Action::UpdateGrant => Decision::Forbid,
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
        if caller.delegation.is_some() {
            match action {
                Action::ListEc2 => {}
                Action::DeleteCredential
                | Action::ListCredentials
                | Action::ShowCredential
                | Action::UpdateCredential => {
                    let admin = caller.has_role(&self.names.admin);
                    match self.delegated {
                        DelegatedCallers::Refused => return Some(ListScope::Nothing),
                        DelegatedCallers::AdminKeyPairs if !admin => {
                            return Some(ListScope::Nothing);
                        }
                        DelegatedCallers::AdminKeyPairs | DelegatedCallers::WithinProject => {}
                    }
                }
                _ => return None,
            }
        }
        if caller.has_role(&self.names.admin) {
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

    /// Keystone's table, for callers who are no admins.
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

    /// The strict table, for callers who are no admins.
    fn decide_by_roles(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        if !self.holds_role_for(caller, action) {
            return Decision::Forbid;
        }
        if self.covers(caller, action, target) {
            return Decision::Allow;
        }
        match action {
            // Where the caller may see the key there is nothing to hide.
            Action::DeleteKey | Action::ShowKey | Action::UpdateKey
                if !self.covers(caller, Action::ShowKey, target) =>
            {
                Decision::Hide
            }
            _ => Decision::Forbid,
        }
    }

    /// Whether a delegated caller gets as far as the question what its roles allow.
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
        let (credentials, ec2) = match action {
            // Validating is no use of credentials, but a service's own business.
            Action::ValidateSignature => return true,
            Action::CreateCredential
            | Action::DeleteCredential
            | Action::ListCredentials
            | Action::ShowCredential
            | Action::ShowCredentialSecret
            | Action::UpdateCredential => (true, false),
            Action::CreateEc2 | Action::DeleteEc2 | Action::ListEc2 | Action::ShowEc2 => {
                (false, true)
            }
            _ => (false, false),
        };
        // Without a record only lists are asked about further: what they hold is
        // looked at one by one.
        let Some(kind) = target.kind else {
            return match self.delegated {
                DelegatedCallers::WithinProject => {
                    credentials || ec2 && caller.project_id().is_some()
                }
                _ => credentials,
            };
        };
        match self.delegated {
            DelegatedCallers::Refused => false,
            DelegatedCallers::AdminKeyPairs => {
                credentials
                    && kind.is_ec2()
                    && caller.has_role(&self.names.admin)
                    && !bars_new_pair(delegation, action)
            }
            DelegatedCallers::WithinProject => {
                let own_project = caller.project_id();
                (credentials || ec2)
                    && own_project.is_some()
                    && target.project_id == own_project
                    && !(kind.is_ec2() && bars_new_pair(delegation, action))
            }
        }
    }

    /// Whether the caller may read everything in the system.
    fn reads_system(&self, caller: &Caller) -> bool {
        caller.scope == Scope::System && caller.has_role(&self.names.reader)
    }

    /// The roles for an action on keys: for own keys, and for everybody's.
    fn roles_for(&self, action: Action) -> (&str, &str) {
        let names = &self.names;
        if changes(action) {
            (&names.key_management_user, &names.key_management_admin)
        } else {
            (&names.key_listing_user, &names.key_listing_admin)
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
        let own = owns(caller, target);

        let as_user = caller.has_role(user) && own && target.project_id.is_none_or(in_own_project);
        let as_admin = caller.has_role(admin)
            && (own || is_pair(target))
            && match target.project_id {
                Some(id) => in_own_project(id),
                // Without a type there is no record yet, and its project may be any.
                None => own || everywhere && target.kind.is_none(),
            };
        as_user || as_admin
    }
}

fn allow(allowed: bool) -> Decision {
    if allowed { Decision::Allow } else { Decision::Forbid }
}

/// Whether the caller is the owner, or could be as far as the target is known. Nobody
/// owns a root key.
fn owns(caller: &Caller, target: Target<'_>) -> bool {
    !target.root_key && target.user_id.is_none_or(|id| *id == caller.user_id)
}

/// Whether the target is a key pair, or could be as far as it is known.
fn is_pair(target: Target<'_>) -> bool {
    target.kind.is_none_or(Kind::is_ec2)
}

/// Whether a new record stays in the project of the token. With a directory it need not:
/// a key for a project in which its owner has no place is refused where it is used.
fn names_own_project(caller: &Caller, target: Target<'_>) -> bool {
    target.directory || target.project_id.is_none() || target.project_id == caller.project_id()
}

/// Whether this action on a key pair makes a new one that the delegation must not make.
fn bars_new_pair(delegation: &Delegation, action: Action) -> bool {
    match action {
        Action::CreateCredential | Action::CreateEc2 => {
            matches!(delegation, Delegation::ApplicationCredential { restricted: true, .. })
        }
        // A new secret in an old pair is a new pair, which the delegation would not bind.
        Action::UpdateCredential => true,
        _ => false,
    }
}

/// Whether an action is one that Keystone has rules of its own for.
fn is_of_keystone(action: Action) -> bool {
    matches!(
        action,
        Action::CreateCredential
            | Action::CreateEc2
            | Action::DeleteCredential
            | Action::DeleteEc2
            | Action::ListCredentials
            | Action::ListEc2
            | Action::ShowCredential
            | Action::ShowCredentialSecret
            | Action::ShowEc2
            | Action::UpdateCredential
    )
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

/// Whether an action creates, changes or deletes a record.
fn changes(action: Action) -> bool {
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

/// Whether OS-EC2 takes the caller's token, for what owners may do `unscoped` or not.
fn takes_scope(caller: &Caller, unscoped: bool) -> bool {
    match caller.scope {
        Scope::Project(_) | Scope::System => true,
        Scope::Unscoped => unscoped,
        Scope::Domain(_) => false,
    }
}
