//! The AWS wires: temporary credentials over STS, and a user's own access keys over IAM.
//!
//! The layer serves them if [`CredentialLayerBuilder::aws`](crate::CredentialLayerBuilder::aws) is
//! called. Callers are keys, not tokens: AWS's clients sign these requests with an access key, or
//! with a [session](crate::session).
//!
//! ```
//! use tower_credentials::{
//!     CredentialLayer,
//!     auth::StaticTokens,
//!     aws::{AwsWires, Role, StaticRoles},
//!     backend::memory::MemoryBackend,
//!     domain::ProjectId,
//! };
//!
//! let reader = Role::new("arn:aws:iam::000000000000:role/reader")?
//!     .boundary(r#"{"permission": "read", "buckets": ["lake"]}"#)?
//!     .project(ProjectId::new("demo")?);
//! let layer = CredentialLayer::builder(StaticTokens::new(), MemoryBackend::default())
//!     .aws(AwsWires::new().roles(StaticRoles::new().with_role(reader)))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # STS, version 2011-06-15
//!
//! | action | signed by | session | duration in seconds |
//! |---|---|---|---|
//! | `AssumeRole` | a key | of a role, or of the key's user without `RoleArn` | 900 to that of the role, at most 43,200; 3,600 if not given |
//! | `GetSessionToken` | a key | of the key's user | 900 to 129,600; 43,200 if not given |
//! | `GetFederationToken` | a key | of a federated user, which may do nothing without a `Policy` | the same |
//! | `GetCallerIdentity` | a key or a session | | |
//! | `AssumeRoleWithWebIdentity` | nobody | refused with `InvalidIdentityToken`: no issuer can be configured | |
//!
//! A session may do at most what the key that asked for it may do. It ends with that key.
//! `MinIO`'s clients leave `RoleArn` out, or send one that stands for nothing. An unknown role is
//! `AccessDenied`, unless [`any_role_is_self`](AwsWires::any_role_is_self) is set.
//!
//! The layer logs each session that it issues, without its token and its policy. Tags and
//! `SourceIdentity` are checked, and grant nothing. `PolicyArns`, MFA and provided contexts
//! are refused. No write reaches the store.
//!
//! # IAM, version 2010-05-08
//!
//! `CreateAccessKey`, `UpdateAccessKey`, `DeleteAccessKey`, `ListAccessKeys`,
//! `GetAccessKeyLastUsed` and `GetUser`, for the user of the signing key and the project of that
//! key. The user needs the roles `key_management_user` or `key_listing_user` there, if a
//! [directory](crate::CredentialLayerBuilder::directory) knows its roles. `UserName` is the user's
//! id. Sessions, keys with a boundary, root keys and delegated keys are refused. A key with an
//! expiry creates only keys that end no later than itself.
//!
//! Other actions are `InvalidAction`: the directory manages users and their rights.
//!
//! # Where requests arrive
//!
//! - By default at `/`, beside S3: a request is for these APIs if its signature names the service
//!   `iam` or `sts`. So is a request without a signature to `/` that is a `POST` of a form
//!   (`application/x-www-form-urlencoded`) without a query, or asks for
//!   `AssumeRoleWithWebIdentity`. An app with forms of its own at `/` must choose another place.
//! - At a [path](AwsWires::path) or a [host](AwsWires::host) of their own.
//!
//! The layer reads the body before it knows the caller, because the signature covers it: at most
//! [`body_limit`](crate::CredentialLayerBuilder::body_limit) bytes.
//!
//! Sources: AWS Security Token Service API Reference; AWS Identity and Access Management API
//! Reference.

mod role;

use std::sync::Arc;

pub use self::role::{InvalidRole, Role, RoleSource, StaticRoles};

/// The account of every user, unless another is set.
const ACCOUNT: &str = "000000000000";

/// Settings of the AWS wires.
///
/// Each setter replaces the value that an earlier call of it set.
#[derive(Clone, Debug)]
#[must_use = "pass it to `CredentialLayerBuilder::aws`"]
pub struct AwsWires {
    pub(crate) account_id: String,
    pub(crate) path: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) roles: Arc<dyn RoleSource>,
    pub(crate) any_role_is_self: bool,
}

impl AwsWires {
    /// Serves both APIs at `/`, without roles.
    pub fn new() -> Self {
        let roles = Arc::new(StaticRoles::new());
        Self { account_id: ACCOUNT.into(), path: None, host: None, roles, any_role_is_self: false }
    }

    /// Sets the account of all users: 12 digits. Default: `000000000000`.
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = id.into();
        self
    }

    /// Serves them at this path only, such as `/aws`. Default: `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Serves them for this host only, where the path `/` is theirs. Default: all hosts.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the roles that keys can assume. Default: none.
    pub fn roles(mut self, roles: impl RoleSource) -> Self {
        self.roles = Arc::new(roles);
        self
    }

    /// Sets whether an unknown `RoleArn` stands for the user of the signing key. Default: no.
    ///
    /// Clients of other S3 stores send any ARN and expect that. A misspelt ARN then grants all that
    /// the key may do, instead of what its role may.
    pub fn any_role_is_self(mut self, any: bool) -> Self {
        self.any_role_is_self = any;
        self
    }
}

impl Default for AwsWires {
    fn default() -> Self {
        Self::new()
    }
}

/// The roles that can be assumed.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub(crate) known: Arc<dyn RoleSource>,
    /// Whether an unknown role stands for the caller itself.
    pub(crate) any_is_self: bool,
}
