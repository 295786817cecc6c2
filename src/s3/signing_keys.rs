//! The cache of derived signing keys.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, sync::Cache};

use super::enforcement::Limit;
use crate::{
    domain::{Credential, CredentialId, Version},
    policy::Remembered,
    signature::{CredentialScope, SigningKey},
};

/// The longest region whose keys are cached, in bytes. Amazon's have at most 14.
pub(super) const LONGEST_REGION: usize = 32;

/// Caches signing keys by record, version of the record, day and region. The service is
/// always S3.
///
/// A key is cached only after it has verified a signature, so that only clients with a secret
/// fill the cache. A credential that was changed or disabled has another version, and a deleted
/// one has none: keys derived from the old secret are never found again.
///
/// Each entry also holds what is remembered about the key's owner, and the compiled boundary. One
/// lookup finds all.
pub(super) struct SigningKeys(Cache<CacheKey, Derived>);

/// A derived signing key.
#[derive(Clone)]
pub(super) struct Derived {
    pub(super) key: Arc<SigningKey>,
    /// What is remembered about the owner. `None` without a directory.
    pub(super) owner: Option<Arc<Remembered>>,
    /// The compiled boundary.
    pub(super) limit: Limit,
    /// The region and the signed headers of the request that the key was derived for, to share.
    pub(super) text: Arc<[u8]>,
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
        self.0.get(&CacheKeyRef { credential, scope })
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
            self.0.insert(CacheKey { id, version, day, region: scope.region().into() }, derived);
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
struct CacheKey {
    id: CredentialId,
    version: Version,
    day: [u8; 8],
    region: Box<str>,
}

/// A [`CacheKey`] that borrows, for lookups.
struct CacheKeyRef<'a> {
    credential: &'a Credential,
    scope: &'a CredentialScope<'a>,
}

impl Equivalent<CacheKey> for CacheKeyRef<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        self.credential.version == key.version
            && *self.scope.date().as_bytes() == key.day
            && *self.scope.region() == *key.region
            && self.credential.id == key.id
    }
}

// Versions start at random numbers, so the id need not be hashed.

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, self.version, &self.day, &self.region);
    }
}

impl Hash for CacheKeyRef<'_> {
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
        Derived { key, owner: None, limit: Limit::None, text: Arc::default() }
    }

    #[test]
    fn key_is_found_only_for_its_version_day_and_region() {
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
    fn many_regions_do_not_exceed_the_capacity() {
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
