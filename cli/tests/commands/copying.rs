//! Copies between stores.

use std::time::{Duration, UNIX_EPOCH};

use tower_credentials::{
    backend::sqlite::SqliteBackend, domain::CredentialId, usage::UsageLog as _,
};

use crate::{
    records::{every_kind, many, sort},
    tool::Tool,
};

#[tokio::test]
async fn copy_keeps_every_record_unchanged() {
    let tool = Tool::new();
    let mut records = [every_kind(), many(12_345)].concat();
    sort(&mut records);
    tool.fill("a.db", &records).await;
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(
        (&report["exit"], &report["stored"]),
        (&0.into(), &records.len().into()),
        "{report}"
    );
    assert!(tool.records("b.db").await == records);
    let again = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!((&again["stored"], &again["already_there"]), (&0.into(), &records.len().into()));
    tool.run_ok(&["verify", "sqlite:b.db"]);
}

#[tokio::test]
async fn copy_adds_records_and_never_overwrites() {
    let tool = Tool::new();
    let records = many(3_000);
    tool.fill("a.db", &records).await;
    let mut there = records[1_000..1_100].to_vec();
    there[7] = there[7].clone().touched(there[7].updated_at);
    there.extend(every_kind());
    tool.fill("b.db", &there).await;
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(report["exit"], 4, "{report}");
    assert_eq!(report["stored"], 2_900);
    assert_eq!(report["already_there"], 99);
    assert_eq!(report["refused_ids"], serde_json::json!([there[7].id.as_str()]));
    let copied = tool.records("b.db").await;
    assert!(copied.contains(&there[7]) && copied.len() == 3_007);
}

#[tokio::test]
async fn copy_onto_itself_changes_nothing() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let report = tool.json(&["copy", "sqlite:a.db", "sqlite:a.db"]);
    assert_eq!((&report["exit"], &report["already_there"]), (&0.into(), &7.into()), "{report}");
}

#[tokio::test]
async fn copy_and_import_keep_the_times_of_last_use() {
    let tool = Tool::new();
    let records = many(3_000);
    tool.fill("a.db", &records).await;
    let at = |n: usize| UNIX_EPOCH + Duration::from_secs(1_790_000_000 + n as u64);
    let used = records.iter().enumerate().step_by(3).map(|(n, it)| (it.id.clone(), at(n)));
    let used: Vec<_> = used.collect();
    SqliteBackend::open(tool.path("a.db")).unwrap().record(&used).await.unwrap();

    tool.run_ok(&["copy", "sqlite:a.db", "sqlite:copied.db"]);
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    // A later use that is known already stays.
    tool.fill("imported.db", &records[..1]).await;
    let later = [(records[0].id.clone(), at(9_999))];
    SqliteBackend::open(tool.path("imported.db")).unwrap().record(&later).await.unwrap();
    tool.run_ok(&["import", "sqlite:imported.db", "out", "--plaintext"]);

    let ids: Vec<CredentialId> = records.iter().map(|record| record.id.clone()).collect();
    for (name, first) in [("copied.db", at(0)), ("imported.db", at(9_999))] {
        let report = SqliteBackend::open(tool.path(name)).unwrap().last_used(&ids).await.unwrap();
        assert_eq!(report.len(), 1_000, "{name}");
        assert_eq!(report[&records[0].id], first, "{name}");
        assert!(used[1..].iter().all(|(id, time)| report[id] == *time), "{name}");
    }
}
