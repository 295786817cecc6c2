//! Inserts. Those of one user that come at the same time go together, in one transaction:
//! each moves the user's counter, so that one by one they would wait for each other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::backend::BackendError;
use crate::domain::{Credential, Quota, UserId};

use super::Store;
use super::error::{Failed, Trouble};
use super::feed;
use super::lanes::Lane;
use super::tally::Tally;
use super::wire::Txn;
use super::write::{ATTEMPTS, Draft, Fit, pause};

/// The inserts of one user that wait.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    inserts: VecDeque<Insert>,
    /// Whether there is a task that stores them.
    is_served: bool,
}

struct Insert {
    draft: Draft,
    quota: Quota,
    answer: oneshot::Sender<Result<(), BackendError>>,
    /// Whether it may have been done already.
    is_doubtful: bool,
}

/// Stores a record that must not exist yet.
pub(super) async fn insert(
    store: &Arc<Store>,
    credential: &Arc<Credential>,
    quota: Quota,
) -> Result<(), BackendError> {
    let draft = Draft::new(&store.keys, credential)?;
    store.room.admit(&store.client, draft.value.len()).await?;
    let (answer, answered) = oneshot::channel();
    let insert = Insert { draft, quota, answer, is_doubtful: false };
    let lane = store.lanes.lane(&credential.user_id);
    if lane.queue.add(insert) {
        let served = Served { store: Arc::clone(store), lane: Arc::clone(&lane), is_done: false };
        tokio::spawn(served.serve(credential.user_id.clone()));
    }
    // A task that ended early may have sent it.
    answered.await.unwrap_or_else(|_| Err(Trouble::doubtful().into()))
}

impl Queue {
    /// Whether a task is needed to store it.
    fn add(&self, insert: Insert) -> bool {
        let mut waiting = self.waiting();
        waiting.inserts.push_back(insert);
        !std::mem::replace(&mut waiting.is_served, true)
    }

    /// As many as fit one transaction; none, and then nobody serves any more, if there are
    /// none.
    fn take(&self) -> Vec<Insert> {
        let mut waiting = self.waiting();
        let (mut fit, mut taken) = (Fit::default(), Vec::new());
        while waiting.inserts.front().is_some_and(|next| fit.admits(&next.draft)) {
            let Some(next) = waiting.inserts.pop_front() else { break };
            // Who asked for it may have given up.
            if !next.answer.is_closed() {
                fit.add(&next.draft);
                taken.push(next);
            }
        }
        waiting.is_served = !taken.is_empty();
        taken
    }

