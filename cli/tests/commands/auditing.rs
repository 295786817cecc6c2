//! `audit verify`: on the files that a layer writes.

use std::{fs, sync::Arc, time::Duration};

use serde_json::Value;
use test_support::world::{BOB, DEMO, World, tokens};
use tower_credentials::{
    audit::file::{AuditFile, AuditKey},
    backend::memory::MemoryBackend,
};

use crate::tool::Tool;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A tool with a key and two files of a log.
async fn audited() -> Tool {
    let tool = Tool::new();
    tool.write_private("audit.key", &format!("{KEY}\n"));
    let key = AuditKey::new(KEY.as_bytes()).unwrap();
    for (number, name) in ["audit.log.1", "audit.log"].into_iter().enumerate() {
        let path = tool.path("audit.log");
        let audit = AuditFile::builder(&path, key.clone()).open().unwrap();
        let sink = audit.clone();
        let backend = Arc::new(MemoryBackend::default());
        let world = World::of(tokens(), backend, |layer| layer.audit(sink));
        world.mint(BOB, DEMO, &format!("k{number}")).await;
        if name == "audit.log" {
            assert!(audit.close(Duration::from_secs(30)));
            continue;
        }
        while audit.stats().waiting > 0 {
            tokio::task::yield_now().await;
        }
        fs::rename(&path, tool.path(name)).unwrap();
        world.mint(BOB, DEMO, "after-the-rotation").await;
        assert!(audit.close(Duration::from_secs(30)));
    }
    tool
}

fn verify(tool: &Tool, more: &[&str]) -> Value {
    tool.json(&[&["audit", "verify", "--key", "audit.key"], more].concat())
}

#[tokio::test]
async fn log_that_was_not_changed_verifies() {
    let tool = audited().await;
    let report = verify(&tool, &["audit.log.1", "audit.log"]);
    assert_eq!((&report["exit"], &report["findings"]), (&0.into(), &0.into()), "{report}");
    assert_eq!((&report["lines"], &report["first"]), (&6.into(), &1.into()), "{report}");
    let head = report["head"].as_str().unwrap();
    let rotated = verify(&tool, &["audit.log.1"])["head"].as_str().unwrap().to_owned();
    let report = verify(&tool, &["--after", &rotated, "--head", head, "audit.log"]);
    assert_eq!((&report["exit"], &report["first"]), (&0.into(), &3.into()), "{report}");
    assert_eq!(verify(&tool, &["audit.log"])["exit"], 1);
    let run = tool.run_ok(&["audit", "verify", "--key", "audit.key", "audit.log.1", "audit.log"]);
    assert!(run.stdout().contains("findings"), "{}", run.stdout());
}

#[tokio::test]
async fn changed_and_removed_lines_are_named_with_exit_code_1() {
    let tool = audited().await;
    let path = tool.path("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    let head = verify(&tool, &["audit.log.1", "audit.log"])["head"].as_str().unwrap().to_owned();

    fs::write(&path, text.replace("\"status\":\"Active\"", "\"status\":\"Inactiv\"")).unwrap();
    let report = verify(&tool, &["audit.log.1", "audit.log"]);
    assert_eq!((&report["exit"], &report["findings"]), (&1.into(), &2.into()), "{report}");
    assert_eq!(report["deviations"][0]["file"], "audit.log");
    assert_eq!(report["deviations"][0]["line"], 2);
    assert!(report["deviations"][0]["finding"].as_str().unwrap().contains("was changed"));

    let lines: Vec<_> = text.lines().collect();
    fs::write(&path, format!("{}\n", lines[..lines.len() - 1].join("\n"))).unwrap();
    assert_eq!(verify(&tool, &["audit.log.1", "audit.log"])["exit"], 0);
    let report = verify(&tool, &["--head", &head, "audit.log.1", "audit.log"]);
    assert_eq!((&report["exit"], &report["findings"]), (&1.into(), &1.into()), "{report}");
    assert!(report["deviations"][0]["file"].is_null(), "{report}");
}

#[tokio::test]
async fn key_or_file_that_cannot_be_used_is_named() {
    let tool = audited().await;
    tool.write_private("short.key", "too short\n");
    for (arguments, code, part) in [
        (&["--key", "short.key", "audit.log"][..], 2, "at least 32 bytes"),
        (&["--key", "no.key", "audit.log"], 2, "no.key"),
        (&["--key", "audit.key", "no.log"], 3, "no.log"),
        (&["--key", "audit.key", "--head", "1:x", "audit.log"], 2, "SEQ:CODE"),
    ] {
        let run = tool.run(&[&["audit", "verify"], arguments].concat());
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    }
    tool.write_private("other.key", &KEY.replace('0', "1"));
    let report = tool.json(&["audit", "verify", "--key", "other.key", "audit.log"]);
    assert_eq!((&report["exit"], &report["head"]), (&1.into(), &Value::Null), "{report}");
}
