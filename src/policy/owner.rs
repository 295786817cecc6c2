//! Decides whether a key may be used now.
//!
//! Every data plane checks this after it has verified the signature.

mod owners;
mod remembered;

use crate::{
    directory::{DelegatedAccess, Directory, DirectoryError, Membership, Project, Role, User},
    domain::{Credential, ProjectId},
};

pub(crate) use self::owners::Owners;
#[cfg(feature = "s3")]
pub(crate) use self::remembered::Remembered;

/// Whether a key may be used now.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The key may be used.
    Good(Box<Owner>),
    /// The user or the project does not exist.
    Gone,
    /// The user or the project is disabled, or the user has no place in the project, or
    /// the key's delegation has ended.
    Barred,
}

impl Standing {
    /// Adds Keystone's rule: a user without a role in the project may do nothing there. Root
    /// keys belong to no user.
    fn requiring_role(self, credential: &Credential) -> Self {
        match self {
            Self::Good(owner) if owner.roles.is_empty() && !credential.is_root_key() => {
                Self::Barred
            }
            standing => standing,
        }
    }
}

/// The owner of a key.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The user; for a root key, a user with the project's id and name.
    pub(crate) user: User,
    /// The project, unless the key has none.
    pub(crate) project: Option<Project>,
    /// The roles in the project: the user's, or those of the key's delegation. Empty for
    /// root keys and for keys without a project.
    pub(crate) roles: Vec<Role>,
}

/// The facts in a directory about the owner of a key.
#[derive(Debug, Default)]
struct Facts {
    user: Option<User>,
    project: Option<Project>,
    membership: Option<Membership>,
    delegation: Option<DelegatedAccess>,
}

impl Facts {
    /// Looks up the facts that the decision needs. Stops at the first missing user or project.
    async fn gather(
        directory: &dyn Directory,
        credential: &Credential,
    ) -> Result<Self, DirectoryError> {
        let mut facts = Self::default();
        let (user_id, project_id) = (&credential.user_id, credential.project_id.as_ref());
        if !credential.is_root_key() {
            facts.user = directory.user(user_id).await?;
            if facts.user.is_none() {
                return Ok(facts);
            }
        }
        if let Some(project_id) = project_id {
            facts.project = directory.project(project_id).await?;
            if facts.project.is_none() {
                return Ok(facts);
            }
        }
        match (&credential.delegation, project_id) {
            (Some(delegation), _) => {
                facts.delegation = directory.delegation(user_id, delegation).await?;
            }
            (None, Some(project_id)) if !credential.is_root_key() => {
                facts.membership = directory.membership(user_id, project_id).await?;
            }
            (None, _) => {}
        }
        Ok(facts)
    }
}

/// Decides whether a key may be used.
///
/// | key | must exist and be enabled | other requirement |
/// |---|---|---|
/// | of a user, in a project | user, project | the user has a place in the project |
/// | root key of a project | project | |
/// | of a user, without a project | user | |
/// | with a delegation | as above | the delegation is valid for the same user and project, instead of a place |
fn judge(credential: &Credential, facts: Facts) -> Standing {
    let project = match (&credential.project_id, facts.project) {
        (None, _) => None,
        (Some(_), Some(project)) => Some(project),
        (Some(_), None) => return Standing::Gone,
    };
    let user = match (facts.user, &project) {
        (_, Some(project)) if credential.is_root_key() => root_of(credential, project),
        (Some(user), _) => user,
        (None, _) => return Standing::Gone,
    };
    if !user.enabled || project.as_ref().is_some_and(|project| !project.enabled) {
        return Standing::Barred;
    }
    let roles = match (&credential.delegation, &credential.project_id) {
        (Some(_), project_id) => {
            let is_valid = |access: &DelegatedAccess| {
                access.user_id == credential.user_id && covers(access, project_id.as_ref())
            };
            facts.delegation.filter(is_valid).map(|access| access.roles)
        }
        (None, Some(_)) if !credential.is_root_key() => facts.membership.map(|place| place.roles),
        (None, _) => Some(Vec::new()),
    };
    match roles {
        Some(roles) => Standing::Good(Box::new(Owner { user, project, roles })),
        None => Standing::Barred,
    }
}

/// Returns whether the delegation is valid in the project of a key. A delegation that is
/// bound to a project does not cover a key without a project.
fn covers(access: &DelegatedAccess, project_id: Option<&ProjectId>) -> bool {
    access.project_id.as_ref().is_none_or(|bound| project_id == Some(bound))
}

/// The owner of a root key: the project itself, shown as a user.
fn root_of(credential: &Credential, project: &Project) -> User {
    let mut user = User::new(credential.user_id.clone(), project.name.clone());
    user.domain = project.domain.clone();
    user
}
