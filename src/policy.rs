//! Who may do what: the whole authorization table.

use std::{fmt, sync::Arc};

use crate::domain::{Caller, Credential, Kind, ProjectId, UserId};

mod roles;

pub use self::roles::{DelegatedCallers, RoleNames, RolePolicy, RoleTable};

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

    /// Whether the directory must give the owner of a new credential a place in its
    /// project, for this kind of creation. Without a directory it is not asked, and root
    /// keys need none.
    fn requires_place(&self, action: Action) -> bool;
}

impl<T: Policy + ?Sized> Policy for Arc<T> {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision {
        (**self).decide(caller, action, target)
    }

    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope> {
        (**self).list_scope(caller, action)
    }

    fn requires_place(&self, action: Action) -> bool {
        (**self).requires_place(action)
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
    /// List v3 credentials.
    ListCredentials,
    /// List a user's key pairs through OS-EC2.
    ListEc2,
    /// List a user's v2 credentials.
    ListGrants,
    /// List key pairs.
    ListKeys,
    /// See a v3 credential.
    ShowCredential,
    /// See the secret of a credential that the caller may see in v3 or through OS-EC2.
    ShowCredentialSecret,
    /// See a key pair through OS-EC2.
    ShowEc2,
    /// See a v2 grant.
    ShowGrant,
    /// See a key pair, without its secret.
    ShowKey,
    /// See the secret of a key pair that the caller may see in IBM's dialect or in v2.
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
    /// Whether it is a root key, which belongs to the project and to no user.
    pub root_key: bool,
    /// Whether a directory knows who has a place in which project, so that a key for a
    /// project in which its owner has none is refused where it is used.
    pub directory: bool,
}

impl<'a> Target<'a> {
    /// A stored record.
    #[must_use]
    pub fn record(credential: &'a Credential) -> Self {
        Self {
            user_id: Some(&credential.user_id),
            project_id: credential.project_id.as_ref(),
            kind: Some(&credential.kind),
            root_key: credential.is_root_key(),
            directory: false,
        }
    }
}

/// A [`Policy`]'s answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allow,
    /// It may not be done.
    Forbid,
    /// It may not be done, and the answer must not reveal whether the target exists.
    Hide,
}

/// Which records a list may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListScope {
    /// Everybody's.
    All,
    /// No records. The answer is the same as for an empty store.
    Nothing,
    /// One project's.
    Project(ProjectId),
    /// One user's.
    User(UserId),
}

#[cfg(test)]
mod tests;
