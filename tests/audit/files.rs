//! The file: intents, rotation, restart.

use std::{
    fs::{self, File},
    io::BufReader,
    sync::Arc,
    time::Duration,
};

use test_support::{
    clock::TestClock,
    world::{BOB, DEMO, World, tokens},
};
use tower_credentials::{
    audit::file::{AuditFile, AuditFileError, FindingKind, verify},
    backend::memory::MemoryBackend,
};

use crate::{LONG, builder, events, key, lines, summary};

pub(crate) fn world(audit: &AuditFile) -> World {
    let (backend, audit) = (Arc::new(MemoryBackend::default()), audit.clone());
    World::of(tokens(), backend, |layer| layer.audit(audit))
}

#[tokio::test]
async fn intent_precedes_the_outcome_of_each_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    world.mint(BOB, DEMO, "k").await;
    assert_eq!(world.delete("/credentials/k").token("dev-admin").send().await.status, 204);
    // Refused by the store: the intent is withdrawn, and the refusal follows.
    world.mint(BOB, DEMO, "k").await;
    let twice = test_support::world::pair(BOB, DEMO, "k");
    let answer = world.post("/credentials").token("dev-admin").json(&twice).send().await;
    assert_eq!(answer.status, 409);

    let events = events(&audit, &path);
    let kinds =
        |line: &serde_json::Value| format!("{} {}", line["type"].as_str().unwrap(), summary(line));
    let found: Vec<_> = events.iter().map(kinds).collect();
    let change =
        |action: &str| [format!("intent {action} - -"), format!("outcome {action} done -")];
    let refused =
        ["intent create - -", "outcome create withdrawn -", "event create refused conflict"];
    let expected = [change("create"), change("delete"), change("create")].concat();
    assert_eq!(found[..6], expected);
    assert_eq!(found[6..], refused);
    for pair in events.chunks(2).take(4) {
        assert_eq!(pair[0]["id"], pair[1]["id"]);
    }
}

#[tokio::test]
async fn rotated_files_continue_the_chain_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).open().unwrap();
    let world = world(&audit);
    let mut rotated = Vec::new();
    for number in 0..3 {
        world.mint(BOB, DEMO, &format!("k{number}")).await;
        while audit.stats().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let old = folder.path().join(format!("audit.log.{number}"));
        fs::rename(&path, &old).unwrap();
        rotated.push(old);
    }
    world.mint(BOB, DEMO, "last").await;
    assert!(audit.close(LONG));
    rotated.push(path);
    for file in &rotated {
        let kinds: Vec<_> = lines(file).iter().map(|line| line["type"].clone()).collect();
        assert_eq!(kinds, ["start", "event"], "{file:?}");
    }
    let report = check(&rotated);
    assert_eq!((report.lines, report.first), (8, Some(1)));
    assert!(report.findings.is_empty(), "{report:?}");
    // The later files alone need the head from which they continue.
    let report = check(&rotated[1..]);
    assert_eq!(report.first, Some(3));
    assert_eq!(report.findings[0].kind, FindingKind::Missing { from: 1, to: 2 });
    let head = check(&rotated[..1]).head;
    let later = rotated[1..].iter().map(|path| BufReader::new(File::open(path).unwrap()));
    let report = verify(later, &key(), head, &[]).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    // A file between others is missing.
    let report = check(&[rotated[0].clone(), rotated[2].clone()]);
    assert_eq!(report.findings.len(), 1, "{report:?}");
}

#[tokio::test]
async fn file_that_is_cut_by_a_rotation_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).open().unwrap();
    let world = world(&audit);
    world.mint(BOB, DEMO, "k").await;
    while audit.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fs::write(&path, "").unwrap();
    world.mint(BOB, DEMO, "other").await;
    assert!(audit.close(LONG));
    let kinds: Vec<_> = lines(&path).iter().map(|line| line["type"].clone()).collect();
    assert_eq!(kinds, ["start", "event"]);
    // The check finds the lines that were cut.
    let findings = check(&[path]).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].kind, FindingKind::Missing { from: 1, to: 2 });
}

#[tokio::test]
async fn restart_continues_the_chain_and_removes_an_incomplete_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for number in 0..2 {
        let audit = builder(&path).open().unwrap();
        world(&audit).mint(BOB, DEMO, &format!("k{number}")).await;
        assert!(audit.close(LONG));
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"seq\":5,\"type\":\"ev");
        fs::write(&path, text).unwrap();
    }
    let audit = builder(&path).open().unwrap();
    assert!(audit.close(LONG));
    let kinds: Vec<_> = lines(&path).iter().map(|line| line["type"].clone()).collect();
    assert_eq!(kinds, ["start", "event", "start", "event", "start"]);
    assert!(check(&[path]).findings.is_empty());
}

