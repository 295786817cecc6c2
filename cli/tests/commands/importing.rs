//! Imports never overwrite, and reject exports that cannot be trusted.

use std::fs;

use age::{secrecy::ExposeSecret, x25519};
use tower_credentials::domain::{AccessKey, CredentialId, UserId};

use crate::{
    records::{every_kind, many, pair, sort},
    tool::Tool,
};

/// An export of the first release: every release can import it.
const FIRST: &str = include_str!("first.jsonl");

#[tokio::test]
async fn exports_of_the_first_release_can_be_imported() {
    let tool = Tool::new();
    fs::write(tool.path("out"), FIRST).unwrap();
    tool.run_ok(&["import", "sqlite:a.db", "out", "--plaintext"]);
    let mut expected = every_kind();
    expected.retain(|record| record.status.as_str() == "Inactive");
    assert!(tool.records("a.db").await == expected);
}

#[tokio::test]
async fn records_with_taken_names_are_refused_and_all_others_imported() {
    let tool = Tool::new();
    let records = many(2_500);
    tool.fill("a.db", &records).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);

    let mut there = records.clone();
    // A changed record, a record whose access key belongs to another one, and an unchanged one.
    there.truncate(3);
    there[0] = there[0].clone().touched(there[0].updated_at);
    there[1].id = CredentialId::of(&AccessKey::from_stored("another"));
    there[1].user_id = UserId::from_stored("somebody else");
    tool.fill("b.db", &there).await;

    let report = tool.json(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert_eq!(report["exit"], 4, "{report}");
    assert_eq!(report["records"], 2_500);
    assert_eq!(report["stored"], 2_497);
    assert_eq!(report["already_there"], 1);
    assert_eq!(report["refused"], 2);
    let refused = [records[0].id.as_str(), records[1].id.as_str()];
    assert_eq!(report["refused_ids"], serde_json::json!(refused));
    let mut expected = [&there, &records[3..]].concat();
    sort(&mut expected);
    assert!(tool.records("b.db").await == expected);
    let again = tool.json(&["import", "sqlite:b.db", "out", "--plaintext"]);
    assert_eq!((&again["exit"], &again["already_there"]), (&4.into(), &2_498.into()));
}

#[tokio::test]
async fn wrong_key_imports_nothing() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let recipient = tool.recipient();
    tool.run_ok(&["export", "sqlite:a.db", "keyed", "--recipient", &recipient]);
    tool.run_ok(&["export", "sqlite:a.db", "phrased", "--passphrase-file", "passphrase"]);
    let other = x25519::Identity::generate();
    tool.write_private("other-key", other.to_string().expose_secret());
    tool.write_private("other-phrase", "open barley\n");
    for (file, key, code) in [
        ("keyed", &["--identity", "other-key"][..], 5),
        ("phrased", &["--passphrase-file", "other-phrase"], 5),
        ("keyed", &["--passphrase-file", "passphrase"], 5),
        ("phrased", &["--identity", "key"], 5),
        ("keyed", &["--plaintext"], 2),
        ("phrased", &["--plaintext"], 2),
        ("keyed", &[], 2),
        ("phrased", &[], 2),
        ("keyed", &["--identity", "passphrase"], 2),
        ("keyed", &["--identity", "missing"], 2),
        ("missing", &["--identity", "key"], 5),
    ] {
        let report = tool.json(&[&["import", "sqlite:b.db", file], key].concat());
        assert_eq!(report["exit"], code, "{file} {key:?}: {report}");
        assert!(!tool.path("b.db").exists(), "{file} {key:?}");
    }
}

#[tokio::test]
async fn unsealed_export_is_rejected_without_the_plaintext_option() {
    let tool = Tool::new();
    tool.fill("a.db", &[pair("AKA", "alice")]).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    for (key, code) in [
        (&[][..], 2),
        (&["--identity", "key"], 5),
        (&["--passphrase-file", "passphrase"], 5),
        (&["--plaintext"], 0),
    ] {
        let report = tool.json(&[&["import", "sqlite:b.db", "out"], key].concat());
        assert_eq!(report["exit"], code, "{key:?}: {report}");
        assert_eq!(tool.path("b.db").exists(), code == 0, "{key:?}");
    }
}

#[tokio::test]
async fn files_that_are_not_valid_exports_are_rejected() {
    let tool = Tool::new();
    tool.fill("a.db", &[pair("AKA", "alice")]).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    let export = fs::read_to_string(tool.path("out")).unwrap();
    for (from, to, why) in [
        ("\"version\":1,", "\"version\":2,", "has version 2"),
        ("tower-credentials-export", "somebody-elses", "not an export"),
        ("\"kind\":", "\"color\":\"red\",\"kind\":", "line 2"),
        ("\"status\":\"Active\"", "\"status\":\"active\"", "status"),
        ("\"form\":\"pair\"", "\"form\":\"pear\"", "material"),
        ("\"kind\":", "\"last_used\":-1,\"kind\":", "line 2"),
        ("\"records\":1,", "\"records\":2,", "number of records"),
        ("\"user_id\":\"alice\"", "\"user_id\":\"mallory\"", "digest"),
        ("}\n{\"records\"", "}\n\n{\"records\"", "line 3"),
    ] {
        assert!(export.contains(from), "{from}");
        fs::write(tool.path("changed"), export.replacen(from, to, 1)).unwrap();
        let report = tool.json(&["import", "sqlite:b.db", "changed", "--plaintext"]);
        assert_eq!(report["exit"], 5, "{to}: {report}");
        assert!(report["error"].as_str().unwrap().contains(why), "{to}: {report}");
        assert!(!tool.path("b.db").exists(), "{to}");
    }
    for (more, why) in [("x", "end"), ("\n", "end"), (&*export.clone(), "end")] {
        fs::write(tool.path("longer"), format!("{export}{more}")).unwrap();
        let report = tool.json(&["import", "sqlite:b.db", "longer", "--plaintext"]);
        assert_eq!(report["exit"], 5);
        assert!(report["error"].as_str().unwrap().contains(why), "{report}");
    }
}
