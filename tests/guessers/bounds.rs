//! What guessers cannot use up: places that wait, memory, the counts of others, and the log.

use std::{future::Future, pin::Pin, time::Duration};

use http::StatusCode;
use test_support::{clock::TestClock, counting, thread_log};

use crate::{
    late::{ALLOWED, at_once, with},
    s3::{ACCESS, Gate, NAT},
};

#[tokio::test(start_paused = true)]
async fn responses_beyond_the_most_that_wait_are_sent_at_once_and_counted() {
    let clock = TestClock::default();
    let gate = Gate::with(with(&clock, |it| it.most_waiting(2)), clock, |it| it).await;
    let guess = || gate.send(gate.get(NAT, ACCESS, "wrong"));
    for _ in 0..ALLOWED {
        assert!(at_once(guess()).await.is_some());
    }
    let mut waiting: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for expected in 1..=2 {
        let mut late = Box::pin(guess());
        assert!(at_once(&mut late).await.is_none());
        waiting.push(late);
        assert_eq!(gate.guessers.stats().waiting, expected);
    }
    let refused = at_once(guess()).await.expect("no place is free");
    assert_eq!(refused.0, StatusCode::FORBIDDEN);
    let stats = gate.guessers.stats();
    assert_eq!((stats.delayed, stats.refused_at_once, stats.waiting), (2, 1, 2));
    assert_eq!(gate.own(NAT).await, Some(200));

    // A client that hangs up frees its place, and so does a response that was sent.
    waiting.pop();
    assert_eq!(gate.guessers.stats().waiting, 1);
    assert_eq!(waiting.pop().unwrap().await.0, StatusCode::FORBIDDEN);
    assert_eq!(gate.guessers.stats().waiting, 0);
    assert!(at_once(guess()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn late_response_holds_neither_the_body_nor_the_request() {
    let gate = Gate::new().await;
    let guess = async || {
        let mut request = gate.get(NAT, ACCESS, "wrong");
        *request.body_mut() = vec![0; 1 << 20].into();
        gate.send(request).await
    };
    for _ in 0..ALLOWED {
        guess().await;
    }
    let before = counting::held();
    let mut late = Box::pin(guess());
    assert!(at_once(&mut late).await.is_none());
    let held = counting::held() - before;
    assert!((1..32_768).contains(&held), "{held} bytes");
    drop(late);
}

#[tokio::test(start_paused = true)]
async fn log_has_one_line_per_second_and_no_more_of_a_key_than_fits() {
    thread_log::listen();
    let gate = Gate::new().await;
    let slow = async |access: &str| {
        for _ in 0..=ALLOWED {
            at_once(gate.send(gate.get("2001:db8::7", access, "wrong"))).await;
        }
    };
    slow(ACCESS).await;
    slow("second").await;
    slow("third").await;
    let lines = |log: String| -> Vec<String> {
        let is_warning = |line: &&str| line.contains("WARN");
        log.lines().filter(is_warning).map(str::to_owned).collect()
    };
    let first = lines(thread_log::take());
    assert_eq!(first.len(), 1, "{first:?}");
    for part in ["source=2001:db8::/64", "access key \"AKIDEXAMPLE\"", "left_out=0"] {
        assert!(first[0].contains(part), "{first:?}");
    }
    gate.clock.advance(Duration::from_secs(1));
    slow(&"k".repeat(4_000)).await;
    let second = lines(thread_log::take());
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(second[0].contains("left_out=2") && second[0].len() < 500, "{second:?}");
}