#[tokio::test]
async fn restart_after_a_rotation_continues_the_chain_of_the_newest_rotated_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut rotated = Vec::new();
    for number in 0..3 {
        let audit = builder(&path).open().unwrap();
        world(&audit).mint(BOB, DEMO, &format!("k{number}")).await;
        assert!(audit.close(LONG));
        let old = folder.path().join(format!("audit.log.{number}"));
        fs::rename(&path, &old).unwrap();
        rotated.push(old);
    }
    // Not an audit file, and newer.
    fs::write(folder.path().join("audit.logs"), "x").unwrap();
    assert!(builder(&path).open().unwrap().close(LONG));
    rotated.push(path);
    let report = check(&rotated);
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.lines, 7);
}

#[tokio::test]
async fn forged_lines_are_neither_resolved_nor_copied_into_later_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let first = world(&audit);
    for number in 0..3 {
        first.mint(BOB, DEMO, &format!("k{number}")).await;
    }
    assert!(audit.close(LONG));
    let text = fs::read_to_string(&path).unwrap();
    let (start, rest) = text.split_once('\n').unwrap();
    let forged = format!(
        "{{\"seq\":2,\"type\":\"intent\",\"id\":\"{}\",\"action\":\"delete\",\"target\":{{}},\"mac\":\"{}\"}}",
        "a".repeat(32),
        "b".repeat(64)
    );
    fs::write(&path, format!("{start}\n{forged}\n{rest}")).unwrap();
    let audit = builder(&path).synced(true).open().unwrap();
    assert_eq!(audit.unresolved(), 0);
    fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
    world(&audit).mint(BOB, DEMO, "after").await;
    assert!(audit.close(LONG));
    assert!(!fs::read_to_string(&path).unwrap().contains("aaaa"));
}

#[tokio::test]
async fn copies_of_earlier_lines_are_neither_resolved_nor_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    world(&audit).mint(BOB, DEMO, "k").await;
    assert!(audit.close(LONG));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [start, intent, outcome] = lines[..] else { panic!("{text}") };
    // Lines with any text can name the code of the start, after which the intent verifies.
    let code = &start[start.len() - 66..];
    let forged = format!("{{\"seq\":4,\"type\":\"event\",\"mac\":\"{code}");
    fs::write(&path, format!("{start}\n{intent}\n{outcome}\n{forged}\n{intent}\n")).unwrap();
    assert!(matches!(builder(&path).open(), Err(AuditFileError::NotAnAuditFile)));
}

#[test]
fn file_of_another_process_key_or_kind_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).open().unwrap();
    assert!(matches!(builder(&path).open(), Err(AuditFileError::InUse)));
    assert!(audit.close(LONG));
    let other = tower_credentials::audit::file::AuditKey::new(&[9; 32]).unwrap();
    let opened = AuditFile::builder(&path, other).open();
    assert!(matches!(opened, Err(AuditFileError::NotAnAuditFile)), "{opened:?}");
    fs::write(&path, "something else\n").unwrap();
    assert!(matches!(builder(&path).open(), Err(AuditFileError::NotAnAuditFile)));
    let opened = builder(folder.path()).open();
    assert!(matches!(opened, Err(AuditFileError::Io(_))), "{opened:?}");
    let opened = builder("/dev/null".as_ref()).open();
    assert!(matches!(opened, Err(AuditFileError::NotAFile)), "{opened:?}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    assert!(builder(&path).open().unwrap().close(LONG));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn clock_that_is_set_back_breaks_neither_the_order_nor_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let clock = TestClock::default();
    let audit = builder(&path).clock(clock.clone()).synced(true).open().unwrap();
    let world = world(&audit);
    for number in 0..5 {
        world.mint(BOB, DEMO, &format!("k{number}")).await;
        clock.put_back(Duration::from_hours(5));
        world.clock.put_back(Duration::from_hours(5));
    }
    let events = events(&audit, &path);
    let keys: Vec<_> = events.iter().map(|event| event["target"]["access_key"].clone()).collect();
    assert_eq!(keys, ["k0", "k0", "k1", "k1", "k2", "k2", "k3", "k3", "k4", "k4"]);
    assert!(check(&[path]).findings.is_empty());
    assert_eq!(audit.health(), Ok(()));
}

pub(crate) fn check(paths: &[std::path::PathBuf]) -> tower_credentials::audit::file::ChainReport {
    let files = paths.iter().map(|path| std::io::BufReader::new(fs::File::open(path).unwrap()));
    verify(files, &key(), None, &[]).unwrap()
}
