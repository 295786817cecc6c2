//! `CredentialLayer` with guessers: tokens and Basic credentials.

use std::{num::NonZeroU32, sync::Arc};

use data_encoding::BASE64;
use test_support::{
    clock::TestClock,
    thread_log,
    world::{ALICE, BOB, Call, World},
};
use tower_credentials::{
    async_trait,
    auth::{AuthError, Presented, TokenValidator},
    backend::memory::MemoryBackend,
    domain::Caller,
    guessers::Guessers,
};

use crate::{
    late::{ALLOWED, at_once, from, guessers},
    s3::NAT,
};

/// A world with guessers, on a clock of their own.
fn world() -> (World, Guessers) {
    let guessers = guessers(&TestClock::default());
    (World::with(|builder| builder.guessers(guessers.clone())), guessers)
}

async fn status(call: Call) -> Option<u16> {
    at_once(call.extension(from(NAT)).send()).await.map(|answer| answer.status.as_u16())
}

fn basic(world: &World, user: &str, password: &str) -> Call {
    let credentials = BASE64.encode(format!("{user}:{password}").as_bytes());
    world.get("/credentials").header("authorization", &format!("Basic {credentials}"))
}

#[tokio::test(start_paused = true)]
async fn unknown_token_is_answered_late_in_every_dialect_and_a_valid_one_at_once() {
    for path in ["/credentials", "/v3/credentials", "/v2.0/users/u/OS-KSADM/credentials"] {
        let (world, guessers) = world();
        for _ in 0..ALLOWED {
            assert_eq!(status(world.get(path).token("unknown")).await, Some(401), "{path}");
        }
        assert_eq!(status(world.get(path).token("unknown")).await, None, "{path}");
        assert_eq!(status(world.get("/credentials").token("dev-alice")).await, Some(200));
        assert_eq!(guessers.stats().delayed, 1);
        // The response itself is the ordinary one.
        let late = world.get(path).token("unknown").extension(from(NAT)).send().await;
        assert_eq!((late.status.as_u16(), late.header("cache-control")), (401, "no-store"));
        assert!(late.error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn guesser_with_another_token_each_time_is_late_after_at_most_16_times_as_many() {
    let (world, _) = world();
    let mut answered = 0;
    for at in 0..=16 * ALLOWED {
        answered += u32::from(
            status(world.get("/credentials").token(&format!("guess-{at}"))).await.is_some(),
        );
    }
    assert!(answered <= 16 * ALLOWED, "{answered}");
    assert_eq!(status(world.get("/credentials").token("dev-alice")).await, Some(200));
}

#[tokio::test(start_paused = true)]
async fn basic_credentials_are_counted_by_user() {
    let (world, _) = world();
    for at in 0..ALLOWED {
        assert_eq!(status(basic(&world, ALICE, &format!("guess-{at}"))).await, Some(401));
    }
    assert_eq!(status(basic(&world, ALICE, "guess")).await, None);
    assert_eq!(status(basic(&world, BOB, "guess")).await, Some(401));
    assert_eq!(status(basic(&world, ALICE, "dev-alice")).await, Some(200));
}

/// A validator that returns one error.
#[derive(Debug)]
struct Failing(fn() -> AuthError);

#[async_trait]
impl TokenValidator for Failing {
    async fn validate(&self, _: &Presented) -> Result<Arc<Caller>, AuthError> {
        Err((self.0)())
    }
}

#[tokio::test(start_paused = true)]
async fn only_unknown_tokens_are_counted() {
    let guessers = guessers(&TestClock::default());
    let failing = |error| {
        let backend = Arc::new(MemoryBackend::default());
        World::build(Failing(error), backend, |it| it.guessers(guessers.clone()))
    };
    let errors: [(fn() -> AuthError, u16); 3] = [
        (|| AuthError::Expired, 401),
        (|| AuthError::UserDisabled, 403),
        (|| AuthError::Unavailable("down".into()), 503),
    ];
    for (error, expected) in errors {
        for _ in 0..2 * ALLOWED {
            let call = failing(error).get("/credentials").token("token");
            assert_eq!(status(call).await, Some(expected));
        }
    }
    let world = World::with(|it| it.guessers(guessers.clone()));
    for _ in 0..2 * ALLOWED {
        for (call, expected) in [
            (world.get("/credentials"), 401),
            (world.get("/credentials/unknown").token("dev-alice"), 404),
            (world.get("/credentials?user_id=bob").token("dev-alice"), 403),
        ] {
            assert_eq!(status(call).await, Some(expected));
        }
    }
    assert_eq!(guessers.stats().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn log_names_neither_a_token_nor_a_user() {
    thread_log::listen();
    let guessers = Guessers::builder().failures(NonZeroU32::MIN).build();
    let world = World::with(|it| it.guessers(guessers));
    for _ in 0..2 {
        status(world.get("/credentials").token("hush-token")).await;
    }
    let log = thread_log::take();
    assert!(log.contains("guessed=token with SHA-256 ") && log.contains("203.0.113.0/24"), "{log}");
    assert!(!log.contains("hush"), "{log}");
}
