//! Writers that record what was acknowledged, and the check of the store against their records.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use test_support::records;
use tokio::{task::JoinSet, time::sleep};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Maintenance, Order, etcd::EtcdBackend},
    domain::{Credential, ProjectId, Quota},
};

const WRITERS: usize = 8;

/// How long a load may take to make progress.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(2);

/// Writers that insert keys and delete some of them.
pub(crate) struct Load {
    url: String,
    books: Arc<Books>,
    writers: JoinSet<Vec<Written>>,
}

struct Books {
    is_over: AtomicBool,
    acknowledged: AtomicUsize,
    failed: AtomicUsize,
    /// How often a quota was exceeded.
    full: AtomicUsize,
    /// The last acknowledged write, and the longest time between two.
    silence: Mutex<(Instant, Duration)>,
}

struct Written {
    record: Arc<Credential>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The insert was acknowledged.
    There,
    /// The delete was acknowledged.
    Gone,
    /// The last write was not acknowledged.
    Unknown,
}

/// A key pair of this user.
pub(crate) fn pair(user: &str) -> Arc<Credential> {
    records::new_pair_in("demo", user).into()
}

impl Load {
    /// Starts two writers for each user, with two handles, as in two processes.
    pub(crate) async fn start(url: &str) -> Self {
        let handles = [crate::fresh(url).await, crate::fresh(url).await];
        let books = Arc::new(Books {
            is_over: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
            silence: Mutex::new((Instant::now(), Duration::ZERO)),
        });
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (backend, books) = (Arc::clone(&handles[writer % 2]), Arc::clone(&books));
            writers.spawn(async move { write(&backend, &books, writer / 2).await });
        }
        Self { url: url.into(), books, writers }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.books.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until this many more writes are acknowledged.
    pub(crate) async fn until_more(&self, writes: usize) {
        let (wanted, started) = (self.acknowledged() + writes, Instant::now());
        while self.acknowledged() < wanted {
            assert!(started.elapsed() < PROGRESS_TIMEOUT, "no writes any more");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the load and asserts that the store has exactly what was acknowledged. Returns the
    /// longest time without an acknowledged write.
    pub(crate) async fn end(self, what: &str) -> Duration {
        let Self { url, books, writers } = self;
        books.is_over.store(true, Ordering::SeqCst);
        let written: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
        let backend = crate::fresh(&url).await;
        let (mut lost, mut revived) = (0, 0);
        let mut listed = Vec::new();
        let mut query = ListQuery::new(Order::Id);
        query.project_id = Some(ProjectId::new("demo").unwrap());
        loop {
            let page = backend.list(&query).await.unwrap();
            listed.extend(page.credentials);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        for Written { record, state } in &written {
            let by_id = backend.get(&record.id).await.unwrap();
            let access_key = record.access_key.as_ref().unwrap();
            let by_key = backend.find_by_access_key(access_key).await.unwrap();
            assert_eq!(by_id, by_key, "a record is complete or missing");
            let is_listed = listed.iter().any(|it| it.id == record.id);
            assert_eq!(by_id.is_some(), is_listed, "a record is complete or missing");
            assert!(by_id.is_none_or(|it| it == *record), "a record is as it was written");
            lost += usize::from(*state == State::There && by_key.is_none());
            revived += usize::from(*state == State::Gone && by_key.is_some());
        }
        for user in 0..WRITERS / 2 {
            let held = listed.iter().filter(|it| it.user_id.as_str() == format!("user-{user}"));
            let Quota::AtMost(most) = quota(user) else { continue };
            assert!(held.count() <= most as usize, "the quota of user-{user} is exceeded");
        }
        let full = books.full.load(Ordering::SeqCst);
        assert!(full > 0, "no quota was ever exceeded");
        let failed = books.failed.load(Ordering::SeqCst);
        let acknowledged = books.acknowledged.load(Ordering::SeqCst);
        let (_, silence) = *books.silence.lock().unwrap();
        println!(
            "{what}: {acknowledged} writes acknowledged, {failed} failed, {lost} lost, {revived} \
             deleted ones there again, quotas full {full} times, nothing acknowledged for {silence:.2?} at the longest"
        );
        assert_eq!((lost, revived), (0, 0));
        assert_eq!(backend.check_counters().await.unwrap().unwrap().wrong, 0);
        silence
    }
}

async fn write(backend: &EtcdBackend, books: &Books, user: usize) -> Vec<Written> {
    let mut written: Vec<Written> = Vec::new();
    let (user, quota) = (format!("user-{user}"), quota(user));
    while !books.is_over.load(Ordering::SeqCst) {
        let record = pair(&user);
        let outcome = backend.insert(&record, quota).await;
        if let Err(BackendError::QuotaExceeded) = outcome {
            books.full.fetch_add(1, Ordering::SeqCst);
            match written.iter_mut().find(|it| it.state == State::There) {
                Some(old) => old.state = revoke(backend, books, &old.record).await,
                None => sleep(Duration::from_millis(10)).await,
            }
            continue;
        }
        let mut state = State::Unknown;
        if books.enter(outcome) {
            state = State::There;
            if written.len().is_multiple_of(3) {
                state = revoke(backend, books, &record).await;
            }
        }
        written.push(Written { record, state });
    }
    written
}

async fn revoke(backend: &EtcdBackend, books: &Books, record: &Credential) -> State {
    let deleted = backend.delete(&record.id, record.version).await;
    let deleted = deleted.map(|deleted| assert!(deleted, "the record exists"));
    if books.enter(deleted) { State::Gone } else { State::Unknown }
}

/// Every other user has a small quota.
fn quota(user: usize) -> Quota {
    Quota::AtMost(if user.is_multiple_of(2) { 1_000_000 } else { 8 })
}

impl Books {
    /// Whether the write was acknowledged.
    fn enter(&self, outcome: Result<(), BackendError>) -> bool {
        match outcome {
            Ok(()) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                let mut silence = self.silence.lock().unwrap();
                silence.1 = silence.1.max(silence.0.elapsed());
                silence.0 = Instant::now();
                true
            }
            Err(BackendError::Unavailable(_)) => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
