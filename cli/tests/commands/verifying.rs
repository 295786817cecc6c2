//! What is wrong in a store is found, and stops nothing else.

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
    records::{every_kind, many},
    tool::Tool,
};

/// Damages the secrets of these records.
fn damage(tool: &Tool, damaged: &[&Credential]) {
    let store = Connection::open(tool.path("a.db")).unwrap();
    for record in damaged {
        let sql = "UPDATE credentials SET material = '{\"form\":\"filler-s3cr3t' WHERE id = ?";
        assert_eq!(store.execute(sql, [record.id.as_str()]).unwrap(), 1);
    }
}

fn lines(told: &Value, name: &str) -> Vec<String> {
    let lines = told[name].as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_sound_store_is_found_sound() {
    let tool = Tool::new();
    tool.fill("a.db", &[every_kind(), many(2_500)].concat()).await;
    let told = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!(told["exit"], 0, "{told}");
    assert_eq!(told["records"], 2_507);
    assert_eq!((&told["damaged"], &told["wrong"]), (&0.into(), &0.into()));
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
    let told = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&told["exit"], &told["unmarked_root_keys"]), (&0.into(), &2.into()), "{told}");
    let expected = [
        format!("{}: taken for a root key", records[0].id.as_str()),
        format!("{}: taken for a user's", records[1].id.as_str()),
    ];
    let mut listed = lines(&told, "unmarked_records");
    listed.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(listed, expected);

    tool.fine(&["export", "sqlite:a.db", "out", "--plaintext"]);
    tool.fine(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert_eq!(tool.records("b.db").await, tool.records("a.db").await);
}

#[tokio::test]
async fn records_that_cannot_be_read_are_named_and_all_others_still_moved() {
    let tool = Tool::new();
    let mut records = [every_kind(), many(4_000)].concat();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    tool.fill("a.db", &records).await;
    // The first and the last of all, two that follow each other, one that starts a page, one
    // in the middle; the last has an id beyond ASCII.
    let last = records.len() - 1;
    let places = [0, 500, 501, 1_000, 3_333, last];
    let damaged: Vec<_> = places.iter().map(|place| &records[*place]).collect();
    damage(&tool, &damaged);
    let mut sound = records.clone();
    places.iter().rev().for_each(|place| drop(sound.remove(*place)));

    for command in ["verify", "stats"] {
        let told = tool.json(&[command, "sqlite:a.db"]);
        assert_eq!((&told["exit"], &told["damaged"]), (&1.into(), &6.into()), "{told}");
        assert_eq!(told["records"], sound.len());
        for (line, record) in lines(&told, "damaged_records").iter().zip(&damaged) {
            assert!(line.starts_with(&format!("{}: ", record.id.as_str())), "{line}");
            assert!(line.contains("column material"), "{line}");
        }
    }
    let told = tool.json(&["export", "sqlite:a.db", "out", "--plaintext"]);
    assert_eq!((&told["exit"], &told["records"]), (&1.into(), &sound.len().into()), "{told}");
    tool.fine(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert!(tool.records("b.db").await == sound);
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:c.db"]);
    assert_eq!((&told["exit"], &told["damaged"]), (&1.into(), &6.into()), "{told}");
    assert!(tool.records("c.db").await == sound);
}

#[tokio::test]
async fn a_store_of_nothing_but_damage_is_walked_to_its_end() {
    let tool = Tool::new();
    let records = every_kind();
    tool.fill("a.db", &records).await;
    damage(&tool, &records.iter().collect::<Vec<_>>());
    let told = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!(
        (&told["exit"], &told["damaged"], &told["records"]),
        (&1.into(), &7.into(), &0.into()),
        "{told}"
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_removed_and_the_store_is_sound_then() {
    let tool = Tool::new();
    let records = every_kind();
    tool.fill("a.db", &records).await;
    damage(&tool, &[&records[2]]);
    let id = records[2].id.as_str();
    let told = tool.json(&["remove", "sqlite:a.db", id, "nobody's"]);
    assert_eq!((&told["exit"], &told["removed"]), (&1.into(), &1.into()), "{told}");
    assert_eq!(told["not_there"], json!(["nobody's"]));
    let told = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &6.into()), "{told}");
    assert_eq!(tool.json(&["remove", "sqlite:a.db", id])["exit"], 1);
}

#[tokio::test]
async fn two_records_with_one_access_key_are_found() {
    let tool = Tool::new();
    let records = many(1_500);
    tool.fill("a.db", &records).await;
    let store = Connection::open(tool.path("a.db")).unwrap();
    store
        .execute_batch(
            "DROP INDEX by_access_key;
            CREATE INDEX by_access_key ON credentials (access_key) WHERE access_key IS NOT NULL;",
        )
        .unwrap();
    let sql = "UPDATE credentials SET access_key = 'AK00000007' WHERE access_key = 'AK00001234'";
    assert_eq!(store.execute(sql, []).unwrap(), 1);
    let told = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&told["exit"], &told["wrong"]), (&1.into(), &1.into()), "{told}");
    let finding = &lines(&told, "findings")[0];
    assert!(finding.contains("its access key finds another record"), "{finding}");
}

/// Leaves one record out of an index, as a damaged file may.
fn leave_out(tool: &Tool, index: &str, columns: &str, whole: &str, record: &Credential) {
    let store = Connection::open(tool.path("a.db")).unwrap();
    let id = record.id.as_str();
    let unique = if whole.contains("UNIQUE") { "UNIQUE" } else { "" };
    store
        .execute_batch(&format!(
            "DROP INDEX {index};
            CREATE {unique} INDEX {index} ON credentials ({columns}) WHERE id <> '{id}';
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = '{whole}' WHERE name = '{index}';
            PRAGMA writable_schema = RESET;"
        ))
        .unwrap();
}

#[tokio::test]
async fn a_record_that_a_name_does_not_find_is_found() {
    let cases = [
        (
            "by_access_key",
            "access_key",
            "CREATE UNIQUE INDEX by_access_key ON credentials (access_key) WHERE access_key IS NOT NULL",
            "its access key does not find it",
        ),
        (
            "by_user_and_slot",
            "user_id, slot",
            "CREATE UNIQUE INDEX by_user_and_slot ON credentials (user_id, slot) WHERE slot IS NOT NULL",
            "its slot does not find it",
        ),
        (
            "by_id",
            "id",
            "CREATE UNIQUE INDEX by_id ON credentials (id)",
            "its access key finds it, and its id does not",
        ),
    ];
    for (index, columns, whole, expected) in cases {
        let tool = Tool::new();
        let records = every_kind();
        tool.fill("a.db", &records).await;
        let grant = records.iter().find(|record| record.user_id.as_str() == "bob").unwrap();
        leave_out(&tool, index, columns, whole, grant);
        let told = tool.json(&["verify", "sqlite:a.db"]);
        assert_eq!(told["exit"], 1, "{index}: {told}");
        let finding = format!("{}: {expected}", grant.id.as_str());
        assert_eq!(told["findings"], json!([finding]), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_written_meanwhile_is_not_accused() {
    let tool = Tool::new();
    let records = many(3_000);
    tool.fill("a.db", &records).await;
    let store = SqliteBackend::open(tool.path("a.db")).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let is_over = Arc::clone(&is_over);
        async move {
            let mut writes = 0;
            for (n, record) in records.into_iter().cycle().enumerate() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                // Given another access key, deleted, and made again.
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
        let told = tokio::task::block_in_place(|| tool.json(&["verify", "sqlite:a.db"]));
        assert_eq!(told["exit"], 0, "{told}");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0, "nothing was written meanwhile");
}
