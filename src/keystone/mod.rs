//! Uses an OpenStack Keystone to validate tokens and to look up users and projects.
//!
//! [`KeystoneValidator`] validates Keystone tokens. [`KeystoneDirectory`] looks up users,
//! projects, roles and delegations. Both use a [`KeystoneClient`], which logs in as a service
//! user and can make other calls too.
//!
//! ```
//! use tower_credentials::{
//!     CredentialLayer,
//!     backend::CredentialBackend,
//!     keystone::{KeystoneClient, KeystoneDirectory, KeystoneValidator, ServiceLogin},
//! };
//!
//! fn layer(backend: impl CredentialBackend) -> Result<CredentialLayer, Box<dyn std::error::Error>> {
//!     let client = KeystoneClient::builder("https://id.example.org/identity/v3")
//!         .login(ServiceLogin::system("s3", "a-password"))
//!         .build()?;
//!     let layer = CredentialLayer::builder(KeystoneValidator::new(client.clone()), backend)
//!         .directory(KeystoneDirectory::new(client))
//!         .build()?;
//!     Ok(layer)
//! }
//! ```
//!
//! # Roles of the service user
//!
//! By Keystone's default policy (tested with Keystone 2026.2):
//!
//! | to | role |
//! |---|---|
//! | validate tokens | `service` in any project, or one of those below |
//! | look up users, projects, domains, memberships, trusts and application credentials | `reader` for the system ([`ServiceLogin::system`]), or `admin` in a project |
//! | look up OAuth1 access tokens | `admin` in a project |
//!
//! The least privileged role for both is `reader` for the system, which can change nothing. With
//! `service` alone, the directory can read only the service user itself, its own project and its
//! own domain. All other lookups return an error that names the missing role.
//!
//! If the service user may not read a domain, its id is used as its name, and the domain counts
//! as enabled. Otherwise a user or project of a disabled domain is disabled.
//!
//! # When changes take effect
//!
//! The expiry of a token takes effect at once. The revocation of a token, the disabling of a
//! user, project or domain, and the change of a role take effect within the
//! [`cache_ttl`](KeystoneClientBuilder::cache_ttl), which is 60 seconds by default. Keystone's
//! own caches add to that. A new user or project that was looked up before it existed is found
//! after at most 5 seconds.
//!
//! Ages are measured with the client's [`Clock`](crate::clock::Clock). If it is set back, cached
//! answers from the future are fetched again.
//!
//! # Outages of Keystone
//!
//! Cached answers are served until they expire. All other calls fail within the client's
//! timeout, and the layer returns 503. With [`Outage::ServeStale`], expired answers are served
//! for some time longer, and Keystone is asked again every 5 seconds. If Keystone rejects the
//! service user, that is not an outage, and no expired answer is served. A rejected login is
//! repeated after 5 seconds at the earliest, so that Keystone does not lock the user. A service
//! user whose token was revoked logs in again at once.

mod cache;
mod client;
mod delegation;
mod directory;
mod error;
mod login;
mod lookup;
pub mod records;
mod token;
mod transport;
mod validator;
mod wire;

pub use self::{
    cache::Outage,
    client::{KeystoneClient, KeystoneClientBuilder},
    directory::KeystoneDirectory,
    error::{KeystoneConfigError, KeystoneError, KeystoneErrorKind},
    login::ServiceLogin,
    transport::KeystoneAnswer,
    validator::KeystoneValidator,
};
