//! Derived signing keys, remembered.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, sync::Cache};

use crate::{
    domain::{Credential, CredentialId, Version},
    policy::Remembered,
    signature::{CredentialScope, SigningKey},
};

/// The longest region whose keys are remembered, in bytes; Amazon's have 14 at most.
const LONGEST_REGION: usize = 32;

/// Signing keys by record, version of the record, day, region and service.
///
/// The service is always S3. A key is only put here once a signature has proved right
/// with it, so nobody without a secret fills this. A key that was changed, disabled or
/// deleted has another version or none, and what was derived of it is never found
/// again.
///
/// Beside each key stands what is remembered about its owner, so that one look-up finds
/// both.
pub(super) struct SigningKeys(Cache<Place, Derived>);

/// A derived signing key.
#[derive(Clone)]
pub(super) struct Derived {
    pub(super) key: Arc<SigningKey>,
    /// What is remembered about the owner; `None` without a directory.
    pub(super) owner: Option<Arc<Remembered>>,
}

impl SigningKeys {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    pub(super) fn get(
        &self,
        credential: &Credential,
        scope: &CredentialScope<'_>,
    ) -> Option<Derived> {
        self.0.get(&Wanted { credential, scope })
    }

    pub(super) fn insert(
        &self,
        credential: &Credential,
        scope: &CredentialScope<'_>,
        derived: Derived,
    ) {
        let Ok(day) = scope.date().as_bytes().try_into() else { return };
        if scope.region().len() <= LONGEST_REGION {
            let (id, version) = (credential.id.clone(), credential.version);
            self.0.insert(Place { id, version, day, region: scope.region().into() }, derived);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    id: CredentialId,
    version: Version,
    day: [u8; 8],
    region: Box<str>,
}

/// A place that is looked for, without owning anything.
struct Wanted<'a> {
    credential: &'a Credential,
    scope: &'a CredentialScope<'a>,
}

impl Equivalent<Place> for Wanted<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.credential.version == place.version
            && *self.scope.date().as_bytes() == place.day
            && *self.scope.region() == *place.region
            && self.credential.id == place.id
    }
}

// Versions start at random numbers, so they tell records apart well enough.

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, self.version, &self.day, &self.region);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (date, region) = (self.scope.date().as_bytes(), self.scope.region());
        hash(state, self.credential.version, date, region);
    }
}

fn hash<H: Hasher>(state: &mut H, version: Version, day: &[u8], region: &str) {
    state.write_u64(version.get());
    state.write(day);
    state.write(region.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::domain::{AccessKey, Kind, Material, SecretKey, UserId};

    fn record() -> Credential {
        let access = AccessKey::new("AK").unwrap();
        let material = Material::KeyPair { secret: Some(SecretKey::from_stored("secret")) };
        let owner = UserId::new("alice").unwrap();
        let (id, version) = (CredentialId::of(&access), Version::fresh());
        let mut record = Credential::new(id, Kind::ec2(), owner, material, UNIX_EPOCH, version);
        record.access_key = Some(access);
        record
    }

    fn derive(record: &Credential, scope: &CredentialScope<'_>) -> Derived {
        let key = Arc::new(SigningKey::derive(record.secret_key().unwrap(), scope));
        Derived { key, owner: None }
    }

    #[test]
    fn a_key_is_found_for_its_version_day_and_region_alone() {
        let (keys, record) = (SigningKeys::new(10), record());
        let scope = CredentialScope::parse("20260102/eu-1/s3/aws4_request").unwrap();
        keys.insert(&record, &scope, derive(&record, &scope));
        assert!(keys.get(&record, &scope).is_some());

        assert!(keys.get(&record.clone().touched(UNIX_EPOCH), &scope).is_none());
        for other in ["20260103/eu-1", "20260102/eu-2", "20260102/eu-1x", "20260102/"] {
            let text = format!("{other}/s3/aws4_request");
            let other = CredentialScope::parse(&text).unwrap();
            assert!(keys.get(&record, &other).is_none(), "{text}");
        }
    }

    #[test]
    fn many_regions_do_not_fill_the_memory() {
        let (keys, record) = (SigningKeys::new(100), record());
        for number in 0..10_000 {
            let text = format!("20260102/{number}/s3/aws4_request");
            let scope = CredentialScope::parse(&text).unwrap();
            keys.insert(&record, &scope, derive(&record, &scope));
        }
        assert!(keys.len() <= 100);
        let long = format!("20260102/{}/s3/aws4_request", "r".repeat(LONGEST_REGION + 1));
        let scope = CredentialScope::parse(&long).unwrap();
        keys.insert(&record, &scope, derive(&record, &scope));
        assert!(keys.get(&record, &scope).is_none());
    }
}
