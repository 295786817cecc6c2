//! Clauses: *writes are atomic*, and *compare-and-set*, for many callers at once.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinSet;

use super::race::{RACERS, ROUNDS, race_inserts, start_together};
use crate::{
    backend::{BackendError, Order},
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_same, assert_stored, assert_taken, find,
        find_slot, fresh_access_key, fresh_full, fresh_pair, fresh_user, get, insert, list_all,
        of_user, pair, rekeyed, time, unique, update, with_id,
    },
    domain::{AccessKey, Credential, Slot, Status},
};

/// Exactly one of many updates from one version is stored, with its access key.
///
/// # Panics
///
/// If none or several of the updates report success, or a failed update leaves something
/// behind.
pub async fn racing_updates_from_one_version_have_one_winner(backend: Backend) {
    for _ in 0..ROUNDS {
        let first = fresh_full();
        insert(&backend, &first).await;
        let states: Vec<_> = (0..RACERS).map(|_| rekeyed(&first, &fresh_access_key())).collect();
        let racers: Vec<_> = states.iter().map(|next| updating(&backend, next, &first)).collect();
        let mut winners = Vec::new();
        for (racer, state) in start_together(racers).into_iter().zip(&states) {
            if racer.await.expect("update").expect("update") {
                winners.push(state);
            } else {
                assert!(find(&backend, access_key(state)).await.is_none());
            }
        }
        assert_eq!(winners.len(), 1, "one racer wins");
        assert_stored(&backend, winners[0]).await;
        assert!(find(&backend, access_key(&first)).await.is_none());
    }
}

/// If many records are updated to one access key, and sometimes another is inserted with it,
/// exactly one gets it.
///
/// # Panics
///
/// If none or several of the records get the access key, or a refused record changes.
pub async fn racing_updates_to_one_access_key_have_one_winner(backend: Backend) {
    for round in 0..ROUNDS {
        let prize = fresh_access_key();
        let records: Vec<_> = (0..RACERS).map(|_| fresh_full()).collect();
        for record in &records {
            insert(&backend, record).await;
        }
        let newcomers: Vec<_> = (0..round % 2)
            .map(|_| with_id(pair(&fresh_user(), prize.clone()), &unique()))
            .collect();
        let racers: Vec<_> = records
            .iter()
            .map(|record| updating(&backend, &rekeyed(record, &prize), record))
            .collect();
        let racers = start_together(racers);
        let inserted = race_inserts(&backend, &newcomers).await;
        let mut winners = inserted.len();
        for record in &inserted {
            assert_stored(&backend, record).await;
        }
        for (racer, record) in racers.into_iter().zip(&records) {
            match racer.await.expect("update") {
                Ok(true) => {
                    winners += 1;
                    assert_stored(&backend, &rekeyed(record, &prize)).await;
                }
                refused => {
                    assert_taken(&refused.map(drop));
                    assert_stored(&backend, record).await;
                }
            }
        }
        assert_eq!(winners, 1, "one racer wins");
        assert!(find(&backend, &prize).await.is_some());
    }
}

/// Exactly one of many deletes of one version returns `true`.
///
/// # Panics
///
/// If none or several of the deletes return `true`, or the record still exists.
pub async fn racing_deletes_have_one_winner(backend: Backend) {
    for _ in 0..ROUNDS {
        let record = fresh_full();
        insert(&backend, &record).await;
        let racers = (0..RACERS).map(|_| deleting(&backend, &record)).collect();
        let mut winners = 0;
        for racer in start_together(racers) {
            winners += usize::from(racer.await.expect("delete").expect("delete"));
        }
        assert_eq!(winners, 1, "one racer wins");
        assert_gone(&backend, &record).await;
    }
}

