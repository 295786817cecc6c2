//! Asks an OpenStack Keystone who is calling and who exists.

mod cache;
mod caller;
mod client;
mod delegation;
mod directory;
mod error;
mod flight;
mod login;
mod lookup;
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
