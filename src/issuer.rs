//! Issues tokens to clients with a valid signature, for `ec2tokens`.
//!
//! Implement [`TokenIssuer`] if clients exchange signatures for tokens. Pass it to
//! [`CredentialLayerBuilder::issuer`](crate::CredentialLayerBuilder::issuer): without an issuer,
//! the layer does not serve `ec2tokens`.

use std::{fmt, time::SystemTime};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    directory::{Project, Role, User},
    domain::{Delegation, SecretText},
};

/// Issues tokens, for `ec2tokens`.
///
/// # Contract
///
/// * The token is valid for exactly this project and these roles. It says that it was
///   obtained with a key: a validator must mark its caller with
///   [`Delegation::Ec2Credential`], or keys could create keys.
/// * The token expires no later than the key. The layer rejects another one.
/// * The issuer does not log the token.
#[async_trait]
pub trait TokenIssuer: fmt::Debug + Send + Sync + 'static {
    /// Issues a token to a signer.
    ///
    /// # Errors
    ///
    /// [`IssueError`] if no token can be issued now.
    async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError>;
}

/// The owner of the key that made a valid signature, and what the key is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// The owner of the key. For a root key, a user with the id and name of the project;
    /// no such user need exist.
    pub user: User,
    /// The project of the key.
    pub project: Project,
    /// The roles in the project: the user's, or those of the key's delegation. A root key
    /// has none.
    pub roles: Vec<Role>,
    /// The delegation under which the key was created.
    pub delegation: Option<Delegation>,
    /// The expiry of the key.
    pub expires_at: Option<SystemTime>,
    /// The boundary of the key, as [`Boundary::parse`](crate::boundary::Boundary::parse) accepts
    /// it. `None` unless the layer [accepts](crate::CredentialLayerBuilder::accept_bounded) such
    /// keys.
    pub boundary: Option<String>,
}

/// A token that was issued.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token, for the header `X-Subject-Token`: printable ASCII without spaces.
    pub id: SecretText,
    /// When it was issued.
    pub issued_at: SystemTime,
    /// When it expires.
    pub expires_at: SystemTime,
    /// The ids for audits of its use.
    pub audit_ids: Vec<String>,
    /// The service catalog for clients, an array in Keystone's form.
    pub catalog: Value,
}

impl IssuedToken {
    /// Creates a token without ids for audits and with an empty catalog.
    #[must_use]
    pub fn new(id: SecretText, issued_at: SystemTime, expires_at: SystemTime) -> Self {
        Self { id, issued_at, expires_at, audit_ids: Vec::new(), catalog: Value::Array(Vec::new()) }
    }
}

wrapping_error! {
    /// No token could be issued; retrying may help.
    IssueError, "token could not be issued"
}

forward_pointers!(TokenIssuer {
    async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError>;
});