/// If a delete and an update start from one version, exactly one of them happens.
///
/// # Panics
///
/// If both the delete and the update happen, or neither, or if the stored state matches
/// neither.
pub async fn delete_racing_an_update_leaves_one_state(backend: Backend) {
    for round in 0..ROUNDS * 2 {
        let first = fresh_full();
        insert(&backend, &first).await;
        let second = rekeyed(&first, &fresh_access_key());
        let mut racers = vec![updating(&backend, &second, &first), deleting(&backend, &first)];
        // Each one starts first in half of the rounds.
        racers.rotate_left(round % 2);
        let mut outcomes = Vec::new();
        for racer in start_together(racers) {
            outcomes.push(racer.await.expect("write").expect("write"));
        }
        outcomes.rotate_right(round % 2);
        let (updated, deleted) = (outcomes[0], outcomes[1]);
        assert!(updated != deleted, "updated: {updated}, deleted: {deleted}");
        assert!(find(&backend, access_key(&first)).await.is_none());
        if updated {
            assert_stored(&backend, &second).await;
        } else {
            assert_gone(&backend, &second).await;
        }
    }
}

/// A reader that runs during writes sees one of the written states, complete.
///
/// # Panics
///
/// If a reader sees a mixture, or no record between two states.
pub async fn readers_never_see_a_partial_write(backend: Backend) {
    const WRITES: u32 = 100;
    let first = fresh_full();
    // The same id, slot and project in both states, so that every read finds the record. The
    // access key alternates.
    let keys = [access_key(&first).clone(), fresh_access_key()];
    let states: Vec<_> = (0..WRITES)
        .scan(first.clone(), |state, step| {
            let current = state.clone();
            let mut next = rekeyed(state, &keys[(step as usize + 1) % 2]);
            next.status = if step % 2 == 0 { Status::Active } else { Status::Inactive };
            next.attributes.insert("step".into(), step.into());
            next.updated_at = time(u64::from(step));
            next.material = fresh_pair(&first.user_id).material;
            *state = next;
            Some(current)
        })
        .collect();
    let (states, done) = (Arc::new(states), Arc::new(AtomicBool::new(false)));
    insert(&backend, &first).await;

    // A set, which stops the readers when this case fails.
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (backend, keys) = (Arc::clone(&backend), keys.clone());
        let (states, done) = (Arc::clone(&states), Arc::clone(&done));
        readers.spawn(async move {
            loop {
                let is_last = done.load(Ordering::Acquire);
                assert_some_state(&backend, &states, &keys).await;
                if is_last {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for step in states.windows(2) {
        assert!(update(&backend, &step[1], step[0].version).await);
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Release);
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader sees only complete states");
    }
    assert_stored(&backend, &states[states.len() - 1]).await;
}

type Write = Pin<Box<dyn Future<Output = Result<bool, BackendError>> + Send>>;

fn updating(backend: &Backend, next: &Credential, from: &Credential) -> Write {
    let (backend, next, expected) = (Arc::clone(backend), next.clone(), from.version);
    Box::pin(async move { backend.update(&next.clone().into(), expected).await })
}

fn deleting(backend: &Backend, record: &Credential) -> Write {
    let (backend, id, expected) = (Arc::clone(backend), record.id.clone(), record.version);
    Box::pin(async move { backend.delete(&id, expected).await })
}

/// Checks that every read of this record returns one of the states, complete.
async fn assert_some_state(backend: &Backend, states: &[Credential], keys: &[AccessKey; 2]) {
    let Credential { id, user_id, .. } = &states[0];
    let by_id = get(backend, id).await.expect("found by its id");
    let by_slot = find_slot(backend, user_id, Slot::S3).await.expect("found by its slot");
    let listed = list_all(backend, &of_user(user_id, Order::Key)).await;
    assert_eq!(listed.len(), 1, "listed once");
    // The access key may change between the two lookups: then both find the record, or
    // neither.
    let by_keys = [find(backend, &keys[0]).await, find(backend, &keys[1]).await];
    for seen in [by_id, by_slot].into_iter().chain(listed).chain(by_keys.into_iter().flatten()) {
        let written = states.iter().find(|state| state.version == seen.version);
        assert_same(&seen, written.expect("a version that was written"));
    }
}
