//! The limit on how many credentials and sessions a caller creates in a minute.

use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use test_support::{
    aws_signer::Signer,
    clock::TestClock,
    records,
    world::{
        Answer, BOB, DEMO, World, pair,
        v3::{CREDENTIALS, ec2, ec2_path, opaque, world_with},
    },
};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::Quota,
};

use crate::s3::{ACCESS, SECRET};

const LIMIT: NonZeroU32 = NonZeroU32::new(2).unwrap();

fn world() -> World {
    world_with(|builder| builder.mint_limit(LIMIT))
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    world.post(path).token("dev-admin").json(body).send().await
}

/// Uses up the limit of the admin.
async fn use_up(world: &World) {
    for access in ["one", "two"] {
        let answer = post(world, "/credentials", &pair(BOB, DEMO, access)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

#[tokio::test]
async fn creates_beyond_the_limit_are_rejected_in_every_dialect_until_the_next_minute() {
    let world = world();
    use_up(&world).await;
    let over = async |path: &str, body: Value, status: u16| {
        let answer = post(&world, path, &body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        // The clock is at second 4 of its minute.
        assert_eq!(answer.header("retry-after"), "56", "{path}");
        answer
    };
    over("/credentials", pair(BOB, DEMO, "three"), 503).await;
    over(CREDENTIALS, ec2(BOB, DEMO, "three"), 429).await;
    over(CREDENTIALS, opaque(BOB, "totp", "secret"), 429).await;
    over(&ec2_path(BOB, ""), json!({"tenant_id": DEMO}), 429).await;
    let grant = json!({"passwordCredentials": {"username": "bob", "password": "password"}});
    let fault = over(&format!("/v2.0/users/{BOB}/OS-KSADM/credentials"), grant, 429).await;
    assert!(fault.json()["overLimit"].is_object(), "{}", fault.text());
    for path in ["/credentials/one/rotate", &ec2_path(BOB, "/two/rotate")] {
        let status = if path.starts_with("/credentials") { 503 } else { 429 };
        over(path, json!({"overlap_seconds": 60}), status).await;
        // Replaces the key: the number of keys stays the same.
        let replaced = post(&world, path, &json!({"overlap_seconds": 0})).await;
        assert!(replaced.status != 429 && replaced.status != 503, "{}", replaced.text());
    }
    assert!(world.stored("three").await.is_none());
    // Another caller, and other requests.
    assert_eq!(world.get("/credentials").token("dev-admin").send().await.status, 200);
    let bob = world.post("/credentials").token("dev-bob");
    assert_eq!(bob.json(&json!({"credential": {"type": "ec2"}})).send().await.status, 201);
    world.clock.advance(Duration::from_secs(56));
    assert_eq!(post(&world, CREDENTIALS, &ec2(BOB, DEMO, "three")).await.status, 201);
}

#[tokio::test]
async fn requests_that_may_not_create_do_not_count() {
    let world = world();
    for _ in 0..4 {
        let foreign = world.post("/credentials").token("dev-alice").json(&pair(BOB, DEMO, "x"));
        assert_eq!(foreign.send().await.status, 403);
        let malformed = world.post("/credentials").token("dev-alice").json(&json!({}));
        assert_eq!(malformed.send().await.status, 400);
    }
    let own = world.post("/credentials").token("dev-alice");
    assert_eq!(own.json(&json!({"credential": {"type": "ec2"}})).send().await.status, 201);
}

#[tokio::test]
async fn sessions_and_keys_of_the_aws_wires_count_together() {
    let (backend, clock) = (MemoryBackend::default(), TestClock::default());
    let record = records::pair_in("demo", "alice", ACCESS, SECRET);
    backend.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    let layer = CredentialLayer::builder(StaticTokens::new(), backend)
        .clock(clock.clone())
        .aws(AwsWires::new())
        .mint_limit(LIMIT)
        .build()
        .unwrap();
    let call = async |service: &str, body: &'static str| {
        let request = Request::post("/")
            .header("host", "aws.example.org")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let signer = Signer::new(ACCESS, SECRET, clock.now()).service(service).body(body);
        let app = service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let response = layer.layer(app).oneshot(signer.sign(request).0).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    let session = "Action=GetSessionToken&Version=2011-06-15";
    let key = "Action=CreateAccessKey&Version=2010-05-08";
    assert_eq!(call("sts", session).await.0, 200);
    assert_eq!(call("iam", key).await.0, 200);
    for (service, body) in [("sts", session), ("iam", key)] {
        let (status, body) = call(service, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("<Code>Throttling</Code>"), "{body}");
    }
    assert_eq!(call("sts", "Action=GetCallerIdentity&Version=2011-06-15").await.0, 200);
    clock.advance(Duration::from_mins(1));
    assert_eq!(call("sts", session).await.0, 200);
}
