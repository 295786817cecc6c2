//! Records for tests and benches of stores.

use std::time::{Duration, UNIX_EPOCH};

use tower_credentials::domain::{
    AccessKey, Credential, CredentialId, Kind, Material, ProjectId, SecretKey, UserId, Version,
};

/// A key pair of this user in no project, created at a time that is not a whole second.
pub fn pair(user: &str, access_key: &str, secret: &str) -> Credential {
    let access_key = AccessKey::from_stored(access_key);
    let mut pair = Credential::new(
        CredentialId::of(&access_key),
        Kind::ec2(),
        UserId::new(user).unwrap(),
        Material::KeyPair { secret: Some(SecretKey::new(secret).unwrap()) },
        UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456),
        Version::fresh(),
    );
    pair.access_key = Some(access_key);
    pair
}

/// The same in a project.
pub fn pair_in(project: &str, user: &str, access_key: &str, secret: &str) -> Credential {
    let mut pair = pair(user, access_key, secret);
    pair.project_id = Some(ProjectId::new(project).unwrap());
    pair
}

/// A generated key pair in a project.
pub fn new_pair_in(project: &str, user: &str) -> Credential {
    let (access_key, secret) = tower_credentials::domain::generate_pair().unwrap();
    pair_in(project, user, access_key.as_str(), secret.expose())
}
