//! Key rings, and sealed stores.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
    thread::sleep,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tower_credentials::domain::Credential;

use crate::{
    records::{SECRET, every_kind, many},
    tool::Tool,
    waiting::Waiting,
};

/// How often a store is read until a command is killed.
const STEP: Duration = Duration::from_millis(2);

/// Whether the files of a store contain a text.
fn contains(tool: &Tool, text: &str) -> bool {
    let files = ["a.db", "a.db-wal"].map(|name| fs::read(tool.path(name)).unwrap_or_default());
    files.concat().windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn key_ring_is_private_and_its_newest_key_is_last() {
    let tool = Tool::new();
    let report = tool.json(&["ring", "ring", "2025"]);
    assert_eq!((&report["new"], &report["keys"]), (&true.into(), &json!(["2025"])));
    assert_eq!(fs::metadata(tool.path("ring")).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(tool.path("ring")).unwrap();
    tool.write_private("ring", &format!("# ours\n{first}"));

    let report = tool.json(&["ring", "ring", "2026", "--standby"]);
    assert_eq!((&report["newest"], &report["keys"]), (&"2025".into(), &json!(["2026", "2025"])));
    assert_eq!(tool.json(&["ring", "ring", "2026", "--standby"])["exit"], 4);
    let report = tool.json(&["ring", "ring", "2026"]);
    assert_eq!((&report["new"], &report["keys"]), (&false.into(), &json!(["2025", "2026"])));
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    assert!(ring.starts_with(&format!("# ours\n{first}2026 = ")), "{ring}");

    for key in ring.lines().filter_map(|line| line.split_once(" = ")) {
        let run = tool.run(&["ring", "ring", "2026"]);
        assert!(!format!("{}{}", run.stdout(), run.stderr).contains(key.1));
    }
    assert_eq!(tool.json(&["ring", "ring", "no spaces"])["exit"], 2);
    tool.write_private("no-ring", "something else\n");
    assert_eq!(tool.json(&["ring", "no-ring", "2026"])["exit"], 1);
    assert_eq!(fs::read_to_string(tool.path("no-ring")).unwrap(), "something else\n");
}

#[test]
fn keys_added_concurrently_are_all_in_the_ring() {
    let tool = Tool::new();
    let ids: Vec<_> = (0..12).map(|n| format!("key-{n}")).collect();
    let making: Vec<_> = ids.iter().map(|id| tool.start(&["ring", "ring", id])).collect();
    for mut made in making {
        assert!(made.wait().unwrap().success());
    }
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    let found: Vec<_> = ring.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    for id in &ids {
        assert!(found.contains(&&**id), "{id} is lost: {found:?}");
    }
    assert_eq!(found.len(), ids.len());
}

#[test]
fn symbolic_link_to_a_ring_is_kept() {
    let tool = Tool::new();
    tool.run_ok(&["ring", "ring", "2025"]);
    symlink("ring", tool.path("link")).unwrap();
    let report = tool.json(&["ring", "link", "2026"]);
    assert_eq!((&report["key_ring"], &report["keys"]), (&"link".into(), &json!(["2025", "2026"])));
    assert!(tool.path("link").is_symlink());
    assert_eq!(fs::read_to_string(tool.path("ring")).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn sealed_store_hides_secrets_and_returns_every_record() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.run_ok(&["ring", "ring", "one"]);
    let report = tool.json(&["init", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&report["exit"], &report["sealed"]), (&0.into(), &true.into()));
    tool.run_ok(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    assert!(!contains(&tool, SECRET));
    assert!(contains(&tool, "tower-sealed:1:one:"));
    let report = tool.json(&["stats", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&report["records"], &report["exit"]), (&7.into(), &0.into()));

    tool.run_ok(&["copy", "sqlite:a.db", "sqlite:copied.db", "--from-key-ring", "ring"]);
    assert!(tool.records("copied.db").await == every_kind());
    let passphrase = ["--passphrase-file", "passphrase"];
    tool.run_ok(
        &[&["export", "sqlite:a.db", "out", "--key-ring", "ring"], &passphrase[..]].concat(),
    );
    tool.run_ok(&[&["import", "sqlite:imported.db", "out"], &passphrase[..]].concat());
    assert!(tool.records("imported.db").await == every_kind());
    let again = [&["import", "sqlite:a.db", "out", "--key-ring", "ring"], &passphrase[..]].concat();
    assert_eq!(tool.json(&again)["already_there"], 7);
}

#[tokio::test]
async fn sealed_store_cannot_be_opened_without_its_keys() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    tool.run_ok(&["export", "sqlite:plain.db", "out", "--plaintext"]);
    tool.run_ok(&["ring", "other", "two"]);
    let mut same_id = fs::read_to_string(tool.path("other")).unwrap();
    same_id.replace_range(..3, "one");
    tool.write_private("same-id", &same_id);
    tool.write_private("exposed", &same_id);
    fs::set_permissions(tool.path("exposed"), fs::Permissions::from_mode(0o644)).unwrap();

    let commands = [
        &["stats", "sqlite:a.db"][..],
        &["verify", "sqlite:a.db"],
        &["migrate", "sqlite:a.db"],
        &["export", "sqlite:a.db", "out2", "--plaintext"],
        &["import", "sqlite:a.db", "out", "--plaintext"],
    ];
    for command in commands {
        for (ring, why) in [
            (None, "the store is sealed: pass --key-ring FILE"),
            (Some("other"), "sealed with: one"),
            (Some("same-id"), "one"),
            (Some("exposed"), "exposed"),
            (Some("missing"), "missing"),
            (Some("env:NOT_SET"), "NOT_SET"),
        ] {
            let ring = ring.map_or_else(Vec::new, |ring| vec!["--key-ring", ring]);
            let report = tool.json(&[command, &ring].concat());
            assert_eq!(report["exit"], 1, "{command:?} {ring:?}: {report}");
            assert!(report["error"].as_str().unwrap().contains(why), "{command:?}: {report}");
        }
    }
    assert!(!tool.path("out2").exists());
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(
        (&report["exit"], report["error"].as_str().unwrap()),
        (&1.into(), "source store: the store is sealed: pass --from-key-ring FILE")
    );
    assert!(!tool.path("b.db").exists());
    // A key ring is rejected for a plain store.
    let report = tool.json(&["stats", "sqlite:plain.db", "--key-ring", "ring"]);
    assert_eq!(report["exit"], 1, "{report}");
}

#[tokio::test]
async fn key_ring_can_come_from_the_environment() {
    let tool = Tool::new();
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["init", "sqlite:a.db", "--key-ring", "ring"]);
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    let run = tool.with(&["stats", "sqlite:a.db", "--key-ring", "env:KEYS"], |command| {
        command.env("KEYS", ring);
    });
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[tokio::test]
async fn plain_store_is_sealed_with_adopt_and_then_rotates_keys() {
    let tool = Tool::new();
    let records = many(2_500);
    tool.fill("a.db", &records).await;
    tool.run_ok(&["ring", "ring", "one"]);
    let reseal = ["reseal", "sqlite:a.db", "--key-ring", "ring"];
    assert_eq!(tool.json(&["reseal", "sqlite:a.db"])["exit"], 2);
    assert_eq!(tool.json(&reseal)["exit"], 1);
    let report = tool.json(&[&reseal, &["--adopt"][..]].concat());
    assert_eq!((&report["exit"], &report["resealed"]), (&0.into(), &2_500.into()), "{report}");
    assert_eq!(report["keys_in_use"], json!(["one"]));

    tool.run_ok(&["ring", "ring", "two"]);
    let report = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&report["exit"], &report["sealed_with_older_keys"]), (&0.into(), &2_500.into()));
    let report = tool.json(&reseal);
    assert_eq!((&report["exit"], &report["resealed"]), (&0.into(), &2_500.into()), "{report}");
    assert_eq!(report["keys_in_use"], json!(["two"]));
    let report = tool.json(&reseal);
    assert_eq!((&report["exit"], &report["resealed"]), (&0.into(), &0.into()), "{report}");

    // The older key is not needed any more.
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    tool.write_private("ring", ring.lines().last().unwrap());
    tool.run_ok(&["copy", "sqlite:a.db", "sqlite:b.db", "--from-key-ring", "ring"]);
    let opened = tool.records("b.db").await;
    assert_eq!(opened.len(), records.len());
    for (opened, record) in opened.iter().zip(&records) {
        assert!(opened.material == record.material && opened.id == record.id);
    }
}

#[tokio::test]
async fn interrupted_reseal_loses_nothing_and_continues_when_run_again() {
    for signal in ["KILL", "TERM"] {
        let (tool, records) = (Tool::new(), many(10_000));
        tool.fill("a.db", &records).await;
        tool.run_ok(&["ring", "ring", "one"]);
        let reseal = ["reseal", "sqlite:a.db", "--key-ring", "ring", "--adopt"];
        let sealed = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            let store = Connection::open_with_flags(tool.path("a.db"), flags).unwrap();
            let sql = "SELECT count(*) FROM records WHERE material LIKE '%tower-sealed:1%'";
            store.query_row(sql, [], |row| row.get(0)).unwrap_or(0_i64)
        };
        let mut running = tool.start(&reseal);
        for () in Waiting::every(STEP) {
            if sealed() > 1_000 {
                break;
            }
            sleep(STEP);
        }
        let kill = format!("kill -s {signal} {}", running.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let code = running.wait().unwrap().code();
        assert_eq!(code, if signal == "TERM" { Some(1) } else { None }, "{signal}");
        let there = sealed();
        eprintln!("sealing ended by {signal} with {there} of 10000 records sealed");
        let report = tool.json(&reseal);
        assert_eq!(report["exit"], 0, "{report}");
        assert!(report["resealed"].as_i64().unwrap() < 10_000, "{report}");
        let report = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
        assert_eq!((&report["exit"], &report["records"]), (&0.into(), &10_000.into()), "{report}");
        let others = (&report["not_sealed"], &report["sealed_with_older_keys"]);
        assert_eq!(others, (&0.into(), &0.into()));
        tool.run_ok(&["copy", "sqlite:a.db", "sqlite:opened.db", "--from-key-ring", "ring"]);
        // The versions of the records have changed.
        let secrets = |records: &[Credential]| -> Vec<_> {
            let secret = |record: &Credential| record.secret_key().unwrap().expose().to_owned();
            records.iter().map(|record| (record.id.clone(), secret(record))).collect()
        };
        let opened = tool.records("opened.db").await;
        assert!(secrets(&opened) == secrets(&records), "{signal}");
    }
}

#[tokio::test]
async fn swapped_secrets_are_reported() {
    let tool = Tool::new();
    let records = many(1_200);
    tool.fill("plain.db", &records).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    let store = Connection::open(tool.path("a.db")).unwrap();
    let (one, other) = (records[77].id.as_str(), records[900].id.as_str());
    let material = |id: &str| -> String {
        let sql = "SELECT material FROM records WHERE name = ?";
        store.query_row(sql, [id], |row| row.get(0)).unwrap()
    };
    let (of_one, of_other) = (material(one), material(other));
    for (id, material) in [(one, of_other), (other, of_one)] {
        let sql = "UPDATE records SET material = ? WHERE name = ?";
        assert_eq!(store.execute(sql, [&*material, id]).unwrap(), 1);
    }
    let report = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&report["exit"], &report["damaged"]), (&1.into(), &2.into()), "{report}");
    let named: Vec<_> = report["damaged_records"].as_array().unwrap().iter().collect();
    for (line, id) in named.iter().zip([one, other]) {
        let line = line.as_str().unwrap();
        assert!(line.starts_with(id) && line.contains("altered"), "{line}");
    }
}

