//! Dumps of Keystone's table, whose blobs are encrypted with Keystone's keys.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;
use tower_credentials::{
    clock::{Clock, SystemClock},
    domain::{AccessKey, Credential, CredentialId, Delegation},
};

use crate::tool::Tool;

/// Four rows, whose blobs Python's `cryptography` encrypted with these keys.
const DUMP: &str = include_str!("keystone.jsonl");
const KEYS: [(&str, &str); 2] = [
    ("1", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="),
    ("2", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
];

fn tool(keys: &[(&str, &str)]) -> Tool {
    let tool = Tool::new();
    fs::write(tool.path("dump"), DUMP).unwrap();
    fs::create_dir(tool.path("keys")).unwrap();
    for (name, key) in keys {
        let path = tool.path("keys").join(name);
        fs::write(&path, key).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    tool
}

const IMPORT: [&str; 5] = ["import", "sqlite:a.db", "dump", "--keystone-keys", "keys"];

fn with_key<'a>(records: &'a [Credential], key: &str) -> &'a Credential {
    let key = AccessKey::from_stored(key);
    records.iter().find(|record| record.access_key.as_ref() == Some(&key)).unwrap()
}

#[tokio::test]
async fn every_row_becomes_a_working_record() {
    let tool = tool(&KEYS);
    let report = tool.json(&IMPORT);
    assert_eq!(
        (&report["exit"], &report["records"], &report["stored"]),
        (&0.into(), &4.into(), &4.into())
    );
    assert_eq!(report["odd"].as_array().unwrap().len(), 1, "{report}");
    let records = tool.records("a.db").await;

    let one = with_key(&records, "AKONE");
    assert_eq!(one.id, CredentialId::of(&AccessKey::from_stored("AKONE")));
    assert_eq!(one.secret_key().unwrap().expose(), "keystone-s3cr3t");
    assert_eq!(
        (one.user_id.as_str(), one.project_id.as_ref().unwrap().as_str()),
        ("alice", "demo")
    );
    assert!(one.is_usable(SystemClock.now()) && one.attributes.is_empty());
    let two = with_key(&records, "AKTWO");
    assert_eq!(two.secret_key().unwrap().expose(), "older-s3cr3t");
    assert_eq!(two.delegation, Some(Delegation::Trust { id: "t1".into() }));
    assert_eq!(two.attributes["name"], "Bob's");
    // Lookups use the current access key.
    let changed = with_key(&records, "AKAFTER");
    assert_eq!(changed.id, CredentialId::of(&AccessKey::from_stored("AKBEFORE")));
    let otp = records.iter().find(|record| record.kind.as_str() == "totp").unwrap();
    assert!(otp.access_key.is_none() && otp.project_id.is_none());

    let again = tool.json(&IMPORT);
    assert_eq!((&again["exit"], &again["already_there"]), (&0.into(), &4.into()), "{again}");
    assert!(tool.records("a.db").await == records);
}

#[tokio::test]
async fn unreadable_rows_are_reported_and_all_others_imported() {
    let tool = tool(&KEYS[1..]);
    let dump = format!("{DUMP}\nno row\n[]\n{{\"id\": \"x\"}}\n");
    fs::write(tool.path("dump"), dump).unwrap();
    let report = tool.json(&IMPORT);
    assert_eq!((&report["exit"], &report["stored"]), (&5.into(), &3.into()), "{report}");
    let expected = json!([
        "line 2: no key decrypts encrypted_blob",
        "line 5: not a JSON object",
        "line 6: not a JSON object",
        "line 7: encrypted_blob is missing",
    ]);
    assert_eq!(report["unreadable"], expected);
    assert_eq!(tool.records("a.db").await.len(), 3);
}

#[tokio::test]
async fn rows_never_overwrite_existing_records() {
    let tool = tool(&KEYS);
    tool.run_ok(&IMPORT);
    let before = tool.records("a.db").await;
    let other = DUMP.replace("\"alice\"", "\"mallory\"");
    fs::write(tool.path("dump"), other).unwrap();
    let report = tool.json(&IMPORT);
    assert_eq!(
        (&report["exit"], &report["refused"], &report["already_there"]),
        (&4.into(), &2.into(), &2.into())
    );
    assert!(tool.records("a.db").await == before);
}

#[test]
fn missing_or_exposed_keys_are_rejected() {
    let tool = tool(&KEYS);
    for folder in ["missing", "dump"] {
        let mut import = IMPORT;
        import[4] = folder;
        assert_eq!(tool.json(&import)["exit"], 2, "{folder}");
    }
    let exposed = tool.path("keys").join("1");
    fs::set_permissions(exposed, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(tool.json(&IMPORT)["exit"], 2);
    assert!(!tool.path("a.db").exists());
}
