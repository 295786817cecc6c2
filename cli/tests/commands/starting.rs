//! Making and opening stores, and what the exit codes say of it.

use std::fs;

use rusqlite::Connection;

use crate::{records::every_kind, tool::Tool};

#[test]
fn a_store_is_made_once() {
    let tool = Tool::new();
    let made = tool.json(&["init", "sqlite:a.db"]);
    assert_eq!((&made["exit"], &made["engine"]), (&0.into(), &"sqlite".into()));
    assert!(tool.path("a.db").exists());
    let again = tool.json(&["init", "sqlite:a.db"]);
    assert_eq!(again["exit"], 4);
    assert_eq!(again["error"], "a.db already exists");
    tool.fine(&["stats", "sqlite:a.db"]);
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_reading_it() {
    let tool = Tool::new();
    for command in ["export", "migrate", "stats", "verify"] {
        let mut arguments = vec![command, "sqlite:a.db"];
        if command == "export" {
            arguments.extend(["out", "--plaintext"]);
        }
        let told = tool.json(&arguments);
        assert_eq!(told["exit"], 3, "{told}");
        assert_eq!(told["error"], "a.db does not exist");
        assert!(!tool.path("a.db").exists() && !tool.path("out").exists(), "{command}");
    }
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(
        (&told["exit"], told["error"].as_str().unwrap()),
        (&3.into(), "the store to read: a.db does not exist")
    );
    assert!(!tool.path("b.db").exists());
    let told = tool.json(&["init", "sqlite:no/such/folder/a.db"]);
    assert_eq!(told["exit"], 3, "{told}");
}

#[test]
fn files_that_are_no_stores_are_refused_and_left_alone() {
    let tool = Tool::new();
    fs::write(tool.path("text"), "something else, and long enough to be looked at\n".repeat(99))
        .unwrap();
    let other = Connection::open(tool.path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = tool.path("newer.db");
    tool.fine(&["init", "sqlite:newer.db"]);
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 999).unwrap();
    for name in ["text", "other.db", "newer.db"] {
        let before = fs::read(tool.path(name)).unwrap();
        for command in ["migrate", "stats", "verify"] {
            let told = tool.json(&[command, &format!("sqlite:{name}")]);
            assert_eq!(told["exit"], 1, "{name}: {told}");
        }
        assert!(fs::read(tool.path(name)).unwrap() == before, "{name} was changed");
    }
    let told = tool.json(&["migrate", "sqlite:newer.db"]);
    assert!(told["error"].as_str().unwrap().contains("schema version 999"), "{told}");
}

#[tokio::test]
async fn an_old_store_is_brought_to_the_current_schema_with_its_records() {
    let tool = Tool::new();
    let old = Connection::open(tool.path("old.db")).unwrap();
    old.execute_batch(include_str!("../../../src/backend/sqlite/migrations/0001_credentials.sql"))
        .unwrap();
    old.pragma_update(None, "application_id", 0x7443_7264).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO credentials VALUES ('i', 'ec2', 'bob', NULL, NULL, NULL, \
         '{\"form\":\"pair\",\"secret\":null}', 'Active', NULL, '{}', 1, 2, 3)",
    )
    .unwrap();
    drop(old);
    tool.fine(&["migrate", "sqlite:old.db"]);
    let version = Connection::open(tool.path("old.db")).unwrap();
    let version: u32 = version
        .query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 3);
    assert_eq!(tool.records("old.db").await.len(), 1);
}

#[test]
fn a_store_that_another_process_holds_is_unavailable() {
    let tool = Tool::new();
    tool.fine(&["init", "sqlite:a.db"]);
    let holder = Connection::open(tool.path("a.db")).unwrap();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let told = tool.json(&["stats", "sqlite:a.db"]);
    assert_eq!(told["exit"], 3, "{told}");
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let tool = Tool::new();
    for arguments in [
        &[][..],
        &["mend", "sqlite:a.db"],
        &["stats"],
        &["stats", "a.db"],
        &["stats", "sqlite:"],
        &["stats", "memory:"],
        &["init", "memory:"],
        &["export", "sqlite:a.db", "--plaintext", "--passphrase-file", "passphrase"],
        &["export", "sqlite:a.db", "--recipient", "age1nonsense"],
        &["--json", "export", "sqlite:a.db", "-", "--plaintext"],
    ] {
        let ran = tool.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() || !ran.stdout.is_empty());
    }
    assert!(!tool.path("a.db").exists());
}

#[test]
fn passwords_in_urls_are_never_shown() {
    let tool = Tool::new();
    for url in [
        "nosuch://user:hush@host/base",
        "nosuch://user:h@u/sh@host/base",
        "nosuch://host/base?user=u&password=hush&x=y",
        "nosuch:host=h password=hush user=u",
    ] {
        for arguments in
            [&["stats", url][..], &["copy", url, "sqlite:b.db"], &["--json", "verify", url]]
        {
            let ran = tool.run(arguments);
            assert_eq!(ran.code, 2);
            let said = format!("{}{}", ran.stdout(), ran.stderr);
            assert!(said.contains("nosuch:") && said.contains("***"), "{said}");
            assert!(!said.contains("hush") && !said.contains("u/sh"), "{said}");
        }
    }
}

#[test]
fn the_help_names_every_command_and_every_exit_code() {
    let tool = Tool::new();
    let help = tool.fine(&["--help"]);
    for word in ["init", "migrate", "export", "import", "copy", "key", "reseal", "stats", "verify"]
    {
        assert!(help.stdout().contains(&format!("\n  {word} ")), "{word}");
    }
    for code in 0..=5 {
        assert!(help.stdout().contains(&format!("\n  {code}  ")), "{code}");
    }
}

#[tokio::test]
async fn outcomes_for_people_are_lines() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let ran = tool.fine(&["stats", "sqlite:a.db"]);
    assert!(ran.stdout().starts_with("store: sqlite:a.db\nengine: sqlite\nrecords: 7\n"));
    assert!(ran.stdout().contains("kinds:\n  cert: 1\n  ec2: 4\n"), "{}", ran.stdout());
    assert_eq!(ran.stderr, "");
}
