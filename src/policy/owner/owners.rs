//! [`Owners`]: looks up owners of keys in the directory, and caches the answers.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Facts, Standing, judge, remembered::Remembered};
use crate::{
    directory::{Directory, DirectoryError},
    domain::{Credential, CredentialId, Version, to_micros},
};

/// The default grace time: how long the last answer remains valid during an outage.
const GRACE: Duration = Duration::from_mins(1);

/// The maximum number of cached keys.
const CAPACITY: usize = 10_000;

/// The maximum number of lookups for one request while the directory's revision keeps changing.
const ROUNDS: usize = 3;

/// The directory's answers about the owners of keys.
///
/// Clones share the cache.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    directory: Option<Arc<dyn Directory>>,
    grace: Duration,
    requires_role: bool,
    keys: Arc<Keys>,
}

impl Default for Owners {
    fn default() -> Self {
        Self { directory: None, grace: GRACE, requires_role: false, keys: Arc::default() }
    }
}

impl Owners {
    /// Requires that users have a role in the project, as Keystone does for keys that it
    /// redeems.
    pub(crate) fn with_roles() -> Self {
        Self { requires_role: true, ..Self::default() }
    }

    /// Uses this directory. Without a directory, every key may be used.
    pub(crate) fn with_directory(self, directory: Option<Arc<dyn Directory>>) -> Self {
        // Answers of another directory are not valid here.
        Self { directory, keys: Arc::default(), ..self }
    }

    /// Sets how long the last answer remains valid during an outage.
    pub(crate) fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    pub(crate) fn directory(&self) -> Option<&dyn Directory> {
        self.directory.as_deref()
    }

    /// The cached answer about this key; `None` without a directory.
    pub(crate) fn remembered(&self, credential: &Credential) -> Option<Arc<Remembered>> {
        self.directory.as_ref()?;
        Some(self.keys.get(credential))
    }

    /// Returns whether the last answer about a key is positive and still valid. Takes no
    /// lock and allocates nothing.
    #[cfg(feature = "s3")]
    pub(crate) fn is_good(&self, remembered: &Remembered, now: SystemTime) -> bool {
        let revision = self.directory().and_then(Directory::revision);
        remembered.is_good(revision, to_micros(now))
    }

    /// Returns whether the key may be used, from the cache if the answer is still valid. `None`
    /// without a directory.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if the lookup fails, unless the last answer was positive and is in its
    /// grace time.
    pub(crate) async fn standing(
        &self,
        credential: &Credential,
        now: SystemTime,
    ) -> Result<Option<Arc<Standing>>, DirectoryError> {
        let Some(remembered) = self.remembered(credential) else { return Ok(None) };
        self.look_up(credential, &remembered, now).await
    }

    /// The same, given the cached answer about the key.
    pub(crate) async fn look_up(
        &self,
        credential: &Credential,
        remembered: &Remembered,
        now: SystemTime,
    ) -> Result<Option<Arc<Standing>>, DirectoryError> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let now = to_micros(now);
        if let Some(standing) = remembered.known(directory.revision(), now, self.grace) {
            return Ok(Some(standing));
        }
        let lookup = remembered.begin();
        match gather(directory, credential).await {
            Ok((facts, revision)) => {
                let standing = judge(credential, facts);
                let standing =
                    if self.requires_role { standing.requiring_role(credential) } else { standing };
                Ok(Some(remembered.keep(lookup, Arc::new(standing), revision, now)))
            }
            Err(error) => match remembered.failed(now, self.grace) {
                Some(standing) => {
                    tracing::warn!(%error, "directory lookup failed; using the last answer");
                    Ok(Some(standing))
                }
                None => Err(error),
            },
        }
    }
}

/// Looks up the facts about a key, and returns them with their revision.
async fn gather(
    directory: &dyn Directory,
    credential: &Credential,
) -> Result<(Facts, Option<u64>), DirectoryError> {
    let mut rounds = 0;
    loop {
        // Read first, so that the facts are at least as new.
        let revision = directory.revision();
        let facts = Facts::gather(directory, credential).await?;
        rounds += 1;
        // Facts that may be of two revisions are looked up again. If the changes do not end,
        // they are cached under the older revision, so the next request looks them up again.
        if directory.revision() == revision || rounds == ROUNDS {
            return Ok((facts, revision));
        }
    }
}

/// The cached answers, by key.
#[derive(Default)]
struct Keys(Mutex<Generations>);

type Generation = HashMap<CredentialId, (Version, Arc<Remembered>)>;

/// The keys that were looked up recently, and older keys, which are evicted next.
#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

impl Keys {
    /// Returns the entry for this version of the key, which is new if there was none.
    fn get(&self, credential: &Credential) -> Arc<Remembered> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Credential { id, version, .. } = credential;
        if let Some(remembered) = of_version(keys.young.get(id), *version) {
            return remembered;
        }
        let remembered = of_version(keys.old.get(id), *version).unwrap_or_default();
        if keys.young.len() >= CAPACITY / 2 {
            keys.old = mem::take(&mut keys.young);
        }
        keys.young.insert(id.clone(), (*version, Arc::clone(&remembered)));
        remembered
    }
}

fn of_version(
    found: Option<&(Version, Arc<Remembered>)>,
    version: Version,
) -> Option<Arc<Remembered>> {
    found.filter(|(found, _)| *found == version).map(|(_, remembered)| Arc::clone(remembered))
}

opaque_debug!(Keys);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::domain::{Kind, Material, UserId};

    fn record(id: usize) -> Credential {
        let material = Material::KeyPair { secret: None };
        let owner = UserId::new("alice").unwrap();
        let id = CredentialId::from_stored(id.to_string());
        Credential::new(id, Kind::ec2(), owner, material, UNIX_EPOCH, Version::fresh())
    }

    #[test]
    fn memory_is_bounded_and_keeps_keys_in_use() {
        let (keys, used) = (Keys::default(), record(0));
        let kept = keys.get(&used);
        for id in 1..5 * CAPACITY {
            keys.get(&record(id));
            if id % 1_000 == 0 {
                assert!(Arc::ptr_eq(&keys.get(&used), &kept), "{id}");
            }
        }
        let generations = keys.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= CAPACITY);
    }

    #[test]
    fn another_version_of_a_key_is_remembered_separately() {
        let (keys, old) = (Keys::default(), record(0));
        let remembered = keys.get(&old);
        assert!(Arc::ptr_eq(&keys.get(&old), &remembered));
        let new = old.clone().touched(UNIX_EPOCH);
        assert!(!Arc::ptr_eq(&keys.get(&new), &remembered));
    }
}
