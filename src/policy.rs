//! Who may do what: the whole authorization table.

use std::{fmt, sync::Arc};

use crate::domain::{Caller, Credential, Delegation, Kind, ProjectId, Scope, UserId};

mod owner;

#[cfg(feature = "s3")]
pub(crate) use self::owner::Remembered;
pub(crate) use self::owner::{Owner, Owners, Standing};

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
    /// Create a v3 credential.
    CreateCredential,
    /// Create a key pair through OS-EC2.
    CreateEc2,
    /// Grant a v2 credential.
    CreateGrant,
    /// Create a key pair.
    CreateKey,
    /// Delete a v3 credential.
    DeleteCredential,
    /// Delete a key pair through OS-EC2.
    DeleteEc2,
    /// Delete a v2 grant.
    DeleteGrant,
    /// Delete a key pair.
    DeleteKey,
    /// List v3 credentials, with their secrets.
    ListCredentials,
    /// List a user's key pairs through OS-EC2, with their secrets.
    ListEc2,
    /// List a user's v2 credentials.
    ListGrants,
    /// List key pairs.
    ListKeys,
    /// See a v3 credential, with its secret.
    ShowCredential,
    /// See a key pair through OS-EC2, with its secret.
    ShowEc2,
    /// See a v2 grant.
    ShowGrant,
    /// See a key pair, without its secret.
    ShowKey,
    /// See a key pair's secret.
    ShowSecret,
    /// Change a v3 credential's blob.
    UpdateCredential,
    /// Change a v2 grant.
    UpdateGrant,
    /// Change a key pair's status.
    UpdateKey,
    /// Have a signature validated that somebody else made.
    ValidateSignature,
}

/// What something is to be done to; `None` where it is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The owner.
    pub user_id: Option<&'a UserId>,
    /// The project; of a record, `None` also if it has none.
    pub project_id: Option<&'a ProjectId>,
    /// The type of the record; `None` only while there is no record yet.
    pub kind: Option<&'a Kind>,
}

impl<'a> Target<'a> {
    /// A stored record.
    #[must_use]
    pub fn record(credential: &'a Credential) -> Self {
        Self {
            user_id: Some(&credential.user_id),
            project_id: credential.project_id.as_ref(),
            kind: Some(&credential.kind),
        }
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
    /// None, which is not to be told from there being none.
    Nothing,
    /// One project's.
    Project(ProjectId),
    /// One user's.
    User(UserId),
}

/// The default policy: roles by name.
///
/// For IBM COS and v2:
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
/// For Keystone v3, as Keystone 2026.2 has it:
///
/// | who | credentials | OS-EC2 | signatures |
/// |---|---|---|---|
/// | `admin` | everything | everything | validate |
/// | `reader`, scoped to the system | list, see | list, see | |
/// | the owner | everything | list, see; create and delete with role `member` | |
/// | `service` | | see, if so configured | validate |
///
/// OS-EC2 takes only callers whose token is scoped to a project or to the system;
/// owners without a scope may list and see theirs too. What delegated callers may is
/// [`DelegatedCallers`].
///
/// ```
/// use tower_credentials::policy::RolePolicy;
///
/// let mut policy = RolePolicy::default();
/// policy.names.admin = "cloud_admin".into();
/// policy.service_sees_key_pairs = true;
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
}

