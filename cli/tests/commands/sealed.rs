//! Key rings, and stores that are sealed with them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    thread::sleep,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::{
    records::{SECRET, every_kind, many},
    tool::Tool,
    waiting::Waiting,
};

/// Whether a text is in the files of a store.
fn holds(tool: &Tool, text: &str) -> bool {
    let files = ["a.db", "a.db-wal"].map(|name| fs::read(tool.path(name)).unwrap_or_default());
    files.concat().windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_ring_is_its_owners_alone_and_its_newest_key_the_last() {
    let tool = Tool::new();
    let told = tool.json(&["key", "ring", "2025"]);
    assert_eq!((&told["new"], &told["keys"]), (&true.into(), &json!(["2025"])));
    assert_eq!(fs::metadata(tool.path("ring")).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(tool.path("ring")).unwrap();
    tool.write_private("ring", &format!("# ours\n{first}"));

    let told = tool.json(&["key", "ring", "2026", "--standby"]);
    assert_eq!((&told["newest"], &told["keys"]), (&"2025".into(), &json!(["2026", "2025"])));
    assert_eq!(tool.json(&["key", "ring", "2026", "--standby"])["exit"], 4);
    let told = tool.json(&["key", "ring", "2026"]);
    assert_eq!((&told["new"], &told["keys"]), (&false.into(), &json!(["2025", "2026"])));
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    assert!(ring.starts_with(&format!("# ours\n{first}2026 = ")), "{ring}");

    for key in ring.lines().filter_map(|line| line.split_once(" = ")) {
        let ran = tool.run(&["key", "ring", "2026"]);
        assert!(!format!("{}{}", ran.stdout(), ran.stderr).contains(key.1));
    }
    assert_eq!(tool.json(&["key", "ring", "no spaces"])["exit"], 2);
    tool.write_private("no-ring", "something else\n");
    assert_eq!(tool.json(&["key", "no-ring", "2026"])["exit"], 1);
    assert_eq!(fs::read_to_string(tool.path("no-ring")).unwrap(), "something else\n");
}

#[test]
fn keys_that_are_made_at_once_are_all_in_the_ring() {
    let tool = Tool::new();
    let ids: Vec<_> = (0..12).map(|n| format!("key-{n}")).collect();
    let making: Vec<_> = ids.iter().map(|id| tool.start(&["key", "ring", id])).collect();
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
fn a_link_to_a_ring_stays_one() {
    let tool = Tool::new();
    tool.fine(&["key", "ring", "2025"]);
    symlink("ring", tool.path("link")).unwrap();
    let told = tool.json(&["key", "link", "2026"]);
    assert_eq!((&told["key_ring"], &told["keys"]), (&"link".into(), &json!(["2025", "2026"])));
    assert!(tool.path("link").is_symlink());
    assert_eq!(fs::read_to_string(tool.path("ring")).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn a_sealed_store_shows_no_secret_and_gives_back_every_record() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.fine(&["key", "ring", "one"]);
    let told = tool.json(&["init", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["sealed"]), (&0.into(), &true.into()));
    tool.fine(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    assert!(!holds(&tool, SECRET));
    assert!(holds(&tool, "tower-sealed:1:one:"));
    let told = tool.json(&["stats", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&told["records"], &told["exit"]), (&7.into(), &0.into()));

    tool.fine(&["copy", "sqlite:a.db", "sqlite:copied.db", "--from-key-ring", "ring"]);
    assert!(tool.records("copied.db").await == every_kind());
    let passphrase = ["--passphrase-file", "passphrase"];
    tool.fine(&[&["export", "sqlite:a.db", "out", "--key-ring", "ring"], &passphrase[..]].concat());
    tool.fine(&[&["import", "sqlite:imported.db", "out"], &passphrase[..]].concat());
    assert!(tool.records("imported.db").await == every_kind());
    let again = [&["import", "sqlite:a.db", "out", "--key-ring", "ring"], &passphrase[..]].concat();
    assert_eq!(tool.json(&again)["already_there"], 7);
}

#[tokio::test]
async fn a_sealed_store_is_nothing_without_its_keys() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    tool.fine(&["export", "sqlite:plain.db", "out", "--plaintext"]);
    tool.fine(&["key", "other", "two"]);
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
            (None, "needs its key ring: --key-ring"),
            (Some("other"), "sealed with: one"),
            (Some("same-id"), "one"),
            (Some("exposed"), "exposed"),
            (Some("missing"), "missing"),
            (Some("env:NOT_SET"), "NOT_SET"),
        ] {
            let ring = ring.map_or_else(Vec::new, |ring| vec!["--key-ring", ring]);
            let told = tool.json(&[command, &ring].concat());
            assert_eq!(told["exit"], 1, "{command:?} {ring:?}: {told}");
            assert!(told["error"].as_str().unwrap().contains(why), "{command:?}: {told}");
        }
    }
    assert!(!tool.path("out2").exists());
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(told["exit"], 1, "{told}");
    assert!(!tool.path("b.db").exists());
    // A store that is plain is not taken for one that is sealed either.
    let told = tool.json(&["stats", "sqlite:plain.db", "--key-ring", "ring"]);
    assert_eq!(told["exit"], 1, "{told}");
}

#[tokio::test]
async fn keys_may_come_from_the_environment() {
    let tool = Tool::new();
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["init", "sqlite:a.db", "--key-ring", "ring"]);
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    let ran = tool.with(&["stats", "sqlite:a.db", "--key-ring", "env:KEYS"], |command| {
        command.env("KEYS", ring);
    });
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[tokio::test]
async fn a_plain_store_is_sealed_once_that_is_said_and_then_takes_newer_keys() {
    let tool = Tool::new();
    let records = many(2_500);
    tool.fill("a.db", &records).await;
    tool.fine(&["key", "ring", "one"]);
    let reseal = ["reseal", "sqlite:a.db", "--key-ring", "ring"];
    assert_eq!(tool.json(&["reseal", "sqlite:a.db"])["exit"], 2);
    assert_eq!(tool.json(&reseal)["exit"], 1);
    let told = tool.json(&[&reseal, &["--adopt"][..]].concat());
    assert_eq!((&told["exit"], &told["resealed"]), (&0.into(), &2_500.into()), "{told}");
    assert_eq!(told["keys_in_use"], json!(["one"]));

    tool.fine(&["key", "ring", "two"]);
    let told = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["sealed_with_older_keys"]), (&0.into(), &2_500.into()));
    let told = tool.json(&reseal);
    assert_eq!((&told["exit"], &told["resealed"]), (&0.into(), &2_500.into()), "{told}");
    assert_eq!(told["keys_in_use"], json!(["two"]));
    let told = tool.json(&reseal);
    assert_eq!((&told["exit"], &told["resealed"]), (&0.into(), &0.into()), "{told}");

    // The older key is of no use any more.
    let ring = fs::read_to_string(tool.path("ring")).unwrap();
    tool.write_private("ring", ring.lines().last().unwrap());
    tool.fine(&["copy", "sqlite:a.db", "sqlite:b.db", "--from-key-ring", "ring"]);
    let opened = tool.records("b.db").await;
    assert_eq!(opened.len(), records.len());
    for (opened, record) in opened.iter().zip(&records) {
        assert!(opened.material == record.material && opened.id == record.id);
    }
}

