//! Keystones that are down, slow or broken.

use std::{error::Error as StdError, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use tower_credentials::{
    auth::{AuthError, TokenValidator},
    keystone::{KeystoneClient, KeystoneError, KeystoneErrorKind, KeystoneValidator, Outage},
};

use crate::scripted::{Keystone, Reply, TIMEOUT, after, described, token};

const MINUTE: Duration = Duration::from_mins(1);

/// The error of a validation that fails because Keystone is unavailable.
async fn failure(validator: &KeystoneValidator, text: &str) -> KeystoneError {
    let Err(AuthError::Unavailable(error)) = validator.validate(&token(text)).await else {
        panic!("the validation did not fail");
    };
    error.downcast_ref::<KeystoneError>().unwrap().clone()
}

#[tokio::test]
async fn invalid_answer_is_an_outage_and_rejects_the_caller() {
    let keystone = Keystone::start().await;
    let validator = KeystoneValidator::new(keystone.client());
    let unexpected = KeystoneErrorKind::Unexpected;
    let html = "<html>404 Not Found</html>";
    for (reply, kind) in [
        (Reply::Text("not json"), unexpected),
        (Reply::Text("{\"token\": {\"user\": {\"id\": \"amy\"}}}"), unexpected),
        (Reply::Text(""), unexpected),
        (Reply::Json(200, described(json!({"user": {"id": "a/b"}}))), unexpected),
        (Reply::Json(200, described(json!({"expires_at": "tomorrow"}))), unexpected),
        (Reply::Json(500, json!({})), unexpected),
        (Reply::Json(503, json!({})), unexpected),
        // The answer of a proxy that does not find Keystone.
        (Reply::Json(404, json!(html)), unexpected),
        (Reply::HalfABody, unexpected),
        (Reply::Endless, unexpected),
        (Reply::HangUp, KeystoneErrorKind::Unreachable),
        (Reply::Hang, KeystoneErrorKind::TimedOut),
        (Reply::Stall, KeystoneErrorKind::TimedOut),
    ] {
        keystone.reply("GET t", reply.clone());
        let began = Instant::now();
        let error = failure(&validator, "t").await;
        assert_eq!(error.kind(), kind, "{reply:?}");
        assert!(error.is_outage());
        assert!(began.elapsed() < 3 * TIMEOUT, "{reply:?}");
    }
}

#[tokio::test]
async fn missing_keystone_is_an_outage() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let login = tower_credentials::keystone::ServiceLogin::system("s3", "pw");
    let validator =
        KeystoneValidator::new(KeystoneClient::builder(url).login(login).build().unwrap());
    assert_eq!(failure(&validator, "t").await.kind(), KeystoneErrorKind::Unreachable);
}

#[tokio::test]
async fn hanging_login_times_out_for_all_callers() {
    let keystone = Keystone::start().await;
    keystone.answer_logins(Some(Reply::Hang));
    let validator = KeystoneValidator::new(keystone.client());
    let began = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for at in 0..200 {
        let validator = validator.clone();
        asking.spawn(async move { failure(&validator, &format!("t{at}")).await.kind() });
    }
    let kinds = asking.join_all().await;
    assert!(kinds.iter().all(|kind| *kind == KeystoneErrorKind::TimedOut), "{kinds:?}");
    assert!(began.elapsed() < 3 * TIMEOUT);
    assert_eq!(keystone.logins(), 1);
}

#[tokio::test]
async fn closed_idle_connection_is_not_a_failure() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    let validator =
        KeystoneValidator::new(keystone.builder().cache_ttl(Duration::ZERO).build().unwrap());
    keystone.close_kept_connections();
    for _ in 0..20 {
        assert!(validator.validate(&token("t")).await.is_ok());
    }
}

#[tokio::test]
async fn expired_answers_are_not_served_by_default() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    let validator = KeystoneValidator::new(keystone.client());
    validator.validate(&token("t")).await.unwrap();
    keystone.reply("GET t", Reply::Json(503, json!({})));
    keystone.clock.advance(MINUTE);
    assert!(failure(&validator, "t").await.is_outage());
}

