//! Processes that write with an older ring during and after a reseal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, OpenErrorKind,
        encrypted::{Encrypted, ResealProgress, Resealed},
    },
    domain::Quota,
};

use crate::{by_id, get, ids, insert, open, pair, reseal, ring, sealed};

#[tokio::test]
async fn retired_key_is_in_use_again_before_a_write_with_it_returns() {
    let (store, straggler) = sealed(&["k1"]).await;
    insert(&straggler, &pair("alice", "one")).await;
    let new = open(&store, &["k1", "k2"]).await;
    assert_eq!(reseal(&new).await, 1);
    assert_eq!(new.keys_in_use().await.unwrap(), ["k2"]);

    let late = pair("alice", "late");
    insert(&straggler, &late).await;
    assert_eq!(new.keys_in_use().await.unwrap(), ["k2", "k1"]);
    let error = Encrypted::open(store.clone(), ring(&["k2"])).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::MissingKey);
    assert!(error.to_string().ends_with("sealed with: k1"), "{error}");

    // An update does the same.
    assert_eq!(reseal(&new).await, 1);
    let mut changed = (*get(&open(&store, &["k1", "k2"]).await, &late).await.unwrap()).clone();
    let version = changed.version;
    changed = changed.touched(late.updated_at);
    assert!(straggler.update(&Arc::new(changed.clone()), version).await.unwrap());
    assert!(Encrypted::open(store.clone(), ring(&["k2"])).await.is_err());
    assert_eq!(reseal(&new).await, 1);
    let alone = open(&store, &["k2"]).await;
    assert_eq!(get(&alone, &late).await.unwrap().secret_key(), changed.secret_key());
}

/// Between the last page and the end, where no page is read any more.
#[tokio::test(flavor = "multi_thread")]
async fn write_after_the_last_page_is_sealed_in_another_pass() {
    let (store, straggler) = sealed(&["k1"]).await;
    insert(&straggler, &pair("alice", "one")).await;
    let new = open(&store, &["k1", "k2"]).await;
    let late = pair("alice", "late");
    let write_late = |progress: &ResealProgress| {
        if progress.pass == 2 {
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| runtime.block_on(insert(&straggler, &late)));
        }
    };
    let outcome = new.reseal(write_late).await.unwrap();
    let Resealed::Done(progress) = outcome else { panic!("{outcome:?}") };
    assert_eq!((progress.pass, progress.resealed_in_all), (4, 2));
    let alone = open(&store, &["k2"]).await;
    assert_eq!(get(&alone, &late).await.unwrap().secret_key(), late.secret_key());
}

/// In every round some processes write with the old key during a reseal. Whenever the reseal
/// reports that it is done, a ring of the new key alone finds all acknowledged writes, or is
/// rejected.
#[tokio::test(flavor = "multi_thread")]
async fn key_of_every_acknowledged_write_is_in_use_after_races() {
    let (mut done, mut still_written, mut written) = (0, 0, 0);
    for round in 0..60 {
        let (store, _) = sealed(&["k1"]).await;
        let stopped = Arc::new(AtomicBool::new(false));
        let mut writing = Vec::new();
        for writer in 0..4 {
            let (straggler, stopped) = (open(&store, &["k1"]).await, Arc::clone(&stopped));
            writing.push(tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for index in 0..round {
                    if stopped.load(Ordering::Acquire) {
                        break;
                    }
                    let record = pair("alice", &format!("key-{writer}-{index}"));
                    insert(&straggler, &record).await;
                    acknowledged.push(record);
                    tokio::task::yield_now().await;
                }
                acknowledged
            }));
        }
        let new = open(&store, &["k1", "k2"]).await;
        match new.reseal(|_| ()).await.unwrap() {
            Resealed::Done(_) => done += 1,
            Resealed::StillWritten(_) => still_written += 1,
            other => panic!("{other:?}"),
        }
        stopped.store(true, Ordering::Release);
        let mut acknowledged = Vec::new();
        for writer in writing {
            acknowledged.extend(writer.await.unwrap());
        }
        written += acknowledged.len();
        match Encrypted::open(store.clone(), ring(&["k2"])).await {
            Ok(alone) => {
                for record in &acknowledged {
                    assert!(get(&alone, record).await.is_some());
                }
                assert_eq!(ids(&alone, by_id()).await.len(), acknowledged.len());
            }
            Err(error) => assert_eq!(error.kind(), OpenErrorKind::MissingKey),
        }
        reseal(&new).await;
        let alone = open(&store, &["k2"]).await;
        assert_eq!(ids(&alone, by_id()).await.len(), acknowledged.len());
    }
    eprintln!(
        "{written} writes acknowledged, none lost; done {done}, still written {still_written}"
    );
}

#[tokio::test]
async fn process_with_only_unknown_keys_accepts_no_writes() {
    let (store, straggler) = sealed(&["k1"]).await;
    let new = open(&store, &["k1", "k2"]).await;
    reseal(&new).await;
    // From here on no process that changes the register has the old key.
    open(&store, &["k2", "k3"]).await;
    let [first, second] = ["one", "two"].map(|key| pair("alice", key));
    for record in [&first, &second] {
        let error = straggler.insert(&Arc::new(record.clone()), Quota::Unlimited).await;
        assert!(matches!(error, Err(BackendError::Unavailable(_))), "{error:?}");
    }
    assert!(get(&store, &first).await.is_some(), "it was not acknowledged, and may have happened");
    assert!(get(&store, &second).await.is_none(), "it was rejected before it started");
}
