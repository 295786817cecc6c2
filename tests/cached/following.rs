//! A cache that follows a feed of changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_credentials::{
    async_trait,
    backend::{
        BackendError, Change, ChangeFeed, Changes, CredentialBackend, KeySource, Notice,
        cached::Cached, memory::MemoryBackend, sqlite::SqliteBackend,
    },
    domain::{ProjectId, UserId},
};

use crate::{TestClock, disabled, insert, key, pair, renamed, update, version, watched::Watched};

const TTL: u64 = 10_000;
const MINUTE: u64 = 60_000;

/// The feed of a store, which can be broken and silenced.
#[derive(Clone, Debug)]
struct Fragile(Arc<State>);

#[derive(Debug)]
struct State {
    feed: MemoryBackend,
    subscriptions: AtomicUsize,
    broken: AtomicBool,
    silent: AtomicBool,
}

impl Fragile {
    fn of(feed: &MemoryBackend) -> Self {
        Self(Arc::new(State {
            feed: feed.clone(),
            subscriptions: AtomicUsize::default(),
            broken: AtomicBool::default(),
            silent: AtomicBool::default(),
        }))
    }

    fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, SeqCst);
    }

    fn check(&self) -> Result<(), BackendError> {
        if self.0.broken.load(SeqCst) {
            return Err(BackendError::Unavailable("connection lost".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl ChangeFeed for Fragile {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        self.check()?;
        self.0.subscriptions.fetch_add(1, SeqCst);
        Ok(Box::new(FragileChanges { feed: self.clone(), inner: self.0.feed.subscribe().await? }))
    }
}

#[derive(Debug)]
struct FragileChanges {
    feed: Fragile,
    inner: Box<dyn Changes>,
}

#[async_trait]
impl Changes for FragileChanges {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        let notice = self.inner.next().await;
        if self.feed.0.silent.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        self.feed.check()?;
        notice
    }
}

/// A cache that follows the feed of its store, which is up.
async fn world() -> (Cached<Watched>, Watched, TestClock, Fragile) {
    let (cached, backend, clock) = crate::world();
    let feed = Fragile::of(backend.elsewhere());
    cached.follow(feed.clone());
    up(&cached).await;
    (cached, backend, clock, feed)
}

/// Waits until the feed vouches.
async fn up(cached: &Cached<Watched>) {
    until(|| cached.feed_lag().is_some()).await;
}

async fn down(cached: &Cached<Watched>) {
    until(|| cached.feed_lag().is_none()).await;
}

/// Waits, on a clock that jumps as soon as there is nothing to do.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}

#[tokio::test(start_paused = true)]
async fn a_write_elsewhere_is_felt_when_the_feed_tells() {
    let (cached, backend, _, _) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    // The clock stands still: without the feed this would be served for ever.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(version(&cached, "k").await, Some(2));
    assert!(cached.stats().changes > 0);
}

#[tokio::test(start_paused = true)]
async fn purges_deletes_and_new_access_keys_elsewhere_are_felt() {
    let (cached, backend, _, _) = world().await;
    let elsewhere = backend.elsewhere();
    let [alices, demos, moved, deleted] = ["a", "b", "c", "d"].map(|name| {
        let mut pair = pair(name);
        pair.user_id = UserId::new(name).unwrap();
        pair.project_id = Some(ProjectId::new(format!("project-{name}")).unwrap());
        pair
    });
    for pair in [&alices, &demos, &moved, &deleted] {
        insert(&cached, pair).await;
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(version(&cached, name).await, Some(1));
    }
    assert_eq!(version(&cached, "e").await, None);
    elsewhere.purge_user(&alices.user_id).await.unwrap();
    elsewhere.purge_project(demos.project_id.as_ref().unwrap()).await.unwrap();
    assert!(update(elsewhere, &renamed(&moved, "e"), 1).await);
    assert!(elsewhere.delete(&deleted.id, deleted.version).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    for name in ["a", "b", "c", "d"] {
        assert_eq!(version(&cached, name).await, None, "{name}");
    }
    assert_eq!(version(&cached, "e").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn while_the_feed_is_up_a_record_outlives_the_time_to_live() {
    let (cached, backend, clock, _) = world().await;
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    let finds = backend.finds();
    clock.advance(MINUTE);
    up(&cached).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    assert_eq!(backend.finds(), finds, "asked all the same");
    assert!(cached.staleness() < Duration::from_secs(1));
    // It does not outlive the bound on what no feed tells.
    clock.advance(5 * MINUTE);
    up(&cached).await;
    version(&cached, "k").await;
    assert_eq!(backend.finds(), finds + 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_feed_there_is_no_lag_and_the_time_to_live_holds() {
    let (cached, backend, clock) = crate::world();
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    clock.advance(TTL);
    version(&cached, "k").await;
    assert_eq!((backend.finds(), cached.feed_lag()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_broken_feed_gives_the_time_to_live_back_at_once() {
    let (cached, backend, clock, feed) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    version(&cached, "k").await;
    clock.advance(MINUTE);
    up(&cached).await;
    feed.set_broken(true);
    down(&cached).await;
    assert_eq!(cached.stats().breaks, 1);
    // Changed while nobody tells: felt all the same, since it is older than that.
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    assert_eq!(version(&cached, "k").await, Some(2));
    // What is asked for now is served for the time to live, as ever.
    assert!(update(backend.elsewhere(), &disabled(&disabled(&first)), 2).await);
    clock.advance(TTL - 1);
    assert_eq!(version(&cached, "k").await, Some(2));
    clock.advance(1);
    assert_eq!(version(&cached, "k").await, Some(3));
    assert_eq!(cached.stats().breaks, 1, "an outage is one");
}

#[tokio::test(start_paused = true)]
async fn a_silent_feed_vouches_for_a_second() {
    let (cached, backend, clock, feed) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    version(&cached, "k").await;
    clock.advance(MINUTE);
    up(&cached).await;
    feed.0.silent.store(true, SeqCst);
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    clock.advance(1_000);
    // Nothing has been noticed yet: there was no time for it.
    assert_eq!(cached.feed_lag(), None);
    assert_eq!(version(&cached, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_while_the_feed_was_broken_is_felt_when_it_is_back() {
    let (cached, backend, _, feed) = world().await;
    let first = pair("k");
    feed.set_broken(true);
    down(&cached).await;
    insert(backend.elsewhere(), &first).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    // The change that nobody told.
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    feed.set_broken(false);
    up(&cached).await;
    assert!(feed.0.subscriptions.load(SeqCst) > 1);
    // The clock stood still: what was remembered is not old.
    assert_eq!(version(&cached, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_comes_and_goes_is_listened_to_less_and_less_often() {
    let (cached, _, _, feed) = world().await;
    let subscriptions = || feed.0.subscriptions.load(SeqCst);
    let mut attempts = Vec::new();
    for _ in 0..2 {
        let before = subscriptions();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            up(&cached).await;
            feed.set_broken(true);
            down(&cached).await;
            feed.set_broken(false);
        }
        attempts.push(subscriptions() - before);
    }
    assert!(attempts[1] <= 8, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn everything_is_forgotten_when_everything_may_have_changed() {
    let (cached, backend, clock) = crate::world();
    let feed = Scripted;
    cached.follow(feed);
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    let finds = backend.finds();
    until(|| cached.stats().changes > 0).await;
    assert!(cached.known("k", tower_credentials::clock::Clock::now(&clock)).is_none());
    version(&cached, "k").await;
    assert_eq!(backend.finds(), finds + 1);
}

/// Tells after a while that everything changed, once.
#[derive(Debug)]
struct Scripted;

#[async_trait]
impl ChangeFeed for Scripted {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        Ok(Box::new(ScriptedChanges { is_told: false }))
    }
}

#[derive(Debug)]
struct ScriptedChanges {
    is_told: bool,
}

#[async_trait]
impl Changes for ScriptedChanges {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        if self.is_told {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(900)).await;
        self.is_told = true;
        Ok(Notice { changes: vec![Change::Everything], is_complete: true })
    }
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_the_last_handle() {
    let (cached, _, _, feed) = world().await;
    let another = cached.clone();
    drop(cached);
    sleep(Duration::from_secs(5)).await;
    assert!(Arc::strong_count(&feed.0) > 1, "ended too early");
    drop(another);
    until(|| Arc::strong_count(&feed.0) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_in_another_process_reaches_this_one_in_time() {
    const ROUNDS: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let (ours, theirs) = (SqliteBackend::open(&path).unwrap(), SqliteBackend::open(&path).unwrap());
    let cached = Cached::builder(ours.clone()).ttl(Duration::from_hours(1)).build();
    cached.follow(ours);
    until(|| cached.feed_lag().is_some()).await;
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let name = format!("key-{round}");
        let first = pair(&name);
        insert(&theirs, &first).await;
        while version(&cached, &name).await.is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(theirs.delete(&first.id, first.version).await.unwrap());
        let revoked = Instant::now();
        while cached.find(&key(&name)).await.unwrap().is_some() {
            // An hour without the feed; some room for a machine that is busy.
            assert!(revoked.elapsed() < Duration::from_secs(3), "still served");
            sleep(Duration::from_millis(5)).await;
        }
        longest = longest.max(revoked.elapsed());
    }
    eprintln!("{ROUNDS} revocations in another process, felt after {longest:?} at the longest");
}
