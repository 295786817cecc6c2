//! PostgreSQL and etcd: records that are copied into them come back unchanged.

use std::net::TcpListener;

use serde_json::json;

use crate::{
    etcd,
    lab::{self, PASSWORD},
    records::{every_kind, many, pair, sort},
    tool::Tool,
};

/// Runs every command on a store.
async fn check_all_commands(url: &str, engine: &str) {
    let tool = Tool::new();
    let mut records = [every_kind(), many(2_100)].concat();
    sort(&mut records);
    tool.fill("a.db", &records).await;

    for command in ["stats", "verify", "migrate"] {
        let report = tool.json(&[command, url]);
        assert_eq!(report["exit"], 3, "{command}: {report}");
    }
    let report = tool.json(&["init", url]);
    assert_eq!((&report["exit"], &report["engine"]), (&0.into(), &engine.into()), "{report}");
    let report = tool.json(&["init", url]);
    assert_eq!(report["exit"], 4, "{report}");
    assert!(!report.to_string().contains(PASSWORD), "{report}");
    tool.run_ok(&["migrate", url]);

    let report = tool.json(&["copy", "sqlite:a.db", url]);
    // If the store is slow, a load is retried, and finds what it stored before.
    let stored = ["stored", "already_there"].map(|name| report[name].as_u64().unwrap());
    assert_eq!((&report["exit"], stored.iter().sum::<u64>()), (&0.into(), 2_107), "{report}");
    let report = tool.json(&["copy", "sqlite:a.db", url]);
    assert_eq!((&report["exit"], &report["already_there"]), (&0.into(), &2_107.into()), "{report}");
    let report = tool.json(&["verify", url]);
    assert_eq!((&report["exit"], &report["records"]), (&0.into(), &2_107.into()), "{report}");
    let report = tool.json(&["stats", url]);
    assert_eq!((&report["users"], &report["exit"]), (&213.into(), &0.into()), "{report}");

    tool.run_ok(&["copy", url, "sqlite:b.db"]);
    assert!(tool.records("b.db").await == records);
    let recipient = tool.recipient();
    tool.run_ok(&["export", url, "out", "--recipient", &recipient]);
    tool.run_ok(&["import", "sqlite:c.db", "out", "--identity", "key"]);
    assert!(tool.records("c.db").await == records);

    // Has the access key of an existing record.
    let mut other = pair("AK00000007", "somebody else");
    other.attributes.insert("other".into(), json!(true));
    tool.fill("other.db", &[other, pair("AKNEW", "alice")]).await;
    let report = tool.json(&["copy", "sqlite:other.db", url]);
    assert_eq!(
        (&report["exit"], &report["stored"], &report["refused"]),
        (&4.into(), &1.into(), &1.into())
    );

    tool.run_ok(&["ring", "ring", "one"]);
    let report = tool.json(&["reseal", url, "--key-ring", "ring", "--adopt"]);
    assert_eq!((&report["exit"], &report["resealed"]), (&0.into(), &2_108.into()), "{report}");
    assert_eq!(tool.json(&["stats", url])["exit"], 1);
    let report = tool.json(&["verify", url, "--key-ring", "ring"]);
    assert_eq!((&report["exit"], &report["records"]), (&0.into(), &2_108.into()), "{report}");
}

#[tokio::test]
async fn all_commands_work_on_postgresql() {
    let Some(url) = lab::database().await else { return };
    check_all_commands(&url, "postgres").await;
}

#[tokio::test]
async fn all_commands_work_on_etcd() {
    let Some(url) = etcd::place("tool") else { return };
    check_all_commands(&url, "etcd").await;
}

#[tokio::test]
async fn records_can_be_copied_from_engine_to_engine() {
    let (Some(postgres), Some(etcd)) = (lab::database().await, etcd::place("tool")) else { return };
    let tool = Tool::new();
    let mut records = [every_kind(), many(1_000)].concat();
    sort(&mut records);
    tool.fill("a.db", &records).await;
    tool.run_ok(&["copy", "sqlite:a.db", &etcd]);
    tool.run_ok(&["copy", &etcd, &postgres]);
    tool.run_ok(&["copy", &postgres, "sqlite:b.db"]);
    assert!(tool.records("b.db").await == records);
}

