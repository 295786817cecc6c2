//! Clients that create and revoke keys during a fault, and the check of the store against what
//! was acknowledged.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    domain::{AccessKey, Credential, CredentialId, ProjectId, Quota},
};

use crate::records;

/// How long a load may take to make progress.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(2);

const PAUSE: Duration = Duration::from_millis(20);

/// Many clients that create keys as fast as possible, until they are stopped.
pub struct Load {
    /// The project of all records of this load.
    project: ProjectId,
    clients: JoinSet<Vec<Written>>,
    quotas: Vec<Quota>,
    seen: Arc<Seen>,
}

struct Seen {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    unavailable: AtomicUsize,
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

/// The results of a load.
#[derive(Debug)]
pub struct Done {
    /// How often a quota was exceeded.
    pub full: usize,
    /// The longest time without an acknowledged write.
    pub silence: Duration,
}

impl Load {
    /// Starts two clients for each of these quotas, which is their user's. They take the handles in
    /// turns. A client revokes every third key, and one when the quota is exceeded.
    pub fn start<B: CredentialBackend + Clone>(handles: &[B], quotas: Vec<Quota>) -> Self {
        let seen = Arc::new(Seen {
            stop: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
            silence: Mutex::new((Instant::now(), Duration::ZERO)),
        });
        let project = ProjectId::from_stored(AccessKey::generate().unwrap().as_str());
        let mut clients = JoinSet::new();
        for client in 0..2 * quotas.len() {
            let (backend, seen) = (handles[client % handles.len()].clone(), Arc::clone(&seen));
            let (project, quota) = (project.clone(), quotas[client / 2]);
            let new = move || Arc::new(records::new_pair_in(project.as_str(), &name(client / 2)));
            clients.spawn(async move { create(&backend, new, quota, &seen).await });
        }
        Self { project, clients, quotas, seen }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.seen.acknowledged.load(SeqCst)
    }

    /// How many writes were not acknowledged.
    pub fn unavailable(&self) -> usize {
        self.seen.unavailable.load(SeqCst)
    }

    /// Waits until this many more writes are acknowledged.
    pub async fn progress(&self, more: usize) {
        let (wanted, started) = (self.acknowledged() + more, Instant::now());
        while self.acknowledged() < wanted {
            assert!(started.elapsed() < PROGRESS_TIMEOUT, "no writes any more");
            sleep(PAUSE).await;
        }
    }

    /// Stops the clients and asserts that the store has exactly what was acknowledged. Prints the
    /// results to stderr, whether the test passes or not.
    pub async fn stop(self, what: &str, backend: &impl CredentialBackend) -> Done {
        self.seen.stop.store(true, SeqCst);
        let written: Vec<_> = self.clients.join_all().await.into_iter().flatten().collect();
        // Sessions that read may reconnect later than those that write.
        while backend.get(&CredentialId::from_stored("x")).await.is_err() {
            sleep(PAUSE).await;
        }
        let listed = list(backend, self.project).await;
        let (mut lost, mut revived) = (0, 0);
        for Written { record, state } in &written {
            let by_id = backend.get(&record.id).await.unwrap();
            let access_key = record.access_key.as_ref().unwrap();
            let by_key = backend.find_by_access_key(access_key).await.unwrap();
            assert_eq!(by_id, by_key, "a record is complete or missing");
            assert_eq!(by_id.as_ref(), listed.get(&record.id), "a record is complete or missing");
            assert!(by_id.as_ref().is_none_or(|it| it == record), "a record is as it was written");
            lost += usize::from(*state == State::There && by_id.is_none());
            revived += usize::from(*state == State::Gone && by_id.is_some());
        }
        let (acknowledged, unavailable) =
            (self.seen.acknowledged.load(SeqCst), self.seen.unavailable.load(SeqCst));
        let (full, silence) = (self.seen.full.load(SeqCst), self.seen.silence.lock().unwrap().1);
        let line = format!(
            "\n{what}: {acknowledged} writes acknowledged, {lost} lost, {revived} deleted ones \
             there again, {unavailable} unavailable, quotas full {full} times, longest pause \
             {silence:.2?}\n"
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
        assert_eq!((lost, revived), (0, 0));
        // Each create that was not acknowledged may have stored its record, and no other.
        let known = written.iter().filter(|it| listed.contains_key(&it.record.id)).count();
        assert_eq!(listed.len(), known, "records that nobody created");
        for (user, quota) in self.quotas.into_iter().enumerate() {
            let held = listed.values().filter(|it| it.user_id.as_str() == name(user)).count();
            let fits = matches!(quota, Quota::AtMost(most) if held <= most as usize);
            assert!(fits || quota == Quota::Unlimited, "the quota of {} is exceeded", name(user));
        }
        Done { full, silence }
    }
}

fn name(user: usize) -> String {
    format!("user {user}")
}

async fn create(
    backend: &impl CredentialBackend,
    new: impl Fn() -> Arc<Credential>,
    quota: Quota,
    seen: &Seen,
) -> Vec<Written> {
    let mut written: Vec<Written> = Vec::new();
    while !seen.stop.load(SeqCst) {
        let record = new();
        let outcome = backend.insert(&record, quota).await;
        if let Err(BackendError::QuotaExceeded) = outcome {
            seen.full.fetch_add(1, SeqCst);
            match written.iter_mut().rfind(|it| it.state == State::There) {
                Some(old) => old.state = revoke(backend, &old.record, seen).await,
                None => sleep(PAUSE).await,
            }
            continue;
        }
        let mut state = State::Unknown;
        if seen.acknowledge(outcome).is_some() {
            state = State::There;
            if written.len().is_multiple_of(3) {
                state = revoke(backend, &record, seen).await;
            }
        } else {
            sleep(PAUSE).await;
        }
        written.push(Written { record, state });
    }
    written
}

async fn revoke(backend: &impl CredentialBackend, record: &Credential, seen: &Seen) -> State {
    match seen.acknowledge(backend.delete(&record.id, record.version).await) {
        Some(true) => State::Gone,
        // Counts as lost.
        Some(false) => State::There,
        None => State::Unknown,
    }
}

impl Seen {
    /// The result of a write; `None` if the write was not acknowledged.
    fn acknowledge<T>(&self, outcome: Result<T, BackendError>) -> Option<T> {
        match outcome {
            Ok(result) => {
                self.acknowledged.fetch_add(1, SeqCst);
                let mut silence = self.silence.lock().unwrap();
                silence.1 = silence.1.max(silence.0.elapsed());
                silence.0 = Instant::now();
                Some(result)
            }
            Err(BackendError::Unavailable(_)) => {
                self.unavailable.fetch_add(1, SeqCst);
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// All records of a project.
async fn list(
    backend: &impl CredentialBackend,
    project: ProjectId,
) -> HashMap<CredentialId, Arc<Credential>> {
    let (mut query, mut listed) = (ListQuery::new(Order::Key), HashMap::new());
    query.project_id = Some(project);
    loop {
        let page = backend.list(&query).await.unwrap();
        listed.extend(page.credentials.into_iter().map(|it| (it.id.clone(), it)));
        let Some(next) = page.next else { return listed };
        query.after = Some(next);
    }
}
