//! A custom backend, and its conformance tests: `cargo test --example custom_backend`.
//!
//! ```text
//! cargo run --example custom_backend
//! curl -i http://127.0.0.1:3002/credentials -H 'X-Auth-Token: open-sesame' \
//!     -H 'Content-Type: application/json' -d '{"credential": {"type": "ec2"}}'
//! ```

use std::{collections::BTreeMap, error::Error, sync::Arc};

use tower_credentials::{
    CredentialLayer, async_trait,
    auth::StaticTokens,
    backend::{BackendError, CredentialBackend, ListQuery, Page},
    domain::{
        AccessKey, Caller, Credential, CredentialId, ProjectId, Quota, Scope, Slot, UserId, Version,
    },
};

type Found = Result<Option<Arc<Credential>>, BackendError>;
type Records = BTreeMap<CredentialId, Arc<Credential>>;

/// A map by id. One lock covers the checks and the write, so that they are atomic.
#[derive(Debug, Default)]
struct ScanBackend(tokio::sync::Mutex<Records>);

#[async_trait]
impl CredentialBackend for ScanBackend {
    async fn insert(&self, new: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        let mut records = self.0.lock().await;
        let owned = records.values().filter(|old| old.user_id == new.user_id).count();
        if !quota.admits(owned as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        if records.contains_key(&new.id) || clashes(&records, new) {
            return Err(BackendError::AlreadyExists);
        }
        records.insert(new.id.clone(), Arc::clone(new));
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Found {
        Ok(self.0.lock().await.get(id).cloned())
    }

    async fn find_by_access_key(&self, access_key: &AccessKey) -> Found {
        let matches = |old: &&Arc<Credential>| old.access_key.as_ref() == Some(access_key);
        Ok(self.0.lock().await.values().find(matches).cloned())
    }

    async fn find_by_slot(&self, user_id: &UserId, slot: Slot) -> Found {
        let matches = |old: &&Arc<Credential>| old.user_id == *user_id && old.slot == Some(slot);
        Ok(self.0.lock().await.values().find(matches).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let marker = |record: &Arc<Credential>| query.order.marker(record);
        let end = query.before.clone().filter(|before| !before.is_empty());
        // Drops records without a marker: `None` is never greater.
        let is_between = |at: Option<String>| at > query.after && (end.is_none() || at < end);
        let mut credentials: Vec<_> = self.0.lock().await.values().cloned().collect();
        credentials.retain(|record| query.admits(record) && is_between(marker(record)));
        credentials.sort_by_key(marker);
        let fitting = query.fitting(&credentials);
        let follows = credentials.len() > fitting;
        credentials.truncate(fitting);
        let next = credentials.last().filter(|_| follows).and_then(marker);
        Ok(Page::new(credentials, next))
    }

    async fn update(&self, new: &Arc<Credential>, expected: Version) -> Result<bool, BackendError> {
        let mut records = self.0.lock().await;
        let is_current = records.get(&new.id).is_some_and(|old| old.version == expected);
        if is_current && clashes(&records, new) {
            return Err(BackendError::AlreadyExists);
        }
        Ok(is_current && records.insert(new.id.clone(), Arc::clone(new)).is_some())
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let mut records = self.0.lock().await;
        let Some(old) = records.get(&retired.id).filter(|old| old.version == expected).cloned()
        else {
            return Ok(false);
        };
        let owned = records.values().filter(|old| old.user_id == credential.user_id).count();
        if !quota.admits(owned as u64) {
            return Err(BackendError::QuotaExceeded);
        }
        let is_taken = clashes(&records, retired);
        records.insert(retired.id.clone(), Arc::clone(retired));
        if is_taken || records.contains_key(&credential.id) || clashes(&records, credential) {
            records.insert(old.id.clone(), old);
            return Err(BackendError::AlreadyExists);
        }
        records.insert(credential.id.clone(), Arc::clone(credential));
        Ok(true)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let mut records = self.0.lock().await;
        let is_current = records.get(id).is_some_and(|old| old.version == expected);
        Ok(is_current && records.remove(id).is_some())
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let matches = |_: &CredentialId, old: &mut Arc<Credential>| old.user_id == *user_id;
        Ok(self.0.lock().await.extract_if(.., matches).count() as u64)
    }

    async fn purge_project(&self, project: &ProjectId) -> Result<u64, BackendError> {
        let mut records = self.0.lock().await;
        Ok(records.extract_if(.., |_, old| old.project_id.as_ref() == Some(project)).count() as u64)
    }
}

/// Whether another record has the access key or the user's slot.
fn clashes(records: &Records, new: &Credential) -> bool {
    records.values().filter(|old| old.id != new.id).any(|old| {
        (new.access_key.is_some() && old.access_key == new.access_key)
            || (new.slot.is_some() && old.slot == new.slot && old.user_id == new.user_id)
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let demo = Scope::Project(ProjectId::new("demo")?);
    let alice = Caller::new(UserId::new("alice")?, demo).with_roles(["key_management_user"]);
    let tokens = StaticTokens::new().with_token("open-sesame", "alice", alice);
    let app = axum::Router::new().layer(CredentialLayer::new(tokens, ScanBackend::default()));
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3002").await?, app).await?)
}

#[cfg(test)]
mod tests {
    async fn backend() -> super::ScanBackend {
        super::ScanBackend::default()
    }

    tower_credentials::backend_conformance_tests!(backend);
}
