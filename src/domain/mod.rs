//! The types that validators, directories, policies and stores exchange with the layer.
//!
//! A [`Caller`] is the result of authentication. A [`Credential`] is one stored record. Ids, keys
//! and quotas are types that enforce their own rules. Nothing here depends on HTTP, a wire
//! format or a store.

mod blob;
mod caller;
mod credential;
mod delegation;
mod ids;
mod keys;
mod material;
mod micros;
mod password;
mod quota;
mod rotation;
mod size;
mod terms;
mod timestamp;

pub(crate) use self::{blob::BlobText, keys::SESSION_KEY_PREFIX, timestamp::TimeText};
pub use self::{
    blob::{Blob, InvalidBlob},
    caller::{Caller, KeyRoles, Scope},
    credential::{Attributes, Credential, Slot, Status, Version},
    delegation::Delegation,
    ids::{CredentialId, InvalidId, Kind, ProjectId, UserId},
    keys::{AccessKey, InvalidKey, RandomError, SecretKey, SecretText, generate_pair},
    material::{InvalidMaterial, Material},
    micros::{from_micros, to_micros},
    password::PasswordHash,
    quota::Quota,
    rotation::{NotRotatable, Rotation},
    terms::{InvalidTerm, InvalidTerms, Life, RotatedFrom, Terms},
    timestamp::{format_time, parse_time},
};
