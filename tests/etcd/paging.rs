//! Lists during compactions, and with damaged records.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use test_support::records::list_all;
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, contract::BulkLoad},
    domain::{CredentialId, UserId},
};

use crate::{cluster, connect, insert, pair, report};

/// All records of a user.
pub(crate) fn of_user(user: &str) -> ListQuery {
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(UserId::new(user).unwrap());
    query
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_complete_while_revisions_are_compacted() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let records: Vec<_> = (0..1_500).map(|_| pair("bob")).collect();
    backend.load(&records).await.unwrap();
    let (cluster, is_over) = (Arc::new(cluster), Arc::new(AtomicBool::new(false)));
    let compacting = {
        let (cluster, is_over) = (Arc::clone(&cluster), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                cluster.put("elsewhere", "so that there is something to compact");
                cluster.compact();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        })
    };
    for _ in 0..40 {
        let found = list_all(&backend, of_user("bob")).await;
        assert_eq!(found.len(), records.len());
    }
    is_over.store(true, Ordering::SeqCst);
    compacting.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_record_fails_only_reads_that_include_it() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let backend = connect(&cluster).await;
    let (damaged, sound) = (pair("bob"), pair("amy"));
    for record in [&damaged, &sound] {
        insert(&backend, record).await.unwrap();
    }
    cluster.put(&format!("tower-credentials/r{}", damaged.id), r#"{"secret":"s3cr3t"}"#);
    let error = backend.get(&damaged.id).await.unwrap_err();
    assert!(matches!(error, tower_credentials::backend::BackendError::Corrupt(_)), "{error:?}");
    let text = format!("{error:?} {}", report(&error));
    assert!(text.contains(damaged.id.as_str()) && !text.contains("s3cr3t"), "{text}");
    backend.find_by_access_key(damaged.access_key.as_ref().unwrap()).await.unwrap_err();
    backend.list(&of_user("bob")).await.unwrap_err();
    let page = backend.list(&of_user("amy")).await.unwrap();
    assert_eq!(page.credentials, std::slice::from_ref(&sound));

    // A record that was copied to the key of another is damaged too.
    let other = pair("amy");
    insert(&backend, &other).await.unwrap();
    let taken = cluster.get(&format!("tower-credentials/r{}", sound.id)).unwrap();
    cluster.put(&format!("tower-credentials/r{}", other.id), &taken);
    let error = backend.get(&other.id).await.unwrap_err();
    assert!(matches!(error, tower_credentials::backend::BackendError::Corrupt(_)), "{error:?}");
    assert_eq!(backend.get(&CredentialId::from_stored("none")).await.unwrap(), None);
}
