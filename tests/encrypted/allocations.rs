//! The allocations of opening and sealing a record.

use std::sync::Arc;

use tokio_test::{assert_ready_ok, task};
use tower_credentials::{backend::CredentialBackend, domain::Quota};

use crate::{counting::allocations, insert, pair, sealed};

/// For the identity, the decoded text, the strings of the material, the shared record, and the
/// copies of its fields, which the store makes too.
const OPEN: usize = 14;

#[tokio::test]
async fn opening_a_record_takes_few_allocations() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    let key = record.access_key.clone().unwrap();
    let mut plain = task::spawn(store.find_by_access_key(&key));
    let (_, in_store) = allocations(|| assert_ready_ok!(plain.poll()));
    let mut opening = task::spawn(encrypted.find_by_access_key(&key));
    let (opened, in_all) = allocations(|| assert_ready_ok!(opening.poll()));
    assert_eq!(*opened.unwrap(), record);
    eprintln!("{in_all} allocations, {in_store} of them in the store");
    assert!(in_all - in_store <= OPEN, "{in_all} - {in_store}");
}

#[tokio::test]
async fn write_does_not_parse_an_unchanged_register() {
    let (_, encrypted) = sealed(&["k"]).await;
    let insert = |index: usize| {
        let (encrypted, record) = (encrypted.clone(), pair("alice", &format!("key-{index}")));
        async move { encrypted.insert(&Arc::new(record), Quota::Unlimited).await }
    };
    insert(0).await.unwrap();
    let mut inserting = task::spawn(insert(1));
    let ((), in_all) = allocations(|| assert_ready_ok!(inserting.poll()));
    eprintln!("{in_all} allocations");
    // Parsing and checking the register again would take several times as many.
    assert!(in_all <= 60, "{in_all}");
}
