//! The rows that the server reads for an answer do not depend on the size of the table.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use test_support::records::rotation;

use tokio_postgres::Client;
use tower_credentials::{
    backend::{
        CredentialBackend, ListQuery, Order, contract::BulkLoad, expires_before,
        postgres::PostgresBackend,
    },
    domain::{Credential, Kind, ProjectId, Quota, Slot, UserId},
    usage::UsageLog,
};

use crate::{lab, load::pair};

/// The number of sequential scans of the table, and of rows that were read.
async fn read(backend: &PostgresBackend, client: &Client) -> (i64, i64) {
    // Sessions report their statistics with a later statement, after a second.
    for _ in 0..2 {
        use_all(backend, 1).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    use_all(backend, 1).await;
    let sql = "SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables
        WHERE relname = 'credentials'";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Statements are planned while the table is empty, and must stay efficient when it is not.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_scans_or_reads_more_rows_than_it_returns() {
    let Some(url) = lab::database().await else { return };
    let builder = PostgresBackend::builder(&url).readers(1).writers(1);
    let backend = builder.build().await.unwrap();
    let client = lab::connect(&url).await;
    // Runs every statement often enough for the server to settle on a plan.
    for _ in 0..8 {
        use_all(&backend, 1).await;
    }
    let crowd = (0..20_000).map(|n| {
        let user = if n % 2 == 0 { "crowd".to_owned() } else { format!("user {}", n % 1_000) };
        let mut record = (*pair(&user)).clone();
        if n % 4 == 0 {
            let expires_at = UNIX_EPOCH + Duration::from_mins(n);
            record.terms.set_expires_at(Some(expires_at));
        }
        Arc::new(record)
    });
    let crowd: Vec<Arc<Credential>> = crowd.collect();
    for part in crowd.chunks(10_000) {
        backend.load(part).await.unwrap();
    }
    // As the autovacuum would do.
    client.batch_execute("VACUUM credentials").await.unwrap();

    let before = read(&backend, &client).await;
    for _ in 0..10 {
        use_all(&backend, 20).await;
    }
    let after = read(&backend, &client).await;
    assert_eq!(after.0, before.0, "the table was scanned");
    let rows = after.1 - before.1;
    let sql = "SELECT string_agg(indexrelname || ': ' || idx_tup_fetch, ', ')
        FROM pg_stat_user_indexes";
    let indexes: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(rows < 10 * 1_000, "{rows} rows were read: {indexes}");
}

/// Runs every read and write once, with lists of `limit` records.
async fn use_all(backend: &PostgresBackend, limit: usize) {
    let mut record = (*pair("amy")).clone();
    record.slot = Some(Slot::Ec2);
    backend.insert(&record.clone().into(), Quota::AtMost(10)).await.unwrap();
    backend.insert(&pair("bob"), Quota::Unlimited).await.unwrap();
    backend.get(&record.id).await.unwrap().unwrap();
    let key = record.access_key.as_ref().unwrap();
    backend.find_by_access_key(key).await.unwrap().unwrap();
    backend.find_by_slot(&record.user_id, Slot::Ec2).await.unwrap().unwrap();
    for owner in 0..3 {
        for (after, before) in
            [(None, None), (Some("a5"), None), (None, Some("aa")), (Some("a5"), Some("aa"))]
        {
            let mut query = ListQuery::new(Order::Key).with_limit(limit);
            query.user_id = (owner == 1).then(|| UserId::from_stored("crowd"));
            query.project_id = (owner == 2).then(|| ProjectId::from_stored("demo"));
            (query.after, query.before) = (after.map(Into::into), before.map(Into::into));
            let page = backend.list(&query).await.unwrap();
            assert!(page.credentials.len() <= limit);
        }
    }
    // Filters examine the records of all owners, so that only a list of all is short.
    for (after, before) in [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))] {
        let mut query = ListQuery::new(Order::ExpiresAt).with_limit(limit);
        let marker = |days: u64| expires_before(UNIX_EPOCH + Duration::from_hours(24 * days));
        (query.after, query.before) = (after.map(marker), before.map(marker));
        assert!(backend.list(&query).await.unwrap().credentials.len() <= limit);
    }
    backend.record(&[(record.id.clone(), record.created_at)]).await.unwrap();
    backend.last_used(&[record.id.clone()]).await.unwrap();
    let old = pair("bob");
    backend.insert(&old, Quota::Unlimited).await.unwrap();
    let (new, retired) = rotation(&old);
    let (new, retired) = (Arc::new(new), Arc::new(retired));
    assert!(backend.rotate(&new, Quota::AtMost(10), &retired, old.version).await.unwrap());
    let next = record.clone().touched(record.updated_at);
    assert!(backend.update(&next.clone().into(), record.version).await.unwrap());
    assert!(backend.delete(&next.id, next.version).await.unwrap());
    assert_eq!(backend.purge_user(&UserId::from_stored("bob")).await.unwrap(), 3);
    backend.purge_project(&ProjectId::from_stored("nowhere")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn filter_without_matches_examines_a_bounded_number_of_rows() {
    let Some(url) = lab::database().await else { return };
    let backend = PostgresBackend::open(&url).await.unwrap();
    let crowd: Vec<_> = (0..5_000).map(|_| pair("crowd")).collect();
    backend.load(&crowd).await.unwrap();
    let mut query = ListQuery::new(Order::Key);
    query.kind = Some(Kind::from_stored("totp"));
    let page = backend.list(&query).await.unwrap();
    assert!(page.credentials.is_empty());
    let mut markers: Vec<_> = crowd.iter().map(|it| Order::Key.marker(it).unwrap()).collect();
    markers.sort_unstable();
    assert_eq!(page.next, Some(markers.swap_remove(ListQuery::MAX_EXAMINED - 1)));
}
