//! Signatures of keys with an expiry or a boundary, at `s3tokens` and `ec2tokens`.

use std::{sync::Arc, time::UNIX_EPOCH};

use serde_json::{Value, json};
use tower_credentials::domain::Credential;

use crate::{
    ec2tokens::vector,
    s3tokens::{v1, v4},
    world::v3::{ACCESS, EC2TOKENS, S3TOKENS, SECOND, SIGNED, Signing},
};

fn requests() -> [(&'static str, Value); 6] {
    [
        (S3TOKENS, v1()),
        (S3TOKENS, v4()),
        (EC2TOKENS, vector("0")),
        (EC2TOKENS, vector("1")),
        (EC2TOKENS, vector("2")),
        (EC2TOKENS, vector("4")),
    ]
}

async fn change(signing: &Signing, change: impl FnOnce(&mut Credential)) {
    let stored = signing.world.stored(ACCESS).await.unwrap();
    let mut changed = (*stored).clone().touched(UNIX_EPOCH + SIGNED);
    change(&mut changed);
    let written = signing.world.backend.update(&Arc::new(changed), stored.version).await;
    assert!(written.unwrap());
}

#[tokio::test]
async fn t1_t2_key_with_a_boundary_is_401_unless_such_keys_are_accepted() {
    let boundary = json!({"permission": "read", "buckets": ["data"]});
    let (refusing, accepting) =
        (Signing::new().await, Signing::with(|builder| builder.accept_bounded(true)).await);
    for signing in [&refusing, &accepting] {
        change(signing, |key| key.terms.set_boundary(Some(boundary.to_string()))).await;
    }
    for (path, body) in requests() {
        assert_eq!(refusing.status(path, &body).await, 401, "{path}");
        let answer = accepting.send(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["token"]["boundary"], boundary);
    }
    assert!(refusing.issuer.signers().is_empty(), "no token was issued");
}

#[tokio::test]
async fn t1_t2_expired_key_is_401() {
    let signing = Signing::new().await;
    change(&signing, |key| key.terms.set_expires_at(Some(UNIX_EPOCH + SIGNED + SECOND))).await;
    for (path, body) in requests() {
        assert_eq!(signing.status(path, &body).await, 200, "{path}");
    }
    signing.world.clock.advance(SECOND);
    for (path, body) in requests() {
        assert_eq!(signing.status(path, &body).await, 401, "{path}");
    }
}

#[tokio::test]
async fn t1_t2_response_expires_no_later_than_the_key() {
    let signing = Signing::new().await;
    change(&signing, |key| key.terms.set_expires_at(Some(UNIX_EPOCH + SIGNED + SECOND * 60))).await;
    for (path, body) in requests() {
        let token = signing.send(path, &body).await.json();
        assert_eq!(token["token"]["expires_at"], "2026-01-02T03:05:05.000000Z", "{path}");
    }
    signing.issuer.ignore_expiry();
    let answer = signing.send(EC2TOKENS, &vector("4")).await;
    assert_eq!(answer.status, 503, "a token that outlives the key is not handed out");
    assert!(!answer.headers.contains_key("x-subject-token"));
}
