//! Clauses about loads that race with other writes.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use crate::{
    backend::{BackendError, Order, contract::Loaded},
    conformance::fixtures::{
        Backend, access_key, assert_stored, find, fresh_access_key, fresh_full, fresh_pair,
        fresh_user, get, insert, markers, of_user, pair, rekeyed, sorted, try_insert, update,
    },
    domain::{CredentialId, Quota, Slot},
};

use super::cases::{Load, loaded};

/// Loads of the same records at the same time store each record once.
///
/// # Panics
///
/// If a record is refused, or is stored more than once.
pub async fn racing_loads_of_the_same_records_store_each_once(backend: Backend, load: Load) {
    const LOADS: usize = 6;
    let user = fresh_user();
    let records: Vec<_> = (0..100).map(|_| fresh_pair(&user)).collect();
    let racers: Vec<_> = (0..LOADS)
        .map(|n| {
            let (load, mut records) = (Arc::clone(&load), records.clone());
            // In opposite orders, so that a store that locks record by record could deadlock.
            if n % 2 == 0 {
                records.reverse();
            }
            tokio::spawn(async move {
                let mut outcomes = loaded(&load, &records).await;
                if n % 2 == 0 {
                    outcomes.reverse();
                }
                outcomes
            })
        })
        .collect();
    let mut stored = vec![0; records.len()];
    for racer in racers {
        let outcomes = racer.await.expect("load");
        assert!(!outcomes.contains(&Loaded::Refused), "refused because of itself");
        for (stored, outcome) in stored.iter_mut().zip(outcomes) {
            *stored += usize::from(outcome == Loaded::Stored);
        }
    }
    assert_eq!(stored, [1; 100]);
    let expected = sorted(&records.iter().collect::<Vec<_>>(), Order::Key);
    assert_eq!(markers(&backend, &of_user(&user, Order::Key)).await, expected);
    let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(101)).await;
    inserted.expect("each record counts once");
}

/// A load and an insert of two records with the same access key have one winner.
///
/// # Panics
///
/// If both the load and the insert store their record, or neither does.
pub async fn racing_loads_and_inserts_of_one_access_key_have_one_winner(
    backend: Backend,
    load: Load,
) {
    for _ in 0..20 {
        let access_key = fresh_access_key();
        let candidates = [0, 1].map(|_| pair(&fresh_user(), access_key.clone()));
        let [mut inserted, mut to_load] = candidates;
        inserted.id = CredentialId::of(&fresh_access_key());
        to_load.slot = Some(Slot::S3);
        let racer = {
            let (load, record) = (Arc::clone(&load), to_load.clone());
            tokio::spawn(async move { loaded(&load, &[record]).await[0] })
        };
        let outcome = try_insert(&backend, &inserted).await;
        let winner = match (outcome, racer.await.expect("load")) {
            (Ok(()), Loaded::Refused) => inserted,
            (Err(BackendError::AlreadyExists), Loaded::Stored) => to_load,
            both => panic!("expected one winner, got {both:?}"),
        };
        assert_stored(&backend, &winner).await;
    }
}

/// A record that is updated while its older state is loaded keeps the update.
///
/// # Panics
///
/// If the older state returns.
pub async fn concurrent_update_is_kept(backend: Backend, load: Load) {
    for _ in 0..20 {
        let before = fresh_full();
        insert(&backend, &before).await;
        let after = rekeyed(&before, &fresh_access_key());
        let racer = {
            let (load, record) = (Arc::clone(&load), before.clone());
            tokio::spawn(async move { loaded(&load, &[record]).await[0] })
        };
        assert!(update(&backend, &after, before.version).await, "nothing changed the version");
        assert_ne!(racer.await.expect("load"), Loaded::Stored);
        assert_stored(&backend, &after).await;
        assert!(find(&backend, access_key(&before)).await.is_none());
    }
}

/// A load whose future is dropped stores each of its records completely or not at all. Loading
/// again stores the missing records.
///
/// # Panics
///
/// If a part of a record is stored, or blocks the second load.
pub async fn dropped_load_stores_each_record_completely_or_not_at_all(
    backend: Backend,
    load: Load,
) {
    for pause in 0..6 {
        let user = fresh_user();
        let mut records: Vec<_> = (0..20).map(|_| fresh_full()).collect();
        records.iter_mut().zip(0..).for_each(|(record, n)| {
            // One slot for each user, and some without.
            if n > 0 {
                record.slot = None;
            }
            record.user_id = user.clone();
        });
        let shared: Vec<_> = records.iter().cloned().map(Arc::new).collect();
        drop_at_pause(pause, load.load(&shared)).await;
        for record in &records {
            if get(&backend, &record.id).await.is_some() {
                assert_stored(&backend, record).await;
            }
        }
        assert!(!loaded(&load, &records).await.contains(&Loaded::Refused));
        let expected = sorted(&records.iter().collect::<Vec<_>>(), Order::Key);
        assert_eq!(markers(&backend, &of_user(&user, Order::Key)).await, expected);
        let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(21)).await;
        inserted.expect("each record counts once");
    }
}

/// Polls a future until it has paused this often, then drops it.
async fn drop_at_pause<F: Future>(pause: usize, future: F) {
    let (mut future, mut left) = (pin!(future), pause);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending if left == 0 => Poll::Ready(()),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}
