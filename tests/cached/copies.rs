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

/// Looks up a record until this thread has a copy.
pub(crate) fn use_often(
    cached: &Cached<Watched>,
    access_key: &str,
    now: SystemTime,
) -> Arc<Credential> {
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

/// Looks up other records, so that the shared memory forgets all others.
async fn crowd_out(cached: &Cached<Watched>, others: &[Credential]) {
    for other in others.iter().cycle().take(3 * others.len()) {
        // Records in use, for those take the room of others.
        for _ in 0..3 {
            cached.find(other.access_key.as_ref().unwrap()).await.unwrap();
        }
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
    // While other tests run, two of them may share a table.
    let lookers = [0; 3].map(|_| Looker::start(&cached));
    let now = clock.now();
    let copies = lookers.each_ref().map(|looker| looker.use_often(now));
    let shared = look(&cached, "key", now).unwrap();
    assert!(copies.iter().all(|copy| *copy == shared && !Arc::ptr_eq(copy, &shared)));
    assert!(copies.iter().any(|copy| !Arc::ptr_eq(copy, &copies[0])));
    for (looker, copy) in lookers.iter().zip(&copies) {
        assert!(Arc::ptr_eq(copy, &looker.look(now).unwrap()));
    }
    assert_eq!(cached.stats().hits, 3 * USES as u64 + 1 + 3);
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

    // While a refresh is under way, the thread copies the record. The refresh finds that the record
    // is gone.
    assert!(backend.elsewhere().delete(&record.id, disabled(&record).version).await.unwrap());
    clock.advance(Duration::from_secs(8));
    backend.reads().shut();
    assert!(cached.find(&key("key")).await.unwrap().is_some());
    yield_often().await;
    assert_eq!(looker.use_often(clock.now()).version.get(), 2);
    backend.reads().open();
    backend.reads().release(1);
    yield_often().await;
    assert!(looker.look(clock.now()).is_none());
}

#[tokio::test]
async fn copies_end_with_the_time_of_their_answer() {
    let (cached, backend, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    // While refreshes fail, the record is in memory to the end of its time.
    backend.set_down(true);
    for passed in [7_500, 625, 625, 625] {
        clock.advance(Duration::from_millis(passed));
        assert!(look(&cached, "key", clock.now()).is_some());
        yield_often().await;
    }
    assert_eq!(cached.stats().failed_refreshes, 4);
    clock.advance(Duration::from_millis(615));
    use_often(&cached, "key", clock.now());
    clock.advance(Duration::from_millis(9));
    assert!(look(&cached, "key", clock.now()).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(look(&cached, "key", clock.now()).is_none());
}

#[tokio::test]
async fn staleness_counts_a_copy_whose_entry_was_evicted() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend).clock(clock.clone()).capacity(64).build();
    let all: Vec<_> = (0..1_000).map(|number| pair(&format!("other-{number}"))).collect();
    insert(&cached, &pair("key")).await;
    for record in &all {
        insert(&cached, record).await;
    }
    assert_eq!(version(&cached, "key").await, Some(1));
    clock.advance(Duration::from_secs(3));
    let looker = Looker::start(&cached);
    looker.use_often(clock.now());
    crowd_out(&cached, &all).await;
    assert!(looker.look(clock.now()).is_some());
    assert_eq!(cached.staleness(), Duration::from_secs(3));
    clock.advance(Duration::from_millis(100));
    assert_eq!(cached.staleness(), Duration::from_millis(100));
}

#[tokio::test]
async fn thread_copies_no_more_records_than_the_capacity() {
    let (backend, clock) = (Watched::default(), TestClock::default());
    let cached = Cached::builder(backend).clock(clock.clone()).capacity(3).build();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let now = clock.now();
    // A set has room for four copies.
    assert_eq!(allocations(|| use_often(&cached, "key", now)).1, 0);
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
    let others: Vec<_> = (0..1_000).map(|number| pair(&format!("other-{number}"))).collect();
    for other in &others {
        insert(backend.elsewhere(), other).await;
    }
    assert_eq!(version(&cached, "key").await, Some(1));
    let looker = Looker::start(&cached);
    looker.use_often(clock.now());
    assert!(update(backend.elsewhere(), &disabled(&record), 1).await);
    // The shared memory forgets the record, and then learns its new state.
    crowd_out(&cached, &others).await;
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

    let copy = Arc::downgrade(&use_often(&cached, "key", clock.now()));
    assert!(cached.delete(&pair("key").id, pair("key").version).await.unwrap());
    let _swept = cached.staleness();
    assert!(copy.upgrade().is_none(), "of a deleted record");
}

#[tokio::test]
async fn lookup_drops_a_copy_of_a_deleted_record() {
    let (cached, _, clock) = world();
    insert(&cached, &pair("key")).await;
    assert_eq!(version(&cached, "key").await, Some(1));
    let copy = Arc::downgrade(&use_often(&cached, "key", clock.now()));
    assert!(cached.delete(&pair("key").id, pair("key").version).await.unwrap());
    assert!(look(&cached, "key", clock.now()).is_none());
    assert!(copy.upgrade().is_none());
}
