//! Rotations on a server that fails, and the words that earlier releases know.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use test_support::records::{assert_whole_rotations, list_all, rotation};
use tokio::time::sleep;
use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, postgres::PostgresBackend},
    domain::{Credential, CredentialId, Quota, Status, UserId},
};

use crate::{lab, load::pair};

/// Rotates the key pair of one user again and again, and returns the ids of the records whose
/// rotation was acknowledged.
async fn rotate_until(
    done: Arc<AtomicBool>,
    backend: PostgresBackend,
    user: String,
) -> Vec<CredentialId> {
    let first = pair(&user);
    while backend.insert(&first, Quota::Unlimited).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    let (mut old, mut acknowledged): (Credential, _) = ((*first).clone(), Vec::new());
    while !done.load(Ordering::Relaxed) {
        let (new, retired) = rotation(&old);
        let (new, retired) = (Arc::new(new), Arc::new(retired));
        match backend.rotate(&new, Quota::AtMost(100_000), &retired, old.version).await {
            Ok(true) => acknowledged.push(new.id.clone()),
            Ok(false) => panic!("the version is the current one"),
            // The outcome is unknown, or nothing was written.
            Err(_) => loop {
                match backend.get(&old.id).await {
                    Ok(found) if found.as_ref().is_some_and(|it| it.version == old.version) => {
                        break;
                    }
                    Ok(_) => {
                        acknowledged.push(new.id.clone());
                        break;
                    }
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            },
        }
        if acknowledged.last() == Some(&new.id) {
            old = (*new).clone();
        }
    }
    acknowledged
}

async fn records_of(backend: &PostgresBackend, user: &str) -> Vec<Arc<Credential>> {
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(UserId::from_stored(user));
    list_all(backend, query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_survive_kills_of_the_server_as_a_whole_or_not_at_all() {
    let Some(mut server) = lab::Server::start(&[]) else { return };
    let backend = PostgresBackend::open(server.database().await).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..4).map(|n| format!("user {n}")).collect();
    let rotating: Vec<_> = users
        .iter()
        .map(|user| tokio::spawn(rotate_until(done.clone(), backend.clone(), user.clone())))
        .collect();
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        server.kill();
        server.restart();
    }
    sleep(Duration::from_secs(2)).await;
    done.store(true, Ordering::Relaxed);
    let mut rotations = 0;
    for (rotating, user) in rotating.into_iter().zip(&users) {
        let acknowledged = rotating.await.unwrap();
        let records = records_of(&backend, user).await;
        assert_whole_rotations(&records);
        assert_eq!(records.len(), acknowledged.len() + 1, "{user}");
        for id in &acknowledged {
            assert!(records.iter().any(|record| record.id == *id), "{id} was lost");
        }
        rotations += acknowledged.len();
    }
    assert!(rotations > 40, "{rotations} rotations");
}

/// The sessions are terminated again and again during rotations.
#[tokio::test(flavor = "multi_thread")]
async fn rotations_whose_session_is_terminated_are_stored_as_a_whole_or_not_at_all() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    let done = Arc::new(AtomicBool::new(false));
    let rotating = tokio::spawn(rotate_until(done.clone(), backend.clone(), "amy".into()));
    for _ in 0..40 {
        sleep(Duration::from_millis(50)).await;
        lab::end_sessions(&client, "tower-credentials").await;
    }
    done.store(true, Ordering::Relaxed);
    let acknowledged = rotating.await.unwrap();
    let records = records_of(&backend, "amy").await;
    assert_whole_rotations(&records);
    assert_eq!(records.len(), acknowledged.len() + 1);
}

/// Earlier releases know two words for the status. A record with limits that they do not know has
/// another word, so that they reject the record, also while they run during the migration.
#[tokio::test]
async fn status_of_a_record_with_limits_is_unknown_to_earlier_releases() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    let client = lab::connect(&url).await;
    for limit in ["expiry", "boundary", "none"] {
        for status in [Status::Active, Status::Inactive] {
            let mut record = (*pair("amy")).clone();
            record.status = status;
            match limit {
                "expiry" => record.terms.set_expires_at(Some(UNIX_EPOCH)),
                "boundary" => record.terms.set_boundary(Some("{}".into())),
                _ => record.terms.set_name(Some("a name is not a limit".into())).unwrap(),
            }
            let record = Arc::new(record);
            backend.insert(&record, Quota::Unlimited).await.unwrap();
            let sql = "SELECT status FROM credentials WHERE id = $1";
            let row = client.query_one(sql, &[&record.id.as_str()]).await.unwrap();
            let word: &str = row.get(0);
            assert_eq!(Status::from_word(word).is_some(), limit == "none", "{limit}: {word}");
            assert_eq!(backend.get(&record.id).await.unwrap(), Some(record));
        }
    }
}
