//! Copies between stores.

use crate::{
    records::{every_kind, many},
    tool::Tool,
};

#[tokio::test]
async fn a_copy_has_every_record_as_it_was() {
    let tool = Tool::new();
    let mut records = [every_kind(), many(12_345)].concat();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    tool.fill("a.db", &records).await;
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!((&told["exit"], &told["stored"]), (&0.into(), &records.len().into()), "{told}");
    assert!(tool.records("b.db").await == records);
    let again = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!((&again["stored"], &again["already_there"]), (&0.into(), &records.len().into()));
    tool.fine(&["verify", "sqlite:b.db"]);
}

#[tokio::test]
async fn a_copy_adds_to_what_is_there_and_never_overwrites() {
    let tool = Tool::new();
    let records = many(3_000);
    tool.fill("a.db", &records).await;
    let mut there = records[1_000..1_100].to_vec();
    there[7] = there[7].clone().touched(there[7].updated_at);
    there.extend(every_kind());
    tool.fill("b.db", &there).await;
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:b.db"]);
    assert_eq!(told["exit"], 4, "{told}");
    assert_eq!(told["stored"], 2_900);
    assert_eq!(told["already_there"], 99);
    assert_eq!(told["refused_ids"], serde_json::json!([there[7].id.as_str()]));
    let copied = tool.records("b.db").await;
    assert!(copied.contains(&there[7]) && copied.len() == 3_007);
}

#[tokio::test]
async fn a_store_copied_onto_itself_stays() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let told = tool.json(&["copy", "sqlite:a.db", "sqlite:a.db"]);
    assert_eq!((&told["exit"], &told["already_there"]), (&0.into(), &7.into()), "{told}");
}
