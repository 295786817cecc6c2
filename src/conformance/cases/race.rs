//! Clauses: *writes are atomic*, and each check is one step with its write, also for many
//! callers at once.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinHandle};

use crate::{
    backend::Order,
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_stored, assert_taken, find,
        fresh_access_key, fresh_opaque, fresh_pair, fresh_project, fresh_user, get, in_project,
        in_slot, insert, list_all, markers, of_user, pair, sorted, try_insert, unique, with_id,
    },
    domain::{Credential, Quota, Slot},
};

/// How often a race is run: a lucky schedule can hide a bug once, but not every time.
pub(super) const ROUNDS: usize = 10;

/// How many tasks take part in a race.
pub(super) const RACERS: usize = 8;

/// Exactly one of many inserts of one id, by one user, is stored.
///
/// # Panics
///
/// If the backend stores none or several of the records, or a refused insert leaves something
/// behind.
pub async fn racing_inserts_of_one_id_have_one_winner(backend: Backend) {
    for _ in 0..ROUNDS {
        let (user, id) = (fresh_user(), unique());
        let records: Vec<_> = (0..RACERS).map(|_| with_id(fresh_pair(&user), &id)).collect();
        assert_one_winner(&backend, &records).await;
        let stored = get(&backend, &records[0].id).await.expect("the winner is stored");
        for loser in records.iter().filter(|record| record.access_key != stored.access_key) {
            assert!(find(&backend, access_key(loser)).await.is_none());
        }
    }
}

/// Exactly one of many inserts of one access key, by one or many users, is stored.
///
/// # Panics
///
/// If the backend stores none or several of the records, or a refused insert leaves something
/// behind.
pub async fn racing_inserts_of_one_access_key_have_one_winner(backend: Backend) {
    for round in 0..ROUNDS {
        let (user, access_key) = (fresh_user(), fresh_access_key());
        let records: Vec<_> = (0..RACERS)
            .map(|_| {
                let user = if round % 2 == 0 { user.clone() } else { fresh_user() };
                with_id(pair(&user, access_key.clone()), &unique())
            })
            .collect();
        assert_one_winner(&backend, &records).await;
        let stored = find(&backend, &access_key).await.expect("the winner is stored");
        for loser in records.iter().filter(|record| record.id != stored.id) {
            assert!(get(&backend, &loser.id).await.is_none());
        }
    }
}

/// Exactly one of many inserts into one slot of a user is stored.
///
/// # Panics
///
/// If the backend stores none or several of the records, or a refused insert leaves something
/// behind.
pub async fn racing_inserts_into_one_slot_have_one_winner(backend: Backend) {
    for _ in 0..ROUNDS {
        let user = fresh_user();
        let records: Vec<_> =
            (0..RACERS).map(|_| in_slot(fresh_opaque(&user), Slot::Password)).collect();
        assert_one_winner(&backend, &records).await;
    }
}

/// Racing inserts fill a user's quota exactly.
///
/// # Panics
///
/// If the backend stores more or fewer records than the quota permits.
pub async fn quota_holds_under_racing_inserts(backend: Backend) {
    const QUOTA: u32 = 4;
    for _ in 0..ROUNDS {
        let user = fresh_user();
        let racers: Vec<_> = (0..QUOTA * 4)
            .map(|_| {
                let (backend, record) = (Arc::clone(&backend), fresh_pair(&user));
                async move { backend.insert(&record.clone().into(), Quota::AtMost(QUOTA)).await }
            })
            .collect();
        let mut stored = 0;
        for racer in start_together(racers) {
            match racer.await.expect("insert") {
                Ok(()) => stored += 1,
                refused => assert_over_quota(&refused),
            }
        }
        assert_eq!(stored, QUOTA);
        let held = list_all(&backend, &of_user(&user, Order::Key)).await.len();
        assert_eq!(held, QUOTA as usize);
    }
}

/// Records that are inserted during a purge are stored completely or deleted completely. The
/// purge counts exactly the deleted ones.
///
/// # Panics
///
/// If a record is incomplete, or the count is wrong.
pub async fn insert_racing_a_purge_is_complete_or_absent(backend: Backend) {
    for round in 0..ROUNDS {
        let (user, project) = (fresh_user(), fresh_project());
        let records: Vec<_> =
            (0..RACERS).map(|_| in_project(fresh_pair(&user), &project)).collect();
        let (before, during) = records.split_at(RACERS / 2);
        for record in before {
            insert(&backend, record).await;
        }
        let purge = {
            let backend = Arc::clone(&backend);
            let (user, project) = (user.clone(), project.clone());
            tokio::spawn(async move {
                if round % 2 == 0 {
                    backend.purge_user(&user).await
                } else {
                    backend.purge_project(&project).await
                }
            })
        };
        assert_eq!(race_inserts(&backend, during).await.len(), during.len());
        let purged = purge.await.expect("purge").expect("purge");

        let mut gone = 0;
        for record in &records {
            if get(&backend, &record.id).await.is_some() {
                assert_stored(&backend, record).await;
            } else {
                assert_gone(&backend, record).await;
                gone += 1;
            }
        }
        assert_eq!(purged, gone, "the purge counts the records that it deleted");
        for record in before {
            assert_gone(&backend, record).await;
        }
    }
}

/// Inserts all of these records at once; returns those that were stored. Panics if another one
/// was not refused as a duplicate.
pub(super) async fn race_inserts(backend: &Backend, records: &[Credential]) -> Vec<Credential> {
    let racers: Vec<_> = records
        .iter()
        .map(|record| {
            let (backend, record) = (Arc::clone(backend), record.clone());
            async move { try_insert(&backend, &record).await }
        })
        .collect();
    let mut winners = Vec::new();
    for (racer, record) in start_together(racers).into_iter().zip(records) {
        match racer.await.expect("insert") {
            Ok(()) => winners.push(record.clone()),
            refused => assert_taken(&refused),
        }
    }
    winners
}

async fn assert_one_winner(backend: &Backend, records: &[Credential]) {
    let winners = race_inserts(backend, records).await;
    assert_eq!(winners.len(), 1, "one racer wins");
    assert_stored(backend, &winners[0]).await;
    let listed = markers(backend, &of_user(&winners[0].user_id, Order::Key)).await;
    assert_eq!(listed, sorted(&[&winners[0]], Order::Key));
}

/// Runs futures as tasks that start when the last one is ready.
pub(super) fn start_together<F>(futures: Vec<F>) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let gate = Arc::new(Barrier::new(futures.len()));
    let start = |future: F| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            gate.wait().await;
            future.await
        })
    };
    futures.into_iter().map(start).collect()
}