    /// Puts back what has not been answered, in its order.
    fn put_back(&self, inserts: Vec<Insert>) {
        let mut waiting = self.waiting();
        for insert in inserts.into_iter().rev() {
            waiting.inserts.push_front(insert);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that a task serves; lets go of it when the task ends early, as with its runtime.
struct Served {
    store: Arc<Store>,
    lane: Arc<Lane>,
    is_done: bool,
}

impl Served {
    async fn serve(mut self, user_id: UserId) {
        let mut attempt = 0;
        loop {
            pause(attempt).await;
            let mut tally = Tally::of(&self.store, BTreeMap::from([(user_id.clone(), 0)])).await;
            let taken = self.lane.queue.take();
            if taken.is_empty() {
                self.is_done = true;
                return;
            }
            let before = taken.len();
            let mut left = together(&self.store, &mut tally, taken).await;
            attempt = if left.len() < before { 0 } else { attempt + 1 };
            if attempt == ATTEMPTS {
                answer_all(std::mem::take(&mut left), &Trouble::contended().into());
            }
            self.lane.queue.put_back(left);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = self.lane.queue.waiting();
            waiting.is_served = false;
            waiting.inserts.clear();
        }
    }
}

/// Stores these in one transaction; returns those that it must be tried again for.
async fn together(store: &Store, tally: &mut Tally, inserts: Vec<Insert>) -> Vec<Insert> {
    if inserts.iter().any(|insert| !insert.quota.admits(tally.held())) {
        // Others may have made room.
        tally.forget();
        if let Err(failed) = tally.look_up(store).await {
            answer_all(inserts, &failed);
            return Vec::new();
        }
    }
    let (mut some, mut later) = (Vec::new(), Vec::new());
    for insert in inserts {
        let held = tally.held();
        if insert.quota.admits(held + some.len() as u64) {
            some.push(insert);
        } else if insert.quota.admits(held) {
            // Those before it may be refused.
            later.push(insert);
        } else if insert.is_doubtful {
            // It may be what fills the quota.
            insert.answer(Err(Trouble::doubtful().into()));
        } else {
            insert.answer(Err(BackendError::QuotaExceeded));
        }
    }
    if some.is_empty() {
        return later;
    }
    let mut left = send_fitting(store, tally, some).await;
    left.append(&mut later);
    left
}

/// Sends these; in parts if etcd takes fewer bytes at once than it does by default. Returns
/// those that were not answered.
async fn send_fitting(store: &Store, tally: &mut Tally, some: Vec<Insert>) -> Vec<Insert> {
    let mut parts = vec![some];
    while let Some(part) = parts.pop() {
        match send(store, tally, part).await {
            Ok(left) if left.is_empty() => {}
            // The quota may not admit the other parts any more.
            Ok(left) => return left.into_iter().chain(parts.into_iter().rev().flatten()).collect(),
            Err((mut part, failed)) if failed.is_too_large() && part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
            Err((part, failed)) => answer_all(part, &failed),
        }
    }
    Vec::new()
}

/// Sends these; returns those that were not answered.
async fn send(
    store: &Store,
    tally: &mut Tally,
    mut some: Vec<Insert>,
) -> Result<Vec<Insert>, (Vec<Insert>, Failed)> {
    let mut txn = Txn::default();
    for insert in &some {
        insert.draft.add(&mut txn);
    }
    tally.set_change(i64::try_from(some.len()).unwrap_or(i64::MAX));
    tally.write(&store.keys, &mut txn);
    feed::tell_written(&store.keys, &mut txn, some.iter().map(|insert| &*insert.draft.credential));
    let answered = match store.client.txn(&txn).await {
        Ok(answered) => answered,
        Err(trouble) if some.len() == 1 => return Err((some, trouble.of_one_record().into())),
        Err(trouble) => return Err((some, trouble.into())),
    };
    if answered.answer.succeeded {
        tally.done(answered.answer.header.revision);
        for insert in some {
            insert.answer(Ok(()));
        }
        return Ok(Vec::new());
    }
    let mut ranges = answered.answer.ranges();
    let found: Vec<_> = some.iter().map(|insert| insert.draft.found(&mut ranges)).collect();
    let has_moved = match tally.learn(ranges) {
        Ok(has_moved) => has_moved,
        Err(failed) => return Err((some, failed)),
    };
    for insert in &mut some {
        insert.is_doubtful |= answered.is_doubtful;
    }
    let mut left = Vec::new();
    for (insert, found) in some.into_iter().zip(found) {
        let is_its_own = found.stored.is_some_and(|stored| insert.draft.is(&stored));
        if insert.is_doubtful && is_its_own {
            insert.answer(Ok(()));
        } else if insert.is_doubtful && has_moved {
            // It may have been stored, and deleted since.
            insert.answer(Err(Trouble::doubtful().into()));
        } else if !insert.quota.admits(tally.held()) {
            insert.answer(Err(BackendError::QuotaExceeded));
        } else if found.is_taken {
            insert.answer(Err(BackendError::AlreadyExists));
        } else {
            left.push(insert);
        }
    }
    Ok(left)
}

fn answer_all(inserts: Vec<Insert>, failed: &Failed) {
    for insert in inserts {
        insert.answer(Err(failed.clone().into()));
    }
}

impl Insert {
    fn answer(self, answer: Result<(), BackendError>) {
        // Who asked may have gone away.
        let _ = self.answer.send(answer);
    }
}
