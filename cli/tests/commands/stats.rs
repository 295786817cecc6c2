//! What is in a store, in numbers.

use crate::{
    records::{every_kind, many},
    tool::Tool,
};

#[tokio::test]
async fn everything_is_counted() {
    let tool = Tool::new();
    tool.fill("a.db", &[every_kind(), many(2_500)].concat()).await;
    let told = tool.json(&["stats", "sqlite:a.db"]);
    for (name, count) in [
        ("records", 2_507),
        ("active", 2_506),
        ("inactive", 1),
        // Neither the inactive one nor the one without a secret.
        ("usable_keys", 2_502),
        ("access_keys", 2_504),
        ("slots", 2),
        ("delegated", 2),
        ("users", 253),
        ("projects", 26),
        ("damaged", 0),
        ("exit", 0),
    ] {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    let kinds = serde_json::json!({ "cert": 1, "ec2": 2_504, "password": 1, "totp": 1 });
    assert_eq!(told["kinds"], kinds);
    let held = told["secret_and_attribute_bytes"].as_u64().unwrap();
    assert!(held > 2_500 * 14 && held < told["disk_bytes"].as_u64().unwrap(), "{told}");
}

#[tokio::test]
async fn an_empty_store_has_nothing() {
    let tool = Tool::new();
    tool.fine(&["init", "sqlite:a.db"]);
    let told = tool.json(&["stats", "sqlite:a.db"]);
    assert_eq!(
        (&told["records"], &told["users"], &told["exit"]),
        (&0.into(), &0.into(), &0.into())
    );
}
