//! Asks an OpenStack Keystone who is calling and who exists.
//!
//! [`KeystoneValidator`] tells callers by their Keystone tokens,
//! [`KeystoneDirectory`] knows users, projects, roles and delegations. Both ask
//! through a [`KeystoneClient`], which logs in as a service user of its own and
//! can be used for other calls too.
//!
//! ```
//! use tower_credentials::{
//!     CredentialLayer,
//!     backend::CredentialBackend,
//!     keystone::{KeystoneClient, KeystoneDirectory, KeystoneValidator, ServiceLogin},
//! };
//!
//! fn layer(backend: impl CredentialBackend) -> Result<CredentialLayer, Box<dyn std::error::Error>> {
//!     let login = ServiceLogin::system("s3", "a-password");
//!     let client = KeystoneClient::builder("https://id.example.org/identity/v3", login).build()?;
//!     let layer = CredentialLayer::builder(KeystoneValidator::new(client.clone()), backend)
//!         .directory(KeystoneDirectory::new(client))
//!         .build()?;
//!     Ok(layer)
//! }
//! ```
//!
//! # What the service user may need
//!
//! By Keystone's default policy (tried with Keystone 2026.2):
//!
//! | to | role |
//! |---|---|
//! | validate tokens | `service` in any project, or one of those below |
//! | look up users, projects, domains, memberships, trusts and application credentials | `reader` for the system ([`ServiceLogin::system`]), or `admin` in a project |
//! | look up OAuth1 access tokens | `admin` in a project |
//!
//! With `service` alone the directory is refused all but the service user itself,
//! its own project and its own domain, and says so in its errors. The least that
//! serves both is `reader` for the system; it can change nothing.
//!
//! A domain that may not be looked at is shown with its id for a name and taken
//! for enabled. Otherwise a user or project of a disabled domain is disabled.
//!
//! # How soon a change is felt
//!
//! A token's own end at once. A revoked token, a disabled user, project or domain
//! and a changed role within the maximal age of answers, 60 seconds unless it is
//! set otherwise; Keystone's own caches add to that. A new user or project within 5
//! seconds, if it was asked for before it was there.
//!
//! Ages go by the client's [`Clock`](crate::clock::Clock). If it is put back, what
//! was heard "later" counts no more and is asked again.
//!
//! # When Keystone is out of order
//!
//! What is young enough is served on. All else fails, within the client's timeout,
//! and the layer answers 503; or, with [`Outage::ServeStale`], what was good before
//! is served for so much longer, and Keystone is asked again every 5 seconds. When
//! Keystone refuses the service user, that is no outage: nothing old is served.
//! A login that was refused is repeated after 5 seconds at the earliest, so that
//! Keystone does not lock the user; a service user whose token was revoked logs in
//! anew at once.

mod cache;
mod caller;
mod client;
mod delegation;
mod directory;
mod error;

mod login;
mod lookup;
mod pool;
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
