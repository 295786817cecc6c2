//! Records that are too long for an index.

use std::sync::Arc;

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend,
        contract::{BulkLoad, Loaded},
        postgres::PostgresBackend,
    },
    domain::{AccessKey, Credential, ProjectId, Quota, UserId},
};

use crate::{lab, load::pair};

/// A long, incompressible text.
fn long() -> String {
    (0..300).map(|_| AccessKey::generate().unwrap().as_str().to_owned()).collect()
}

fn overlong() -> [Arc<Credential>; 3] {
    let record = |change: fn(&mut Credential)| {
        let mut record = (*pair("amy")).clone();
        change(&mut record);
        Arc::new(record)
    };
    [
        record(|it| it.user_id = UserId::from_stored(long())),
        record(|it| it.project_id = Some(ProjectId::from_stored(long()))),
        record(|it| it.access_key = Some(AccessKey::from_stored(long()))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn load_refuses_only_records_that_are_too_long_for_an_index() {
    let Some(server) = lab::shared() else { return };
    let backend = PostgresBackend::open(&server.database().await).await.unwrap();
    let mut records: Vec<_> = (0..1_000).map(|_| pair("amy")).collect();
    let mut expected = vec![Loaded::Stored; records.len()];
    for (place, record) in [0, 501, 999].into_iter().zip(overlong()) {
        records[place] = record;
        expected[place] = Loaded::Refused;
    }
    assert!(backend.load(&records).await.unwrap() == expected);
    for place in [1, 500, 502, 998] {
        assert_eq!(backend.get(&records[place].id).await.unwrap().as_ref(), Some(&records[place]));
    }
    assert_eq!(backend.get(&records[501].id).await.unwrap(), None);
    let again = backend.load(&records).await.unwrap();
    assert_eq!(again.iter().filter(|it| **it == Loaded::AlreadyThere).count(), 997);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_is_too_long_for_an_index_fails_alone() {
    let Some(server) = lab::shared() else { return };
    let backend = PostgresBackend::open(&server.database().await).await.unwrap();
    let [user, project, key] = overlong();
    for quota in [Quota::Unlimited, Quota::AtMost(100)] {
        let mut inserts = tokio::task::JoinSet::new();
        for record in [&user, &project, &key].into_iter().cloned().chain((0..50).map(|_| pair("x")))
        {
            let backend = backend.clone();
            inserts.spawn(async move { backend.insert(&record, quota).await });
        }
        let results = inserts.join_all().await;
        let refused = |it: &Result<(), _>| matches!(it, Err(BackendError::Unstorable(_)));
        assert_eq!(results.iter().filter(|it| refused(it)).count(), 3, "{results:?}");
        assert_eq!(results.iter().filter(|it| it.is_ok()).count(), 50, "{results:?}");
    }
    let there = pair("x");
    backend.insert(&there, Quota::Unlimited).await.unwrap();
    let mut grown = (*there).clone();
    grown.project_id.clone_from(&project.project_id);
    let error = backend.update(&grown.into(), there.version).await.unwrap_err();
    assert!(matches!(error, BackendError::Unstorable(_)), "{error:?}");
    assert_eq!(backend.get(&there.id).await.unwrap(), Some(there));
}
