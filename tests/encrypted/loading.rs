//! Bulk loads.

use std::sync::Arc;

use tower_credentials::{
    backend::{
        CredentialBackend,
        contract::{BulkLoad, Loaded},
    },
    domain::{Credential, CredentialId, Quota, UserId},
};

use crate::{REGISTER, as_text, get, insert, open, pair, reseal, sealed, tamper, text};

fn records(count: usize) -> Vec<Arc<Credential>> {
    (0..count).map(|index| Arc::new(pair("alice", &format!("key-{index}")))).collect()
}

async fn load(to: &impl BulkLoad, records: &[Arc<Credential>], expected: Loaded) {
    assert_eq!(to.load(records).await.unwrap(), vec![expected; records.len()]);
}

#[tokio::test]
async fn loaded_records_are_sealed_and_opened_like_others() {
    let (store, encrypted) = sealed(&["k"]).await;
    let records = records(100);
    load(&encrypted, &records, Loaded::Stored).await;
    for record in &records {
        assert!(text(&store, record).await.starts_with("tower-sealed:1:k:"));
        assert_eq!(get(&encrypted, record).await.as_ref(), Some(record));
    }
}

#[tokio::test]
async fn reloaded_records_are_recognized_under_any_key_and_nonce() {
    let (store, encrypted) = sealed(&["k1"]).await;
    let records = records(100);
    load(&encrypted, &records[..50], Loaded::Stored).await;
    let once = text(&store, &records[0]).await;
    load(&encrypted, &records[..50], Loaded::AlreadyThere).await;
    assert_eq!(text(&store, &records[0]).await, once);
    // With random nonces.
    for record in &records[50..] {
        encrypted.insert(record, Quota::Unlimited).await.unwrap();
    }
    load(&encrypted, &records, Loaded::AlreadyThere).await;
    let newer = open(&store, &["k1", "k2"]).await;
    load(&newer, &records, Loaded::AlreadyThere).await;
    // After it was re-sealed, it has another version.
    assert_eq!(reseal(&newer).await, 100);
    load(&newer, &records, Loaded::Refused).await;
}

#[tokio::test]
async fn altered_record_is_refused_and_does_not_stop_the_others() {
    let (store, encrypted) = sealed(&["k"]).await;
    let records = records(3);
    load(&encrypted, &records[..2], Loaded::Stored).await;
    tamper(&store, &records[0].id, |it| as_text(it, "tower-sealed:1:k:AAAA")).await;
    let loaded = encrypted.load(&records).await.unwrap();
    assert_eq!(loaded, [Loaded::Refused, Loaded::AlreadyThere, Loaded::Stored]);
}

#[tokio::test]
async fn register_is_not_loaded_and_results_keep_their_places() {
    let (store, encrypted) = sealed(&["k"]).await;
    let mut register = pair("alice", "register");
    register.id = CredentialId::from_stored(REGISTER);
    let mut hidden = pair("alice", "hidden");
    hidden.user_id = UserId::from_stored("tower-sealed-keys");
    let (one, two) = (pair("alice", "one"), pair("alice", "two"));
    insert(&encrypted, &one).await;
    let before = store.get(&register.id).await.unwrap();
    let all = [register, one, hidden, two].map(Arc::new);
    let loaded = encrypted.load(&all).await.unwrap();
    let expected = [Loaded::Refused, Loaded::AlreadyThere, Loaded::Refused, Loaded::Stored];
    assert_eq!(loaded, expected);
    assert_eq!(store.get(&all[0].id).await.unwrap(), before);
}

#[tokio::test]
async fn load_with_an_older_key_puts_the_key_back_into_use() {
    let (store, straggler) = sealed(&["k1"]).await;
    let new = open(&store, &["k1", "k2"]).await;
    reseal(&new).await;
    assert_eq!(new.keys_in_use().await.unwrap(), ["k2"]);
    load(&straggler, &records(1), Loaded::Stored).await;
    assert_eq!(new.keys_in_use().await.unwrap(), ["k2", "k1"]);
}
