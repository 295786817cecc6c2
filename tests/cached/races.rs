//! Concurrent writes and lookups: a lookup that starts after a write returned never returns an
//! earlier state.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use tower_credentials::{
    backend::{CredentialBackend, KeySource, Known, cached::Cached},
    clock::{Clock, SystemClock},
    domain::{ProjectId, Status, UserId, Version},
};

use crate::{insert, key, pair, watched::Watched};

const KEYS: usize = 8;
const READERS: usize = 6;
const STEPS: u64 = 1_200;

/// The states of one key: one step after the other.
#[derive(Debug, Default)]
struct Story {
    /// The last step that was started, and the last that returned.
    begun: AtomicU64,
    done: AtomicU64,
}

/// Which of the two names the record has after a step, if it exists.
fn holder(step: u64) -> Option<usize> {
    match step % 8 {
        1 | 2 | 3 | 5 | 7 => Some(0),
        4 => Some(1),
        // Deleted, and purged.
        _ => None,
    }
}

fn name(number: usize, which: usize) -> String {
    format!("key-{number}-{which}")
}

async fn act(cached: &Cached<Watched>, number: usize, step: u64) {
    let mut record = pair(&name(number, 0));
    record.user_id = UserId::new(format!("user-{number}")).unwrap();
    record.project_id = Some(ProjectId::new(format!("project-{number}")).unwrap());
    record.version = Version::from_stored(step);
    record.status = if step % 8 == 2 { Status::Inactive } else { Status::Active };
    record.access_key = holder(step).map(|which| key(&name(number, which)));
    let before = Version::from_stored(step - 1);
    match step % 8 {
        1 | 7 => insert(cached, &record).await,
        2..=5 => assert!(cached.update(&record.into(), before).await.unwrap()),
        6 => assert!(cached.delete(&record.id, before).await.unwrap()),
        _ if step.is_multiple_of(16) => {
            assert_eq!(cached.purge_user(&record.user_id).await.unwrap(), 1);
        }
        _ => {
            let project_id = record.project_id.unwrap();
            assert_eq!(cached.purge_project(&project_id).await.unwrap(), 1);
        }
    }
}

/// Looks a record up by its id, and compares the answer with the steps that it may come from.
async fn look_by_id(cached: &Cached<Watched>, story: &Story, number: usize) {
    let id = pair(&name(number, 0)).id;
    let from = story.done.load(SeqCst);
    let found = cached.get(&id).await.unwrap().map(|record| record.version.get());
    let upto = story.begun.load(SeqCst);
    let fits = |step: u64| found == holder(step).map(|_| step);
    assert!((from..=upto).any(fits), "found {found:?} by id at steps {from} to {upto}");
}

/// Looks a name up, and compares the answer with the steps that it may come from.
async fn look(cached: &Cached<Watched>, story: &Story, number: usize, which: usize, at_once: bool) {
    let access_key = key(&name(number, which));
    let from = story.done.load(SeqCst);
    let known = at_once.then(|| cached.known(access_key.as_str(), SystemClock.now())).flatten();
    let found = match known {
        Some(Known::Absent) => None,
        Some(Known::Present(credential)) => Some(credential),
        None => cached.find(&access_key).await.unwrap(),
    };
    let upto = story.begun.load(SeqCst);
    let fits = |step: u64| match &found {
        Some(record) => record.version.get() == step && holder(step) == Some(which),
        None => holder(step) != Some(which),
    };
    let version = found.as_ref().map(|record| record.version.get());
    assert!((from..=upto).any(fits), "found {version:?} at steps {from} to {upto}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lookup_never_returns_a_state_from_before_a_completed_write() {
    let backend = Watched::default();
    backend.jitter();
    let cached = Cached::new(backend.clone());
    let stories: Arc<[Story; KEYS]> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));

    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (cached, stories, over) = (cached.clone(), Arc::clone(&stories), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(SeqCst) {
                    let (number, which) = (rand::random_range(0..KEYS), rand::random_range(0..2));
                    look(&cached, &stories[number], number, which, reader % 2 == 0).await;
                    look_by_id(&cached, &stories[number], number).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..KEYS)
        .map(|number| {
            let (cached, stories) = (cached.clone(), Arc::clone(&stories));
            tokio::spawn(async move {
                for step in 1..=STEPS {
                    stories[number].begun.store(step, SeqCst);
                    act(&cached, number, step).await;
                    stories[number].done.store(step, SeqCst);
                    // The writer itself notices first.
                    look(&cached, &stories[number], number, usize::from(step % 3 == 0), true).await;
                    look_by_id(&cached, &stories[number], number).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    let stats = cached.stats();
    assert!(stats.hits > 0 && stats.absent_hits > 0, "nothing was served from memory: {stats:?}");
}
