//! Other stores than files: what is moved into them comes back as it was.

use std::net::TcpListener;

use serde_json::json;

use crate::{
    etcd,
    lab::{self, PASSWORD},
    records::{every_kind, many, pair},
    tool::Tool,
};

/// Everything that is done with a store, once.
async fn goes_through_everything(url: &str, engine: &str) {
    let tool = Tool::new();
    let mut records = [every_kind(), many(2_100)].concat();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    tool.fill("a.db", &records).await;

    for command in ["stats", "verify", "migrate"] {
        let told = tool.json(&[command, url]);
        assert_eq!(told["exit"], 3, "{command}: {told}");
    }
    let told = tool.json(&["init", url]);
    assert_eq!((&told["exit"], &told["engine"]), (&0.into(), &engine.into()), "{told}");
    let told = tool.json(&["init", url]);
    assert_eq!(told["exit"], 4, "{told}");
    assert!(!told.to_string().contains(PASSWORD), "{told}");
    tool.fine(&["migrate", url]);

    let told = tool.json(&["copy", "sqlite:a.db", url]);
    assert_eq!((&told["exit"], &told["stored"]), (&0.into(), &2_107.into()), "{told}");
    let told = tool.json(&["copy", "sqlite:a.db", url]);
    assert_eq!((&told["exit"], &told["already_there"]), (&0.into(), &2_107.into()), "{told}");
    let told = tool.json(&["verify", url]);
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &2_107.into()), "{told}");
    let told = tool.json(&["stats", url]);
    assert_eq!((&told["users"], &told["exit"]), (&213.into(), &0.into()), "{told}");

    tool.fine(&["copy", url, "sqlite:b.db"]);
    assert!(tool.records("b.db").await == records);
    let recipient = tool.recipient();
    tool.fine(&["export", url, "out", "--recipient", &recipient]);
    tool.fine(&["import", "sqlite:c.db", "out", "--identity", "key"]);
    assert!(tool.records("c.db").await == records);

    // Another record with the names of one that is there.
    let mut other = pair("AK00000007", "somebody else");
    other.attributes.insert("other".into(), json!(true));
    tool.fill("other.db", &[other, pair("AKNEW", "alice")]).await;
    let told = tool.json(&["copy", "sqlite:other.db", url]);
    assert_eq!(
        (&told["exit"], &told["stored"], &told["refused"]),
        (&4.into(), &1.into(), &1.into())
    );

    tool.fine(&["key", "ring", "one"]);
    let told = tool.json(&["reseal", url, "--key-ring", "ring", "--adopt"]);
    assert_eq!((&told["exit"], &told["resealed"]), (&0.into(), &2_108.into()), "{told}");
    assert_eq!(tool.json(&["stats", url])["exit"], 1);
    let told = tool.json(&["verify", url, "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &2_108.into()), "{told}");
}

#[tokio::test]
async fn everything_can_be_done_with_a_postgresql_database() {
    let Some(url) = lab::database().await else { return };
    goes_through_everything(&url, "postgres").await;
}

#[tokio::test]
async fn everything_can_be_done_with_an_etcd_cluster() {
    let Some(url) = etcd::place("tool") else { return };
    goes_through_everything(&url, "etcd").await;
}

#[tokio::test]
async fn records_go_from_engine_to_engine() {
    let (Some(postgres), Some(etcd)) = (lab::database().await, etcd::place("tool")) else { return };
    let tool = Tool::new();
    let mut records = [every_kind(), many(1_000)].concat();
    records.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    tool.fill("a.db", &records).await;
    tool.fine(&["copy", "sqlite:a.db", &etcd]);
    tool.fine(&["copy", &etcd, &postgres]);
    tool.fine(&["copy", &postgres, "sqlite:b.db"]);
    assert!(tool.records("b.db").await == records);
}

/// What every command does with a record in a store that it cannot read.
async fn goes_around_damage(url: &str, damage: impl AsyncFnOnce(&str)) {
    let tool = Tool::new();
    let records = many(1_500);
    tool.fill("a.db", &records).await;
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["copy", "sqlite:a.db", url]);
    let damaged = records[700].id.as_str();
    damage(damaged).await;
    let names = |told: &serde_json::Value| told.to_string().contains(damaged);

    let told = tool.json(&["verify", url]);
    assert_eq!((&told["exit"], &told["records"]), (&1.into(), &1_499.into()), "{told}");
    assert!(names(&told) && told["damaged"] == 1, "{told}");
    let told = tool.json(&["export", url, "out", "--plaintext"]);
    assert_eq!((&told["exit"], &told["records"]), (&1.into(), &1_499.into()), "{told}");
    assert!(names(&told), "{told}");
    tool.fine(&["import", "sqlite:b.db", "out", "--plaintext"]);
    // Nothing of what is there, nor of what is told to be there, is changed.
    let told = tool.json(&["copy", "sqlite:a.db", url]);
    let counts = [&told["exit"], &told["already_there"], &told["refused"]];
    assert_eq!(counts, [&json!(4), &json!(1_499), &json!(1)], "{told}");

    let reseal = ["reseal", url, "--key-ring", "ring", "--adopt"];
    let told = tool.json(&reseal);
    assert_eq!((&told["exit"], &told["resealed"]), (&1.into(), &1_499.into()), "{told}");
    assert_eq!(told["unreadable_ids"], json!([damaged]));

    let told = tool.json(&["remove", url, damaged]);
    assert_eq!((&told["exit"], &told["removed"]), (&0.into(), &1.into()), "{told}");
    assert_eq!(tool.json(&reseal)["exit"], 0);
    let told = tool.json(&["verify", url, "--key-ring", "ring"]);
    assert_eq!((&told["exit"], &told["records"]), (&0.into(), &1_499.into()), "{told}");
}

