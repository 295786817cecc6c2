//! Changing the key while the store is in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_credentials::{
    backend::{
        CredentialBackend,
        encrypted::{Encrypted, Resealed},
        memory::MemoryBackend,
    },
    domain::{Credential, CredentialId, Material, SecretKey},
};

use crate::{by_id, get, ids, insert, open, pair, reseal, ring, sealed, tamper, text};

/// The number of records that are not sealed with this key.
async fn others(store: &MemoryBackend, key: &str) -> usize {
    let mut others = 0;
    for id in ids(store, by_id()).await.iter().filter(|id| *id != crate::REGISTER) {
        let record = store.get(&CredentialId::from_stored(id.as_str())).await.unwrap().unwrap();
        let text = text(store, &record).await;
        others += usize::from(!text.starts_with(&format!("tower-sealed:1:{key}:")));
    }
    others
}

#[tokio::test]
async fn writes_use_the_newest_key_and_reads_any_key() {
    let (store, old) = sealed(&["k1"]).await;
    let [one, two] = ["one", "two"].map(|key| pair("alice", key));
    insert(&old, &one).await;
    let new = open(&store, &["k1", "k2"]).await;
    insert(&new, &two).await;
    assert!(text(&store, &one).await.starts_with("tower-sealed:1:k1:"));
    assert!(text(&store, &two).await.starts_with("tower-sealed:1:k2:"));
    assert_eq!(*get(&new, &one).await.unwrap(), one);
    assert_eq!(*get(&new, &two).await.unwrap(), two);
    let error = old.get(&two.id).await.unwrap_err();
    assert!(
        crate::corruption::<()>(Err(error)).contains("the key k2, which is not in the key ring")
    );
}

#[tokio::test]
async fn ring_of_the_new_key_alone_opens_everything_after_a_reseal() {
    let (store, old) = sealed(&["k1"]).await;
    let records: Vec<_> = (0..2_500).map(|n| pair("alice", &format!("key-{n}"))).collect();
    for record in &records {
        insert(&old, record).await;
    }
    let new = open(&store, &["k1", "k2"]).await;
    let mut reported = Vec::new();
    let outcome = new.reseal(|progress| reported.push(*progress)).await.unwrap();
    let Resealed::Done(last) = outcome else { panic!("{outcome:?}") };
    assert_eq!((last.pass, last.examined, last.resealed), (2, 2_500, 0));
    assert_eq!(last.resealed_in_all, 2_500);
    assert!(reported.len() >= 6, "reported after each page: {reported:?}");
    assert_eq!(reported.iter().map(|it| it.resealed).max(), Some(2_500));
    assert_eq!(others(&store, "k2").await, 0);

    let alone = open(&store, &["k2"]).await;
    assert_eq!(alone.keys_in_use().await.unwrap(), ["k2"]);
    for record in &records {
        let mut expected = record.clone();
        expected.version = record.version.next();
        assert_eq!(*get(&alone, record).await.unwrap(), expected, "its times stay");
    }
    assert_eq!(reseal(&alone).await, 0);
}

#[tokio::test]
async fn canceled_reseal_continues_where_it_stopped() {
    let (store, old) = sealed(&["k1"]).await;
    for index in 0..3_000 {
        insert(&old, &pair("alice", &format!("key-{index}"))).await;
    }
    let new = open(&store, &["k1", "k2"]).await;
    let first = new.reseal_page(None).await.unwrap();
    assert_eq!((first.examined, first.resealed), (1_000, 1_000));
    assert!(first.next.is_some() && first.unreadable.is_empty());
    // Canceled in the middle of a page.
    let given_up = tokio::time::timeout(Duration::from_millis(1), new.reseal(|_| ())).await;
    let left = others(&store, "k2").await;
    eprintln!("canceled: {}, {left} of 3000 records left", given_up.is_err());
    let error = Encrypted::open(store.clone(), ring(&["k2"])).await.unwrap_err();
    assert!(error.to_string().ends_with("sealed with: k1"), "{error}");
    let again = open(&store, &["k1", "k2"]).await;
    assert_eq!(usize::try_from(reseal(&again).await).unwrap(), left);
    open(&store, &["k2"]).await;
}

