//! Lookups by id: from the same entries as those by access key.

use std::time::Duration;

use tokio::task::JoinSet;
use tower_credentials::{
    backend::{CredentialBackend, cached::Cached},
    domain::{Blob, Credential, CredentialId, Kind, Material, Version},
};

use crate::{
    TestClock, disabled, insert, key, pair, renamed, update, version, version_by_id,
    watched::Watched, world,
};

/// A record without an access key.
fn opaque(id: &str) -> Credential {
    let mut record = pair("key");
    record.id = CredentialId::from_stored(id);
    record.kind = Kind::new("totp").unwrap();
    record.access_key = None;
    record.material = Material::Blob(Blob::new("seed"));
    record
}

#[tokio::test]
async fn record_is_one_entry_for_lookups_by_id_and_by_access_key() {
    let (cached, backend, _) = world();
    let (by_id_first, by_key_first) = (pair("one"), pair("two"));
    insert(&cached, &by_id_first).await;
    insert(&cached, &by_key_first).await;
    for _ in 0..3 {
        assert_eq!(version_by_id(&cached, &by_id_first).await, Some(1));
        assert_eq!(version(&cached, "one").await, Some(1));
    }
    assert_eq!((backend.other_reads(), backend.finds()), (1, 0));
    for _ in 0..3 {
        assert_eq!(version(&cached, "two").await, Some(1));
        assert_eq!(version_by_id(&cached, &by_key_first).await, Some(1));
    }
    // The access key does not yield the id: the first lookup by id calls the backend too.
    assert_eq!((backend.other_reads(), backend.finds()), (2, 1));
    let stats = cached.stats();
    assert_eq!((stats.entries, stats.hits, stats.misses), (2, 9, 3));
}

#[tokio::test]
async fn write_of_another_process_takes_effect_by_id_within_the_ttl() {
    let (cached, backend, clock) = world();
    let (changed, deleted) = (pair("changed"), pair("deleted"));
    for record in [&changed, &deleted] {
        insert(backend.elsewhere(), record).await;
        assert_eq!(version_by_id(&cached, record).await, Some(1));
    }
    assert!(update(backend.elsewhere(), &disabled(&changed), 1).await);
    assert!(backend.elsewhere().delete(&deleted.id, Version::from_stored(1)).await.unwrap());
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(version_by_id(&cached, &changed).await, Some(1), "from memory");
    assert_eq!(version_by_id(&cached, &deleted).await, Some(1), "from memory");
    clock.advance(Duration::from_millis(1));
    assert_eq!(version_by_id(&cached, &deleted).await, None);
    assert_eq!(version(&cached, "deleted").await, None);
    crate::until(|| backend.finds() > 0).await;
    assert_eq!(version_by_id(&cached, &changed).await, Some(2));
}

#[tokio::test]
async fn every_write_takes_effect_by_id_on_the_next_lookup() {
    let (cached, ..) = world();
    let record = pair("key");
    for kind in ["update", "delete", "purge user", "purge project"] {
        insert(&cached, &record).await;
        assert_eq!(version_by_id(&cached, &record).await, Some(1), "{kind}");
        let purged = match kind {
            "update" => {
                assert!(update(&cached, &disabled(&record), 1).await);
                assert_eq!(version_by_id(&cached, &record).await, Some(2));
                assert!(cached.delete(&record.id, Version::from_stored(2)).await.unwrap());
                1
            }
            "delete" => cached.delete(&record.id, Version::from_stored(1)).await.unwrap().into(),
            "purge user" => cached.purge_user(&record.user_id).await.unwrap(),
            _ => cached.purge_project(record.project_id.as_ref().unwrap()).await.unwrap(),
        };
        assert_eq!(purged, 1, "{kind}");
        assert_eq!(version_by_id(&cached, &record).await, None, "{kind}");
        assert_eq!(version(&cached, "key").await, None, "{kind}");
    }
}

#[tokio::test]
async fn absent_id_is_looked_up_each_time() {
    let (cached, backend, _) = world();
    let record = pair("key");
    for reads in 1..=3 {
        assert_eq!(version_by_id(&cached, &record).await, None);
        assert_eq!(backend.other_reads(), reads);
    }
    insert(backend.elsewhere(), &record).await;
    assert_eq!(version_by_id(&cached, &record).await, Some(1));
    assert_eq!(cached.stats().absences, 0);
}

#[tokio::test]
async fn record_without_an_access_key_is_served_by_id() {
    let (cached, backend, clock) = world();
    let ids = ["5ac1", &"ab".repeat(32), &"x".repeat(256), "key"];
    for (number, id) in ids.into_iter().enumerate() {
        let record = opaque(id);
        insert(backend.elsewhere(), &record).await;
        for _ in 0..2 {
            assert_eq!(version_by_id(&cached, &record).await, Some(1), "{id}");
        }
        assert_eq!(backend.other_reads(), number + 1, "{id}");
    }
    assert_eq!(version(&cached, "key").await, None, "an id is not an access key");
    assert_eq!(cached.stats().entries, ids.len());
    let record = opaque("5ac1");
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    clock.advance(Duration::from_secs(10));
    assert_eq!(version_by_id(&cached, &record).await, Some(2));
    assert!(update(&cached, &disabled(&disabled(&record)), 2).await);
    assert_eq!(version_by_id(&cached, &record).await, Some(3));
}

