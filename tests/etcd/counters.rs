//! Quotas and their counters.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tower_credentials::{
    backend::{BackendError, CredentialBackend, contract::Maintenance},
    domain::{Credential, CredentialId, Quota, Slot, UserId},
};

use crate::paging::of_user;
use crate::{cluster, connect, insert, pair};

#[tokio::test(flavor = "multi_thread")]
async fn racing_inserts_of_two_processes_fill_a_quota_and_never_exceed_it() {
    const QUOTA: u32 = 7;
    let Some(cluster) = cluster(3, &[]) else { return };
    let handles = [connect(&cluster).await, connect(&cluster).await];
    for round in 0..10 {
        let user = format!("user-{round}");
        let racers: Vec<_> = (0..2 * QUOTA)
            .map(|racer| {
                let (backend, record) = (handles[racer as usize % 2].clone(), pair(&user));
                tokio::spawn(async move {
                    match backend.insert(&record, Quota::AtMost(QUOTA)).await {
                        Ok(()) => Some(record),
                        Err(BackendError::QuotaExceeded) => None,
                        Err(other) => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        let mut stored = Vec::new();
        for racer in racers {
            stored.extend(racer.await.unwrap());
        }
        assert_eq!(stored.len(), QUOTA as usize);
        let page = handles[0].list(&of_user(&user)).await.unwrap();
        assert_eq!(page.credentials.len(), QUOTA as usize);
        // A delete by one process makes room for the other at once.
        assert!(handles[0].delete(&stored[0].id, stored[0].version).await.unwrap());
        handles[1].insert(&pair(&user), Quota::AtMost(QUOTA)).await.unwrap();
    }
    assert_eq!(handles[0].check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_insert_takes_no_quota_from_concurrent_inserts() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let taken = pair("amy");
    insert(&backend, &taken).await.unwrap();
    for round in 0..10 {
        let user = format!("user-{round}");
        let clashing = || {
            let mut clashing = (*pair(&user)).clone();
            clashing.access_key.clone_from(&taken.access_key);
            Arc::new(clashing)
        };
        // The others queue up while the first is under way.
        let records = [pair(&user), clashing(), clashing(), pair(&user), pair(&user)];
        let inserts: Vec<_> = records
            .iter()
            .map(|record| {
                let (backend, record) = (backend.clone(), Arc::clone(record));
                async move { backend.insert(&record, Quota::AtMost(2)).await }
            })
            .map(tokio::spawn)
            .collect();
        let mut results = Vec::new();
        for insert in inserts {
            results.push(insert.await.unwrap());
        }
        let stored = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(stored, 2, "{results:?}");
        let page = backend.list(&of_user(&user)).await.unwrap();
        assert_eq!(page.credentials.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_writes_of_two_processes_to_one_record_have_one_winner() {
    let Some(cluster) = cluster(3, &[]) else { return };
    let handles = [connect(&cluster).await, connect(&cluster).await];
    for round in 0..20 {
        // One id, one access key or one slot, by two users or by one.
        let (one, mut two) = (pair("amy"), (*pair("bob")).clone());
        match round % 3 {
            0 => two.id = one.id.clone(),
            1 => two.access_key.clone_from(&one.access_key),
            _ => {}
        }
        let slotted = |record: &Credential| {
            let mut record = record.clone();
            if round % 3 == 2 {
                record.slot = Some(Slot::S3);
                record.user_id = UserId::new(format!("user-{round}")).unwrap();
            }
            Arc::new(record)
        };
        let (one, two) = (slotted(&one), slotted(&two));
        let raced = tokio::join!(insert(&handles[0], &one), insert(&handles[1], &two));
        let winner = match raced {
            (Ok(()), Err(BackendError::AlreadyExists)) => one,
            (Err(BackendError::AlreadyExists), Ok(())) => two,
            other => panic!("{other:?}"),
        };
        assert_eq!(handles[1].get(&winner.id).await.unwrap().as_ref(), Some(&winner));

        let next = Arc::new((*winner).clone().touched(std::time::UNIX_EPOCH));
        let raced = tokio::join!(
            handles[0].update(&next, winner.version),
            handles[1].delete(&winner.id, winner.version),
        );
        let (updated, deleted) = (raced.0.unwrap(), raced.1.unwrap());
        assert_ne!(updated, deleted);
        assert_eq!(handles[0].get(&winner.id).await.unwrap(), updated.then_some(next));
    }
    assert_eq!(handles[0].check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_counters_are_corrected_during_other_writes() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let (backend, other) = (connect(&cluster).await, connect(&cluster).await);
    for user in 0..20 {
        for _ in 0..3 {
            insert(&backend, &pair(&format!("user-{user}"))).await.unwrap();
        }
    }
    let gone = pair("gone");
    insert(&backend, &gone).await.unwrap();
    assert!(backend.delete(&gone.id, gone.version).await.unwrap());
    let sound = backend.check_counters().await.unwrap().unwrap();
    assert_eq!((sound.users, sound.wrong), (21, 0));

    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (backend, is_over) = (other.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let record = pair(&format!("user-{writer}"));
                    insert(&backend, &record).await.unwrap();
                    if record.id.as_str() < "8" {
                        assert!(backend.delete(&record.id, record.version).await.unwrap());
                    }
                }
            })
        })
        .collect();
    for user in [0, 2, 7] {
        cluster.put(&format!("tower-credentials/quser-{user}"), "1000");
    }
    cluster.delete("tower-credentials/quser-8");
    cluster.put("tower-credentials/quser-9", "2");
    cluster.put("tower-credentials/qgone", "1");
    let full = backend.insert(&pair("user-7"), Quota::AtMost(4)).await;
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");

    let found = backend.check_counters().await.unwrap().unwrap();
    assert_eq!((found.users, found.wrong), (21, 6));
    let repaired = backend.recount().await.unwrap().unwrap();
    assert_eq!((repaired.users, repaired.wrong), (21, 6));
    // Repeated, because a write between count and correction is rare.
    for round in 0..40 {
        cluster.put(&format!("tower-credentials/quser-{}", round % 4), "1000");
        backend.recount().await.unwrap().unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let after = backend.recount().await.unwrap().unwrap();
    assert_eq!((after.users, after.wrong), (21, 0));
    for user in ["user-7", "user-8", "user-9"] {
        backend.insert(&pair(user), Quota::AtMost(4)).await.unwrap();
        let full = backend.insert(&pair(user), Quota::AtMost(4)).await;
        assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
    }

    // A counter that cannot be read blocks its user's writes until it is corrected.
    cluster.put("tower-credentials/quser-9", "many");
    let fresh = connect(&cluster).await;
    let refused = insert(&fresh, &pair("user-9")).await;
    assert!(matches!(refused, Err(BackendError::Corrupt(_))), "{refused:?}");
    assert_eq!(backend.recount().await.unwrap().unwrap().wrong, 1);
    insert(&fresh, &pair("user-9")).await.unwrap();
    assert_eq!(fresh.get(&CredentialId::from_stored("none")).await.unwrap(), None);
}
