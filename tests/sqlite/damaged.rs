//! A file that is damaged while it is open.

use std::{
    fs::OpenOptions,
    path::Path,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::Connection;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Order, contract::Maintenance,
        sqlite::SqliteBackend,
    },
    domain::{Kind, ProjectId},
};

use crate::child_process::{ROLE, command_line, role};
use crate::damaged_list::read_around_damage;
use crate::{folder, full_text, insert, is_stored, pair};

/// Moves the content of the write-ahead log into the file.
fn checkpoint(path: &Path) {
    let other = Connection::open(path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// With a memory map of the file, the process would be killed.
#[tokio::test]
async fn truncated_file_is_an_error_and_does_not_kill_the_process() {
    const TEST: &str = "damaged::truncated_file_is_an_error_and_does_not_kill_the_process";
    if role().is_some() {
        return cut_short().await;
    }
    let [program, arguments @ ..] = command_line(TEST);
    let output = Command::new(program).args(arguments).env(ROLE, "is cut short").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn cut_short() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    for n in 0..200 {
        insert(&backend, &pair("bob", &format!("key-{n}"))).await.unwrap();
    }
    let last = pair("bob", "last");
    insert(&backend, &last).await.unwrap();
    checkpoint(&path);
    // Reads a few pages; the pages that the list needs are not in any cache.
    assert!(is_stored(&backend, &last).await);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
    for _ in 0..10 {
        let error = backend.list(&ListQuery::new(Order::Key)).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_) | BackendError::Unavailable(_)));
        assert!(!full_text(&error).contains("secret of"), "{error:?}");
        let _ = backend.get(&last.id).await;
        let _ = insert(&backend, &pair("bob", "more")).await;
    }
}

#[tokio::test]
async fn unreadable_row_breaks_only_lists_that_include_it() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (p, q) = (ProjectId::new("p").unwrap(), ProjectId::new("q").unwrap());
    let mut sound = pair("bob", "sound");
    sound.project_id = Some(p.clone());
    let mut broken = pair("bob", "broken");
    broken.project_id = Some(q.clone());
    broken.kind = Kind::new("totp").unwrap();
    for record in [&sound, &broken] {
        insert(&backend, record).await.unwrap();
    }
    let other = Connection::open(&path).unwrap();
    let harm = "UPDATE records SET material = 'hush', status = 'hush' WHERE kind = 'totp'";
    assert_eq!(other.execute(harm, []).unwrap(), 1);

    let mut all = ListQuery::new(Order::Key);
    all.user_id = Some(sound.user_id.clone());
    let of = |kind: Option<&Kind>, project: Option<&ProjectId>| {
        let mut query = all.clone();
        (query.kind, query.project_id) = (kind.cloned(), project.cloned());
        query
    };
    for query in [of(Some(&sound.kind), None), of(None, Some(&p))] {
        let page = backend.list(&query).await.unwrap();
        assert_eq!((page.credentials.len(), page.next), (1, None), "{query:?}");
        assert_eq!(*page.credentials[0], sound);
    }
    for query in [all.clone(), of(Some(&broken.kind), None), of(None, Some(&q))] {
        let error = backend.list(&query).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_)), "{query:?}: {error:?}");
    }
}

#[tokio::test]
async fn unreadable_row_is_skipped_and_can_be_discarded() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let mut records = ["a", "b", "c", "e"].map(|key| pair("bob", key));
    for (record, second) in records.iter_mut().zip([7, 7, 8, 9]) {
        record.terms.set_expires_at(Some(UNIX_EPOCH + Duration::from_secs(second)));
    }
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    let other = Connection::open(&path).unwrap();
    // Neither value is text.
    let harm = "UPDATE records SET material = CAST(x'ff' AS TEXT) WHERE access_key = 'b'";
    assert_eq!(other.execute(harm, []).unwrap(), 1);
    let harm = "UPDATE records SET id = CAST(CAST('c' AS BLOB) || x'ff' AS TEXT), \
        access_key = CAST(CAST('c' AS BLOB) || x'ff' AS TEXT) WHERE access_key = 'c'";
    assert_eq!(other.execute(harm, []).unwrap(), 1);

    for order in [Order::ExpiresAt, Order::Key] {
        let mut expected = vec![order.marker(&records[1]).unwrap()];
        expected.push(match order {
            Order::ExpiresAt => format!("{:019}.c\u{fffd}", 8_000_000),
            Order::Key => "ac\u{fffd}".to_owned(),
        });
        expected.sort();
        assert_eq!(read_around_damage(&backend, order).await, (2, expected), "{order:?}");
    }

    let damaged = &records[1];
    assert!(backend.get(&damaged.id).await.is_err());
    assert!(backend.discard(&damaged.id).await.unwrap());
    assert!(!backend.discard(&damaged.id).await.unwrap());
    insert(&backend, damaged).await.unwrap();
    assert!(is_stored(&backend, damaged).await);
}
