//! Threads keep copies of the records in most use.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use tower_credentials::{
    backend::{CredentialBackend, KeySource, Known, cached::Cached},
    clock::Clock,
    domain::{Credential, UserId},
};

use crate::{
    TestClock, counting::allocations, disabled, insert, key, pair, update, version,
    watched::Watched, world,
};

/// Lookups after which a record in use is copied.
const USES: usize = 4;

fn look(cached: &Cached<Watched>, access_key: &str, now: SystemTime) -> Option<Arc<Credential>> {
    match cached.known(access_key, now) {
        Some(Known::Present(credential)) => Some(credential),
        Some(Known::Absent) | None => None,
    }
}

fn use_often(cached: &Cached<Watched>, access_key: &str, now: SystemTime) -> Arc<Credential> {
    for _ in 1..USES {
        look(cached, access_key, now).unwrap();
    }
    look(cached, access_key, now).unwrap()
}

/// Lets a refresh in the background end.
async fn yield_often() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A thread that looks up `key` when it is asked to.
struct Looker {
    ask: mpsc::Sender<SystemTime>,
    found: mpsc::Receiver<Option<Arc<Credential>>>,
}

impl Looker {
    fn start(cached: &Cached<Watched>) -> Self {
        let (ask, asked) = mpsc::channel();
        let (tell, found) = mpsc::channel();
        let cached = cached.clone();
        thread::spawn(move || {
            for now in asked {
                tell.send(look(&cached, "key", now)).unwrap();
            }
        });
        Self { ask, found }
    }

    fn look(&self, now: SystemTime) -> Option<Arc<Credential>> {
        self.ask.send(now).unwrap();
        self.found.recv().unwrap()
    }

    fn use_often(&self, now: SystemTime) -> Arc<Credential> {
        for _ in 1..USES {
            self.look(now).unwrap();
        }
        self.look(now).unwrap()
    }
}

#[tokio::test]
async fn each_thread_has_its_own_copy_of_a_record_in_use() {
    let (cached, _, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let [one, other] = [Looker::start(&cached), Looker::start(&cached)];
    let now = clock.now();
    let [first, second] = [one.use_often(now), other.use_often(now)];
    assert_eq!(first, second);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &one.look(now).unwrap()));
    assert!(Arc::ptr_eq(&second, &other.look(now).unwrap()));
    assert!(cached.stats().hits >= 10, "hits in a copy are counted");
}

#[tokio::test]
async fn write_takes_effect_on_the_copies_of_every_thread() {
    let (cached, _, clock) = world();
    let record = pair("key");
    insert(&cached, &record).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let lookers = [Looker::start(&cached), Looker::start(&cached)];
    for looker in &lookers {
        looker.use_often(clock.now());
    }
    assert!(update(&cached, &disabled(&record), 1).await);
    assert!(lookers.iter().all(|looker| looker.look(clock.now()).is_none()));
    assert_eq!(version(&cached, "key").await, Some(2));
    for looker in &lookers {
        assert_eq!(looker.use_often(clock.now()).version.get(), 2);
    }
    assert_eq!(cached.purge_user(&UserId::new("alice").unwrap()).await.unwrap(), 1);
    assert!(lookers.iter().all(|looker| looker.look(clock.now()).is_none()));
}

#[tokio::test]
async fn no_thread_returns_an_older_answer_than_another_thread_did() {
    let (cached, backend, clock) = world();
    let record = pair("key");
    insert(backend.elsewhere(), &record).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let looker = Looker::start(&cached);
    looker.use_often(clock.now());
    // The cache does not know this change until the record is looked up by its id.
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    assert_eq!(looker.look(clock.now()).unwrap().version.get(), 1);
    assert_eq!(cached.get(&record.id).await.unwrap().unwrap().version.get(), 2);
    assert_eq!(looker.look(clock.now()).unwrap().version.get(), 2);
    looker.use_often(clock.now());
    assert!(backend.elsewhere().delete(&record.id, disabled(&record).version).await.unwrap());
    clock.advance(Duration::from_secs(7));
    assert_eq!(looker.use_often(clock.now()).version.get(), 2);
    clock.advance(Duration::from_secs(1));
    // The refresh finds that the record is gone.
    assert!(cached.find(&key("key")).await.unwrap().is_some());
    yield_often().await;
    assert!(cached.find(&key("key")).await.unwrap().is_none());
    assert!(looker.look(clock.now()).is_none());
}

