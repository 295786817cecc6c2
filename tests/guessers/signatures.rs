//! The signatures that `CredentialLayer` verifies: `s3tokens`, and STS.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use test_support::{
    aws_signer::Signer,
    clock::TestClock,
    records,
    world::v3::{self, S3TOKENS, Signing},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::{Quota, Status},
};

use crate::{
    late::{ALLOWED, at_once, from, guessers},
    s3::{ACCESS, NAT, SECRET},
};

/// The body of an `s3tokens` request with a signature that is not valid.
fn invalid(access: &str) -> Value {
    let to_sign = "AWS4-HMAC-SHA256\n20260102T030405Z\n20260102/us-east-1/s3/aws4_request\n\
                   e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    json!({"credentials": {
        "access": access,
        "token": BASE64.encode(to_sign.as_bytes()),
        "signature": "0".repeat(64),
    }})
}

#[tokio::test(start_paused = true)]
async fn s3tokens_counts_invalid_signatures_and_delays_no_gateway() {
    let guessers = guessers(&TestClock::default());
    let signing = Signing::with(|builder| builder.guessers(guessers.clone())).await;
    let status = async |access: &str| {
        let answer = at_once(signing.send(S3TOKENS, &invalid(access))).await;
        answer.map(|answer| answer.status.as_u16())
    };
    for (access, expected) in [(v3::ACCESS, 401), ("unknown", 404)] {
        for _ in 0..2 * ALLOWED {
            assert_eq!(status(access).await, Some(expected), "{access}");
        }
    }
    assert_eq!(guessers.stats().failures, u64::from(4 * ALLOWED));
    let failures = guessers.stats().failures;
    // Too old, and of a key that may not sign.
    signing.world.clock.advance(2 * v3::TTL);
    assert_eq!(status(v3::ACCESS).await, Some(401));
    signing.world.clock.put_back(2 * v3::TTL);
    let path = format!("/credentials/{}", v3::ACCESS);
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let disabled = signing.world.patch(&path).token("dev-bob").json(&disable).send().await;
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert_eq!(status(v3::ACCESS).await, Some(401));
    assert_eq!(guessers.stats().failures, failures);
}

#[tokio::test(start_paused = true)]
async fn sts_answers_invalid_signatures_late_and_valid_ones_at_once() {
    let (backend, clock) = (MemoryBackend::default(), TestClock::default());
    let mut disabled = records::pair_in("demo", "alice", "disabled", SECRET);
    disabled.status = Status::Inactive;
    for record in [records::pair_in("demo", "alice", ACCESS, SECRET), disabled] {
        backend.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    }
    let guessers = guessers(&clock);
    let layer = CredentialLayer::builder(StaticTokens::new(), backend)
        .clock(clock.clone())
        .aws(AwsWires::new())
        .guessers(guessers.clone());
    let layer = layer.build().unwrap();
    let status = async |access: &str, secret: &str| {
        let body = "Action=GetCallerIdentity&Version=2011-06-15";
        let request = Request::post("/")
            .header("host", "sts.example.org")
            .header("content-type", "application/x-www-form-urlencoded")
            .extension(from(NAT))
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let signer = Signer::new(access, secret, clock.now()).service("sts").body(body);
        let app = service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let response = at_once(layer.layer(app).oneshot(signer.sign(request).0)).await;
        response.map(|response| response.unwrap().status().as_u16())
    };
    for access in [ACCESS, "unknown"] {
        for _ in 0..ALLOWED {
            assert_eq!(status(access, "wrong").await, Some(403), "{access}");
        }
        assert_eq!(status(access, "wrong").await, None, "{access}");
    }
    assert_eq!(status(ACCESS, SECRET).await, Some(200));
    for _ in 0..2 * ALLOWED {
        assert_eq!(status("disabled", SECRET).await, Some(403));
        assert_eq!(status("disabled", "wrong").await, Some(403));
    }
    assert_eq!(guessers.stats().failures, u64::from(2 * ALLOWED + 2));
}
