//! A guesser and the owner of a key on the same address.

use serde_json::json;
use test_support::{keys::Key, signing::Signing};
use tokio::task::JoinSet;

use crate::lab::Lab;

/// The same client with a wrong secret.
fn guesser(owner: &Signing) -> Signing {
    let key = Key { secret: "wrong".into(), ..owner.key.clone() };
    Signing { key, ..owner.clone() }
}

/// Sends attempts at the same time, all on one connection.
fn guess(guesser: &Signing, times: usize) -> JoinSet<u16> {
    let mut attempts = JoinSet::new();
    for _ in 0..times {
        let guesser = guesser.clone();
        attempts.spawn(async move { guesser.get("data").await.status.as_u16() });
    }
    attempts
}

#[tokio::test]
async fn guesser_waits_after_100_failures_while_the_owner_is_served() {
    let lab = Lab::start(&[]).await;
    let guesser = guesser(&lab.alice);
    let mut waiting = 0;
    // A minute may end during the first attempt.
    for _ in 0..2 {
        let mut attempts = guess(&guesser, 110);
        for _ in 0..100 {
            assert_eq!(attempts.join_next().await.unwrap().unwrap(), 403);
        }
        lab.alice.get("data").await.expect(200);
        while attempts.try_join_next().is_some() {}
        waiting = attempts.len();
        if waiting > 0 {
            break;
        }
    }
    assert!(waiting > 0, "no guess was answered late");
    lab.server.logged("answered late", 1).await;
    let log = lab.server.stderr();
    assert!(log.contains("source=127.0.0.0/24") && log.contains(&lab.alice.key.access), "{log}");
}

#[tokio::test]
async fn options_set_the_failures_and_the_limit_of_creates() {
    let lab = Lab::start(&["--guesser-failures", "0", "--mint-limit", "1"]).await;
    let mut attempts = guess(&guesser(&lab.alice), 110);
    while let Some(status) = attempts.join_next().await {
        assert_eq!(status.unwrap(), 403);
    }
    assert!(!lab.server.stderr().contains("answered late"));
    let client = lab.server.client();
    let body = json!({"credential": {"type": "ec2"}});
    let mut rejected = 0;
    // A minute may end between two creates.
    for _ in 0..3 {
        let answer = client.post("/credentials", "dev-bob", &body).await;
        rejected += usize::from(answer.status == 503);
    }
    assert!((1..=2).contains(&rejected), "{rejected}");
}
