//! Creating and opening stores; usage and output.

use std::fs;

use rusqlite::Connection;

use crate::{
    records::{every_kind, many},
    tool::Tool,
};

#[test]
fn init_creates_a_store_once() {
    let tool = Tool::new();
    let made = tool.json(&["init", "sqlite:a.db"]);
    assert_eq!((&made["exit"], &made["engine"]), (&0.into(), &"sqlite".into()));
    assert!(tool.path("a.db").exists());
    let again = tool.json(&["init", "sqlite:a.db"]);
    assert_eq!(again["exit"], 4);
    assert_eq!(again["error"], "a.db already exists");
    tool.run_ok(&["stats", "sqlite:a.db"]);
}

#[test]
fn missing_store_is_not_created_by_commands_that_read() {
    let tool = Tool::new();
    for (command, more) in [
        ("export", &["out", "--plaintext"][..]),
        ("list", &[]),
        ("migrate", &[]),
        ("purge", &["--expired-for", "1d"]),
        ("show", &["AK"]),
        ("stats", &[]),
        ("verify", &[]),
    ] {
        let arguments = [&[command, "sqlite:a.db"], more].concat();
        let report = tool.json(&arguments);
        assert_eq!(report["exit"], 3, "{report}");
        assert_eq!(report["error"], "a.db does not exist");
        assert!(!tool.path("a.db").exists() && !tool.path("out").exists(), "{command}");
    }
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(
        (&report["exit"], report["error"].as_str().unwrap()),
        (&3.into(), "source store: a.db does not exist")
    );
    assert!(!tool.path("b.db").exists());
    let report = tool.json(&["init", "sqlite:no/such/folder/a.db"]);
    assert_eq!(report["exit"], 3, "{report}");
}

#[test]
fn files_that_are_not_stores_are_rejected_and_unchanged() {
    let tool = Tool::new();
    fs::write(tool.path("text"), "something else, and long enough to be looked at\n".repeat(99))
        .unwrap();
    let other = Connection::open(tool.path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = tool.path("newer.db");
    tool.run_ok(&["init", "sqlite:newer.db"]);
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 999).unwrap();
    for name in ["text", "other.db", "newer.db"] {
        let before = fs::read(tool.path(name)).unwrap();
        for command in ["migrate", "stats", "verify"] {
            let report = tool.json(&[command, &format!("sqlite:{name}")]);
            assert_eq!(report["exit"], 1, "{name}: {report}");
        }
        assert!(fs::read(tool.path(name)).unwrap() == before, "{name} was changed");
    }
    let report = tool.json(&["migrate", "sqlite:newer.db"]);
    assert!(report["error"].as_str().unwrap().contains("schema version 999"), "{report}");
}

#[tokio::test]
async fn migrate_upgrades_an_old_store_with_its_records() {
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
    tool.run_ok(&["migrate", "sqlite:old.db"]);
    let version = Connection::open(tool.path("old.db")).unwrap();
    let version: u32 = version
        .query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 5);
    assert_eq!(tool.records("old.db").await.len(), 1);
}

#[test]
fn store_locked_by_another_process_is_unavailable() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    let holder = Connection::open(tool.path("a.db")).unwrap();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let report = tool.json(&["stats", "sqlite:a.db"]);
    assert_eq!(report["exit"], 3, "{report}");
}

#[test]
fn invalid_arguments_exit_with_code_2() {
    let tool = Tool::new();
    for arguments in [
        &[][..],
        &["fix", "sqlite:a.db"],
        &["stats"],
        &["stats", "a.db"],
        &["stats", "sqlite:"],
        &["stats", "memory:"],
        &["init", "memory:"],
        &["export", "sqlite:a.db", "--plaintext", "--passphrase-file", "passphrase"],
        &["export", "sqlite:a.db", "--recipient", "age1nonsense"],
        &["--json", "export", "sqlite:a.db", "-", "--plaintext"],
    ] {
        let run = tool.run(arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(!run.stderr.is_empty() || !run.stdout.is_empty());
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
            let run = tool.run(arguments);
            assert_eq!(run.code, 2);
            let output = format!("{}{}", run.stdout(), run.stderr);
            assert!(output.contains("nosuch:") && output.contains("***"), "{output}");
            assert!(!output.contains("hush") && !output.contains("u/sh"), "{output}");
        }
    }
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let tool = Tool::new();
    let help = tool.run_ok(&["--help"]);
    for word in [
        "init", "migrate", "export", "import", "copy", "ring", "list", "show", "key", "purge",
        "reseal", "stats", "verify",
    ] {
        assert!(help.stdout().contains(&format!("\n  {word} ")), "{word}");
    }
    for code in 0..=5 {
        assert!(help.stdout().contains(&format!("\n  {code}  ")), "{code}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    let run = Tool::new().run_ok(&["--version"]);
    assert_eq!(run.stdout(), format!("credentials {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn report_is_printed_as_lines() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let run = tool.run_ok(&["stats", "sqlite:a.db"]);
    assert!(run.stdout().starts_with("store: sqlite:a.db\nengine: sqlite\nrecords: 7\n"));
    assert!(run.stdout().contains("kinds:\n  cert: 1\n  ec2: 4\n"), "{}", run.stdout());
    assert_eq!(run.stderr, "");
}

/// Moves a terminal's cursor, starts another line, and runs backwards.
const HOSTILE: &str = "x\nrecords: 0\r\u{1b}[2K\u{9b}\u{202e}\u{2066}";

#[tokio::test]
async fn hostile_ids_are_escaped_for_people_and_kept_in_json() {
    let tool = Tool::new();
    tool.fill("a.db", &many(1)).await;
    let run = tool.run(&["remove", "sqlite:a.db", HOSTILE, "a \"b\" c\\d"]);
    assert_eq!(run.code, 1, "{run:?}");
    let printed = format!("{}{}", run.stdout(), run.stderr);
    let hidden = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(c));
    assert!(!printed.contains(hidden), "{printed:?}");
    let escaped = "  x\\nrecords: 0\\r\\u{1b}[2K\\u{9b}\\u{202e}\\u{2066}\n";
    assert!(printed.contains(escaped), "{printed}");
    assert!(printed.contains("  a \"b\" c\\d\n"), "{printed}");

    let report = tool.json(&["remove", "sqlite:a.db", HOSTILE]);
    assert_eq!(report["not_there"][0], HOSTILE);
}