#[tokio::test]
async fn sealing_that_was_killed_goes_on_when_it_is_run_again() {
    let tool = Tool::new();
    tool.fill("a.db", &many(10_000)).await;
    tool.fine(&["key", "ring", "one"]);
    let reseal = ["reseal", "sqlite:a.db", "--key-ring", "ring", "--adopt"];
    let sealed = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = Connection::open_with_flags(tool.path("a.db"), flags).unwrap();
        let sql = "SELECT count(*) FROM credentials WHERE material LIKE '%tower-sealed:1%'";
        store.query_row(sql, [], |row| row.get(0)).unwrap_or(0_i64)
    };
    let mut running = tool.start(&reseal);
    for () in Waiting::start() {
        if sealed() > 1_000 {
            break;
        }
        sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    assert!(running.wait().unwrap().code().is_none(), "it ended before it was killed");
    let there = sealed();
    eprintln!("sealing killed with {there} of 10000 records sealed");
    let told = tool.json(&reseal);
    assert_eq!(told["exit"], 0, "{told}");
    assert!(told["resealed"].as_i64().unwrap() < 10_000, "{told}");
    let told = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &10_000.into()), "{told}");
    assert_eq!((&told["not_sealed"], &told["sealed_with_older_keys"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn secrets_that_were_swapped_or_cannot_be_opened_are_found() {
    let tool = Tool::new();
    let records = many(1_200);
    tool.fill("plain.db", &records).await;
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    let store = Connection::open(tool.path("a.db")).unwrap();
    let (one, other) = (records[77].id.as_str(), records[900].id.as_str());
    let material = |id: &str| -> String {
        let sql = "SELECT material FROM credentials WHERE id = ?";
        store.query_row(sql, [id], |row| row.get(0)).unwrap()
    };
    let (of_one, of_other) = (material(one), material(other));
    for (id, material) in [(one, of_other), (other, of_one)] {
        let sql = "UPDATE credentials SET material = ? WHERE id = ?";
        assert_eq!(store.execute(sql, [&*material, id]).unwrap(), 1);
    }
    let told = tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["damaged"]), (&1.into(), &2.into()), "{told}");
    let named: Vec<_> = told["damaged_records"].as_array().unwrap().iter().collect();
    for (line, id) in named.iter().zip([one, other]) {
        let line = line.as_str().unwrap();
        assert!(line.starts_with(id) && line.contains("altered"), "{line}");
    }
}

#[tokio::test]
async fn a_record_that_nobody_can_open_is_told_and_can_be_removed() {
    let tool = Tool::new();
    tool.fill("plain.db", &every_kind()).await;
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["copy", "sqlite:plain.db", "sqlite:a.db", "--to-key-ring", "ring"]);
    let verify = || tool.json(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!(verify()["exit"], 0);

    let database = Connection::open(tool.path("a.db")).unwrap();
    let id: String = database
        .query_row("SELECT id FROM credentials WHERE kind = 'ec2'", [], |row| row.get(0))
        .unwrap();
    database.execute("UPDATE credentials SET user_id = 'mallory' WHERE id = ?", [&id]).unwrap();
    drop(database);
    let told = verify();
    assert_eq!(told["exit"], 1);
    assert!(told.to_string().contains(&id), "{told}");
    // With the key that is newest already there would be nothing to open.
    tool.fine(&["key", "ring", "two"]);
    assert_eq!(tool.json(&["reseal", "sqlite:a.db", "--key-ring", "ring"])["exit"], 1);

    assert_eq!(tool.json(&["remove", "sqlite:a.db", &id])["removed"], 1);
    let told = verify();
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &6.into()));
    assert_eq!(tool.json(&["reseal", "sqlite:a.db", "--key-ring", "ring"])["exit"], 0);
    assert_eq!(tool.json(&["remove", "sqlite:a.db", &id])["exit"], 1);
}
