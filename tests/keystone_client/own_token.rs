//! The token of the service user.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tower_credentials::keystone::{KeystoneClient, KeystoneErrorKind};

use crate::scripted::{Keystone, Reply, TIMEOUT};

const MINUTE: Duration = Duration::from_mins(1);

async fn world() -> (Keystone, KeystoneClient) {
    let keystone = Keystone::start().await;
    keystone.json("GET /x", json!({}));
    let client = keystone.client();
    (keystone, client)
}

async fn ask(client: &KeystoneClient) -> Result<u16, KeystoneErrorKind> {
    let answer = client.call(Method::GET, "/x", None).await;
    answer.map(|answer| answer.status.as_u16()).map_err(|error| error.kind())
}

/// Waits until this many logins were made.
async fn logins(keystone: &Keystone, wanted: usize) {
    for _ in 0..200 {
        if keystone.logins() >= wanted {
            // The answer must arrive too.
            tokio::time::sleep(Duration::from_millis(50)).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(keystone.logins(), wanted);
}

#[tokio::test]
async fn token_is_used_for_many_calls() {
    let (keystone, client) = world().await;
    for _ in 0..20 {
        assert_eq!(ask(&client).await, Ok(200));
    }
    assert_eq!(keystone.logins(), 1);
}

#[tokio::test]
async fn rejected_token_is_replaced_once_for_all_callers() {
    let (keystone, client) = world().await;
    assert_eq!(ask(&client).await, Ok(200));
    keystone.revoke_own_tokens();
    keystone.delay(Duration::from_millis(50));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        asking.spawn(async move { ask(&client).await });
    }
    assert!(asking.join_all().await.into_iter().all(|answer| answer == Ok(200)));
    assert_eq!(keystone.logins(), 2);
}

#[tokio::test]
async fn rejected_new_token_is_an_error_after_one_retry() {
    let (keystone, client) = world().await;
    keystone.reply("GET /x", Reply::Json(401, json!({})));
    assert_eq!(ask(&client).await, Err(KeystoneErrorKind::Refused));
    assert_eq!((keystone.logins(), keystone.take_calls().len()), (2, 2));
}

#[tokio::test]
async fn token_is_renewed_before_its_expiry_in_the_background() {
    let (keystone, client) = world().await;
    assert_eq!(ask(&client).await, Ok(200));
    keystone.clock.advance(53 * MINUTE);
    assert_eq!(ask(&client).await, Ok(200));
    assert_eq!(keystone.logins(), 1);
    // No call waits for the new token, even if the login takes longer than the timeout.
    keystone.answer_logins(Some(Reply::Hang));
    keystone.clock.advance(MINUTE);
    assert_eq!(ask(&client).await, Ok(200));
    logins(&keystone, 2).await;
    tokio::time::sleep(TIMEOUT + Duration::from_millis(200)).await;
    // A failed renewal is retried, but not at every call.
    keystone.answer_logins(None);
    for _ in 0..5 {
        assert_eq!(ask(&client).await, Ok(200));
    }
    assert_eq!(keystone.logins(), 2);
    keystone.clock.advance(Duration::from_secs(5));
    assert_eq!(ask(&client).await, Ok(200));
    logins(&keystone, 3).await;
    keystone.clock.advance(50 * MINUTE);
    assert_eq!(ask(&client).await, Ok(200));
    assert_eq!(keystone.logins(), 3);
}

#[tokio::test]
async fn expired_token_is_not_used() {
    let (keystone, client) = world().await;
    assert_eq!(ask(&client).await, Ok(200));
    keystone.clock.advance(60 * MINUTE);
    keystone.answer_logins(Some(Reply::Json(503, json!({}))));
    assert_eq!(ask(&client).await, Err(KeystoneErrorKind::Unexpected));
    keystone.answer_logins(None);
    assert_eq!(ask(&client).await, Ok(200));
    assert_eq!(keystone.take_calls().len(), 2);
}

#[tokio::test]
async fn short_lived_token_is_not_renewed_at_every_call() {
    let (keystone, client) = world().await;
    keystone.set_life(120);
    for _ in 0..10 {
        assert_eq!(ask(&client).await, Ok(200));
    }
    assert_eq!(keystone.logins(), 1);
    keystone.clock.advance(MINUTE);
    assert_eq!(ask(&client).await, Ok(200));
    logins(&keystone, 2).await;
}

#[tokio::test]
async fn rejected_login_is_not_repeated_at_once() {
    let (keystone, client) = world().await;
    keystone.answer_logins(Some(Reply::Json(401, json!({}))));
    for _ in 0..20 {
        assert_eq!(ask(&client).await, Err(KeystoneErrorKind::Refused));
    }
    assert_eq!(keystone.logins(), 1);
    keystone.answer_logins(None);
    keystone.clock.advance(Duration::from_secs(5));
    assert_eq!(ask(&client).await, Ok(200));
}

#[tokio::test]
async fn clock_that_was_set_back_does_not_extend_a_token() {
    let (keystone, client) = world().await;
    assert_eq!(ask(&client).await, Ok(200));
    keystone.clock.put_back(Duration::from_hours(24));
    assert_eq!(ask(&client).await, Ok(200));
    logins(&keystone, 2).await;
    assert_eq!(ask(&client).await, Ok(200));
    assert_eq!(keystone.logins(), 2);
}

#[tokio::test]
async fn login_answer_without_a_token_is_unexpected() {
    let (keystone, client) = world().await;
    for reply in [Reply::Json(201, json!({"token": {}})), Reply::Text("{"), Reply::HalfABody] {
        keystone.answer_logins(Some(reply));
        assert_eq!(ask(&client).await, Err(KeystoneErrorKind::Unexpected));
    }
}

#[tokio::test]
async fn call_sends_any_path_and_body_below_v3_and_returns_the_answer_unchanged() {
    let (keystone, client) = world().await;
    keystone.reply("POST /y?z=1", Reply::Json(409, json!({"error": {"code": 409}})));
    let answer = client.call(Method::POST, "/y?z=1", Some(&json!({"a": 1}))).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (409, &b"{\"error\":{\"code\":409}}"[..])
    );
    for bad in ["", "x", "http://elsewhere.example/", "/a b"] {
        assert!(client.call(Method::GET, bad, None).await.is_err(), "{bad:?}");
    }
    assert_eq!(keystone.take_calls(), ["POST /y?z=1"]);
}

#[tokio::test]
async fn write_is_never_sent_twice() {
    let (keystone, client) = world().await;
    keystone.reply("POST /x", Reply::HangUp);
    let error = client.call(Method::POST, "/x", Some(&json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), KeystoneErrorKind::Unreachable);
    assert_eq!(keystone.take_calls(), ["POST /x"]);
}
