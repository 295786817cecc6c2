//! `key create`, `disable`, `enable` and `delete`.

use std::{fs, io::Write as _, process::Stdio, time::Duration};

use serde_json::Value;
use tower_credentials::{
    backend::{CredentialBackend, sqlite::SqliteBackend},
    domain::{AccessKey, Status},
};

use crate::{records::BOUNDARY, tool::Tool};

/// Creates a key; returns its access key and its secret.
pub(crate) fn create(tool: &Tool, more: &[&str]) -> (String, String) {
    let report = tool.json(&[&["key", "create", "sqlite:a.db"], more].concat());
    assert_eq!(report["exit"], 0, "{report}");
    pair_of(&report)
}

/// The access key and the secret in a report.
pub(crate) fn pair_of(report: &Value) -> (String, String) {
    let text = |name: &str| report[name].as_str().unwrap().to_owned();
    (text("access_key"), text("secret_key"))
}

pub(crate) fn store() -> Tool {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    tool
}

#[tokio::test]
async fn created_key_is_stored_with_its_terms() {
    let tool = store();
    fs::write(tool.path("boundary"), format!("{BOUNDARY}\n")).unwrap();
    let terms = ["--name", "backup", "--description", "of the lab", "--expires", "90d"];
    let owner = ["--user", "alice", "--project", "demo", "--boundary", "boundary"];
    let (access_key, secret) = create(&tool, &[&terms[..], &owner].concat());
    let records = tool.records("a.db").await;
    let [key] = &records[..] else { panic!("{records:?}") };
    assert_eq!(key.access_key.as_ref().unwrap().as_str(), access_key);
    assert_eq!(key.secret_key().unwrap().expose(), secret);
    assert_eq!(key.user_id.as_str(), "alice");
    assert_eq!(key.project_id.as_ref().unwrap().as_str(), "demo");
    assert_eq!((key.terms.name(), key.terms.description()), (Some("backup"), Some("of the lab")));
    assert_eq!(key.terms.boundary(), Some(BOUNDARY));
    let life = key.terms.expires_at().unwrap().duration_since(key.created_at).unwrap();
    assert_eq!(life, Duration::from_hours(90 * 24));
    assert!(!key.is_root_key() && key.is_usable(key.created_at));
    tool.run_ok(&["verify", "sqlite:a.db"]);
}

#[test]
fn created_key_is_printed_as_lines_and_its_secret_once() {
    let tool = store();
    let run = tool.run_ok(&["key", "create", "sqlite:a.db", "--user", "alice"]);
    let lines: Vec<_> = run.stdout().lines().collect();
    let access_key = lines[0].strip_prefix("access key: ").unwrap();
    let secret = lines[1].strip_prefix("secret key: ").unwrap();
    assert_eq!((access_key.len(), secret.len()), (32, 48));
    assert_eq!(run.stdout().matches(secret).count(), 1);
    assert_eq!(run.stderr, "");
}

#[tokio::test]
async fn boundary_is_read_from_stdin() {
    let tool = store();
    let arguments = ["key", "create", "sqlite:a.db", "--user", "alice", "--boundary", "-"];
    let mut command = tool.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(BOUNDARY.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(tool.records("a.db").await[0].terms.boundary(), Some(BOUNDARY));
}

#[tokio::test]
async fn invalid_arguments_create_nothing() {
    let tool = store();
    let condition = r#"{"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": "s3:GetObject", "Resource": "*",
        "Condition": {"StringEquals": {"aws:Color": "red"}}}]}}"#;
    fs::write(tool.path("condition"), condition).unwrap();
    fs::write(tool.path("binary"), [0xff; 9]).unwrap();
    fs::write(tool.path("long"), " ".repeat(99_999)).unwrap();
    let long = "x".repeat(1_025);
    for (arguments, why) in [
        (&["--boundary", "condition"][..], "Statement[0].Condition.StringEquals.aws:Color"),
        (&["--boundary", "binary"], "cannot read the boundary binary"),
        (&["--boundary", "long"], "boundary"),
        (&["--boundary", "missing"], "cannot read the boundary missing"),
        (&["--expires", "2020-01-01T00:00:00Z"], "at least 60 seconds from now"),
        (&["--expires", "59s"], "at least 60 seconds from now"),
        (&["--expires", "9999999d"], "year 9999"),
        (&["--expires", "18446744073709551615s"], "year 9999"),
        (&["--expires", "99999999999999999999d"], "too long"),
        (&["--expires", "\u{ff19}\u{ff10}d"], "expected a duration"),
        (&["--expires", "2027-\u{ff10}1-31T23:59:59Z"], "expected a duration"),
        (&["--expires", "tomorrow"], "2027-01-31T23:59:59Z"),
        (&["--name", ""], "name must have 1 to 128 characters"),
        (&["--name", "two\nlines"], "name must have 1 to 128 characters"),
        (&["--description", &long], "description must have at most 1,024 characters"),
        (&["--project", "a/b"], "--project: invalid id"),
        (&["--project", ""], "--project: invalid id"),
    ] {
        let arguments = [&["key", "create", "sqlite:a.db", "--user", "alice"], arguments].concat();
        let run = tool.run(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(why), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout(), "", "{arguments:?}");
    }
    let run = tool.run(&["key", "create", "sqlite:a.db", "--user", "a/b"]);
    assert!(run.code == 2 && run.stderr.contains("--user: invalid id"), "{run:?}");
    assert_eq!(tool.run(&["key", "create", "sqlite:a.db"]).code, 2);
    assert_eq!(tool.run(&["key", "ring", "first"]).code, 2, "the old name of `ring`");
    assert!(tool.records("a.db").await.is_empty());
    assert_eq!(tool.run(&["key", "create", "sqlite:missing.db", "--user", "alice"]).code, 3);
    assert!(!tool.path("missing.db").exists());
}

