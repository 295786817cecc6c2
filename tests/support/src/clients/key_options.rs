//! The options for new keys: their maximum life, and secrets that are shown once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    keys::rfc3339,
    process::{Program, Server},
};

fn create(members: &Value) -> Value {
    let mut credential = json!({"type": "ec2"});
    credential.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({ "credential": credential })
}

pub async fn max_key_life_limits_new_keys(program: Program) {
    let server = Server::new(program).arguments(&["--max-key-life", "30d"]).start().await;
    let client = server.client();
    let made = client.post("/credentials", "dev-alice", &create(&json!({}))).await.expect(201);
    let expires_at = made.json()["credential"]["expires_at"].as_str().unwrap().to_owned();
    let day = Duration::from_hours(24);
    let in_days = |days| rfc3339(SystemClock.now() + days * day);
    assert!(in_days(29) < expires_at && expires_at < in_days(31), "{expires_at}");
    for token in ["dev-alice", "dev-admin"] {
        let later = create(&json!({"expires_at": in_days(31)}));
        client.post("/credentials", token, &later).await.expect(400);
        let end = in_days(1);
        let sooner = create(&json!({ "expires_at": end }));
        let made = client.post("/credentials", token, &sooner).await.expect(201);
        assert_eq!(made.json()["credential"]["expires_at"], end.as_str());
    }
}

pub async fn invalid_max_key_life_exits_with_code_2(program: Program) {
    for life in ["", "30", "1.5h", "59s", "-1d", "4294967295d"] {
        let option = format!("--max-key-life={life}");
        let server = Server::new(program).arguments(&[&option]);
        let (status, stderr) = server.refuse("127.0.0.1:0").await;
        assert_eq!(status.code(), Some(2), "{life}: {stderr}");
        assert!(stderr.contains("--max-key-life"), "{stderr}");
    }
}

pub async fn secrets_are_shown_once_with_the_option(program: Program) {
    for (options, is_shown) in [(&[][..], true), (&["--show-secrets-once"], false)] {
        let server = Server::new(program).arguments(options).start().await;
        let client = server.client();
        let made = client.post("/credentials", "dev-alice", &create(&json!({}))).await.expect(201);
        let blob = made.json()["credential"]["blob"].clone();
        let (access, secret) = (blob["access"].as_str().unwrap(), blob["secret"].as_str().unwrap());
        let path = format!("/credentials/{access}");
        for token in ["dev-alice", "dev-admin"] {
            let read = client.get(&path, token).await.expect(200);
            assert_eq!(read.text().contains(secret), is_shown, "{read:?}");
        }
        let list = client.get("/credentials", "dev-alice").await.expect(200);
        assert_eq!(list.text().contains(secret), is_shown, "{list:?}");
        let rotate = client.call(Method::POST, &format!("{path}/rotate"), "dev-alice", None).await;
        let rotated = rotate.expect(201).json();
        assert!(rotated["credential"]["blob"]["secret"].is_string(), "{rotated}");
    }
}
