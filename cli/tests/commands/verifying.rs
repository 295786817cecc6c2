//! `verify` and `stats`: damaged records are reported, and do not stop a command.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use tower_credentials::{
    backend::{CredentialBackend, sqlite::SqliteBackend},
    domain::{AccessKey, Credential, ProjectId, Quota, Slot},
};

use crate::{
    records::{every_kind, many, sort},
    tool::Tool,
};

/// Damages the material of these records.
fn damage(tool: &Tool, damaged: &[&Credential]) {
    let store = Connection::open(tool.path("a.db")).unwrap();
    for record in damaged {
        let sql = "UPDATE records SET material = '{\"form\":\"filler-s3cr3t' WHERE name = ?";
        assert_eq!(store.execute(sql, [record.id.as_str()]).unwrap(), 1);
    }
}

fn lines(report: &Value, name: &str) -> Vec<String> {
    let lines = report[name].as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn intact_store_passes() {
    let tool = Tool::new();
    tool.fill("a.db", &[every_kind(), many(2_500)].concat()).await;
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!(report["exit"], 0, "{report}");
    assert_eq!(report["records"], 2_507);
    assert_eq!((&report["damaged"], &report["wrong"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn unmarked_records_with_equal_ids_are_listed_and_survive_an_export() {
    let tool = Tool::new();
    let mut records = many(6);
    for (record, root_key) in records.iter_mut().zip([None, None, Some(true), Some(false)]) {
        record.project_id = Some(ProjectId::from_stored(record.user_id.as_str()));
        record.root_key = root_key;
    }
    records[1].slot = Some(Slot::Ec2);
    tool.fill("a.db", &records).await;
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!(
        (&report["exit"], &report["unmarked_root_keys"]),
        (&0.into(), &2.into()),
        "{report}"
    );
    let expected = [
        format!("{}: treated as a root key", records[0].id.as_str()),
        format!("{}: treated as a user's key", records[1].id.as_str()),
    ];
    let mut listed = lines(&report, "unmarked_records");
    listed.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(listed, expected);

    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    tool.run_ok(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert_eq!(tool.records("b.db").await, tool.records("a.db").await);
}

#[tokio::test]
async fn unreadable_records_are_reported_and_all_others_moved() {
    let tool = Tool::new();
    let mut records = [every_kind(), many(4_000)].concat();
    sort(&mut records);
    tool.fill("a.db", &records).await;
    // The first and the last record (its id is not ASCII), two consecutive ones, the first of a
    // page, and one in the middle.
    let last = records.len() - 1;
    let places = [0, 500, 501, 1_000, 3_333, last];
    let damaged: Vec<_> = places.iter().map(|place| &records[*place]).collect();
    damage(&tool, &damaged);
    let mut sound = records.clone();
    places.iter().rev().for_each(|place| drop(sound.remove(*place)));

    for command in ["verify", "stats"] {
        let report = tool.json(&[command, "sqlite:a.db"]);
        assert_eq!((&report["exit"], &report["damaged"]), (&1.into(), &6.into()), "{report}");
        assert_eq!(report["records"], sound.len());
        for (line, record) in lines(&report, "damaged_records").iter().zip(&damaged) {
            // By its access key if another one had been the first.
            assert!(line.contains(record.id.as_str()), "{line}");
            assert!(line.contains("column material"), "{line}");
        }
    }
    let report = tool.json(&["export", "sqlite:a.db", "out", "--plaintext"]);
    assert_eq!((&report["exit"], &report["records"]), (&1.into(), &sound.len().into()), "{report}");
    tool.run_ok(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert!(tool.records("b.db").await == sound);
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:c.db"]);
    assert_eq!((&report["exit"], &report["damaged"]), (&1.into(), &6.into()), "{report}");
    assert!(tool.records("c.db").await == sound);
}

#[tokio::test]
async fn store_of_damaged_records_is_scanned_to_its_end() {
    let tool = Tool::new();
    let records = every_kind();
    tool.fill("a.db", &records).await;
    damage(&tool, &records.iter().collect::<Vec<_>>());
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!(
        (&report["exit"], &report["damaged"], &report["records"]),
        (&1.into(), &7.into(), &0.into()),
        "{report}"
    );
}

#[tokio::test]
async fn unreadable_record_can_be_removed() {
    let tool = Tool::new();
    let records = every_kind();
    tool.fill("a.db", &records).await;
    damage(&tool, &[&records[2]]);
    let id = records[2].id.as_str();
    let report = tool.json(&["remove", "sqlite:a.db", id, "nobody's"]);
    assert_eq!((&report["exit"], &report["removed"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["not_there"], json!(["nobody's"]));
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&report["exit"], &report["records"]), (&0.into(), &6.into()), "{report}");
    assert_eq!(tool.json(&["remove", "sqlite:a.db", id])["exit"], 1);
}

#[tokio::test]
async fn duplicate_access_key_is_reported() {
    let tool = Tool::new();
    let records = many(1_500);
    tool.fill("a.db", &records).await;
    let store = Connection::open(tool.path("a.db")).unwrap();
    store
        .execute_batch(
            "DROP INDEX records_by_marker;
            CREATE INDEX records_by_marker ON records (marker);",
        )
        .unwrap();
    let sql = "UPDATE records SET access_key = 'AK00000007' WHERE access_key = 'AK00001234'";
    assert_eq!(store.execute(sql, []).unwrap(), 1);
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&report["exit"], &report["wrong"]), (&1.into(), &1.into()), "{report}");
    let finding = &lines(&report, "findings")[0];
    assert!(finding.contains("lookup by access key returns another record"), "{finding}");
}

/// Removes one record from an index, as damage to a file can.
fn leave_out(tool: &Tool, index: &str, columns: &str, record: &Credential) {
    let store = Connection::open(tool.path("a.db")).unwrap();
    let whole: String = store
        .query_row("SELECT sql FROM sqlite_schema WHERE name = ?", [index], |row| row.get(0))
        .unwrap();
    // Ids of digits are stored as bytes.
    let id = record.id.as_str();
    store
        .execute_batch(&format!(
            "DROP INDEX {index};
            CREATE INDEX {index} ON records ({columns}) WHERE id <> x'{id}';
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = '{whole}' WHERE name = '{index}';
            PRAGMA writable_schema = RESET;"
        ))
        .unwrap();
}

#[tokio::test]
async fn record_missing_from_an_index_is_reported() {
    let cases = [
        ("records_by_marker", "marker"),
        ("records_by_slot", "user_id, slot"),
        ("records_by_user", "user_id, marker"),
    ];
    for (index, columns) in cases {
        let tool = Tool::new();
        let records = every_kind();
        tool.fill("a.db", &records).await;
        let grant = records.iter().find(|record| record.user_id.as_str() == "bob").unwrap();
        leave_out(&tool, index, columns, grant);
        let report = tool.json(&["verify", "sqlite:a.db"]);
        assert_eq!(report["exit"], 1, "{index}: {report}");
        let findings = lines(&report, "findings");
        assert!(findings.iter().any(|it| it.contains(index)), "{index}: {findings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_are_not_reported() {
    let tool = Tool::new();
    let records = many(3_000);
    tool.fill("a.db", &records).await;
    let store = SqliteBackend::open(tool.path("a.db")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut writes = 0;
            for (n, record) in records.into_iter().cycle().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Changes the access key, deletes the record, and creates it again.
                let Some(now) = store.get(&record.id).await.unwrap() else { continue };
                let mut next = (*now).clone().touched(now.updated_at);
                next.access_key = Some(AccessKey::from_stored(format!("moved-{n}")));
                assert!(store.update(&next.clone().into(), now.version).await.unwrap());
                assert!(store.delete(&next.id, next.version).await.unwrap());
                let again = next.touched(now.updated_at);
                store.insert(&again.into(), Quota::Unlimited).await.unwrap();
                writes += 3;
            }
            writes
        }
    });
    for _ in 0..3 {
        let report = tokio::task::block_in_place(|| tool.json(&["verify", "sqlite:a.db"]));
        assert_eq!(report["exit"], 0, "{report}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0, "there were no concurrent writes");
}

#[tokio::test]
async fn stats_counts_all_records() {
    let tool = Tool::new();
    tool.fill("a.db", &[every_kind(), many(2_500)].concat()).await;
    let report = tool.json(&["stats", "sqlite:a.db"]);
    for (name, count) in [
        ("records", 2_507),
        ("active", 2_506),
        ("inactive", 1),
        // Neither the inactive one nor the one without a secret.
        ("usable_keys", 2_502),
        ("access_keys", 2_504),
        ("slots", 2),
        ("delegated", 2),
        ("users", 253),
        ("projects", 26),
        ("damaged", 0),
        ("exit", 0),
    ] {
        assert_eq!(report[name], count, "{name}: {report}");
    }
    let kinds = serde_json::json!({ "cert": 1, "ec2": 2_504, "password": 1, "totp": 1 });
    assert_eq!(report["kinds"], kinds);
    let held = report["secret_and_attribute_bytes"].as_u64().unwrap();
    assert!(held > 2_500 * 14 && held < report["disk_bytes"].as_u64().unwrap(), "{report}");
}

#[tokio::test]
async fn empty_store_counts_zero() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    let report = tool.json(&["stats", "sqlite:a.db"]);
    assert_eq!(
        (&report["records"], &report["users"], &report["exit"]),
        (&0.into(), &0.into(), &0.into())
    );
}
