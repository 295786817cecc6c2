//! `list` and `show`.

use serde_json::{Value, json};
use tower_credentials::domain::{ProjectId, UserId};

use crate::{
    keys::{create, store},
    records::{BOUNDARY, every_kind, many, pair, with_terms},
    tool::Tool,
};

/// The access keys of a list, in its order.
fn listed(tool: &Tool, more: &[&str]) -> Vec<String> {
    let report = tool.json(&[&["list", "sqlite:a.db"], more].concat());
    assert_eq!(report["exit"], 0, "{report}");
    let keys = report["keys"].as_array().unwrap();
    assert_eq!(report["records"], keys.len());
    let key = |key: &Value| key["access_key"].as_str().unwrap_or_default().to_owned();
    keys.iter().map(key).collect()
}

#[tokio::test]
async fn list_selects_by_owner_name_and_expiry() {
    let tool = Tool::new();
    let mut records = with_terms();
    for record in &mut records {
        record.project_id = Some(ProjectId::from_stored(format!("of-{}", record.user_id)));
    }
    tool.fill("a.db", &records).await;
    for (options, expected) in [
        (&["--user", "bob"][..], &["AKBOUNDED", "AKENDING"][..]),
        (&["--project", "of-alice"], &["AKNAMED", "AKTERMS"]),
        (&["--user", "bob", "--project", "of-alice"], &[]),
        (&["--name", "only a name"], &["AKNAMED"]),
        (&["--name", "only"], &[]),
        (&["--name-contains", "a"], &["AKNAMED", "AKTERMS"]),
        (&["--name-contains", "ONLY"], &[]),
        (&["--name-contains", "a", "--user", "bob"], &[]),
        (&["--expires-before", "9999-12-31T23:59:59Z"], &["AKENDING", "AKTERMS"]),
        (&["--expires-before", "2026-09-21T14:13:20.000007Z"], &[]),
        (&["--expires-before", "2026-09-21T14:13:20.000008Z"], &["AKENDING"]),
        (&["--expires-before", "2026-09-21T16:13:25+02:00"], &["AKENDING"]),
        (&["--expires-before", "9999-12-31T23:59:59Z", "--user", "alice"], &["AKTERMS"]),
        (&["--user", "nobody"], &[]),
    ] {
        let mut found = listed(&tool, options);
        found.sort();
        assert_eq!(found, expected, "{options:?}");
    }
    let by_expiry = listed(&tool, &["--expires-before", "9999-12-31T23:59:59Z"]);
    assert_eq!(by_expiry, ["AKENDING", "AKTERMS"]);
    for bad in ["soon", "\u{ff13}0d", "30", "2026-13-01T00:00:00Z"] {
        assert_eq!(tool.run(&["list", "sqlite:a.db", "--expires-before", bad]).code, 2, "{bad}");
    }
}

#[test]
fn list_finds_keys_that_expire_within_a_duration() {
    let tool = store();
    let (soon, _) = create(&tool, &["--user", "alice", "--expires", "1d"]);
    let (later, _) = create(&tool, &["--user", "alice", "--expires", "3d"]);
    create(&tool, &["--user", "alice"]);
    assert_eq!(listed(&tool, &["--expires-before", "2d"]), [&*soon]);
    assert_eq!(listed(&tool, &["--expires-before", "96h"]), [soon, later]);
}

#[tokio::test]
async fn list_prints_a_table_with_a_line_for_each_record() {
    let tool = Tool::new();
    tool.fill("a.db", &[with_terms(), many(2_500), every_kind()].concat()).await;
    let run = tool.run_ok(&["list", "sqlite:a.db"]);
    let lines: Vec<_> = run.stdout().lines().collect();
    assert_eq!(lines.len(), 1 + 5 + 2_500 + 7);
    let header: Vec<_> = lines[0].split_whitespace().collect();
    let names = "KEY USER PROJECT NAME STATUS CREATED EXPIRES BOUNDARY LAST USED";
    assert_eq!(header.join(" "), names);
    let line = lines.iter().find(|line| line.starts_with("AKBOUNDED ")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    let created = "2026-09-21T14:13:20Z";
    assert_eq!(cells, ["AKBOUNDED", "bob", "-", "-", "Inactive", created, "-", "yes", "-"]);
    // Records without an access key are listed by id.
    assert!(lines.iter().any(|line| line.starts_with("a-blob ")));
    assert!(run.stderr.contains("records: 2512"), "{}", run.stderr);
}

#[tokio::test]
async fn hostile_ids_in_a_table_are_escaped() {
    let tool = Tool::new();
    let mut record = pair("AK", "alice");
    record.user_id = UserId::from_stored("x\nAKFAKE  \u{1b}[2K\u{202e}");
    tool.fill("a.db", &[record]).await;
    let run = tool.run_ok(&["list", "sqlite:a.db"]);
    assert_eq!(run.stdout().lines().count(), 2, "{run:?}");
    assert!(!run.stdout().contains(['\u{1b}', '\u{202e}']), "{run:?}");
}

#[tokio::test]
async fn show_returns_the_boundary_and_the_policy_that_it_stands_for() {
    let tool = Tool::new();
    tool.fill("a.db", &with_terms()).await;
    let records = with_terms();
    let full = records.iter().find(|record| record.terms.rotated_from().is_some()).unwrap();
    for name in ["AKTERMS", full.id.as_str()] {
        let shown = tool.json(&["show", "sqlite:a.db", name]);
        assert_eq!((&shown["exit"], &shown["id"]), (&0.into(), &full.id.as_str().into()));
        assert_eq!(shown["boundary"], serde_json::from_str::<Value>(BOUNDARY).unwrap());
        assert_eq!(shown["policy"]["Statement"][0]["Resource"], json!(["arn:aws:s3:::data"]));
        assert_eq!(shown["rotated_from"]["access_key"], "AKEARLIER");
        assert_eq!(shown["expires_at"], "2026-09-21T14:13:29.000001Z");
        assert_eq!(shown["enabled_at"], "2026-09-21T14:13:20.000003Z");
        assert_eq!(
            (&shown["description"], &shown["status"]),
            (&"two\nlines".into(), &"Active".into())
        );
    }
    assert_eq!(tool.json(&["show", "sqlite:a.db", "AKNOBODY"])["exit"], 1);
}

#[tokio::test]
async fn show_returns_no_secret_of_any_kind_of_record() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    // `run` checks that the output does not contain a secret.
    for record in every_kind() {
        for json in [&[][..], &["--json"]] {
            let run = tool.run_ok(&[json, &["show", "sqlite:a.db", record.id.as_str()]].concat());
            assert!(!run.stdout().contains("pbkdf2"), "{run:?}");
        }
    }
}