#[tokio::test]
async fn key_is_disabled_enabled_and_deleted() {
    let tool = store();
    let (access_key, _) = create(&tool, &["--user", "alice"]);
    let backend = SqliteBackend::open(tool.path("a.db")).unwrap();
    let read = || async {
        backend.find_by_access_key(&AccessKey::from_stored(&*access_key)).await.unwrap()
    };
    let created = read().await.unwrap();
    for (command, changed, status) in [
        ("disable", true, Status::Inactive),
        ("disable", false, Status::Inactive),
        ("enable", true, Status::Active),
        ("enable", false, Status::Active),
    ] {
        let before = read().await.unwrap();
        let report = tool.json(&["key", command, "sqlite:a.db", &access_key]);
        assert_eq!((&report["exit"], &report["changed"]), (&0.into(), &changed.into()));
        assert_eq!(report["status"], status.as_str());
        let now = read().await.unwrap();
        assert_eq!((now.status, now.version != before.version), (status, changed), "{command}");
    }
    let enabled = read().await.unwrap();
    assert_eq!(enabled.terms.enabled_at(), Some(enabled.updated_at));
    assert_eq!(created.terms.enabled_at(), None);
    assert_eq!((&enabled.material, enabled.created_at), (&created.material, created.created_at));

    let report = tool.json(&["key", "delete", "sqlite:a.db", &access_key]);
    assert_eq!((&report["exit"], &report["deleted"]), (&0.into(), &true.into()));
    assert!(read().await.is_none());
    for command in ["delete", "disable", "enable", "rotate"] {
        let report = tool.json(&["key", command, "sqlite:a.db", &access_key]);
        assert_eq!(report["exit"], 1, "{report}");
        let error = format!("access key not found: {access_key}");
        assert_eq!(report["error"], error, "{command}");
    }
}

#[test]
fn only_create_and_rotate_print_a_secret() {
    let tool = store();
    let (access_key, secret) = create(&tool, &["--user", "alice", "--expires", "60d"]);
    let rotated = tool.run_ok(&["--json", "key", "rotate", "sqlite:a.db", &access_key]);
    assert!(!rotated.stdout().contains(&secret));
    let (_, new) = pair_of(&serde_json::from_slice(&rotated.stdout).unwrap());
    for arguments in [
        &["list"][..],
        &["show"],
        &["stats"],
        &["verify"],
        &["key", "disable"],
        &["key", "enable"],
        &["purge", "--expired-for", "0"],
        &["key", "delete"],
    ] {
        let needs_key = ["show", "key"].contains(&arguments[0]);
        let key = if needs_key { &[&*access_key][..] } else { &[] };
        for json in [&[][..], &["--json"]] {
            let arguments = [json, arguments, &["sqlite:a.db"], key].concat();
            let run = tool.run(&arguments);
            // The second `delete` does not find the key.
            assert!(run.code == 0 || arguments.contains(&"delete"), "{arguments:?}: {run:?}");
            let output = format!("{}{}", run.stdout(), run.stderr);
            assert!(!output.contains(&secret) && !output.contains(&new), "{arguments:?}");
        }
    }
}

#[test]
fn keys_of_a_sealed_store_need_its_ring() {
    let tool = Tool::new();
    tool.run_ok(&["ring", "ring", "one"]);
    let ring = ["--key-ring", "ring"];
    tool.run_ok(&[&["init", "sqlite:a.db"], &ring[..]].concat());
    assert_eq!(tool.run(&["key", "create", "sqlite:a.db", "--user", "alice"]).code, 1);
    let (access_key, secret) = create(&tool, &["--user", "alice", "--key-ring", "ring"]);
    for name in ["a.db", "a.db-wal"] {
        let file = fs::read(tool.path(name)).unwrap_or_default();
        assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "{name}");
    }
    for command in [
        &["key", "disable"][..],
        &["key", "enable"],
        &["show"],
        &["key", "rotate"],
        &["key", "delete"],
    ] {
        let arguments = [command, &["sqlite:a.db", &access_key]].concat();
        assert_eq!(tool.run(&arguments).code, 1, "{arguments:?}");
        tool.run_ok(&[&arguments[..], &ring].concat());
    }
    let list = tool.json(&["list", "sqlite:a.db", "--key-ring", "ring"]);
    assert_eq!(list["records"], 1);
    tool.run_ok(&["verify", "sqlite:a.db", "--key-ring", "ring"]);
}
