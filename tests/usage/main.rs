//! Tests when keys were last used: collecting uses, and the logs that store them.

mod allocating;
mod collecting;
mod keeping;
mod logs;
mod reporting;
mod suite;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use test_support::counting;
use tower_credentials::domain::{
    AccessKey, Credential, CredentialId, Kind, Material, SecretKey, UserId, Version,
};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

/// A key pair with this access key.
fn key(access: &str) -> Credential {
    let access_key = AccessKey::new(access).unwrap();
    let secret = Some(SecretKey::new("secret").unwrap());
    let mut key = Credential::new(
        CredentialId::of(&access_key),
        Kind::ec2(),
        UserId::new("bob").unwrap(),
        Material::KeyPair { secret },
        at(0),
        Version::fresh(),
    );
    key.access_key = Some(access_key);
    key
}

/// A fixed time plus `seconds`.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}
