//! Decides who may do what with credentials.
//!
//! [`RolePolicy`] is the default: it decides by the names of the caller's roles, and its
//! documentation has the tables. Implement [`Policy`] for other rules, and pass it to
//! [`CredentialLayerBuilder::policy`](crate::CredentialLayerBuilder::policy).

use std::fmt;

use crate::domain::{Caller, Credential, Kind, ProjectId, UserId};

mod keys;
mod roles;

pub(crate) use self::keys::is_beyond_key;
pub use self::roles::{DelegatedCallers, RoleNames, RolePolicy, RoleTable};

mod owner;

#[cfg(feature = "s3")]
pub(crate) use self::owner::Remembered;
pub(crate) use self::owner::{Owner, Owners, Standing};

/// Decides who may do what.
///
/// # Contract
///
/// Decisions are pure functions of caller, action and target. The layer builds targets from
/// paths, parsed ids and stored records only, and from nothing else that a client sends.
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// Decides whether the caller may perform the action on the target.
    ///
    /// The layer asks before it reads the store, with the part of the target that is known
    /// by then, and again for every record before it is shown or changed.
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision;

    /// Returns which records a list may contain, or `None` if the caller may not list at
    /// all. The scope narrows the query; the layer still asks for a decision about each
    /// record.
    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope>;

    /// Returns true if this kind of create requires that the owner of the new credential has
    /// a place in its project. The layer does not ask without a directory, nor about root
    /// keys.
    fn requires_place(&self, action: Action) -> bool;
}

forward_pointers!(Policy {
    fn decide(&self, caller: &Caller, action: Action, target: Target<'_>) -> Decision;
    fn list_scope(&self, caller: &Caller, action: Action) -> Option<ListScope>;
    fn requires_place(&self, action: Action) -> bool;
});

/// An action of a caller.
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
    /// Show a v3 credential.
    ShowCredential,
    /// Show the secret of a credential that the caller may see in v3 or through OS-EC2.
    ShowCredentialSecret,
    /// Show a key pair through OS-EC2.
    ShowEc2,
    /// Show a v2 grant.
    ShowGrant,
    /// Show a key pair, without its secret.
    ShowKey,
    /// Show the secret of a key pair that the caller may see in IBM's dialect or in v2.
    ShowSecret,
    /// Show a secret again, if the layer shows secrets once. The caller may also see it.
    ShowSecretAgain,
    /// Change a v3 credential's blob.
    UpdateCredential,
    /// Change a v2 grant.
    UpdateGrant,
    /// Change a key pair's status.
    UpdateKey,
    /// Have a signature verified that another client made.
    ValidateSignature,
}

/// The target of an action. A field is `None` if its value is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target<'a> {
    /// The owner.
    pub user_id: Option<&'a UserId>,
    /// The project; `None` also for a record without a project.
    pub project_id: Option<&'a ProjectId>,
    /// The type of the record; `None` only while no record is known.
    pub kind: Option<&'a Kind>,
    /// Whether the record is a root key, which belongs to the project and to no user.
    pub root_key: bool,
    /// Whether the layer has a directory, which knows who has a place in which project. Then
    /// a key for a project in which its owner has no place is rejected when it is used.
    pub directory: bool,
}

impl<'a> Target<'a> {
    /// The target of an action on a stored record.
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

/// The decision of a [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller may perform the action.
    Allow,
    /// The caller may not perform the action.
    Forbid,
    /// The caller may not perform the action, and must not learn whether the target exists.
    Hide,
}

/// Which records a list may contain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListScope {
    /// All records.
    All,
    /// No records. The answer is the same as for an empty store.
    Nothing,
    /// The records of one project.
    Project(ProjectId),
    /// The records of one user.
    User(UserId),
}

#[cfg(test)]
mod tests;
