//! Request bodies: too long, too slow, truncated, or not read at all.

use std::{sync::atomic::Ordering, time::Duration};

use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower_credentials::ErrorKind;

use crate::{
    keystone_v2_json::bobs,
    world::{
        Answer, World,
        failing::{End, Stream},
    },
};

const TIMEOUT: Duration = Duration::from_secs(30);

fn creates() -> [(&'static str, String); 2] {
    [("error", "/credentials".into()), ("overLimit", bobs(""))]
}

fn status_and_root(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let (root, members) = body.as_object().unwrap().iter().next().unwrap();
    assert_eq!(members["code"], answer.status.as_u16());
    (answer.status.as_u16(), root.clone())
}

#[tokio::test]
async fn body_that_declares_too_large_a_size_is_413_without_being_read() {
    let world = World::new();
    for (root, uri) in creates() {
        let call = world.post(&uri).token("dev-admin").header("content-type", "application/json");
        let call = call.header("content-length", "114689");
        let answer = call.body(Full::from(vec![b' '; 114_689])).send().await;
        assert_eq!(status_and_root(&answer), (413, root.into()));
    }
}

#[tokio::test]
async fn streamed_body_is_413_as_soon_as_it_exceeds_the_limit() {
    let world = World::with(|builder| builder.body_limit(10));
    for (root, uri) in creates() {
        let body = Stream::new(["123456", "789a", "b", "never polled"], End::Stalled);
        let polled = body.polled();
        let call = world.post(&uri).token("dev-admin").header("content-type", "application/json");
        assert_eq!(status_and_root(&call.body(body).send().await), (413, root.into()));
        assert_eq!(polled.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn token_that_expires_while_the_body_arrives_changes_nothing() {
    let text = r#"{"credential": {"type": "ec2", "blob": {"access": "late", "secret": "s"}}}"#;
    for (seconds, expected) in [(59, 201), (60, 401)] {
        let world = World::new();
        let clock = world.clock.clone();
        let body = Full::from(text).map_frame(move |frame| {
            clock.advance(Duration::from_secs(seconds));
            frame
        });
        let call = world.post("/credentials").token("ends-in-a-minute");
        assert_eq!(call.body(body).send().await.status, expected, "after {seconds} s");
        assert_eq!(world.stored("late").await.is_some(), expected == 201, "after {seconds} s");
    }
}

#[tokio::test]
async fn body_of_exactly_the_limit_is_accepted() {
    let text = "{\"credential\":{\"type\":\"ec2\"}}";
    let world = World::with(|builder| builder.body_limit(text.len()));
    let (start, end) = text.split_at(7);
    let body = Stream::new([start, "", end], End::Clean);
    let answer = world.post("/credentials").token("dev-alice").body(body).send().await;
    assert_eq!(answer.status, 201);

    let default = World::new();
    let padded = format!("{text}{}", " ".repeat(114_688 - text.len()));
    let call = default.post("/credentials").token("dev-alice").bytes(padded.as_bytes());
    assert_eq!(call.send().await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn stalled_body_is_408_after_the_timeout() {
    let world = World::new();
    for (root, uri) in [("error", "/credentials".to_owned()), ("identityFault", bobs(""))] {
        let body = Stream::new(["{\"credential\":"], End::Stalled);
        let started = tokio::time::Instant::now();
        let call = world.post(&uri).token("dev-admin").header("content-type", "application/json");
        let answer = call.body(body).send().await;
        assert_eq!(status_and_root(&answer), (408, root.into()));
        // Exact on any machine, because the clock is paused.
        assert_eq!(started.elapsed(), TIMEOUT);
        assert_eq!(answer.error.unwrap().kind(), ErrorKind::RequestTimeout);
    }
}

#[tokio::test]
async fn truncated_body_is_400_and_writes_nothing() {
    let world = World::new();
    for uri in ["/credentials", &bobs("")] {
        let body = Stream::new(["{\"credential\":{\"type\":\"ec2\"}}"], End::Broken);
        let call = world.post(uri).token("dev-admin").header("content-type", "application/json");
        let answer = call.body(body).send().await;
        assert_eq!(answer.status, 400);
        assert!(!answer.text().contains("peer"), "the response contains the cause");
        let error = answer.error.unwrap();
        let cause = std::error::Error::source(&*error).unwrap().to_string();
        assert_eq!(cause, "connection reset by peer");
    }
    assert!(world.get("/credentials").token("dev-admin").send().await.ids().is_empty());
}

#[tokio::test]
async fn body_is_not_read_before_the_caller_is_authenticated() {
    let world = World::new();
    for token in [None, Some("wrong")] {
        for (_, uri) in creates() {
            let body = Stream::new(["{}"], End::Stalled);
            let polled = body.polled();
            let call = world.post(&uri).header("content-type", "application/json");
            let call = token.into_iter().fold(call, crate::world::Call::token);
            assert_eq!(call.body(body).send().await.status, 401);
            assert_eq!(polled.load(Ordering::SeqCst), 0, "{token:?} {uri}");
        }
    }
}

#[tokio::test]
async fn operations_without_a_body_do_not_read_the_body() {
    let world = World::new();
    for (method, uri) in [
        ("GET", "/credentials".to_owned()),
        ("GET", "/credentials/k".into()),
        ("DELETE", "/credentials/k".into()),
        ("PUT", "/credentials/k".into()),
        ("GET", bobs("")),
        ("GET", bobs("/ec2Credentials")),
        ("DELETE", bobs("/ec2Credentials")),
        ("GET", bobs("/ec2Credentials/ec2Credentials")),
        ("PUT", bobs("")),
    ] {
        let body = Stream::new(["x"], End::Stalled);
        let polled = body.polled();
        world.call(method, &uri).token("dev-admin").body(body).send().await;
        assert_eq!(polled.load(Ordering::SeqCst), 0, "{method} {uri}");
    }
}

#[tokio::test]
async fn body_in_small_frames_is_accepted() {
    let world = World::new();
    let text = json!({"credential": {"type": "ec2", "blob": {"access": "framed"}}}).to_string();
    let (a, b) = text.split_at(20);
    let body = Stream::new([a, b], End::Clean);
    let answer = world.post("/credentials/").token("dev-alice").body(body).send().await;
    assert_eq!(answer.status, 201);
    assert!(world.is_usable("framed").await);
}
