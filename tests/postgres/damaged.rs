//! A damaged row fails only the calls that include it.

use std::{
    fs,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, Order,
        contract::{BulkLoad, Loaded, Maintenance},
        postgres::PostgresBackend,
    },
    domain::{Blob, Credential, Material, Quota},
};

use crate::{damaged_list::read_around_damage, lab, load::pair};

/// Stores records, sorted by id. The second one has a secret that is long and incompressible, so
/// that the server stores it outside of the row.
async fn records(backend: &PostgresBackend) -> Vec<Arc<Credential>> {
    let mut records: Vec<_> = (0..6).map(|_| pair("amy")).collect();
    for (record, second) in records.iter_mut().zip(7..) {
        let expires_at = UNIX_EPOCH + Duration::from_secs(second / 2);
        Arc::make_mut(record).terms.set_expires_at(Some(expires_at));
    }
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let mut long = (*records[1]).clone();
    let text: String = (0..1_000).map(|_| pair("x").id.as_str().to_owned()).collect();
    long.material = Material::Blob(Blob::new(text));
    records[1] = long.into();
    for record in &records {
        backend.insert(record, Quota::Unlimited).await.unwrap();
    }
    records
}

async fn check_the_others(backend: &PostgresBackend, records: &[Arc<Credential>], damaged: usize) {
    let damaged = &records[damaged];
    assert!(matches!(backend.get(&damaged.id).await, Err(BackendError::Corrupt(_))));
    for order in [Order::ExpiresAt, Order::Key] {
        let marker = order.marker(damaged).unwrap();
        assert_eq!(
            read_around_damage(backend, order).await,
            (records.len() - 1, vec![marker]),
            "{order:?}"
        );
    }
    let new = pair("amy");
    let wanted: Vec<_> = records.iter().chain([&new]).cloned().collect();
    let loaded = backend.load(&wanted).await.unwrap();
    for (record, loaded) in wanted.iter().zip(loaded) {
        let expected = match record {
            record if record.id == damaged.id => Loaded::Refused,
            record if record.id == new.id => Loaded::Stored,
            _ => Loaded::AlreadyThere,
        };
        assert_eq!(loaded, expected);
    }
    assert!(backend.discard(&damaged.id).await.unwrap());
    assert!(!backend.discard(&damaged.id).await.unwrap());
    assert_eq!(read_around_damage(backend, Order::Key).await, (records.len(), vec![]));
    backend.insert(damaged, Quota::Unlimited).await.unwrap();
    assert_eq!(backend.get(&damaged.id).await.unwrap().as_ref(), Some(damaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_that_is_not_a_record_is_skipped_and_can_be_discarded() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let records = records(&backend).await;
    let client = lab::connect(&url).await;
    let harm = "UPDATE credentials SET material = 'hush' WHERE id = $1";
    assert_eq!(client.execute(harm, &[&records[3].id.as_str()]).await.unwrap(), 1);
    check_the_others(&backend, &records, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_that_the_server_cannot_read_is_skipped_and_can_be_discarded() {
    let Some(mut server) = lab::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let records = records(&PostgresBackend::open(&url).await.unwrap()).await;
    let client = lab::connect(&url).await;
    let file: String = client
        .query_one(
            "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'credentials'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    drop(client);
    server.stop();
    // Overwrites the values outside of the rows, as a damaged disk would.
    let file = server.data().join(file);
    let length = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
    assert!(length > 0, "no value is stored outside of the rows");
    fs::write(&file, vec![0; length]).unwrap();
    server.restart();
    let backend = PostgresBackend::open(&url).await.unwrap();
    check_the_others(&backend, &records, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_with_an_invalid_id_is_skipped() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let records = records(&backend).await;
    let client = lab::connect(&url).await;
    let harm = "UPDATE credentials SET id = E'\\x01x', access_key = NULL WHERE id = $1";
    assert_eq!(client.execute(harm, &[&records[3].id.as_str()]).await.unwrap(), 1);
    let expected = (5, vec!["i\u{1}\u{fffd}".to_owned()]);
    assert_eq!(read_around_damage(&backend, Order::Key).await, expected);
}
