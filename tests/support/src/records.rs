//! Records for tests and benches of stores.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tower_credentials::{
    backend::{CredentialBackend, ListQuery},
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, Rotation, SecretKey,
        UserId, Version,
    },
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

/// A rotation of this key pair with an overlap of an hour: the new record, and the old one with its
/// expiry.
pub fn rotation(old: &Credential) -> (Credential, Credential) {
    let pair = tower_credentials::domain::generate_pair().unwrap();
    match old.rotated(pair, Duration::from_hours(1), None, old.created_at).unwrap() {
        Rotation::Overlapping { credential, retired } => (credential, retired),
        Rotation::InPlace(_) => panic!("a rotation with an overlap has two records"),
    }
}

/// Returns the records of all pages of a list.
pub async fn list_all(
    backend: &impl CredentialBackend,
    mut query: ListQuery,
) -> Vec<Arc<Credential>> {
    let mut records = Vec::new();
    loop {
        let page = backend.list(&query).await.unwrap();
        records.extend(page.credentials);
        query.after = page.next;
        if query.after.is_none() {
            return records;
        }
    }
}

/// Asserts that these are all records of one key pair that was rotated again and again, and that
/// each rotation is there as a whole. Returns the current record.
pub fn assert_whole_rotations(records: &[Arc<Credential>]) -> Arc<Credential> {
    let (retired, current): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.terms.expires_at().is_some());
    assert_eq!(current.len(), 1, "one record has no expiry");
    let replaced: BTreeSet<_> = records
        .iter()
        .filter_map(|record| record.terms.rotated_from())
        .map(|from| from.id.as_str())
        .collect();
    let retired: BTreeSet<_> = retired.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(retired, replaced, "a record has an expiry exactly if another one replaces it");
    Arc::clone(current[0])
}
