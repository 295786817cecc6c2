//! `key rotate`.

use std::{process::Stdio, thread::sleep, time::Duration};

use tower_credentials::domain::{Credential, Slot};

use crate::{
    keys::{create, pair_of, store},
    records::{BOUNDARY, pair, with_terms},
    tool::Tool,
};

fn by_access_key<'a>(records: &'a [Credential], access_key: &str) -> &'a Credential {
    let has_key = |record: &&Credential| {
        record.access_key.as_ref().is_some_and(|key| key.as_str() == access_key)
    };
    records.iter().find(has_key).unwrap()
}

#[tokio::test]
async fn rotation_leaves_the_old_key_for_the_overlap() {
    let tool = store();
    let (old, secret) = create(&tool, &["--user", "alice", "--name", "backup", "--expires", "60d"]);
    let report = tool.json(&["key", "rotate", "sqlite:a.db", &old, "--overlap", "2h"]);
    let (new, new_secret) = pair_of(&report);
    assert!(new != old && new_secret != secret);
    assert_eq!(report["old_access_key"], *old);
    let records = tool.records("a.db").await;
    assert_eq!(records.len(), 2);
    let (old, new) = (by_access_key(&records, &old), by_access_key(&records, &new));
    assert_eq!(new.secret_key().unwrap().expose(), new_secret);
    assert_eq!(old.secret_key().unwrap().expose(), secret);
    let end = old.terms.expires_at().unwrap();
    assert_eq!(end, new.created_at + Duration::from_hours(2));
    assert_eq!(new.terms.expires_at(), Some(new.created_at + Duration::from_hours(60 * 24)));
    assert_eq!((new.terms.name(), new.user_id.as_str()), (Some("backup"), "alice"));
    let from = new.terms.rotated_from().unwrap();
    assert_eq!((&from.id, from.expires_at), (&old.id, end));

    let shown = tool.json(&["show", "sqlite:a.db", new.id.as_str()]);
    assert_eq!(shown["rotated_from"]["id"], old.id.as_str());
    assert_eq!(shown["rotated_from"]["expires_at"], report["old_key_expires_at"]);
}

#[tokio::test]
async fn rotation_without_overlap_replaces_the_pair_in_place() {
    let tool = store();
    let (old, _) = create(&tool, &["--user", "alice"]);
    let before = tool.records("a.db").await;
    let report = tool.json(&["key", "rotate", "sqlite:a.db", &old, "--overlap", "0"]);
    let (new, secret) = pair_of(&report);
    let after = tool.records("a.db").await;
    assert_eq!((after.len(), &after[0].id), (1, &before[0].id));
    assert_eq!(after[0].access_key.as_ref().unwrap().as_str(), new);
    assert_eq!(after[0].secret_key().unwrap().expose(), secret);
    assert_eq!(tool.json(&["show", "sqlite:a.db", &old])["exit"], 1);
    tool.run_ok(&["verify", "sqlite:a.db"]);
}

#[tokio::test]
async fn rotation_keeps_the_boundary() {
    let tool = Tool::new();
    tool.fill("a.db", &with_terms()).await;
    let (new, _) = pair_of(&tool.json(&["key", "rotate", "sqlite:a.db", "AKBOUNDED"]));
    let records = tool.records("a.db").await;
    let new = by_access_key(&records, &new);
    assert_eq!(new.terms.boundary(), Some(BOUNDARY));
    assert_eq!(new.status, by_access_key(&records, "AKBOUNDED").status);
}

#[tokio::test]
async fn overlap_over_thirty_days_and_keys_without_rotation_are_rejected() {
    let tool = Tool::new();
    let mut grant = pair("AKGRANT", "alice");
    grant.slot = Some(Slot::Ec2);
    tool.fill("a.db", &[grant.clone()]).await;
    for overlap in ["31d", "2592001s", "-1s", "1w", "\u{ff11}d", ""] {
        let overlap = format!("--overlap={overlap}");
        let run = tool.run(&["key", "rotate", "sqlite:a.db", "AKGRANT", &overlap]);
        assert_eq!(run.code, 2, "{overlap}: {run:?}");
    }
    let report = tool.json(&["key", "rotate", "sqlite:a.db", "AKGRANT", "--overlap", "30d"]);
    assert_eq!(report["exit"], 1, "{report}");
    assert!(report["error"].as_str().unwrap().contains("cannot be rotated"), "{report}");
    assert_eq!(tool.records("a.db").await, [grant]);
}

#[tokio::test]
async fn concurrent_rotations_lose_no_key() {
    let tool = store();
    let (old, _) = create(&tool, &["--user", "alice"]);
    let rotate = || {
        let mut command = tool.command(&["--json", "key", "rotate", "sqlite:a.db", &old]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..6).map(|_| rotate()).collect();
    let mut printed = Vec::new();
    for child in running {
        let output = child.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if report["exit"] == 0 {
            printed.push(pair_of(&report));
        }
    }
    let records = tool.records("a.db").await;
    assert_eq!(records.len(), 1 + printed.len());
    assert!(!printed.is_empty());
    for (access_key, secret) in printed {
        let key = by_access_key(&records, &access_key);
        assert_eq!(key.secret_key().unwrap().expose(), secret);
    }
}

#[tokio::test]
async fn killed_rotation_changes_both_records_or_neither() {
    let tool = store();
    let (old, _) = create(&tool, &["--user", "alice"]);
    let mut known = 1;
    for step in 0..40 {
        let mut child = tool.start(&["key", "rotate", "sqlite:a.db", &old]);
        sleep(Duration::from_millis(step));
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let records = tool.records("a.db").await;
        let is_retired = by_access_key(&records, &old).terms.expires_at().is_some();
        assert_eq!(is_retired, records.len() > 1, "after {step} ms");
        assert!([known, known + 1].contains(&records.len()), "after {step} ms");
        known = records.len();
        let new = records.iter().filter(|record| record.terms.rotated_from().is_some());
        assert_eq!(new.count(), records.len() - 1);
    }
    tool.run_ok(&["verify", "sqlite:a.db"]);
}
