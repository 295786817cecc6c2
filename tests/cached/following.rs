//! A cache that follows a change feed.

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
        BackendError, CredentialBackend, KeySource,
        cached::Cached,
        contract::{Change, ChangeFeed, Changes, Notice},
        memory::MemoryBackend,
        sqlite::SqliteBackend,
    },
    clock::Clock,
    domain::{ProjectId, UserId, Version},
};

use crate::{
    TestClock, copies::use_often, disabled, insert, key, pair, renamed, update, version,
    version_by_id, watched::Watched,
};

const TTL: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);

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

/// A cache that follows the working feed of its store.
async fn world() -> (Cached<Watched>, Watched, TestClock, Fragile) {
    let (cached, backend, clock) = crate::world();
    let feed = Fragile::of(backend.elsewhere());
    cached.follow(feed.clone());
    up(&cached).await;
    (cached, backend, clock, feed)
}

/// Waits until the feed is connected.
async fn up(cached: &Cached<Watched>) {
    until(|| cached.feed_lag().is_some()).await;
}

async fn down(cached: &Cached<Watched>) {
    until(|| cached.feed_lag().is_none()).await;
}

/// Waits, with a clock that jumps as soon as no task can run.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition was never met");
}

#[tokio::test(start_paused = true)]
async fn write_of_another_process_takes_effect_when_the_feed_reports_it() {
    let (cached, backend, clock, _) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    assert_eq!(version_by_id(&cached, &first).await, Some(1));
    use_often(&cached, "k", clock.now());
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    // The clock stands still: without the feed this would be served forever.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(version_by_id(&cached, &first).await, Some(2));
    assert_eq!(version(&cached, "k").await, Some(2));
    assert!(backend.elsewhere().delete(&first.id, Version::from_stored(2)).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(version_by_id(&cached, &first).await, None);
    assert!(cached.stats().changes > 0);
}

#[tokio::test(start_paused = true)]
async fn purges_deletes_and_new_access_keys_of_others_take_effect() {
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
async fn record_outlives_the_ttl_while_the_feed_is_connected() {
    let (cached, backend, clock, _) = world().await;
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    let finds = backend.finds();
    clock.advance(MINUTE);
    up(&cached).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    assert_eq!(backend.finds(), finds, "the backend was called");
    assert!(cached.staleness() < Duration::from_secs(1));
    // It does not outlive the ttl for changes that no feed reports.
    clock.advance(5 * MINUTE);
    up(&cached).await;
    version(&cached, "k").await;
    assert_eq!(backend.finds(), finds + 1);
}

#[tokio::test(start_paused = true)]
async fn ttl_applies_and_lag_is_none_without_a_feed() {
    let (cached, backend, clock) = crate::world();
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    clock.advance(TTL);
    version(&cached, "k").await;
    assert_eq!((backend.finds(), cached.feed_lag()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn broken_feed_restores_the_ttl_at_once() {
    let (cached, backend, clock, feed) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    version(&cached, "k").await;
    clock.advance(MINUTE);
    up(&cached).await;
    use_often(&cached, "k", clock.now());
    feed.set_broken(true);
    down(&cached).await;
    assert_eq!(cached.stats().breaks, 1);
    // Changed while the feed is broken: takes effect all the same, because the entry is older
    // than the ttl.
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    assert_eq!(version(&cached, "k").await, Some(2));
    // New entries are served for the ttl, as always.
    assert!(update(backend.elsewhere(), &disabled(&disabled(&first)), 2).await);
    clock.advance(TTL.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(version(&cached, "k").await, Some(2));
    clock.advance(Duration::from_millis(1));
    assert_eq!(version(&cached, "k").await, Some(3));
    assert_eq!(cached.stats().breaks, 1, "one outage counts once");
}

#[tokio::test(start_paused = true)]
async fn silent_feed_is_trusted_for_one_second() {
    let (cached, backend, clock, feed) = world().await;
    let first = pair("k");
    insert(&cached, &first).await;
    version(&cached, "k").await;
    clock.advance(MINUTE);
    up(&cached).await;
    feed.0.silent.store(true, SeqCst);
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    clock.advance(Duration::from_secs(1));
    // Not noticed yet: no time has passed.
    assert_eq!(cached.feed_lag(), None);
    assert_eq!(version(&cached, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn changes_during_an_outage_of_the_feed_take_effect_after_it() {
    let (cached, backend, clock, feed) = world().await;
    let first = pair("k");
    feed.set_broken(true);
    down(&cached).await;
    insert(backend.elsewhere(), &first).await;
    assert_eq!(version(&cached, "k").await, Some(1));
    use_often(&cached, "k", clock.now());
    // A change that was not reported.
    assert!(update(backend.elsewhere(), &disabled(&first), 1).await);
    feed.set_broken(false);
    up(&cached).await;
    assert!(feed.0.subscriptions.load(SeqCst) > 1);
    // The clock stood still: the entry is not old.
    assert_eq!(version(&cached, "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn unstable_feed_is_retried_less_and_less_often() {
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
async fn everything_changed_makes_all_entries_stale() {
    let (cached, backend, clock) = crate::world();
    let feed = Scripted;
    cached.follow(feed);
    insert(&cached, &pair("k")).await;
    version(&cached, "k").await;
    let finds = backend.finds();
    until(|| cached.stats().changes > 0).await;
    assert!(cached.known("k", clock.now()).is_none());
    version(&cached, "k").await;
    assert_eq!(backend.finds(), finds + 1);
}

/// Reports once, after a while, that everything changed.
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
        Ok(Notice::new(vec![Change::Everything], true))
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
async fn revocation_in_another_process_takes_effect_in_time() {
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
            // The time of an outage without the feed, and some more for a busy machine.
            assert!(revoked.elapsed() < Duration::from_secs(3), "still served");
            sleep(Duration::from_millis(5)).await;
        }
        longest = longest.max(revoked.elapsed());
    }
    eprintln!("{ROUNDS} revocations in another process, took effect after at most {longest:?}");
}