#[tokio::test]
async fn a_row_of_postgresql_that_is_no_record_stops_nothing_else() {
    let Some(url) = lab::database().await else { return };
    goes_around_damage(&url, async |id| {
        let harm = "UPDATE credentials SET material = 's3cr3t' WHERE id = $1";
        assert_eq!(lab::connect(&url).await.execute(harm, &[&id]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_value_of_etcd_that_is_no_record_stops_nothing_else() {
    if !etcd::is_installed() {
        return;
    }
    let cluster = etcd::Cluster::start(1, &[]);
    goes_around_damage(&cluster.url(), async |id| {
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
    tool.fine(&["copy", "sqlite:a.db", &url]);
    let told = tool.json(&["verify", &url]);
    assert_eq!((&told["exit"], &told["wrong_counters"]), (&0.into(), &0.into()), "{told}");
    assert_eq!(told["users_with_a_counter"], 3);

    // Whatever holds a user's number is overwritten with another one.
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

    let told = tool.json(&["verify", &url]);
    assert_eq!((&told["exit"], &told["wrong_counters"]), (&1.into(), &1.into()), "{told}");
    let told = tool.json(&["verify", &url, "--repair"]);
    assert_eq!((&told["exit"], &told["repaired_counters"]), (&0.into(), &1.into()), "{told}");
    let told = tool.json(&["verify", &url]);
    assert_eq!((&told["exit"], &told["wrong_counters"]), (&0.into(), &0.into()), "{told}");
}

#[test]
fn a_server_that_does_not_answer_is_unavailable_and_its_password_not_told() {
    let tool = Tool::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("postgres://amy:hush@127.0.0.1:{port}/keys?sslmode=disable"),
        format!("etcd://amy:hush@127.0.0.1:{port}/keys"),
    ] {
        for command in [&["stats", &url][..], &["copy", &url, "sqlite:a.db"], &["init", &url]] {
            let told = tool.json(command);
            assert_eq!(told["exit"], 3, "{told}");
            assert!(!told.to_string().contains("hush"), "{told}");
        }
        assert!(!tool.path("a.db").exists());
    }
    for url in ["postgres://amy:hush@host:port/keys", "etcd://a/x?y", "postgres://h/k?hush"] {
        assert_eq!(tool.json(&["stats", url])["exit"], 2, "{url}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_login_is_unavailable() {
    let Some(server) = lab::shared() else { return };
    let url = server.database().await;
    let tool = Tool::new();
    let told = tool.json(&["stats", &url.replace(PASSWORD, "hush")]);
    assert_eq!(told["exit"], 3, "{told}");
    assert!(told["error"].as_str().unwrap().contains("rejects the login"), "{told}");
    assert!(!told.to_string().contains("hush"), "{told}");
}