#[tokio::test]
async fn expired_answers_are_served_for_the_set_time_but_no_expired_token() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    keystone.know("short", json!({"expires_at": after(100)}));
    let outage = Outage::ServeStale(10 * MINUTE);
    let validator =
        KeystoneValidator::new(keystone.builder().during_outage(outage).build().unwrap());
    validator.validate(&token("t")).await.unwrap();
    validator.validate(&token("short")).await.unwrap();
    for down in ["GET t", "GET short", "GET new"] {
        keystone.reply(down, Reply::Json(503, json!({})));
    }
    keystone.clock.advance(MINUTE);
    assert!(validator.validate(&token("t")).await.is_ok());
    assert!(validator.validate(&token("short")).await.is_ok());
    failure(&validator, "new").await;
    keystone.clock.advance(MINUTE);
    failure(&validator, "short").await;
    keystone.clock.advance(Duration::from_secs(9 * 60 - 1));
    assert!(validator.validate(&token("t")).await.is_ok());
    keystone.clock.advance(Duration::from_secs(1));
    failure(&validator, "t").await;
}

#[tokio::test]
async fn expired_answers_are_served_without_waiting_for_keystone_each_time() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    let outage = Outage::ServeStale(10 * MINUTE);
    let validator =
        KeystoneValidator::new(keystone.builder().during_outage(outage).build().unwrap());
    validator.validate(&token("t")).await.unwrap();
    keystone.reply("GET t", Reply::Json(503, json!({})));
    keystone.clock.advance(MINUTE);
    keystone.take_calls();
    for _ in 0..10 {
        assert!(validator.validate(&token("t")).await.is_ok());
    }
    assert_eq!(keystone.take_calls().len(), 1);
    // Soon after the outage, the revocation takes effect.
    keystone.reply("GET t", Reply::not_found());
    keystone.clock.advance(Duration::from_secs(5));
    assert!(matches!(validator.validate(&token("t")).await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn expired_answers_are_not_served_when_the_service_user_is_rejected_or_the_clock_set_back() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    let outage = Outage::ServeStale(10 * MINUTE);
    let validator =
        KeystoneValidator::new(keystone.builder().during_outage(outage).build().unwrap());
    validator.validate(&token("t")).await.unwrap();
    keystone.reply("GET t", Reply::Json(403, json!({})));
    keystone.clock.advance(MINUTE);
    let error = failure(&validator, "t").await;
    assert_eq!(error.kind(), KeystoneErrorKind::Refused);
    assert!(error.to_string().contains("lacks the role"), "{error}");
    keystone.reply("GET t", Reply::Json(503, json!({})));
    keystone.clock.put_back(10 * MINUTE);
    failure(&validator, "t").await;
}

#[tokio::test]
async fn errors_contain_neither_requests_nor_answers() {
    let keystone = Keystone::start().await;
    let validator = KeystoneValidator::new(keystone.client());
    for reply in [
        Reply::Text("{\"token\": \"answered-secret\"}"),
        Reply::Json(500, json!("answered-secret")),
        Reply::HangUp,
        Reply::HalfABody,
    ] {
        keystone.reply("GET client-token", reply);
        let error = failure(&validator, "client-token").await;
        let (mut text, mut next) = (format!("{error:?}"), Some(&error as &dyn StdError));
        while let Some(error) = next {
            text.push_str(&error.to_string());
            next = error.source();
        }
        for secret in ["answered-secret", "client-token", "own-token", "top-secret-password"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn connections_are_opened_only_on_demand() {
    let keystone = Keystone::start().await;
    let validator = KeystoneValidator::new(keystone.client());
    for round in 0..20 {
        let mut asking = tokio::task::JoinSet::new();
        for at in 0..3 {
            let validator = validator.clone();
            asking.spawn(async move {
                let _ = validator.validate(&token(&format!("t{round}-{at}"))).await;
            });
        }
        asking.join_all().await;
    }
    assert!(keystone.connections() <= 3, "{}", keystone.connections());
}
