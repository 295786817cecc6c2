//! Opening: which databases become a store, and which are rejected.

use std::{error::Error as _, fmt::Write as _, sync::Arc, time::Duration};

use test_support::{opening, records::rotation};
use tokio::task::JoinSet;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenError, OpenErrorKind, Order,
        contract::BulkLoad as _, postgres::PostgresBackend,
    },
    domain::{AccessKey, CredentialId, Kind, ProjectId, Quota, Status, UserId},
};

use crate::{
    lab::{self, PASSWORD, USER},
    load::{missing, pair},
};

async fn refusal(url: String) -> OpenError {
    PostgresBackend::open(url).await.unwrap_err()
}

/// An error and its sources in every printed form.
fn said(error: &OpenError) -> String {
    let mut said = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(said, " {error} {error:?}").unwrap();
        source = error.source();
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_create_one_store() {
    for _ in 0..3 {
        let Some(url) = lab::database().await else { return };
        let mut starting = JoinSet::new();
        for _ in 0..6 {
            let url = url.clone();
            // The login takes some work, and many sessions are opened at the same time.
            let builder = PostgresBackend::builder(url).connect_timeout(Duration::from_secs(30));
            starting.spawn(builder.build());
        }
        while let Some(backend) = starting.join_next().await {
            let backend = backend.unwrap().unwrap();
            backend.insert(&pair("amy"), Quota::AtMost(6)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn records_are_there_when_the_store_is_opened_again() {
    let Some(url) = lab::database().await else { return };
    let record = pair("amy");
    let first = PostgresBackend::open(&url).await.unwrap();
    first.insert(&record, Quota::Unlimited).await.unwrap();
    drop(first);
    let second = PostgresBackend::open(&url).await.unwrap();
    assert_eq!(missing(&second, &[record]).await, 0);
}

#[tokio::test]
async fn mode_decides_whether_a_store_must_or_must_not_exist() {
    let Some(url) = lab::database().await else { return };
    let open = async |mode| PostgresBackend::builder(url.clone()).mode(mode).build().await;
    opening::mode_decides_whether_a_store_must_or_must_not_exist(open).await;
}

/// Restores the indexes of version 3.
const BEFORE_MARKERS: &str = "DROP INDEX credentials_by_marker;
    DROP INDEX credentials_by_user;
    DROP INDEX credentials_by_project;
    CREATE UNIQUE INDEX credentials_by_access_key ON credentials (access_key)
        WHERE access_key IS NOT NULL;
    CREATE INDEX credentials_by_user_and_id ON credentials (user_id, id);
    CREATE INDEX credentials_by_user_and_access_key ON credentials (user_id, access_key)
        WHERE access_key IS NOT NULL;
    CREATE INDEX credentials_by_project_and_id ON credentials (project_id, id)
        WHERE project_id IS NOT NULL;
    CREATE INDEX credentials_by_project_and_access_key ON credentials (project_id, access_key)
        WHERE project_id IS NOT NULL AND access_key IS NOT NULL;
    UPDATE credential_store SET version = 3";

#[tokio::test]
async fn stores_of_earlier_versions_are_migrated_and_keep_their_records() {
    for version in [1, 2, 3] {
        let Some(url) = lab::database().await else { return };
        let records: Vec<_> = (0..20).map(|_| pair("amy")).collect();
        let backend = PostgresBackend::open(&url).await.unwrap();
        for record in &records {
            backend.insert(record, Quota::AtMost(20)).await.unwrap();
        }
        drop(backend);
        let client = lab::connect(&url).await;
        // As the earlier releases made it.
        client.batch_execute(BEFORE_MARKERS).await.unwrap();
        if version < 3 {
            let terms = "DROP INDEX credentials_by_expiry;
                ALTER TABLE credentials DROP COLUMN terms, DROP COLUMN expires_at;
                UPDATE credential_store SET version = 2";
            client.batch_execute(terms).await.unwrap();
        }
        if version == 1 {
            let root_key = "ALTER TABLE credentials DROP COLUMN root_key;
                UPDATE credential_store SET version = 1";
            client.batch_execute(root_key).await.unwrap();
        }

        let backend = PostgresBackend::open(&url).await.unwrap();
        assert_eq!(missing(&backend, &records).await, 0);
        let (new, retired) = rotation(&records[0]);
        let (new, retired) = (Arc::new(new), Arc::new(retired));
        let quota = Quota::AtMost(21);
        assert!(backend.rotate(&new, quota, &retired, records[0].version).await.unwrap());
        assert_eq!(missing(&backend, &[new, Arc::clone(&retired)]).await, 0);
        let query = ListQuery::new(Order::ExpiresAt);
        assert_eq!(backend.list(&query).await.unwrap().credentials, [retired]);
        assert_eq!(backend.purge_user(&UserId::from_stored("amy")).await.unwrap(), 21);
        let row = client.query_one("SELECT version FROM credential_store", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 4);
    }
}

/// Servers are killed while they build the indexes, and an earlier release writes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_build_of_indexes_continues_while_others_write() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    let mut records: Vec<_> = (0..20_000).map(|n| pair(&format!("user {}", n % 100))).collect();
    for part in records.chunks(10_000) {
        backend.load(part).await.unwrap();
    }
    let client = lab::connect(&url).await;
    client.batch_execute(BEFORE_MARKERS).await.unwrap();
    for round in 0..20 {
        let opening = tokio::spawn(PostgresBackend::open(url.clone()));
        tokio::time::sleep(Duration::from_millis(5 + 11 * round % 60)).await;
        opening.abort();
        let _ = opening.await;
        // The server ends what the session runs.
        let cancel = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE 'CREATE%CONCURRENTLY%' AND pid <> pg_backend_pid()";
        client.execute(cancel, &[]).await.unwrap();
        let record = pair("amy");
        backend.insert(&record, Quota::Unlimited).await.unwrap();
        records.push(record);
    }
    // Two at once, and one more that waits for neither of the others' transactions.
    let opening: Vec<_> =
        (0..2).map(|_| tokio::spawn(PostgresBackend::open(url.clone()))).collect();
    for opened in opening {
        let opened = opened.await.unwrap().unwrap();
        assert_eq!(missing(&opened, &records).await, 0);
    }
    let sql = "SELECT count(*) FROM pg_index
        WHERE indrelid = 'credentials'::regclass AND indisvalid";
    let valid = client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(valid, 6, "the primary key, markers, slots, users, projects, expiries");
    let all = "SELECT count(*) FROM pg_index WHERE indrelid = 'credentials'::regclass";
    assert_eq!(client.query_one(all, &[]).await.unwrap().get::<_, i64>(0), valid);
}

/// A process of the release before runs on while another one migrates the store. Its statements do
/// not name the new columns.
#[tokio::test]
async fn writes_of_the_earlier_release_keep_the_new_columns() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    let mut record = (*pair("amy")).clone();
    record.terms.set_name(Some("a name".into())).unwrap();
    let record = Arc::new(record);
    backend.insert(&record, Quota::Unlimited).await.unwrap();
    let client = lab::connect(&url).await;
    let earlier = "UPDATE credentials SET status = 'Inactive', updated_at = 7, version = 8";
    client.batch_execute(earlier).await.unwrap();
    let found = backend.get(&record.id).await.unwrap().unwrap();
    assert_eq!((found.status, &found.terms), (Status::Inactive, &record.terms));
}

#[tokio::test]
async fn store_of_a_later_release_is_rejected_and_unchanged() {
    let Some(url) = lab::database().await else { return };
    drop(PostgresBackend::open(&url).await.unwrap());
    let client = lab::connect(&url).await;
    client.batch_execute("UPDATE credential_store SET version = 99").await.unwrap();
    let error = refusal(url).await;
    assert_eq!(error.kind(), OpenErrorKind::Newer);
    assert!(error.to_string().contains("99"), "{error}");
    let version = client.query_one("SELECT version FROM credential_store", &[]).await.unwrap();
    assert_eq!(version.get::<_, i64>(0), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_was_migrated_by_a_later_release_is_not_written_after_a_reconnect() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    backend.insert(&pair("amy"), Quota::Unlimited).await.unwrap();
    let client = lab::connect(&url).await;
    client.batch_execute("UPDATE credential_store SET version = 99").await.unwrap();
    lab::end_sessions(&client, "tower-credentials").await;
    let refused = async {
        loop {
            match backend.insert(&pair("amy"), Quota::Unlimited).await {
                Err(BackendError::Corrupt(error)) => return error,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert!(error.source().unwrap().to_string().contains("99"), "{error:?}");
}

#[tokio::test]
async fn another_applications_table_is_rejected_and_unchanged() {
    for table in ["credentials", "credential_owners"] {
        let Some(url) = lab::database().await else { return };
        let client = lab::connect(&url).await;
        client.batch_execute(&format!("CREATE TABLE {table} (a INT)")).await.unwrap();
        assert_eq!(refusal(url).await.kind(), OpenErrorKind::Foreign);
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
    }
}

#[tokio::test]
async fn database_with_another_encoding_is_rejected() {
    let Some(server) = lab::shared() else { return };
    let client = lab::connect(&server.url("postgres")).await;
    let make = "CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    client.batch_execute(make).await.unwrap();
    let error = refusal(server.url("narrow")).await;
    assert_eq!(error.kind(), OpenErrorKind::Foreign);
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
async fn wrong_login_is_reported_without_the_password() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let wrong = url.replace(PASSWORD, "wrong-pw-of-somebody");
    let nobody = url.replace(USER, "nobody-here");
    let nowhere = server.url("no_such_database");
    for url in [wrong, nobody, nowhere] {
        let error = refusal(url.clone()).await;
        assert_eq!(error.kind(), OpenErrorKind::PermissionDenied, "{url}: {error:?}");
        let said = said(&error);
        assert!(!said.contains(PASSWORD) && !said.contains("wrong-pw"), "{said}");
    }
    let backend = PostgresBackend::open(&url).await.unwrap();
    let builder = PostgresBackend::builder(&url);
    assert!(!format!("{backend:?} {builder:?}").contains(PASSWORD));
}

#[tokio::test]
async fn user_needs_privileges_to_use_the_store_but_not_to_create_tables() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let client = lab::connect(&url).await;
    client.batch_execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk'").await.unwrap();
    let clerk = url.replace(USER, "clerk").replace(PASSWORD, "clerk");
    assert_eq!(refusal(clerk.clone()).await.kind(), OpenErrorKind::PermissionDenied);

    drop(PostgresBackend::open(&url).await.unwrap());
    let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON credentials, credential_owners TO clerk;
        GRANT SELECT ON credential_store TO clerk";
    client.batch_execute(grant).await.unwrap();
    let backend = PostgresBackend::open(clerk).await.unwrap();
    let record = pair("amy");
    backend.insert(&record, Quota::AtMost(1)).await.unwrap();
    assert!(backend.delete(&record.id, record.version).await.unwrap());
}

#[tokio::test]
async fn missing_server_is_unavailable() {
    let error = refusal("postgres://amy@127.0.0.1:1/keys?sslmode=disable".into()).await;
    assert_eq!(error.kind(), OpenErrorKind::Unavailable);
}

#[tokio::test]
async fn silent_server_is_unavailable_after_the_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://amy@{}/keys?sslmode=disable", silent.local_addr().unwrap());
    let timeout = Duration::from_millis(300);
    let connecting = PostgresBackend::builder(url).connect_timeout(timeout).build();
    let error = tokio::time::timeout(Duration::from_secs(5), connecting).await.unwrap();
    assert_eq!(error.unwrap_err().kind(), OpenErrorKind::Unavailable);
}

#[tokio::test]
async fn second_server_of_a_url_is_used_when_the_first_is_silent() {
    let Some(url) = lab::database().await else { return };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let both = format!("@{},", silent.local_addr().unwrap());
    let builder = PostgresBackend::builder(url.replace('@', &both));
    let backend = builder.connect_timeout(Duration::from_secs(5)).build().await.unwrap();
    backend.insert(&pair("amy"), Quota::Unlimited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_backend_closes_its_sessions() {
    let Some(url) = lab::database().await else { return };
    let client = lab::connect(&url).await;
    let backend = PostgresBackend::open(&url).await.unwrap();
    let clone = backend.clone();
    backend.insert(&pair("amy"), Quota::Unlimited).await.unwrap();
    let sessions = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'tower-credentials'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    drop(backend);
    assert!(sessions().await > 0);
    drop(clone);
    let closed = async {
        while sessions().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("they are closed");
}

/// Columns cannot hold NUL, so such texts are escaped.
#[tokio::test]
async fn texts_with_nul_are_stored_and_found() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(url).await.unwrap();
    let key = |text: &str| AccessKey::from_stored(text);
    assert!(backend.find_by_access_key(&key("a\0b")).await.unwrap().is_none());
    let mut record = (*pair("amy")).clone();
    record.id = CredentialId::from_stored("id\0\u{1}");
    record.kind = Kind::from_stored("k\0");
    record.user_id = UserId::from_stored("\0u");
    record.project_id = Some(ProjectId::from_stored("p\u{1}\0"));
    record.access_key = Some(key("a\0b"));
    backend.insert(&record.clone().into(), Quota::AtMost(1)).await.unwrap();
    for other in ["a", "ab", "a\u{1}b", "a\u{1}\u{1}b"] {
        assert!(backend.find_by_access_key(&key(other)).await.unwrap().is_none());
    }
    let found = backend.find_by_access_key(&key("a\0b")).await.unwrap();
    assert_eq!(found.as_deref(), Some(&record));
    assert_eq!(backend.purge_user(&record.user_id).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_cannot_be_stored_fails_alone() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(url).await.unwrap();
    let mut writes = JoinSet::new();
    for n in 0..40 {
        let (backend, mut record) = (backend.clone(), (*pair("amy")).clone());
        if n == 20 {
            // Random digits, because the engine compresses repeated ones.
            let digits = (0..200).map(|_| AccessKey::generate().unwrap().as_str().to_owned());
            record.access_key = Some(AccessKey::from_stored(digits.collect::<String>()));
        }
        writes.spawn(async move { (n, backend.insert(&record.into(), Quota::AtMost(40)).await) });
    }
    while let Some(written) = writes.join_next().await {
        match written.unwrap() {
            (20, result) => assert!(matches!(result, Err(BackendError::Unstorable(_)))),
            (n, result) => result.unwrap_or_else(|error| panic!("{n}: {error:?}")),
        }
    }
}
