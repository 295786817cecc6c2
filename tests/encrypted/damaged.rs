//! Records that the store below cannot read.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tempfile::TempDir;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend,
        contract::Maintenance,
        encrypted::{Encrypted, Resealed},
        sqlite::SqliteBackend,
    },
    domain::Credential,
};

use crate::{corruption, get, insert, pair, reseal, ring};

struct File {
    folder: TempDir,
    store: SqliteBackend,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteBackend::open(folder.path().join("a.db")).unwrap();
        Self { folder, store }
    }

    fn damage(&self, record: &Credential) {
        let file = Connection::open(self.folder.path().join("a.db")).unwrap();
        let harm = "UPDATE records SET material = CAST(x'ff' AS TEXT) WHERE name = ?";
        assert_eq!(file.execute(harm, [record.id.as_str()]).unwrap(), 1);
    }
}

/// Stores this many records, in the order of a list.
async fn fill(backend: &impl CredentialBackend, count: usize) -> Vec<Credential> {
    let records: Vec<_> = (0..count).map(|n| pair("alice", &format!("key-{n:04}"))).collect();
    for record in &records {
        insert(backend, record).await;
    }
    records
}

#[tokio::test]
async fn reseal_skips_unreadable_records_and_seals_all_others() {
    let file = File::new();
    let old = Encrypted::open(file.store.clone(), ring(&["k1"])).await.unwrap();
    let records = fill(&old, 1_200).await;
    let damaged = [&records[0], &records[700], &records[1_199]];
    for record in damaged {
        file.damage(record);
    }
    let new = Encrypted::open(file.store.clone(), ring(&["k1", "k2"])).await.unwrap();
    let outcome = new.reseal(|_| ()).await.unwrap();
    let Resealed::Unreadable(reported, ids) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (reported.examined, reported.resealed_in_all, reported.unreadable),
        (1_200, 1_197, 3)
    );
    let (found, expected): (BTreeSet<_>, BTreeSet<_>) =
        (ids.iter().collect(), damaged.iter().map(|record| &record.id).collect());
    assert_eq!(found, expected);
    let mut in_use = new.keys_in_use().await.unwrap();
    in_use.sort();
    assert_eq!(in_use, ["k1", "k2"], "the damaged ones may be sealed with the older key");

    for record in damaged {
        assert!(file.store.discard(&record.id).await.unwrap());
    }
    assert_eq!(reseal(&new).await, 0);
    let alone = Encrypted::open(file.store.clone(), ring(&["k2"])).await.unwrap();
    assert_eq!(get(&alone, &records[1]).await.unwrap().material, records[1].material);
}

#[tokio::test]
async fn verify_reports_unreadable_and_unopenable_records() {
    let file = File::new();
    let encrypted = Encrypted::open(file.store.clone(), ring(&["k"])).await.unwrap();
    let records = fill(&encrypted, 40).await;
    file.damage(&records[7]);
    file.damage(&records[8]);
    let (mut examined, mut unreadable, mut after) = (0, Vec::new(), None);
    loop {
        let page = encrypted.verify_page(after.as_deref()).await.unwrap();
        examined += page.examined;
        unreadable.extend(page.unreadable);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(examined, 40);
    assert_eq!(unreadable.len(), 2);
    for ((id, error), record) in unreadable.into_iter().zip(&records[7..]) {
        assert_eq!(id, record.id);
        assert!(corruption::<()>(Err(error)).contains("column material"));
    }
}

#[tokio::test]
async fn store_with_an_unreadable_first_record_can_be_adopted() {
    let file = File::new();
    let records = fill(&file.store, 5).await;
    file.damage(&records[0]);
    let refused = Encrypted::open(file.store.clone(), ring(&["k"])).await;
    assert!(refused.is_err(), "it is unknown whether it is sealed");
    let adopted = Encrypted::adopt(file.store.clone(), ring(&["k"])).await.unwrap();
    let outcome = adopted.reseal(|_| ()).await.unwrap();
    let Resealed::Unreadable(reported, ids) = outcome else { panic!("{outcome:?}") };
    assert_eq!((reported.resealed_in_all, ids), (4, vec![records[0].id.clone()]));
    assert!(adopted.accepts_plain());
    let error = file.store.get(&records[0].id).await.unwrap_err();
    assert!(matches!(error, BackendError::Corrupt(_)));
    assert!(file.store.discard(&records[0].id).await.unwrap());
    assert_eq!(reseal(&adopted).await, 0);
    Encrypted::open(file.store.clone(), ring(&["k"])).await.unwrap();
}
