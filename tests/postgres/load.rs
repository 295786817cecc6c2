//! Clients that create and revoke keys during a fault.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::records;
use tokio::{task::JoinSet, time::Instant};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    domain::{Credential, CredentialId, Quota, UserId},
};

/// The quota of each user of a load.
pub(crate) const QUOTA: u32 = 10;

/// A new key pair of this user.
pub(crate) fn pair(user: &str) -> Arc<Credential> {
    records::new_pair_in("demo", user).into()
}

/// Many clients that create keys as fast as possible, until they are stopped.
pub(crate) struct Load {
    running: JoinSet<()>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    /// How many creates were acknowledged.
    created: AtomicUsize,
    /// Records of acknowledged creates that were not revoked.
    acknowledged: Mutex<Vec<Arc<Credential>>>,
    /// Records whose revocation was acknowledged.
    revoked: Mutex<Vec<CredentialId>>,
    refused: AtomicUsize,
    /// How often a quota was exceeded.
    full: AtomicUsize,
    /// The time of the last acknowledged write, and the longest time between two.
    pause: Mutex<Option<(Instant, Duration)>>,
}

/// The results of a load.
pub(crate) struct Done {
    /// How many creates were acknowledged.
    pub(crate) created: usize,
    /// Records that no client tried to revoke.
    pub(crate) acknowledged: Vec<Arc<Credential>>,
    pub(crate) revoked: Vec<CredentialId>,
    pub(crate) unavailable: usize,
    pub(crate) full: usize,
    pub(crate) longest: Duration,
}

impl Load {
    /// Starts clients. Two clients share a user with this quota. When the quota is exceeded, they
    /// revoke a key.
    pub(crate) fn start(
        backend: &(impl CredentialBackend + Clone),
        clients: usize,
        quota: Quota,
    ) -> Self {
        let seen = Arc::<Seen>::default();
        let mut running = JoinSet::new();
        for client in 0..clients {
            running.spawn(create(
                backend.clone(),
                format!("user {}", client / 2),
                quota,
                seen.clone(),
            ));
        }
        Self { running, seen }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.seen.created.load(Ordering::Relaxed)
    }

    /// How many writes were not acknowledged.
    pub(crate) fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::Relaxed)
    }

    /// Waits until this many more writes are acknowledged.
    pub(crate) async fn progress(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        let waiting = async {
            while self.acknowledged() < wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting)
            .await
            .expect("writes are acknowledged");
    }

    pub(crate) async fn stop(mut self) -> Done {
        self.seen.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
        let longest =
            self.seen.pause.lock().unwrap().map_or(Duration::ZERO, |(_, longest)| longest);
        Done {
            created: self.seen.created.load(Ordering::Relaxed),
            acknowledged: std::mem::take(&mut self.seen.acknowledged.lock().unwrap()),
            revoked: std::mem::take(&mut self.seen.revoked.lock().unwrap()),
            full: self.seen.full.load(Ordering::Relaxed),
            unavailable: self.seen.refused.load(Ordering::Relaxed),
            longest,
        }
    }
}

async fn create(backend: impl CredentialBackend, user: String, quota: Quota, seen: Arc<Seen>) {
    let mut held = Vec::new();
    while !seen.stop.load(Ordering::Relaxed) {
        let credential = pair(&user);
        match backend.insert(&credential, quota).await {
            Ok(()) => {
                let now = Instant::now();
                let mut pause = seen.pause.lock().unwrap();
                let (last, longest) = pause.unwrap_or((now, Duration::ZERO));
                *pause = Some((now, longest.max(now - last)));
                drop(pause);
                seen.created.fetch_add(1, Ordering::Relaxed);
                held.push(credential);
            }
            Err(BackendError::Unavailable(_)) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(BackendError::QuotaExceeded) => {
                seen.full.fetch_add(1, Ordering::Relaxed);
                match held.pop() {
                    Some(old) => revoke(&backend, old, &mut held, &seen).await,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    seen.acknowledged.lock().unwrap().append(&mut held);
}

async fn revoke(
    backend: &impl CredentialBackend,
    old: Arc<Credential>,
    held: &mut Vec<Arc<Credential>>,
    seen: &Seen,
) {
    match backend.delete(&old.id, old.version).await {
        Ok(true) => seen.revoked.lock().unwrap().push(old.id.clone()),
        // Counted as lost.
        Ok(false) => held.insert(0, old),
        // The outcome is unknown.
        Err(BackendError::Unavailable(_)) => {
            seen.refused.fetch_add(1, Ordering::Relaxed);
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Stops a load of 32 clients under [`QUOTA`], and asserts that the store has exactly what was
/// acknowledged.
pub(crate) async fn audit(what: &str, backend: &impl CredentialBackend, load: Load) {
    let done = load.stop().await;
    // The sessions that read may reconnect later than those that write.
    while backend.get(&CredentialId::from_stored("x")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lost = missing(backend, &done.acknowledged).await;
    report(what, &done, lost);
    assert_eq!(lost, 0);
    assert_eq!(revived(backend, &done.revoked).await, 0);
    assert!(done.full > 0, "no quota was ever exceeded");
    for user in 0..16 {
        assert!(held(backend, &format!("user {user}")).await <= QUOTA as usize);
    }
    // Each create that was not acknowledged may have stored one record.
    let others = held(backend, "amy").await + held(backend, "bob").await;
    let stored = ids(backend).await.len() - others;
    assert!(stored <= done.acknowledged.len() + done.unavailable, "{stored} records");
    assert!(done.longest < Duration::from_secs(20), "{:?}", done.longest);
}

/// Prints the results of a load to stderr, whether the test passes or not.
pub(crate) fn report(what: &str, done: &Done, lost: usize) {
    use std::io::Write as _;
    let line = format!(
        "\n{what}: {} creates acknowledged, {lost} lost, {} revoked, quotas full {} times, \
         {} unavailable, longest pause {:.2?}\n",
        done.created,
        done.revoked.len(),
        done.full,
        done.unavailable,
        done.longest
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// How many of these records are missing or differ.
pub(crate) async fn missing(
    backend: &impl CredentialBackend,
    records: &[Arc<Credential>],
) -> usize {
    let mut missing = 0;
    for record in records {
        let found = backend.get(&record.id).await.unwrap();
        missing += usize::from(found.as_ref() != Some(record));
    }
    missing
}

/// How many of these revoked records are in the store.
pub(crate) async fn revived(backend: &impl CredentialBackend, revoked: &[CredentialId]) -> usize {
    let mut revived = 0;
    for id in revoked {
        revived += usize::from(backend.get(id).await.unwrap().is_some());
    }
    revived
}

/// The ids of all records.
pub(crate) async fn ids(backend: &impl CredentialBackend) -> HashSet<CredentialId> {
    let (mut query, mut ids) = (ListQuery::new(Order::Id), HashSet::new());
    loop {
        let page = backend.list(&query).await.unwrap();
        ids.extend(page.credentials.iter().map(|credential| credential.id.clone()));
        let Some(next) = page.next else { return ids };
        query.after = Some(next);
    }
}

/// How many records a user has.
pub(crate) async fn held(backend: &impl CredentialBackend, user: &str) -> usize {
    let mut query = ListQuery::new(Order::Id);
    query.user_id = Some(UserId::from_stored(user));
    backend.list(&query).await.unwrap().credentials.len()
}
