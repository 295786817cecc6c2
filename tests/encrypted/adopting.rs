//! Stores with plain records.

use std::{error::Error, sync::Arc};

use tower_credentials::{
    backend::{CredentialBackend, OpenErrorKind, encrypted::Encrypted, memory::MemoryBackend},
    domain::Status,
};

use crate::{by_id, corruption, get, ids, insert, open, pair, reseal, ring, text};

async fn plain_store(records: usize) -> MemoryBackend {
    let store = MemoryBackend::default();
    for index in 0..records {
        insert(&store, &pair("alice", &format!("plain-{index}"))).await;
    }
    store
}

#[tokio::test]
async fn store_with_plain_records_is_rejected_with_a_hint() {
    let store = plain_store(1).await;
    let error = Encrypted::open(store.clone(), ring(&["k"])).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::NotSealed);
    let reported = error.to_string();
    assert!(reported.contains("reseal") && reported.contains("adopt"), "{reported}");
    assert!(error.source().is_none());
    assert_eq!(ids(&store, by_id()).await.len(), 1, "nothing was written");
}

#[tokio::test]
async fn adopted_store_reads_both_forms_and_seals_its_writes() {
    let store = plain_store(3).await;
    let adopted = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    assert!(adopted.accepts_plain());
    insert(&adopted, &pair("alice", "new")).await;
    assert_eq!(ids(&adopted, by_id()).await.len(), 4);
    let plain = get(&adopted, &pair("alice", "plain-1")).await.unwrap();
    assert_eq!(plain.secret_key().unwrap().expose(), "the secret of plain-1");
    let mut disabled = (*plain).clone().touched(plain.updated_at);
    disabled.status = Status::Inactive;
    assert!(adopted.update(&Arc::new(disabled.clone()), plain.version).await.unwrap());
    text(&store, &disabled).await;

    // Until then, only `adopt` opens the store.
    let error = Encrypted::open(store.clone(), ring(&["k"])).await.unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::NotSealed);
    assert!(Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap().accepts_plain());

    assert_eq!(reseal(&adopted).await, 2);
    assert!(!adopted.accepts_plain());
    let encrypted = open(&store, &["k"]).await;
    assert_eq!(ids(&encrypted, by_id()).await.len(), 4);
    assert_eq!(get(&encrypted, &disabled).await, Some(Arc::new(disabled)));
    let sealed = get(&encrypted, &pair("alice", "plain-2")).await.unwrap();
    assert_eq!(sealed.secret_key().unwrap().expose(), "the secret of plain-2");
}

#[tokio::test]
async fn plain_record_inserted_after_sealing_is_corrupt() {
    let store = plain_store(1).await;
    let one = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    let two = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    reseal(&one).await;
    // The other handle learns of it with its next write.
    assert!(two.accepts_plain());
    insert(&two, &pair("alice", "new")).await;
    assert!(!two.accepts_plain());
    let again = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    let smuggled = pair("root", "smuggled");
    insert(&store, &smuggled).await;
    for encrypted in [one, two, again, open(&store, &["k"]).await] {
        corruption(encrypted.get(&smuggled.id).await);
    }
}

#[tokio::test]
async fn empty_store_is_adopted_as_a_sealed_one() {
    let store = MemoryBackend::default();
    let adopted = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    assert!(!adopted.accepts_plain());
    open(&store, &["k"]).await;
}

#[tokio::test]
async fn sealed_store_without_its_register_can_be_adopted() {
    let (store, encrypted) = crate::sealed(&["k1"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    let id = tower_credentials::domain::CredentialId::from_stored(crate::REGISTER);
    let register = store.get(&id).await.unwrap().unwrap();
    assert!(store.delete(&id, register.version).await.unwrap());
    let adopted = Encrypted::adopt(store.clone(), ring(&["k1", "k2"])).await.unwrap();
    assert_eq!(*get(&adopted, &record).await.unwrap(), record);
    assert_eq!(reseal(&adopted).await, 1);
    open(&store, &["k2"]).await;
}