#[tokio::test]
async fn copies_end_with_the_time_of_their_answer() {
    let (cached, backend, clock) = world();
    let record = pair("key");
    insert(backend.elsewhere(), &record).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let started = clock.now();
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    // Copied a moment before the time of the answer is over.
    let late = started + Duration::from_millis(7_490);
    use_often(&cached, "key", late);
    assert!(look(&cached, "key", started + Duration::from_secs(10)).is_none());
    assert!(look(&cached, "key", started - Duration::from_secs(1)).is_none());
}

#[tokio::test]
async fn copy_in_use_does_not_keep_a_refresh_from_its_time() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let asked = backend.finds();
    clock.advance(Duration::from_millis(7_499));
    use_often(&cached, "key", clock.now());
    assert_eq!(backend.finds(), asked);
    clock.advance(Duration::from_millis(1));
    look(&cached, "key", clock.now()).unwrap();
    yield_often().await;
    assert_eq!(backend.finds(), asked + 1);
}

#[tokio::test]
async fn rare_and_long_records_are_not_copied() {
    let (cached, _, clock) = world();
    let mut all: Vec<_> = (0..2_000).map(|number| pair(&format!("key-{number}"))).collect();
    let mut long = pair("long");
    long.attributes.insert("note".into(), "x".repeat(5_000).into());
    all.push(long);
    // A write makes the entries of its partition stale, so all writes come first.
    for record in &all {
        insert(&cached, record).await;
    }
    for record in &all {
        cached.find(record.access_key.as_ref().unwrap()).await.unwrap();
    }
    let now = clock.now();
    let names = all.iter().map(|record| record.access_key.as_ref().unwrap().as_str());
    let look_all = || names.for_each(|name| drop(look(&cached, name, now).unwrap()));
    // Another thread, for this one has looked up each key once.
    thread::scope(|scope| {
        scope.spawn(|| {
            // The first lookup of a thread allocates its table.
            use_often(&cached, "key-0", now);
            assert_eq!(allocations(look_all).1, 0, "each is looked up once");
            assert_eq!(allocations(|| use_often(&cached, "long", now)).1, 0, "a long record");
        });
    });
}

#[tokio::test]
async fn copy_is_used_for_a_tenth_of_a_second() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend.clone()).clock(clock.clone()).capacity(64).build();
    let record = pair("key");
    insert(backend.elsewhere(), &record).await;
    for number in 0..1_000 {
        insert(backend.elsewhere(), &pair(&format!("other-{number}"))).await;
    }
    assert_eq!(version(&cached, "key").await, Some(1));
    let looker = Looker::start(&cached);
    looker.use_often(clock.now());
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    // The shared memory forgets the record, and then learns its new state.
    for number in 0..3_000 {
        // Records in use, for those take the room of others.
        let other = key(&format!("other-{}", number % 1_000));
        for _ in 0..3 {
            cached.find(&other).await.unwrap();
        }
    }
    assert_eq!(version(&cached, "key").await, Some(2));
    clock.advance(Duration::from_millis(99));
    assert_eq!(looker.look(clock.now()).unwrap().version.get(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(looker.look(clock.now()).unwrap().version.get(), 2);
}

#[tokio::test]
async fn staleness_drops_copies_whose_time_is_over() {
    let (cached, _, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let copy = Arc::downgrade(&use_often(&cached, "key", clock.now()));
    let _swept = cached.staleness();
    assert!(copy.upgrade().is_some());
    clock.advance(Duration::from_millis(100));
    let _swept = cached.staleness();
    assert!(copy.upgrade().is_none());
}
