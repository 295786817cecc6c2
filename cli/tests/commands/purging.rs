//! `purge`.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tower_credentials::{
    backend::{CredentialBackend, sqlite::SqliteBackend},
    clock::{Clock, SystemClock},
    domain::Credential,
};

use crate::{
    records::{many, pair},
    tool::Tool,
};

const DAY: Duration = Duration::from_hours(24);

/// A key that expired this many days ago.
fn expired(access_key: &str, days: u32) -> Credential {
    let mut key = pair(access_key, "alice");
    key.terms.set_expires_at(Some(SystemClock.now() - DAY * days));
    key
}

#[tokio::test]
async fn purge_deletes_only_keys_that_expired_long_ago() {
    let tool = Tool::new();
    let mut future = pair("AKFUTURE", "alice");
    future.terms.set_expires_at(Some(SystemClock.now() + DAY));
    let keys = [
        expired("AKLONGAGO", 400),
        expired("AKMONTH", 31),
        expired("AKRECENT", 29),
        future,
        pair("AKENDLESS", "alice"),
    ];
    tool.fill("a.db", &keys).await;
    let dry = tool.json(&["purge", "sqlite:a.db", "--expired-for", "30d", "--dry-run"]);
    assert_eq!((&dry["exit"], &dry["expired"], &dry["deleted"]), (&0.into(), &2.into(), &0.into()));
    assert_eq!(dry["keys"], json!(["AKLONGAGO", "AKMONTH"]));
    assert_eq!(tool.records("a.db").await.len(), 5);

    let report = tool.json(&["purge", "sqlite:a.db", "--expired-for", "30d"]);
    assert_eq!((&report["exit"], &report["deleted"]), (&0.into(), &2.into()), "{report}");
    let left = tool.records("a.db").await;
    let left: Vec<_> = left.iter().map(|key| key.access_key.as_ref().unwrap().as_str()).collect();
    assert_eq!(left.len(), 3);
    assert!(!left.contains(&"AKLONGAGO") && !left.contains(&"AKMONTH"), "{left:?}");
    assert_eq!(tool.json(&["purge", "sqlite:a.db", "--expired-for", "30d"])["expired"], 0);
    tool.run_ok(&["verify", "sqlite:a.db"]);
}

#[test]
fn purge_requires_a_valid_duration() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    assert_eq!(tool.run(&["purge", "sqlite:a.db"]).code, 2);
    for bad in ["30", "-1d", "\u{ff13}\u{ff10}d", "99999999999999999999d", "1w", ""] {
        let age = format!("--expired-for={bad}");
        assert_eq!(tool.run(&["purge", "sqlite:a.db", &age]).code, 2, "{bad}");
    }
    // Longer than the time since 1970.
    tool.run_ok(&["purge", "sqlite:a.db", "--expired-for", "18446744073709551615s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_is_extended_during_a_purge_is_kept() {
    let tool = Tool::new();
    let mut records = many(3_000);
    let end = SystemClock.now() - DAY * 90;
    for record in &mut records {
        record.terms.set_expires_at(Some(end));
    }
    tool.fill("a.db", &records).await;
    let store = SqliteBackend::open(tool.path("a.db")).unwrap();
    let extending = tokio::spawn(async move {
        let mut extended = Vec::new();
        // Backwards, so that some records are in a page that the purge has read already.
        for record in records.into_iter().rev().step_by(3) {
            let mut longer = record.clone().touched(SystemClock.now());
            longer.terms.set_expires_at(Some(SystemClock.now() + DAY));
            if store.update(&Arc::new(longer.clone()), record.version).await.unwrap() {
                extended.push(longer.id);
            }
        }
        extended
    });
    let purge = ["purge", "sqlite:a.db", "--expired-for", "30d"];
    let report = tokio::task::block_in_place(|| tool.json(&purge));
    assert_eq!(report["exit"], 0, "{report}");
    let extended = extending.await.unwrap();
    let left = tool.records("a.db").await;
    assert!(!extended.is_empty());
    for id in &extended {
        assert!(left.iter().any(|record| record.id == *id), "{id} was deleted");
    }
    assert_eq!(left.len(), extended.len());
    assert_eq!(report["deleted"], 3_000 - extended.len());
}
