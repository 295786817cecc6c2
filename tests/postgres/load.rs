//! Clients that create and use keys while something happens to the server.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, postgres::PostgresBackend},
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, Quota, SecretKey, UserId,
        Version,
    },
};

/// A new key pair of this user.
pub(crate) fn pair(user: &str) -> Arc<Credential> {
    let key = AccessKey::generate().unwrap();
    let mut credential = Credential::new(
        CredentialId::of(&key),
        Kind::ec2(),
        UserId::from_stored(user),
        Material::KeyPair { secret: Some(SecretKey::generate().unwrap()) },
        std::time::UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456),
        Version::fresh(),
    );
    credential.project_id = Some(ProjectId::from_stored("demo"));
    credential.access_key = Some(key);
    credential.into()
}

/// Many clients that create keys as fast as they are answered, until told to stop.
pub(crate) struct Load {
    running: JoinSet<()>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    acknowledged: Mutex<Vec<Arc<Credential>>>,
    refused: AtomicUsize,
    /// When a write was acknowledged last, and the longest time without one.
    pause: Mutex<Option<(Instant, Duration)>>,
}

/// What a load did.
pub(crate) struct Done {
    pub(crate) acknowledged: Vec<Arc<Credential>>,
    pub(crate) unavailable: usize,
    pub(crate) longest: Duration,
}

impl Load {
    /// `clients` clients; each is a user of its own, with this quota.
    pub(crate) fn start(backend: &PostgresBackend, clients: usize, quota: Quota) -> Self {
        let seen = Arc::<Seen>::default();
        let mut running = JoinSet::new();
        for client in 0..clients {
            running.spawn(create(backend.clone(), format!("user {client}"), quota, seen.clone()));
        }
        Self { running, seen }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.seen.acknowledged.lock().unwrap().len()
    }

    /// Waits until this many more writes are acknowledged.
    pub(crate) async fn progress(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        let waiting = async {
            while self.acknowledged() < wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("writes go on");
    }

    pub(crate) async fn stop(mut self) -> Done {
        self.seen.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
        let longest =
            self.seen.pause.lock().unwrap().map_or(Duration::ZERO, |(_, longest)| longest);
        Done {
            acknowledged: std::mem::take(&mut self.seen.acknowledged.lock().unwrap()),
            unavailable: self.seen.refused.load(Ordering::Relaxed),
            longest,
        }
    }
}

async fn create(backend: PostgresBackend, user: String, quota: Quota, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        let credential = pair(&user);
        match backend.insert(&credential, quota).await {
            Ok(()) => {
                let now = Instant::now();
                let mut pause = seen.pause.lock().unwrap();
                let (last, longest) = pause.unwrap_or((now, Duration::ZERO));
                *pause = Some((now, longest.max(now - last)));
                drop(pause);
                seen.acknowledged.lock().unwrap().push(credential);
            }
            Err(BackendError::Unavailable(_)) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(BackendError::QuotaExceeded) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Says what came of a load, on stderr, whether the test passes or not.
pub(crate) fn report(what: &str, done: &Done, lost: usize) {
    use std::io::Write as _;
    let line = format!(
        "\n{what}: {} creates acknowledged, {lost} lost, {} unavailable, longest pause {:.2?}\n",
        done.acknowledged.len(),
        done.unavailable,
        done.longest
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// How many of these are not in the store, whole.
pub(crate) async fn missing(backend: &PostgresBackend, records: &[Arc<Credential>]) -> usize {
    let mut missing = 0;
    for record in records {
        let found = backend.get(&record.id).await.unwrap();
        missing += usize::from(found.as_ref() != Some(record));
    }
    missing
}

/// All ids of the store.
pub(crate) async fn ids(backend: &PostgresBackend) -> HashSet<CredentialId> {
    let (mut query, mut ids) = (ListQuery::new(Order::Id), HashSet::new());
    loop {
        let page = backend.list(&query).await.unwrap();
        ids.extend(page.credentials.iter().map(|credential| credential.id.clone()));
        let Some(next) = page.next else { return ids };
        query.after = Some(next);
    }
}

/// How many records a user holds.
pub(crate) async fn held(backend: &PostgresBackend, user: &str) -> usize {
    let mut query = ListQuery::new(Order::Id);
    query.user_id = Some(UserId::from_stored(user));
    backend.list(&query).await.unwrap().credentials.len()
}