/// Checks that every command skips a record that it cannot read.
async fn check_damage_is_skipped(url: &str, damage: impl AsyncFnOnce(&str)) {
    let tool = Tool::new();
    let records = many(1_500);
    tool.fill("a.db", &records).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["copy", "sqlite:a.db", url]);
    let damaged = records[700].id.as_str();
    damage(damaged).await;
    let names = |report: &serde_json::Value| report.to_string().contains(damaged);

    let report = tool.json(&["verify", url]);
    assert_eq!((&report["exit"], &report["records"]), (&1.into(), &1_499.into()), "{report}");
    assert!(names(&report) && report["damaged"] == 1, "{report}");
    let report = tool.json(&["export", url, "out", "--plaintext"]);
    assert_eq!((&report["exit"], &report["records"]), (&1.into(), &1_499.into()), "{report}");
    assert!(names(&report), "{report}");
    tool.run_ok(&["import", "sqlite:b.db", "out", "--plaintext"]);
    // Existing records are unchanged, also the damaged one.
    let report = tool.json(&["copy", "sqlite:a.db", url]);
    let counts = [&report["exit"], &report["already_there"], &report["refused"]];
    assert_eq!(counts, [&json!(4), &json!(1_499), &json!(1)], "{report}");

    let reseal = ["reseal", url, "--key-ring", "ring", "--adopt"];
    let report = tool.json(&reseal);
    assert_eq!((&report["exit"], &report["resealed"]), (&1.into(), &1_499.into()), "{report}");
    assert_eq!(report["unreadable_ids"], json!([damaged]));

    let report = tool.json(&["remove", url, damaged]);
    assert_eq!((&report["exit"], &report["removed"]), (&0.into(), &1.into()), "{report}");
    assert_eq!(tool.json(&reseal)["exit"], 0);
    let report = tool.json(&["verify", url, "--key-ring", "ring"]);
    assert_eq!((&report["exit"], &report["records"]), (&0.into(), &1_499.into()), "{report}");
}

#[tokio::test]
async fn corrupt_row_in_postgresql_does_not_stop_a_command() {
    let Some(url) = lab::database().await else { return };
    check_damage_is_skipped(&url, async |id| {
        let harm = "UPDATE credentials SET material = 's3cr3t' WHERE id = $1";
        assert_eq!(lab::connect(&url).await.execute(harm, &[&id]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn corrupt_value_in_etcd_does_not_stop_a_command() {
    if !etcd::is_installed() {
        return;
    }
    let cluster = etcd::Cluster::start(1, &[]);
    check_damage_is_skipped(&cluster.url(), async |id| {
        cluster.put(&format!("tower-credentials/r{id}"), "{\"s3cr3t");
    })
    .await;
}

#[tokio::test]
async fn wrong_counters_are_found_and_repaired() {
    if !etcd::is_installed() {
        return;
    }
    let tool = Tool::new();
    let cluster = etcd::Cluster::start(1, &[]);
    let url = cluster.url();
    tool.fill("a.db", &many(25)).await;
    tool.run_ok(&["copy", "sqlite:a.db", &url]);
    let report = tool.json(&["verify", &url]);
    assert_eq!((&report["exit"], &report["wrong_counters"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(report["users_with_a_counter"], 3);

    // Overwrites the counter of a user.
    let everything = json!({ "key": "AA==", "range_end": "AA==" });
    let answer = cluster.call(0, "/v3/kv/range", &everything).unwrap();
    let text = |value: &serde_json::Value| {
        let bytes = data_encoding::BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let counters: Vec<_> = answer["kvs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| {
            text(&pair["key"]).ends_with("user-1") && text(&pair["value"]).parse::<u64>().is_ok()
        })
        .collect();
    assert_eq!(counters.len(), 1, "{counters:?}");
    let wrong = json!({ "key": counters[0]["key"], "value": data_encoding::BASE64.encode(b"7") });
    cluster.call(0, "/v3/kv/put", &wrong).unwrap();

    let report = tool.json(&["verify", &url]);
    assert_eq!((&report["exit"], &report["wrong_counters"]), (&1.into(), &1.into()), "{report}");
    let report = tool.json(&["verify", &url, "--repair"]);
    assert_eq!((&report["exit"], &report["repaired_counters"]), (&0.into(), &1.into()), "{report}");
    let report = tool.json(&["verify", &url]);
    assert_eq!((&report["exit"], &report["wrong_counters"]), (&0.into(), &0.into()), "{report}");
}

#[test]
fn unreachable_server_is_unavailable_and_its_password_is_hidden() {
    let tool = Tool::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("postgres://amy:hush@127.0.0.1:{port}/keys?sslmode=disable"),
        format!("etcd://amy:hush@127.0.0.1:{port}/keys"),
    ] {
        for command in [&["stats", &url][..], &["copy", &url, "sqlite:a.db"], &["init", &url]] {
            let report = tool.json(command);
            assert_eq!(report["exit"], 3, "{report}");
            assert!(!report.to_string().contains("hush"), "{report}");
        }
        assert!(!tool.path("a.db").exists());
    }
    for url in ["postgres://amy:hush@host:port/keys", "etcd://a/x?y", "postgres://h/k?hush"] {
        assert_eq!(tool.json(&["stats", url])["exit"], 2, "{url}");
    }
}

#[tokio::test]
async fn server_that_rejects_the_login_is_unavailable() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let tool = Tool::new();
    let report = tool.json(&["stats", &url.replace(PASSWORD, "hush")]);
    assert_eq!(report["exit"], 3, "{report}");
    assert!(report["error"].as_str().unwrap().contains("rejects the login"), "{report}");
    assert!(!report.to_string().contains("hush"), "{report}");
}
