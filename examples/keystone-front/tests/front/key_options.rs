//! The options for new keys, and for keys with a boundary.

use http::Method;
use serde_json::{Value, json};
use test_support::signer;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    http::Client,
    keystone::{ADMIN, ALICE, Keystone},
    process::Front,
};

const OS_EC2: &str = "/v3/users/alice/credentials/OS-EC2";

async fn create(client: &Client, members: Value) -> Value {
    let mut body = json!({"tenant_id": "demo"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client.post(OS_EC2, ALICE, &body).await.expect(201).json()["credential"].take()
}

#[tokio::test]
async fn max_key_life_limits_new_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--max-key-life", "30d"]).start().await;
    let client = front.client();
    assert!(create(&client, json!({})).await["expires_at"].is_string());
    let later = json!({"tenant_id": "demo", "expires_at": "2999-01-01T00:00:00Z"});
    client.post(OS_EC2, ALICE, &later).await.expect(400);
    let arguments = ["--listen", "127.0.0.1:0", "--max-key-life", "30"];
    let (success, _, output) = Front::of(&keystone.url).run(&arguments).await;
    assert!(!success && output.contains("--max-key-life"), "{output}");
}

#[tokio::test]
async fn secrets_are_shown_once_with_the_option() {
    for (options, is_shown) in [(&[][..], true), (&["--show-secrets-once"], false)] {
        let keystone = Keystone::start().await;
        let front = Front::of(&keystone.url).arguments(options).start().await;
        let client = front.client();
        let made = create(&client, json!({})).await;
        let path = format!("{OS_EC2}/{}", made["access"].as_str().unwrap());
        for path in [&path, OS_EC2, "/v3/credentials"] {
            let shown = client.get(path, ALICE).await.expect(200).text();
            assert_eq!(shown.contains(made["secret"].as_str().unwrap()), is_shown, "{shown}");
        }
        let rotated = client.call(Method::POST, &format!("{path}/rotate"), ALICE, None).await;
        assert!(rotated.expect(201).json()["credential"]["secret"].is_string());
    }
}

#[tokio::test]
async fn s3tokens_accept_keys_with_a_boundary_only_with_the_option() {
    let boundary = json!({"permission": "read", "buckets": ["data"]});
    for (options, status) in [(&[][..], 401), (&["--accept-bounded"], 200)] {
        let keystone = Keystone::start().await;
        let front = Front::of(&keystone.url).arguments(options).start().await;
        let client = front.client();
        let verify = async |key: &Value| {
            let format = format_description!("[year][month][day]T[hour][minute][second]Z");
            let time = OffsetDateTime::now_utc().format(format).unwrap();
            let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
            let text = |name: &str| key[name].as_str().unwrap();
            let body = signer::s3_v4(text("access"), text("secret"), &time, &scope);
            client.post("/v3/s3tokens", ADMIN, &body).await
        };
        verify(&create(&client, json!({})).await).await.expect(200);
        let bounded = create(&client, json!({ "boundary": boundary })).await;
        let answer = verify(&bounded).await.expect(status);
        if status == 200 {
            assert_eq!(answer.json()["token"]["boundary"], boundary, "{answer:?}");
        }
    }
}
