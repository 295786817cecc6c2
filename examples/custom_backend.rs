//! A backend of one's own, and the proof that it keeps the contract.
//!
//! ```text
//! cargo run --example custom_backend
//! cargo test --example custom_backend
//! ```

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

use tower_credentials::{async_trait, backend::*, domain::*};

/// Everything in one map by id, and a scan for whatever else is asked: fine for
/// a few hundred records.
#[derive(Debug, Default)]
struct ScanBackend {
    records: Mutex<Records>,
}

type Records = BTreeMap<CredentialId, Arc<Credential>>;
type Found = Result<Option<Arc<Credential>>, BackendError>;

impl ScanBackend {
    /// Checks and write of one call happen under one lock: that makes them one step.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, is_it: impl Fn(&Credential) -> bool) -> Found {
        Ok(self.records().values().find(|record| is_it(record)).cloned())
    }

    fn purge(&self, is_theirs: impl Fn(&Credential) -> bool) -> Result<u64, BackendError> {
        let mut records = self.records();
        let before = records.len();
        records.retain(|_, record| !is_theirs(record));
        Ok((before - records.len()) as u64)
    }
}

/// Whether another record has the access key or the user's slot.
fn clashes(records: &Records, new: &Credential) -> bool {
    records.values().filter(|old| old.id != new.id).any(|old| {
        (new.access_key.is_some() && old.access_key == new.access_key)
            || (new.slot.is_some() && old.slot == new.slot && old.user_id == new.user_id)
    })
}

#[async_trait]
impl CredentialBackend for ScanBackend {
    async fn insert(&self, new: &Credential, quota: Quota) -> Result<(), BackendError> {
        let mut records = self.records();
        let held = records.values().filter(|old| old.user_id == new.user_id).count();
        if !quota.admits(held as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if records.contains_key(&new.id) || clashes(&records, new) {
            return Err(BackendError::AlreadyExists);
        }
        records.insert(new.id.clone(), Arc::new(new.clone()));
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Found {
        Ok(self.records().get(id).cloned())
    }

    async fn find_by_access_key(&self, access_key: &AccessKey) -> Found {
        self.find(|record| record.access_key.as_ref() == Some(access_key))
    }

    async fn find_by_slot(&self, user_id: &UserId, slot: Slot) -> Found {
        self.find(|record| record.user_id == *user_id && record.slot == Some(slot))
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let marker = |record: &Credential| query.order.marker(record).map(str::to_owned);
        let after = query.after.as_deref().unwrap_or_default();
        let before = query.before.as_deref().filter(|before| !before.is_empty());
        let is_between = |record: &Credential| {
            query.order.marker(record).is_some_and(|m| m > after && before.is_none_or(|b| m < b))
        };
        let mut credentials: Vec<_> = self.records().values().cloned().collect();
        credentials.retain(|record| query.admits(record) && is_between(record));
        credentials.sort_by_key(|record| marker(record));
        let more = credentials.len() > query.limit();
        credentials.truncate(query.limit());
        let next = credentials.last().filter(|_| more).and_then(|last| marker(last));
        Ok(Page { credentials, next })
    }

    async fn update(&self, new: &Credential, expected: Version) -> Result<bool, BackendError> {
        let mut records = self.records();
        if records.get(&new.id).is_none_or(|old| old.version != expected) {
            return Ok(false);
        }
        if clashes(&records, new) {
            return Err(BackendError::AlreadyExists);
        }
        records.insert(new.id.clone(), Arc::new(new.clone()));
        Ok(true)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let mut records = self.records();
        let is_current = records.get(id).is_some_and(|old| old.version == expected);
        Ok(is_current && records.remove(id).is_some())
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        self.purge(|record| record.user_id == *user_id)
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.purge(|record| record.project_id.as_ref() == Some(project_id))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = ScanBackend::default();
    let access_key = AccessKey::generate()?;
    let material = Material::KeyPair { secret: Some(SecretKey::generate()?) };
    let (id, user) = (CredentialId::of(&access_key), UserId::new("amy")?);
    let mut key = Credential::new(id, Kind::ec2(), user, material, UNIX_EPOCH, Version::fresh()?);
    key.access_key = Some(access_key.clone());
    backend.insert(&key, Quota::AtMost(5)).await?;
    let found = backend.find_by_access_key(&access_key).await?.ok_or("not found")?;
    println!("stored and found {access_key} of {}", found.user_id);
    Ok(())
}

#[cfg(test)]
mod tests {
    async fn backend() -> super::ScanBackend {
        super::ScanBackend::default()
    }

    tower_credentials::backend_conformance_tests!(backend);
}
