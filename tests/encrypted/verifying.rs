//! Finding records that cannot be opened.

use tower_credentials::{
    backend::{CredentialBackend, encrypted::Encrypted, memory::MemoryBackend},
    domain::UserId,
};

use crate::{by_id, corruption, get, ids, insert, open, pair, ring, sealed, tamper};

#[tokio::test]
async fn unopenable_records_are_found_and_do_not_stop_the_others() {
    let (store, old) = sealed(&["k1"]).await;
    let new = open(&store, &["k1", "k2"]).await;
    for index in 0..1_500 {
        let encrypted = if index % 3 == 0 { &old } else { &new };
        insert(encrypted, &pair("alice", &format!("key-{index}"))).await;
    }
    let (moved, plain) = (pair("alice", "key-7"), pair("root", "plain"));
    tamper(&store, &moved.id, |it| it.user_id = UserId::new("mallory").unwrap()).await;
    insert(&store, &plain).await;
    let before = ids(&store, by_id()).await;

    let (mut examined, mut outdated, mut unreadable, mut after) = (0, 0, Vec::new(), None);
    loop {
        let page = new.verify_page(after.as_deref()).await.unwrap();
        assert_eq!(page.plain, 0);
        examined += page.examined;
        outdated += page.outdated;
        unreadable.extend(page.unreadable);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((examined, outdated), (1_501, 500));
    let mut expected = [(&moved.id, "altered"), (&plain.id, "not sealed")];
    expected.sort();
    assert_eq!(unreadable.len(), expected.len());
    for ((id, error), (expected, why)) in unreadable.into_iter().zip(expected) {
        assert_eq!(id, *expected);
        let reported = corruption::<()>(Err(error));
        assert!(reported.contains(why), "{reported}");
    }
    assert_eq!(ids(&store, by_id()).await, before);
    assert!(get(&new, &pair("alice", "key-8")).await.is_some());
}

#[tokio::test]
async fn plain_records_of_an_adopted_store_are_counted() {
    let store = MemoryBackend::default();
    for key in ["one", "two"] {
        insert(&store, &pair("alice", key)).await;
    }
    let adopted = Encrypted::adopt(store.clone(), ring(&["k"])).await.unwrap();
    insert(&adopted, &pair("alice", "three")).await;
    let page = adopted.verify_page(None).await.unwrap();
    assert_eq!((page.examined, page.plain, page.outdated), (3, 2, 0));
    assert!(page.unreadable.is_empty() && page.next.is_none());
    assert!(store.get(&pair("alice", "one").id).await.unwrap().is_some());
}
