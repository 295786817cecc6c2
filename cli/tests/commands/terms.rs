//! Exports, copies, `verify` and `stats` of records with terms.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tower_credentials::{
    clock::{Clock, SystemClock},
    domain::Credential,
};

use crate::{
    records::{BOUNDARY, pair, with_terms},
    tool::Tool,
};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn all_terms_survive_an_export_and_a_copy() {
    let tool = Tool::new();
    tool.fill("a.db", &with_terms()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    tool.run_ok(&["import", "sqlite:imported.db", "out", "--plaintext"]);
    assert_eq!(tool.records("imported.db").await, with_terms());
    tool.run_ok(&["copy", "sqlite:a.db", "sqlite:copied.db"]);
    assert_eq!(tool.records("copied.db").await, with_terms());
}

/// The members of the line of a record.
fn line(export: &str, access_key: &str) -> Value {
    let access_key = format!("\"access_key\":\"{access_key}\"");
    let line = export.lines().find(|line| line.contains(&access_key)).unwrap();
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn limited_records_have_a_status_that_earlier_releases_reject() {
    let tool = Tool::new();
    tool.fill("a.db", &with_terms()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    let export = fs::read_to_string(tool.path("out")).unwrap();
    for (access_key, status) in [
        ("AKTERMS", "ActiveLimited"),
        ("AKENDING", "ActiveLimited"),
        ("AKBOUNDED", "InactiveLimited"),
        ("AKNAMED", "Active"),
        ("AKPLAIN", "Active"),
    ] {
        assert_eq!(line(&export, access_key)["status"], status, "{access_key}");
    }
    let full = line(&export, "AKTERMS");
    assert_eq!(full["expires_at"], 1_790_000_009_000_001_u64);
    assert_eq!(full["terms"]["boundary"], BOUNDARY);
    assert_eq!(full["terms"]["original_life"], "unlimited");
    let plain = line(&export, "AKPLAIN");
    assert!(plain.get("terms").is_none() && plain.get("expires_at").is_none(), "{plain}");
}

#[tokio::test]
async fn terms_that_do_not_fit_the_status_are_rejected() {
    let tool = Tool::new();
    let mut ending = with_terms();
    ending.retain(|record| record.terms.boundary().is_none() && record.terms.are_limiting());
    tool.fill("a.db", &ending).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    let export = fs::read_to_string(tool.path("out")).unwrap();
    for (from, to, why) in [
        ("\"ActiveLimited\"", "\"Active\"", "status"),
        ("\"ActiveLimited\"", "\"Limited\"", "status"),
        ("\"expires_at\":1790000000000007,", "", "status"),
        ("\"expires_at\":1790000000000007,", "\"expires_at\":-1,", "terms"),
        ("\"expires_at\":", "\"terms\":{\"until\":7},\"expires_at\":", "terms"),
        ("\"expires_at\":", "\"terms\":7,\"expires_at\":", "terms"),
        ("\"expires_at\":", "\"boundary\":\"{}\",\"expires_at\":", "JSON"),
    ] {
        assert!(export.contains(from), "{from}: {export}");
        fs::write(tool.path("changed"), export.replacen(from, to, 1)).unwrap();
        let report = tool.json(&["import", "sqlite:b.db", "changed", "--plaintext"]);
        assert_eq!(report["exit"], 5, "{to}: {report}");
        assert!(report["error"].as_str().unwrap().ends_with(why), "{to}: {report}");
        assert!(!tool.path("b.db").exists(), "{to}");
    }
}

#[tokio::test]
async fn invalid_boundary_is_a_problem() {
    let tool = Tool::new();
    let mut records = with_terms();
    let broken = records.iter_mut().find(|record| record.user_id.as_str() == "carol").unwrap();
    broken.terms.set_boundary(Some(r#"{"permission":"everything","buckets":["b"]}"#.into()));
    let id = broken.id.as_str().to_owned();
    tool.fill("a.db", &records).await;
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&report["exit"], &report["invalid_boundaries"]), (&1.into(), &1.into()));
    let line = format!("{id}: boundary.permission: not read, write or read-write");
    assert_eq!(report["records_with_an_invalid_boundary"], json!([line]));
    let shown = tool.json(&["show", "sqlite:a.db", &id]);
    assert_eq!(shown["boundary"]["permission"], "everything");
    assert!(shown["boundary_error"].is_string() && shown.get("policy").is_none(), "{shown}");
}

#[tokio::test]
async fn attributes_named_like_terms_are_noted() {
    let tool = Tool::new();
    let mut records = with_terms();
    for name in ["status", "boundary", "color"] {
        records[0].attributes.insert(name.into(), json!("x"));
    }
    tool.fill("a.db", &records).await;
    let report = tool.json(&["verify", "sqlite:a.db"]);
    assert_eq!((&report["exit"], &report["attributes_named_like_terms"]), (&0.into(), &1.into()));
    let line = format!("{}: boundary, status", records[0].id.as_str());
    assert_eq!(report["records_with_such_attributes"], json!([line]));
}

#[tokio::test]
async fn damaged_terms_are_reported() {
    let tool = Tool::new();
    tool.fill("a.db", &with_terms()).await;
    let store = rusqlite::Connection::open(tool.path("a.db")).unwrap();
    let sql = "UPDATE records SET terms = '{\"until\":7}' WHERE access_key = 'AKNAMED'";
    assert_eq!(store.execute(sql, []).unwrap(), 1);
    for command in ["verify", "stats", "list"] {
        let report = tool.json(&[command, "sqlite:a.db"]);
        assert_eq!((&report["exit"], &report["damaged"]), (&1.into(), &1.into()), "{report}");
        assert!(report["damaged_records"][0].as_str().unwrap().contains("column terms"));
    }
}

/// A key that was created some days ago and expires some days from now.
fn aged(access_key: &str, age: u32, days: Option<i32>) -> Credential {
    let now = SystemClock.now();
    let mut key = pair(access_key, "alice");
    key.created_at = now - DAY * age;
    key.terms.set_expires_at(days.map(|days| match u32::try_from(days) {
        Ok(days) => now + DAY * days,
        Err(_) => now - DAY * days.unsigned_abs(),
    }));
    key
}

#[tokio::test]
async fn stats_counts_expiry_and_keys_above_the_maximum_life() {
    let tool = Tool::new();
    let mut disabled = aged("AKDISABLED", 100, None);
    disabled.status = tower_credentials::domain::Status::Inactive;
    let mut bounded = aged("AKBOUNDED", 1, Some(89 - 1));
    bounded.terms.set_boundary(Some(BOUNDARY.into()));
    let keys = [
        aged("AKOLD", 91, Some(1)),
        aged("AKLONG", 1, Some(90)),
        aged("AKENDLESS", 1, None),
        aged("AKEXPIRED", 200, Some(-1)),
        aged("AKFINE", 1, Some(29)),
        bounded,
        disabled,
    ];
    tool.fill("a.db", &keys).await;
    let report = tool.json(&["stats", "sqlite:a.db", "--max-key-life", "90d"]);
    for (name, count) in [
        ("expired", 1),
        ("expiring_within_30_days", 2),
        ("with_boundary", 1),
        ("above_max_key_life", 3),
        ("usable_keys", 5),
        ("exit", 0),
    ] {
        assert_eq!(report[name], count, "{name}: {report}");
    }
    assert!(report["warning"].as_str().unwrap().starts_with("3 usable keys"), "{report}");
    let report = tool.json(&["stats", "sqlite:a.db"]);
    assert!(report["warning"].is_null() && report["above_max_key_life"].is_null(), "{report}");
    for bad in ["90", "-1d", "\u{ff19}0d", "99999999999999999999d"] {
        let life = format!("--max-key-life={bad}");
        assert_eq!(tool.run(&["stats", "sqlite:a.db", &life]).code, 2, "{bad}");
    }
}
