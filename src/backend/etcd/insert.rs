//! Inserts.
//!
//! Concurrent inserts of one user are stored in one transaction. Each moves the user's
//! counter, so that separate transactions would conflict.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use crate::backend::BackendError;
use crate::domain::{Credential, Quota, UserId};

use super::counters::{CounterUpdate, Insert, User};
use super::error::{EtcdError, WriteError};
use super::feed;
use super::record::{Draft, MAX_ATTEMPTS, backoff};
use super::store::Store;
use super::wire::Txn;

/// Stores a record that must not exist yet.
pub(super) async fn insert(
    store: &Arc<Store>,
    credential: &Arc<Credential>,
    quota: Quota,
) -> Result<(), BackendError> {
    let draft = Draft::new(&store.keys, credential)?;
    store.size_limit.check(&store.client, draft.value.len()).await?;
    let _waiting = store.batches.wait();
    let (result, finished) = oneshot::channel();
    let insert = Insert { draft, quota, result, is_outcome_unknown: false };
    let user = store.users.get(&credential.user_id);
    if user.inserts.push(insert) {
        let worker = Worker { store: Arc::clone(store), user: Arc::clone(&user), is_done: false };
        tokio::spawn(worker.run(credential.user_id.clone()));
    }
    // A worker that was aborted may have sent the insert.
    finished.await.unwrap_or_else(|_| Err(EtcdError::outcome_unknown().into()))
}

/// Stores the queued inserts of one user.
struct Worker {
    store: Arc<Store>,
    user: Arc<User>,
    is_done: bool,
}

impl Worker {
    async fn run(mut self, user_id: UserId) {
        let mut attempt = 0;
        loop {
            backoff(attempt).await;
            let change = BTreeMap::from([(user_id.clone(), 0)]);
            let mut counter = CounterUpdate::lock(&self.store.users, change).await;
            let batch = self.user.inserts.take();
            if batch.is_empty() {
                self.is_done = true;
                return;
            }
            let size = batch.len();
            let mut left = insert_batch(&self.store, &mut counter, batch).await;
            attempt = if left.len() < size { 0 } else { attempt + 1 };
            if attempt == MAX_ATTEMPTS {
                fail_all(std::mem::take(&mut left), &EtcdError::contended().into());
            }
            self.user.inserts.put_back(left);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The runtime ended.
        if !self.is_done {
            self.user.inserts.abort();
        }
    }
}

/// Stores the inserts that the quotas admit. Returns those to retry.
async fn insert_batch(
    store: &Store,
    counter: &mut CounterUpdate,
    batch: Vec<Insert>,
) -> Vec<Insert> {
    if batch.iter().any(|insert| !insert.quota.admits(counter.held())) {
        // Other processes may have deleted records of the user.
        counter.forget();
        if let Err(error) = counter.fetch_unknown(&store.client, &store.keys).await {
            fail_all(batch, &error);
            return Vec::new();
        }
    }
    let (mut admitted, mut later) = (Vec::new(), Vec::new());
    for insert in batch {
        let held = counter.held();
        if insert.quota.admits(held + admitted.len() as u64) {
            admitted.push(insert);
        } else if insert.quota.admits(held) {
            // The earlier ones may be rejected.
            later.push(insert);
        } else if insert.is_outcome_unknown {
            // Its earlier attempt may be what fills the quota.
            insert.finish(Err(EtcdError::outcome_unknown().into()));
        } else {
            insert.finish(Err(BackendError::QuotaExceeded));
        }
    }
    if admitted.is_empty() {
        return later;
    }
    let mut left = send_in_parts(store, counter, admitted).await;
    left.append(&mut later);
    left
}

/// Sends inserts; halves the transaction while etcd rejects it as too large. Returns those to
/// retry.
async fn send_in_parts(
    store: &Store,
    counter: &mut CounterUpdate,
    inserts: Vec<Insert>,
) -> Vec<Insert> {
    let mut parts = vec![inserts];
    while let Some(part) = parts.pop() {
        match send(store, counter, part).await {
            Ok(left) if left.is_empty() => {}
            // The quota may no longer admit the other parts.
            Ok(left) => return left.into_iter().chain(parts.into_iter().rev().flatten()).collect(),
            Err((mut part, error)) if error.is_too_large() && part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
            Err((part, error)) => fail_all(part, &error),
        }
    }
    Vec::new()
}

/// Sends inserts in one transaction. Returns those to retry.
async fn send(
    store: &Store,
    counter: &mut CounterUpdate,
    mut inserts: Vec<Insert>,
) -> Result<Vec<Insert>, (Vec<Insert>, WriteError)> {
    let mut txn = Txn::default();
    for insert in &inserts {
        insert.draft.add_to(&mut txn);
    }
    counter.set_change(i64::try_from(inserts.len()).unwrap_or(i64::MAX));
    counter.add_to(&store.keys, &mut txn);
    let records = inserts.iter().map(|insert| &*insert.draft.credential);
    feed::add_written(&store.keys, &mut txn, records);
    let sent = match store.client.txn(&txn).await {
        Ok(sent) => sent,
        Err(error) if inserts.len() == 1 => return Err((inserts, error.for_one_record().into())),
        Err(error) => return Err((inserts, error.into())),
    };
    if sent.answer.succeeded {
        store.batches.record(inserts.len());
        counter.committed(sent.answer.header.revision);
        for insert in inserts {
            insert.finish(Ok(()));
        }
        return Ok(Vec::new());
    }
    let mut ranges = sent.answer.ranges();
    let found: Vec<_> = inserts.iter().map(|insert| insert.draft.conflicts(&mut ranges)).collect();
    let has_moved = match counter.refresh(ranges) {
        Ok(has_moved) => has_moved,
        Err(error) => return Err((inserts, error)),
    };
    for insert in &mut inserts {
        insert.is_outcome_unknown |= sent.is_outcome_unknown;
    }
    let mut left = Vec::new();
    for (insert, found) in inserts.into_iter().zip(found) {
        let is_stored = found.stored.is_some_and(|stored| insert.draft.is(&stored));
        if insert.is_outcome_unknown && is_stored {
            insert.finish(Ok(()));
        } else if insert.is_outcome_unknown && has_moved {
            // It may have been stored and deleted since.
            insert.finish(Err(EtcdError::outcome_unknown().into()));
        } else if !insert.quota.admits(counter.held()) {
            insert.finish(Err(BackendError::QuotaExceeded));
        } else if found.is_taken {
            insert.finish(Err(BackendError::AlreadyExists));
        } else {
            left.push(insert);
        }
    }
    Ok(left)
}

fn fail_all(inserts: Vec<Insert>, error: &WriteError) {
    for insert in inserts {
        insert.finish(Err(error.clone().into()));
    }
}
