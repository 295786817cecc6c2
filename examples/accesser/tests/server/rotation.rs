//! Rotations in place take effect in other processes.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use test_support::{
    http::Client,
    keys::{mint, rotate},
    process::Server,
    signing::Signing,
    waiting::Waiting,
};
use tokio::time::{Instant, sleep};

use crate::ACCESSER;

const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn rotation_in_place_stops_the_old_key_in_another_process_within_a_second() {
    // Without the change feed, the other process would know the old key for an hour.
    let accesser = Server::new(ACCESSER).arguments(&["--key-ttl", "3600"]);
    let (one, other) = (accesser.start().await, accesser.start().await);
    other.logged("the change feed of the credential store is connected", 1).await;
    let client = one.client();
    let mut key = mint(&client, "dev-alice").await;
    let at = |url: &str, key| Signing { client: Client::http2(url), url: url.to_owned(), key };
    at(&one.url, key.clone()).put("data", "").await.expect(200);
    let mut delays = Vec::new();
    for _ in 0..ROUNDS {
        let (here, there) = (at(&one.url, key.clone()), at(&other.url, key.clone()));
        let is_rotating = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn({
            let is_rotating = Arc::clone(&is_rotating);
            async move {
                // Until the old key is refused, which only the rotation may cause.
                while there.get("data").await.status == 200 {}
                assert!(is_rotating.load(Ordering::SeqCst), "refused before the rotation");
                there.get("data").await.refused("InvalidAccessKeyId");
                Instant::now()
            }
        });
        for _ in 0..20 {
            here.get("data").await.expect(200);
        }
        is_rotating.store(true, Ordering::SeqCst);
        key = rotate(&client, &key, 0).await;
        let answered = Instant::now();
        here.get("data").await.refused("InvalidAccessKeyId");
        at(&one.url, key.clone()).get("data").await.expect(200);
        delays.push(watching.await.unwrap().saturating_duration_since(answered));
        // The new key reaches the other process too.
        for () in Waiting::start() {
            if at(&other.url, key.clone()).get("data").await.status == 200 {
                break;
            }
            sleep(Waiting::STEP).await;
        }
    }
    delays.sort_unstable();
    let _ = writeln!(std::io::stderr(), "\nrotations took effect elsewhere after {delays:?}");
    // If the feed breaks on a busy machine, a rotation takes effect when the feed is back.
    assert!(delays[ROUNDS / 2] < Duration::from_secs(1), "{delays:?}");
}
