//! Who can issue tokens for those whose signature proved right.

use std::{error::Error as StdError, fmt, sync::Arc, time::SystemTime};

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
/// * The token is good for exactly this project and these roles, and tells that it
///   was obtained with a key: a validator must mark its caller with
///   [`Delegation::Ec2Credential`], or keys could make keys.
/// * Nothing of it is logged.
#[async_trait]
pub trait TokenIssuer: fmt::Debug + Send + Sync + 'static {
    /// Issues a token for who signed.
    ///
    /// # Errors
    ///
    /// [`IssueError`] if that cannot be done now.
    async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError>;
}

/// Who made a signature that proved right, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// The owner of the key; for a root key, a user with the id and name of the project,
    /// who need not exist.
    pub user: User,
    /// The project of the key.
    pub project: Project,
    /// The roles there: the user's, or those of the key's delegation. A root key has none.
    pub roles: Vec<Role>,
    /// The delegation that the key was made under.
    pub delegation: Option<Delegation>,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token itself, which goes into `X-Subject-Token`: printable ASCII without
    /// spaces.
    pub id: SecretText,
    /// Since when it is good.
    pub issued_at: SystemTime,
    /// Until when.
    pub expires_at: SystemTime,
    /// Ids under which its use can be followed.
    pub audit_ids: Vec<String>,
    /// The service catalog that clients are told, an array in Keystone's form.
    pub catalog: Value,
}

/// No token could be issued; retrying may help.
#[derive(Debug)]
pub struct IssueError(Box<dyn StdError + Send + Sync>);

impl IssueError {
    /// Wraps what went wrong.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token could not be issued")
    }
}

impl StdError for IssueError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: TokenIssuer + ?Sized> TokenIssuer for $pointer<T> {
            async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError> {
                (**self).issue(signer).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
