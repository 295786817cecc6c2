//! Rotations while clients use the key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::{
    keys::{Key, mint, rotate},
    signing::Signing,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::lab::Lab;

const CLIENTS: usize = 64;

/// How often a client uses each of the keys, at least.
const USES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn rotation_with_an_overlap_fails_no_request_of_clients_that_move_one_by_one() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "content").await.expect(200);
    let old = mint(&alice.client, "dev-alice").await;
    let (sender, receiver) = watch::channel::<Option<Key>>(None);
    let (mut clients, sent) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for number in 0..CLIENTS {
        let (mut rotated, sent) = (receiver.clone(), Arc::clone(&sent));
        let mut client = Signing { key: old.clone(), ..alice.clone() };
        clients.spawn(async move {
            let get = async |client: &Signing| {
                let answer = client.get("demo/object").await.expect(200);
                assert_eq!(answer.text(), "content", "client {number}");
                sent.fetch_add(1, Ordering::Relaxed);
            };
            while rotated.borrow_and_update().is_none() {
                get(&client).await;
            }
            for _ in 0..USES + number / 4 {
                get(&client).await;
            }
            client.key = rotated.borrow().clone().unwrap();
            for _ in 0..USES {
                get(&client).await;
            }
        });
    }
    // Every client is at work.
    while sent.load(Ordering::Relaxed) < CLIENTS * USES {
        sleep(Duration::from_millis(10)).await;
    }
    let new = rotate(&alice.client, &old, 3_600).await;
    assert_ne!(new.access, old.access);
    sender.send(Some(new.clone())).unwrap();
    clients.join_all().await;
    // Both keys are valid until the overlap ends.
    for key in [&old, &new] {
        Signing { key: key.clone(), ..alice.clone() }.get("demo/object").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_in_place_stops_the_old_key_with_its_response() {
    let lab = Lab::start(&["--key-ttl", "3600"]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "content").await.expect(200);
    let mut key = mint(&alice.client, "dev-alice").await;
    for _ in 0..5 {
        let old = Signing { key: key.clone(), ..alice.clone() };
        for _ in 0..USES {
            old.get("demo/object").await.expect(200);
        }
        key = rotate(&alice.client, &key, 0).await;
        old.get("demo/object").await.refused("InvalidAccessKeyId");
        Signing { key: key.clone(), ..alice.clone() }.get("demo/object").await.expect(200);
    }
}