#[tokio::test]
async fn record_that_cannot_be_opened_is_reported_and_can_be_removed() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    let verify = || tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!(verify()["exit"], 0);

    let database = Connection::open(tool.path("a.db")).unwrap();
    let id: String = database
        .query_row("SELECT name FROM records WHERE kind = 'ec2'", [], |row| row.get(0))
        .unwrap();
    database.execute("UPDATE records SET user_id = 'mallory' WHERE name = ?", [&id]).unwrap();
    drop(database);
    let report = verify();
    assert_eq!(report["exit"], 1);
    assert!(report.to_string().contains(&id), "{report}");
    // With the same newest key, reseal would not open the record.
    tool.run_ok(&["ring", "ring", "two"]);
    assert_eq!(tool.json(&["reseal", "sqlite:a.db", "--key-ring", "ring"])["exit"], 1);

    assert_eq!(tool.json(&["remove", "sqlite:a.db", &id])["removed"], 1);
    let report = verify();
    assert_eq!((&report["exit"], &report["records"]), (&0.into(), &6.into()));
    assert_eq!(tool.json(&["reseal", "sqlite:a.db", "--key-ring", "ring"])["exit"], 0);
    assert_eq!(tool.json(&["remove", "sqlite:a.db", &id])["exit"], 1);
}