/// Two writers change records while everything is re-sealed, from key to key. Their own newest
/// key is the last one, so that re-sealing with another key often meets it.
#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_continue_during_a_reseal_and_nothing_is_lost() {
    const RECORDS: usize = 200;
    let (store, first) = sealed(&["k0"]).await;
    for index in 0..RECORDS {
        insert(&first, &pair("alice", &format!("key-{index}"))).await;
    }
    let all = ["k0", "k1", "k2", "k3", "k4"];
    let done = Arc::new(AtomicBool::new(false));
    let mut writing = Vec::new();
    for writer in 0..2 {
        let mine = (writer..RECORDS).step_by(2).map(|index| pair("alice", &format!("key-{index}")));
        let encrypted = open(&store, &all).await;
        writing.push(tokio::spawn(write_until(encrypted, mine.collect(), Arc::clone(&done))));
    }
    for key in &all[1..] {
        let ring: Vec<_> = all.iter().filter(|id| *id != key).chain([key]).copied().collect();
        let outcome = open(&store, &ring).await.reseal(|_| ()).await.unwrap();
        eprintln!("to {key}: {outcome:?}");
    }
    done.store(true, Ordering::Release);
    let last = open(&store, &all).await;
    let mut acknowledged = 0;
    for writer in writing {
        for (record, secret, writes) in writer.await.unwrap() {
            let found = get(&last, &record).await.unwrap();
            assert_eq!(found.secret_key().unwrap().expose(), secret);
            acknowledged += writes;
        }
    }
    eprintln!("{acknowledged} writes acknowledged, none lost");
    reseal(&last).await;
    assert_eq!(others(&store, "k4").await, 0);
    assert_eq!(ids(&open(&store, &["k4"]).await, by_id()).await.len(), RECORDS);
}

/// Gives each of these records, which no other task changes except to re-seal it, new secrets.
/// Returns the last acknowledged secret of each, and the number of acknowledged writes.
async fn write_until(
    encrypted: Encrypted<MemoryBackend>,
    records: Vec<Credential>,
    done: Arc<AtomicBool>,
) -> Vec<(Credential, String, u32)> {
    let secret = |step| format!("secret {step}");
    let mut written: Vec<_> = records
        .into_iter()
        .map(|it| (it.clone(), it.secret_key().unwrap().expose().into(), 0))
        .collect();
    for step in 0.. {
        for (record, last, writes) in &mut written {
            let found = get(&encrypted, record).await.unwrap();
            assert_eq!(found.secret_key().unwrap().expose(), last);
            let mut next: Credential = (*found).clone().touched(found.updated_at);
            next.material =
                Material::KeyPair { secret: Some(SecretKey::new(secret(step)).unwrap()) };
            if encrypted.update(&Arc::new(next), found.version).await.unwrap() {
                *last = secret(step);
                *writes += 1;
            }
        }
        if done.load(Ordering::Acquire) {
            break;
        }
        tokio::task::yield_now().await;
    }
    written
}

#[tokio::test]
async fn unopenable_record_does_not_stop_the_others_and_keeps_its_key_in_use() {
    let (store, old) = sealed(&["k1"]).await;
    for index in 0..10 {
        insert(&old, &pair("alice", &format!("key-{index}"))).await;
    }
    let damaged = pair("alice", "key-3");
    let whole = text(&store, &damaged).await;
    tamper(&store, &damaged.id, |it| crate::as_text(it, &whole[..30])).await;
    let new = open(&store, &["k1", "k2"]).await;
    let outcome = new.reseal(|_| ()).await.unwrap();
    let Resealed::Unreadable(progress, unreadable) = outcome else { panic!("{outcome:?}") };
    assert_eq!((progress.resealed_in_all, progress.unreadable), (9, 1));
    assert_eq!(unreadable, std::slice::from_ref(&damaged.id));
    assert_eq!(new.keys_in_use().await.unwrap(), ["k1", "k2"]);
    assert!(Encrypted::open(store.clone(), ring(&["k2"])).await.is_err());
    // The record is unchanged, and once it is fixed the rest is done.
    assert_eq!(text(&store, &damaged).await, whole[..30]);
    tamper(&store, &damaged.id, |it| crate::as_text(it, whole)).await;
    assert_eq!(reseal(&new).await, 1);
    open(&store, &["k2"]).await;
}
