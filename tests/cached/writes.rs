//! A write through the cache takes effect on the next lookup.

use std::{sync::Arc, task::Poll};

use tokio_test::task;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, cached::Cached},
    domain::{CredentialId, ProjectId, Quota, Slot, UserId, Version},
};

use crate::{disabled, insert, key, pair, renamed, update, version, watched::Watched, world};

/// Every kind of write, and the versions under `key` and `new` after it. Before it, `key` has
/// version 1 and `new` does not exist.
const WRITES: &[(&str, Option<u64>, Option<u64>)] = &[
    ("disable", Some(2), None),
    ("rename", None, Some(2)),
    ("delete", None, None),
    ("purge user", None, None),
    ("purge project", None, None),
    ("insert another", Some(1), Some(1)),
    ("make again", Some(7), None),
];

async fn write(cached: &Cached<Watched>, kind: &str) {
    let old = pair("key");
    match kind {
        "disable" => assert!(update(cached, &disabled(&old), 1).await),
        "rename" => assert!(update(cached, &renamed(&old, "new"), 1).await),
        "delete" => assert!(cached.delete(&old.id, old.version).await.unwrap()),
        "purge user" => assert_eq!(cached.purge_user(&old.user_id).await.unwrap(), 1),
        "purge project" => {
            assert_eq!(cached.purge_project(old.project_id.as_ref().unwrap()).await.unwrap(), 1);
        }
        "insert another" => insert(cached, &pair("new")).await,
        "make again" => {
            assert!(cached.delete(&old.id, old.version).await.unwrap());
            let mut again = old;
            again.version = Version::from_stored(7);
            insert(cached, &again).await;
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_write_takes_effect_on_the_next_lookup() {
    for (kind, under_key, under_new) in WRITES {
        let (cached, ..) = world();
        insert(&cached, &pair("key")).await;
        assert_eq!(version(&cached, "key").await, Some(1));
        assert_eq!(version(&cached, "new").await, None);
        write(&cached, kind).await;
        assert_eq!(version(&cached, "key").await, *under_key, "{kind}");
        assert_eq!(version(&cached, "new").await, *under_new, "{kind}");
    }
}

#[tokio::test]
async fn write_of_a_renamed_record_takes_effect_under_its_new_name() {
    let (cached, ..) = world();
    insert(&cached, &pair("key")).await;
    let second = renamed(&pair("key"), "new");
    assert!(update(&cached, &second, 1).await);
    assert_eq!(version(&cached, "new").await, Some(2));
    assert!(update(&cached, &disabled(&second), 2).await);
    assert_eq!(version(&cached, "new").await, Some(3));
    assert!(cached.delete(&second.id, Version::from_stored(3)).await.unwrap());
    assert_eq!(version(&cached, "new").await, None);
}

#[tokio::test]
async fn lookup_from_before_a_write_is_not_served_after_it() {
    for (kind, under_key, under_new) in WRITES {
        let (cached, backend, _) = world();
        insert(&cached, &pair("key")).await;
        backend.reads().shut();
        let (other, another) = (cached.clone(), cached.clone());
        let early = tokio::spawn(async move { version(&other, "key").await });
        let absent = tokio::spawn(async move { version(&another, "new").await });
        backend.reads().arrived(2).await;
        write(&cached, kind).await;
        backend.reads().open();
        backend.reads().release(2);
        // They started before the write, and may return either state.
        early.await.unwrap();
        absent.await.unwrap();
        assert_eq!(version(&cached, "key").await, *under_key, "{kind}");
        assert_eq!(version(&cached, "new").await, *under_new, "{kind}");
    }
}

#[tokio::test]
async fn lookup_after_a_write_joins_no_call_from_before_it() {
    for (kind, under_key, under_new) in WRITES {
        let (cached, backend, _) = world();
        insert(&cached, &pair("key")).await;
        backend.reads().shut();
        let early = ["key", "new"].map(|name| {
            let cached = cached.clone();
            tokio::spawn(async move { version(&cached, name).await })
        });
        backend.reads().arrived(2).await;
        write(&cached, kind).await;
        backend.reads().open();
        // These start while the early lookups are still in progress.
        let mut late = ["key", "new"].map(|name| {
            let cached = cached.clone();
            task::spawn(async move { version(&cached, name).await })
        });
        assert!(late.iter_mut().all(|late| late.poll().is_pending()));
        backend.reads().release(2);
        for early in early {
            early.await.unwrap();
        }
        let [under, new] = late;
        assert_eq!(under.await, *under_key, "{kind}");
        assert_eq!(new.await, *under_new, "{kind}");
    }
}

#[tokio::test]
async fn refused_write_makes_the_next_lookup_call_again() {
    let (cached, backend, _) = world();
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        insert(backend.elsewhere(), &pair(name)).await;
        assert_eq!(version(&cached, name).await, Some(1));
        assert!(update(backend.elsewhere(), &disabled(&pair(name)), 1).await);
        assert_eq!(
            version(&cached, name).await,
            Some(1),
            "the write of the other process is not known yet"
        );
        let done = match number {
            0 => update(&cached, &disabled(&pair(name)), 1).await,
            _ => cached.delete(&pair(name).id, Version::from_stored(1)).await.unwrap(),
        };
        assert!(!done);
        assert_eq!(version(&cached, name).await, Some(2));
    }
    assert_eq!(version(&cached, "c").await, None);
    insert(backend.elsewhere(), &pair("c")).await;
    let taken = cached.insert(&pair("c").into(), Quota::Unlimited).await;
    assert!(matches!(taken, Err(BackendError::AlreadyExists)));
    assert_eq!(version(&cached, "c").await, Some(1));
}

#[tokio::test]
async fn failed_write_makes_the_next_lookup_call_again() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    backend.set_down(true);
    let failed = cached.update(&disabled(&pair("key")).into(), Version::from_stored(1)).await;
    assert!(matches!(failed, Err(BackendError::Unavailable(_))));
    // The write may have happened, so the earlier entry is stale.
    assert!(cached.find_by_access_key(&key("key")).await.is_err());
    backend.set_down(false);
    assert_eq!(version(&cached, "key").await, Some(1));
}

#[tokio::test]
async fn key_that_another_process_freed_is_the_new_records_after_an_insert() {
    let (cached, backend, _) = world();
    let first = pair("first");
    insert(&cached, &first).await;
    assert!(update(&cached, &renamed(&first, "key"), 1).await);
    assert_eq!(version(&cached, "key").await, Some(2));
    // Another process freed the access key, which this cache does not know; then it is created
    // here, under another id.
    assert!(backend.elsewhere().delete(&first.id, Version::from_stored(2)).await.unwrap());
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
}

#[tokio::test]
async fn canceled_write_takes_effect_when_it_is_done() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    backend.writes().shut();
    let next = Arc::new(disabled(&pair("key")));
    let mut update = task::spawn(cached.update(&next, Version::from_stored(1)));
    assert!(matches!(update.poll(), Poll::Pending));
    backend.writes().arrived(1).await;
    drop(update);
    assert_eq!(version(&cached, "key").await, Some(1), "it is not done yet");
    backend.writes().release(1);
    let mut seen = version(&cached, "key").await;
    for _ in 0..1_000 {
        if seen == Some(2) {
            return;
        }
        tokio::task::yield_now().await;
        seen = version(&cached, "key").await;
    }
    panic!("the write was lost, or did not take effect");
}

