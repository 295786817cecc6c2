//! Caching: what is cached, for how long, and that concurrent requests share one call.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tower_credentials::{
    auth::{AuthError, TokenValidator},
    keystone::KeystoneValidator,
};

use crate::scripted::{Keystone, Reply, after, token};

const SECOND: Duration = Duration::from_secs(1);

async fn world() -> (Keystone, KeystoneValidator) {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    let validator = KeystoneValidator::new(keystone.client());
    (keystone, validator)
}

async fn ask_at_once(validator: &KeystoneValidator, times: usize) -> usize {
    let mut asking = JoinSet::new();
    for _ in 0..times {
        let validator = validator.clone();
        asking.spawn(async move { validator.validate(&token("t")).await.is_ok() });
    }
    asking.join_all().await.into_iter().filter(|let_in| *let_in).count()
}

#[tokio::test]
async fn concurrent_requests_with_a_new_token_share_one_call() {
    let (keystone, validator) = world().await;
    keystone.delay(Duration::from_millis(100));
    assert_eq!(ask_at_once(&validator, 1_000).await, 1_000);
    assert_eq!(keystone.take_calls(), ["GET t"]);
    assert_eq!(keystone.logins(), 1);
}

#[tokio::test]
async fn concurrent_requests_share_a_failure_and_the_next_request_asks_again() {
    let (keystone, validator) = world().await;
    keystone.delay(Duration::from_millis(100));
    keystone.reply("GET t", Reply::Json(500, json!({})));
    assert_eq!(ask_at_once(&validator, 1_000).await, 0);
    assert_eq!(keystone.take_calls().len(), 1);
    keystone.know("t", json!({}));
    assert!(validator.validate(&token("t")).await.is_ok());
    assert_eq!(keystone.take_calls().len(), 1);
}

#[tokio::test]
async fn concurrent_requests_without_a_cache_share_one_call() {
    let (keystone, _) = world().await;
    let client = keystone.builder().cache_ttl(Duration::ZERO).build().unwrap();
    let validator = KeystoneValidator::new(client);
    keystone.delay(Duration::from_millis(100));
    assert_eq!(ask_at_once(&validator, 1_000).await, 1_000);
    assert_eq!(keystone.take_calls().len(), 1);
    assert_eq!(ask_at_once(&validator, 1).await, 1);
    assert_eq!(keystone.take_calls().len(), 1);
    let client = keystone.builder().cache_ttl(SECOND).cache_capacity(0).build().unwrap();
    let validator = KeystoneValidator::new(client);
    assert_eq!(ask_at_once(&validator, 1_000).await, 1_000);
    assert!(validator.validate(&token("x")).await.is_err());
}

#[tokio::test]
async fn canceled_first_request_does_not_cancel_the_others() {
    let (keystone, validator) = world().await;
    keystone.delay(Duration::from_millis(100));
    let first = validator.clone();
    let first = tokio::spawn(async move { first.validate(&token("t")).await.is_ok() });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let others = tokio::spawn(async move { ask_at_once(&validator, 10).await });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(others.await.unwrap(), 10);
    assert_eq!(keystone.take_calls(), ["GET t"]);
}

#[tokio::test]
async fn answer_is_cached_for_the_ttl() {
    let (keystone, validator) = world().await;
    validator.validate(&token("t")).await.unwrap();
    keystone.reply("GET t", Reply::not_found());
    keystone.clock.advance(59 * SECOND);
    assert!(validator.validate(&token("t")).await.is_ok());
    assert_eq!(keystone.take_calls().len(), 1);
    keystone.clock.advance(SECOND);
    assert!(matches!(validator.validate(&token("t")).await, Err(AuthError::Invalid)));
    assert_eq!(keystone.take_calls().len(), 1);
}

#[tokio::test]
async fn answer_is_not_cached_beyond_the_expiry_of_the_token() {
    let (keystone, validator) = world().await;
    keystone.know("t", json!({"expires_at": after(10)}));
    validator.validate(&token("t")).await.unwrap();
    keystone.clock.advance(9 * SECOND);
    assert!(validator.validate(&token("t")).await.is_ok());
    assert_eq!(keystone.take_calls().len(), 1);
    keystone.clock.advance(SECOND);
    assert!(validator.validate(&token("t")).await.is_err());
    assert_eq!(keystone.take_calls().len(), 1);
}

#[tokio::test]
async fn unknown_token_is_cached_for_five_seconds() {
    let (keystone, validator) = world().await;
    for _ in 0..3 {
        assert!(matches!(validator.validate(&token("x")).await, Err(AuthError::Invalid)));
    }
    assert_eq!(keystone.take_calls(), ["GET x"]);
    keystone.clock.advance(5 * SECOND);
    assert!(validator.validate(&token("x")).await.is_err());
    assert_eq!(keystone.take_calls(), ["GET x"]);
}

#[tokio::test]
async fn unknown_tokens_evict_no_valid_one() {
    let (keystone, _) = world().await;
    let client = keystone.builder().cache_capacity(4).build().unwrap();
    let validator = KeystoneValidator::new(client);
    validator.validate(&token("t")).await.unwrap();
    for at in 0..200 {
        assert!(validator.validate(&token(&format!("x{at}"))).await.is_err());
    }
    keystone.take_calls();
    assert!(validator.validate(&token("t")).await.is_ok());
    assert_eq!(keystone.take_calls().len(), 0);
}

#[tokio::test]
async fn clock_that_was_set_back_does_not_extend_an_answer() {
    let (keystone, validator) = world().await;
    validator.validate(&token("t")).await.unwrap();
    keystone.clock.put_back(Duration::from_hours(24));
    keystone.reply("GET t", Reply::not_found());
    assert!(validator.validate(&token("t")).await.is_err());
    keystone.know("t", json!({}));
    keystone.clock.advance(5 * SECOND);
    assert!(validator.validate(&token("t")).await.is_ok());
    keystone.take_calls();
    keystone.clock.advance(59 * SECOND);
    assert!(validator.validate(&token("t")).await.is_ok());
    assert_eq!(keystone.take_calls().len(), 0);
}

#[tokio::test]
async fn debug_output_contains_no_secrets() {
    let (keystone, validator) = world().await;
    keystone.know("a-clients-token", json!({}));
    validator.validate(&token("a-clients-token")).await.unwrap();
    let client = keystone.client();
    let answer = client.call(http::Method::GET, "/users/x", None).await.unwrap();
    let shown = format!("{validator:?} {client:?} {answer:?} {:?}", keystone.builder());
    for secret in ["a-clients-token", "own-token", "top-secret-password"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