/// What [`RolePolicy`] lets delegated callers do with v3 credentials: those with a
/// trust, an application credential, an `OAuth1` token, or an unknown login method.
///
/// Tokens that were obtained with an EC2 or S3 key may do nothing under any of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DelegatedCallers {
    /// Nothing; their lists are empty. As in Keystone 2026.2.
    #[default]
    Refused,
    /// Admins reach key pairs as v3 credentials, others nothing; Keystone 2026.2's
    /// one exception.
    AdminKeyPairs,
    /// What their user may, with credentials of exactly the token's project. What
    /// they create carries their delegation; restricted application credentials
    /// make and change no key pairs. As in Keystone before 2026.2.
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
        let names = &self.names;
        let admin = caller.has_role(&names.admin);
        let owner = target.user_id.is_none_or(|id| *id == caller.user_id);
        let allow = |allowed: bool| if allowed { Decision::Allow } else { Decision::Forbid };
        match action {
            Action::CreateCredential | Action::DeleteCredential | Action::UpdateCredential => {
                allow(admin || owner)
            }
            Action::ListCredentials | Action::ShowCredential => {
                allow(admin || owner || self.reads_system(caller))
            }
            Action::CreateEc2 | Action::DeleteEc2 => {
                let member = owner && caller.has_role(&names.member);
                allow(takes_scope(caller, false) && (admin || member))
            }
            Action::ListEc2 => {
                let reads = admin || owner || self.reads_system(caller);
                allow(takes_scope(caller, owner) && reads)
            }
            Action::ShowEc2 => {
                let service = self.service_sees_key_pairs && caller.has_role(&names.service);
                let reads = admin || owner || service || self.reads_system(caller);
                allow(takes_scope(caller, owner) && reads)
            }
            Action::ValidateSignature => allow(admin || caller.has_role(&names.service)),
            _ if admin => Decision::Allow,
            Action::CreateGrant
            | Action::DeleteGrant
            | Action::ListGrants
            | Action::ShowGrant
            | Action::UpdateGrant => Decision::Forbid,
            Action::CreateKey | Action::ListKeys => {
                allow(self.holds_role_for(caller, action) && self.covers(caller, action, target))
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
                allow(own || caller.has_role(&names.impersonate))
            }
        }
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        let own = || Some(ListScope::User(caller.user_id.clone()));
        let admin = caller.has_role(&self.names.admin);
        let refused = caller.delegation.is_some() && self.delegated == DelegatedCallers::Refused;
        match action {
            Action::DeleteCredential
            | Action::ListCredentials
            | Action::ShowCredential
            | Action::UpdateCredential
                if refused =>
            {
                Some(ListScope::Nothing)
            }
            Action::ListCredentials | Action::ShowCredential | Action::ListEc2 => {
                let all = admin || self.reads_system(caller);
                if all { Some(ListScope::All) } else { own() }
            }
            Action::DeleteCredential | Action::UpdateCredential => {
                if admin {
                    Some(ListScope::All)
                } else {
                    own()
                }
            }
            _ if caller.delegation.is_some() => None,
            _ if admin => Some(ListScope::All),
            Action::ListKeys if self.holds_role_for(caller, action) => {
                let (_, key_admin) = self.roles_for(action);
                if !caller.has_role(key_admin) {
                    return own();
                }
                if caller.has_role(&self.names.impersonate) {
                    return Some(ListScope::All);
                }
                caller.project_id().cloned().map(ListScope::Project).or_else(own)
            }
            _ => None,
        }
    }
}

impl RolePolicy {
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
                credentials && kind.is_ec2() && caller.has_role(&self.names.admin)
            }
            DelegatedCallers::WithinProject => {
                // A new secret in an old pair is a new pair.
                let creates = matches!(
                    action,
                    Action::CreateCredential | Action::CreateEc2 | Action::UpdateCredential
                );
                let restricted = matches!(
                    delegation,
                    Delegation::ApplicationCredential { restricted: true, .. }
                );
                let own_project = caller.project_id();
                (credentials || ec2)
                    && own_project.is_some()
                    && target.project_id == own_project
                    && !(creates && restricted && kind.is_ec2())
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

/// Whether OS-EC2 takes the caller's token, for what owners may do `unscoped` or not.
fn takes_scope(caller: &Caller, unscoped: bool) -> bool {
    match caller.scope {
        Scope::Project(_) | Scope::System => true,
        Scope::Unscoped => unscoped,
        Scope::Domain(_) => false,
    }
}

#[cfg(test)]
mod tests;
