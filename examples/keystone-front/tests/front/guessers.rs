//! Callers that guess at tokens.

use tokio::task::JoinSet;

use crate::{
    keystone::{ALICE, Keystone},
    process::Front,
};

#[tokio::test]
async fn unknown_tokens_wait_while_a_valid_one_is_served() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--guesser-failures", "1"]).start().await;
    let client = front.client();
    let mut guesses = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        guesses.spawn(async move { client.get("/v3/credentials", "guess").await.status.as_u16() });
    }
    assert_eq!(guesses.join_next().await.unwrap().unwrap(), 401);
    client.get("/v3/credentials", ALICE).await.expect(200);
    while guesses.try_join_next().is_some() {}
    assert!(!guesses.is_empty(), "no guess was answered late");
    front.logged("answered late", 1).await;
    assert!(!front.stderr().contains("\"guess\""));
}
