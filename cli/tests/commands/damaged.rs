//! Truncated and altered exports: nothing is imported without `--salvage`.

use std::fs;

use serde_json::Value;
use tower_credentials::domain::Credential;

use crate::{records::many, tool::Tool};

const RECORDS: usize = 1_000;

/// A store of many records, and a plain and a sealed export of it.
async fn exported() -> (Tool, Vec<Credential>) {
    let tool = Tool::new();
    let records = many(RECORDS);
    tool.fill("a.db", &records).await;
    tool.run_ok(&["export", "sqlite:a.db", "plain", "--plaintext"]);
    let recipient = tool.recipient();
    tool.run_ok(&["export", "sqlite:a.db", "sealed", "--recipient", &recipient]);
    (tool, records)
}

const KEYS: [(&str, &[&str]); 2] =
    [("plain", &["--plaintext"]), ("sealed", &["--identity", "key"])];

fn import(tool: &Tool, bytes: &[u8], key: &[&str], how: &[&str]) -> Value {
    fs::write(tool.path("damaged"), bytes).unwrap();
    let _ = fs::remove_file(tool.path("b.db"));
    tool.json(&[&["import", "sqlite:b.db", "damaged"], key, how].concat())
}

#[tokio::test]
async fn truncated_export_is_rejected_entirely() {
    let (tool, _) = exported().await;
    for (name, key) in KEYS {
        let whole = fs::read(tool.path(name)).unwrap();
        let cuts = (0..16).map(|part| whole.len() * part / 16).chain([whole.len() - 1]);
        for cut in cuts {
            let report = import(&tool, &whole[..cut], key, &[]);
            assert_eq!(report["exit"], 5, "{name} cut at {cut}: {report}");
            assert!(!tool.path("b.db").exists(), "{name} cut at {cut}");
        }
        assert_eq!(import(&tool, &whole, key, &[])["exit"], 0);
    }
}

#[tokio::test]
async fn export_with_any_changed_byte_is_rejected_entirely() {
    let (tool, _) = exported().await;
    for (name, key) in KEYS {
        let whole = fs::read(tool.path(name)).unwrap();
        let places = (0..32).map(|part| whole.len() * part / 32 + part).chain([whole.len() - 1]);
        for place in places {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            let report = import(&tool, &changed, key, &[]);
            assert_eq!(report["exit"], 5, "{name} changed at {place}: {report}");
            assert!(!tool.path("b.db").exists(), "{name} changed at {place}");
        }
    }
}

#[tokio::test]
async fn records_before_the_damage_can_be_salvaged() {
    let (tool, records) = exported().await;
    for (name, key) in KEYS {
        let whole = fs::read(tool.path(name)).unwrap();
        let mut before = 0;
        for part in [6, 10, 15] {
            let at = whole.len() * part / 16;
            let mut changed = whole.clone();
            // Not valid in JSON.
            changed[at] = 0;
            for bytes in [&whole[..at], &changed] {
                let report = import(&tool, bytes, key, &["--salvage"]);
                assert_eq!(report["exit"], 5, "{report}");
                let salvaged = tool.records("b.db").await;
                assert_eq!(report["stored"], salvaged.len());
                assert!(salvaged[..] == records[..salvaged.len()], "{name} at {at}");
                assert!(salvaged.len() >= before && salvaged.len() < RECORDS, "{name} at {at}");
                before = salvaged.len();
            }
        }
        assert!(before > RECORDS / 2, "{name}: only {before} were salvaged");
        assert_eq!(import(&tool, &whole, key, &["--salvage"])["exit"], 0);
    }
}
