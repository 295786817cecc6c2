//! A guesser and the owner of a key on the same address.

use test_support::{keys::Key, signing::Signing};
use tokio::task::JoinSet;

use crate::lab::Lab;

#[tokio::test]
async fn guesser_waits_while_the_owner_is_served() {
    let lab = Lab::start(&["--guesser-failures", "1"]).await;
    let alice = lab.alice().await;
    let key = Key { secret: "wrong".into(), ..alice.key.clone() };
    let guesser = Signing { key, ..alice.clone() };
    let mut attempts = JoinSet::new();
    for _ in 0..10 {
        let guesser = guesser.clone();
        attempts.spawn(async move { guesser.get("demo").await.status.as_u16() });
    }
    assert_eq!(attempts.join_next().await.unwrap().unwrap(), 403);
    alice.get("demo").await.expect(200);
    while attempts.try_join_next().is_some() {}
    assert!(!attempts.is_empty(), "no guess was answered late");
    lab.server.logged("answered late", 1).await;
}