#[tokio::test]
async fn panic_in_a_write_is_unavailable_and_the_next_lookup_calls_again() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!((version(&cached, "key").await, backend.finds()), (Some(1), 1));
    backend.set_panics(true);
    let failed = cached.delete(&pair("key").id, Version::from_stored(1)).await;
    assert!(matches!(failed, Err(BackendError::Unavailable(_))));
    backend.set_panics(false);
    assert_eq!((version(&cached, "key").await, backend.finds()), (Some(1), 2));
}

#[tokio::test]
async fn write_that_ends_with_its_runtime_makes_the_next_lookup_call_again() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!((version(&cached, "key").await, backend.finds()), (Some(1), 1));
    backend.writes().shut();
    let (other, watched) = (cached.clone(), backend.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async move {
            let next = Arc::new(disabled(&pair("key")));
            let mut update = task::spawn(other.update(&next, Version::from_stored(1)));
            assert!(update.poll().is_pending());
            watched.writes().arrived(1).await;
        });
    })
    .join()
    .unwrap();
    assert_eq!((version(&cached, "key").await, backend.finds()), (Some(1), 2));
}

#[tokio::test]
async fn other_reads_call_the_backend_each_time() {
    let (cached, backend, _) = world();
    let credential = pair("key");
    insert(&cached, &credential).await;
    for round in 1..=2 {
        assert!(cached.get_latest(&credential.id).await.unwrap().is_some());
        assert!(cached.find_by_slot(&credential.user_id, Slot::S3).await.unwrap().is_none());
        let page = cached.list(&ListQuery::new(Order::Key)).await.unwrap();
        assert_eq!(page.credentials.len(), 1);
        assert_eq!(backend.other_reads(), round * 3);
        assert!(cached.find_latest_by_access_key(&key("key")).await.unwrap().is_some());
        assert_eq!(backend.finds(), round);
    }
}

#[tokio::test]
async fn writes_to_other_records_leave_an_entry_in_memory() {
    let (cached, backend, _) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    cached.purge_user(&UserId::new("bob").unwrap()).await.unwrap();
    cached.purge_project(&ProjectId::new("other").unwrap()).await.unwrap();
    cached.delete(&CredentialId::from_stored("x"), Version::from_stored(1)).await.unwrap();
    insert(&cached, &pair("another")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    // Different names may share a partition, by chance.
    assert!(backend.finds() <= 2);
    for number in 0..100 {
        insert(&cached, &pair(&number.to_string())).await;
        assert_eq!(version(&cached, "key").await, Some(1));
    }
    assert!(backend.finds() <= 10, "called {} times", backend.finds());
}