#[tokio::test]
async fn id_leads_to_the_access_key_that_the_record_has_now() {
    let (cached, backend, clock) = world();
    let (record, other) = (pair("old"), pair("other"));
    insert(backend.elsewhere(), &record).await;
    insert(backend.elsewhere(), &other).await;
    assert_eq!(version_by_id(&cached, &record).await, Some(1));
    // The other record gets the access key, and the first one another.
    assert!(update(backend.elsewhere(), &renamed(&record, "new"), 1).await);
    assert!(update(backend.elsewhere(), &renamed(&other, "old"), 1).await);
    clock.advance(Duration::from_secs(10));
    let found = cached.find_by_access_key(&key("old")).await.unwrap().unwrap();
    assert_eq!(found.id, other.id);
    let found = cached.get(&record.id).await.unwrap().unwrap();
    assert_eq!((&found.id, found.access_key.as_ref()), (&record.id, Some(&key("new"))));
    let reads = (backend.other_reads(), backend.finds());
    assert_eq!(version(&cached, "new").await, Some(2));
    assert_eq!(version_by_id(&cached, &record).await, Some(2));
    assert_eq!((backend.other_reads(), backend.finds()), reads);

    let mut keyless = disabled(&renamed(&record, "new"));
    keyless.access_key = None;
    assert!(update(&cached, &keyless, 2).await);
    for _ in 0..2 {
        assert_eq!(version_by_id(&cached, &record).await, Some(3));
        assert_eq!(version(&cached, "new").await, None);
    }
    assert!(update(&cached, &disabled(&renamed(&keyless, "newer")), 3).await);
    assert_eq!(version_by_id(&cached, &record).await, Some(5));
}

#[tokio::test]
async fn earlier_answer_by_id_does_not_replace_a_later_one() {
    let (cached, backend, clock) = world();
    let record = pair("key");
    insert(backend.elsewhere(), &record).await;
    backend.reads().shut();
    let early = tokio::spawn({
        let (cached, record) = (cached.clone(), record.clone());
        async move { version_by_id(&cached, &record).await }
    });
    backend.reads().arrived(1).await;
    backend.reads().open();
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    clock.advance(Duration::from_millis(1));
    assert_eq!(version(&cached, "key").await, Some(2));
    backend.reads().release(1);
    assert_eq!(early.await.unwrap(), Some(1), "as it was when the lookup started");
    assert_eq!(version(&cached, "key").await, Some(2));
}

#[tokio::test]
async fn concurrent_lookups_of_one_id_are_one_call() {
    let (cached, backend, _) = world();
    let record = pair("key");
    insert(&cached, &record).await;
    backend.reads().shut();
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let (cached, record) = (cached.clone(), record.clone());
        asking.spawn(async move { version_by_id(&cached, &record).await });
    }
    backend.reads().arrived(1).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    backend.reads().open();
    backend.reads().release(1);
    assert!(asking.join_all().await.iter().all(|found| *found == Some(1)));
    assert_eq!(backend.other_reads(), 1);
}

#[tokio::test]
async fn lookups_by_id_keep_the_capacity() {
    for capacity in [0, 1, 100] {
        let (backend, clock) = (Watched::default(), TestClock::default());
        let cached = Cached::builder(backend.clone()).capacity(capacity).clock(clock).build();
        for number in 0..500 {
            let record = pair(&format!("key-{number}"));
            insert(backend.elsewhere(), &record).await;
            assert_eq!(version_by_id(&cached, &record).await, Some(1));
        }
        let entries = cached.stats().entries;
        assert!(entries <= capacity && entries >= capacity * 9 / 10, "{entries} of {capacity}");
    }
}

#[tokio::test]
async fn overlong_ids_and_access_keys_are_found_by_id_but_not_cached() {
    let (cached, backend, _) = world();
    let overlong = [opaque(&"x".repeat(257)), pair(&"k".repeat(257))];
    for record in &overlong {
        insert(&cached, record).await;
        for _ in 0..2 {
            assert_eq!(version_by_id(&cached, record).await, Some(1));
        }
    }
    assert_eq!((backend.other_reads(), cached.stats().entries), (4, 0));
}

#[tokio::test]
async fn errors_by_id_are_not_cached() {
    let (cached, backend, clock) = world();
    let record = pair("key");
    insert(&cached, &record).await;
    backend.set_down(true);
    assert!(cached.get(&record.id).await.is_err());
    backend.set_down(false);
    assert_eq!(version_by_id(&cached, &record).await, Some(1));
    backend.set_down(true);
    assert_eq!(version_by_id(&cached, &record).await, Some(1), "from memory");
    assert!(cached.get_latest(&record.id).await.is_err());
    clock.advance(Duration::from_secs(10));
    assert!(cached.get(&record.id).await.is_err(), "older answers are not served");
}
