//! The cases, one function per clause.
//!
//! Each takes a backend and the feed of its changes, and panics if the clause does not
//! hold. The store may be written by others meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    backend::{Change, ChangeFeed, Changes},
    conformance::fixtures::{
        Backend, delete, fresh_access_key, fresh_full, fresh_pair, fresh_user, get, insert,
        rekeyed, update,
    },
    domain::{AccessKey, Credential},
};

type Feed = Arc<dyn ChangeFeed>;

/// How long a subscription may need to be complete: generous, for busy machines.
const PATIENCE: Duration = Duration::from_secs(10);

/// An insert is told, with the access key under which nothing was found before.
///
/// # Panics
///
/// If it is not.
pub async fn an_insert_is_told_with_its_access_key(backend: Backend, feed: Feed) {
    let mut ear = Ear::of(&feed).await;
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let told = ear.until_complete().await;
    assert!(told.iter().any(|change| names(change, &pair, true)), "{told:?}");
}

/// An update that gives a record a new access key is told with the new one.
///
/// # Panics
///
/// If it is not.
pub async fn a_new_access_key_is_told_with_its_record(backend: Backend, feed: Feed) {
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let mut ear = Ear::of(&feed).await;
    let next = rekeyed(&pair, &fresh_access_key());
    update(&backend, &next, pair.version).await;
    let told = ear.until_complete().await;
    assert!(told.iter().any(|change| names(change, &next, true)), "{told:?}");
}

/// A delete is told.
///
/// # Panics
///
/// If it is not.
pub async fn a_delete_is_told(backend: Backend, feed: Feed) {
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let mut ear = Ear::of(&feed).await;
    delete(&backend, &pair).await;
    let told = ear.until_complete().await;
    assert!(told.iter().any(|change| names(change, &pair, false)), "{told:?}");
}

/// A purge is told: as such, or with every record.
///
/// # Panics
///
/// If a record went untold.
pub async fn purges_are_told(backend: Backend, feed: Feed) {
    let (first, mut second) = (fresh_full(), fresh_full());
    second.user_id = first.user_id.clone();
    second.slot = None;
    let third = fresh_full();
    for record in [&first, &second, &third] {
        insert(&backend, record).await;
    }
    let mut ear = Ear::of(&feed).await;
    backend.purge_user(&first.user_id).await.expect("the user is purged");
    let project = third.project_id.as_ref().expect("a full record has one");
    backend.purge_project(project).await.expect("the project is purged");
    let told = ear.until_complete().await;
    for record in [&first, &second, &third] {
        assert!(told.iter().any(|change| names(change, record, false)), "{told:?}");
    }
}

/// The changes of one record come in the order in which they were made.
///
/// # Panics
///
/// If they come in another, or one is missing.
pub async fn changes_of_one_record_are_told_in_their_order(backend: Backend, feed: Feed) {
    let mut ear = Ear::of(&feed).await;
    let mut record = fresh_pair(&fresh_user());
    let mut keys = vec![record.access_key.clone()];
    insert(&backend, &record).await;
    for _ in 0..20 {
        let next = rekeyed(&record, &fresh_access_key());
        update(&backend, &next, record.version).await;
        keys.push(next.access_key.clone());
        record = next;
    }
    let told = ear.until_complete().await;
    if told.contains(&Change::Everything) {
        return;
    }
    let mut heard: Vec<Option<AccessKey>> = Vec::new();
    for change in told {
        if let Change::Record { id, access_key } = change
            && id == record.id
            // The same may be told twice.
            && heard.last() != Some(&access_key)
        {
            heard.push(access_key);
        }
    }
    assert_eq!(heard, keys);
}

/// Who hears of a change and asks gets the new state.
///
/// # Panics
///
/// If the former one is read.
pub async fn nothing_is_told_before_it_was_done(backend: Backend, feed: Feed) {
    for _ in 0..20 {
        let pair = fresh_pair(&fresh_user());
        let mut ear = Ear::of(&feed).await;
        let writing = {
            let (backend, pair) = (Arc::clone(&backend), pair.clone());
            tokio::spawn(async move { insert(&backend, &pair).await })
        };
        loop {
            // Everything may be told for another's write, and then this one comes later.
            let change = ear.until(|change| names(change, &pair, false)).await;
            let is_there = get(&backend, &pair.id).await.is_some();
            assert!(is_there || change == Change::Everything, "told and not there");
            if is_there {
                break;
            }
        }
        writing.await.expect("the insert goes through");
    }
}

/// Without writes a subscription is complete all the same, again and again.
///
/// # Panics
///
/// If it is not.
pub async fn silence_is_complete(_backend: Backend, feed: Feed) {
    let mut ear = Ear::of(&feed).await;
    for _ in 0..3 {
        ear.until_complete().await;
    }
}

/// A notice that is complete leaves out nothing that was answered before it was asked for.
///
/// # Panics
///
/// If it does.
pub async fn what_was_answered_is_told_by_the_next_complete_notice(backend: Backend, feed: Feed) {
    let mut ear = Ear::of(&feed).await;
    for _ in 0..20 {
        let pair = fresh_pair(&fresh_user());
        insert(&backend, &pair).await;
        let told = ear.until_complete().await;
        assert!(told.iter().any(|change| names(change, &pair, true)), "complete without it");
    }
}

/// Each subscription is told everything; one that ended disturbs no other.
///
/// # Panics
///
/// If one misses a change.
pub async fn every_subscription_is_told(backend: Backend, feed: Feed) {
    let mut ears = [Ear::of(&feed).await, Ear::of(&feed).await];
    drop(Ear::of(&feed).await);
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    for ear in &mut ears {
        let told = ear.until_complete().await;
        assert!(told.iter().any(|change| names(change, &pair, true)), "{told:?}");
    }
}

/// Of writes that race, each is told.
///
/// # Panics
///
/// If one is not.
pub async fn racing_writes_are_all_told(backend: Backend, feed: Feed) {
    const WRITERS: usize = 16;
    let mut ear = Ear::of(&feed).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                let mut written = Vec::new();
                for _ in 0..10 {
                    let pair = fresh_pair(&fresh_user());
                    insert(&backend, &pair).await;
                    written.push(pair);
                }
                written
            })
        })
        .collect();
    let mut told = ear.until_complete().await;
    for writer in writers {
        let written = writer.await.expect("the inserts go through");
        told.extend(ear.until_complete().await);
        for pair in written {
            assert!(told.iter().any(|change| names(change, &pair, true)), "one was not told");
        }
    }
}

/// A subscription that is listened to.
struct Ear(Box<dyn Changes>);

impl Ear {
    /// Listens, from the first complete notice on: that anything may have changed before is
    /// no answer to what a case asks.
    async fn of(feed: &Feed) -> Self {
        let mut ear = Self(feed.subscribe().await.expect("the feed can be listened to"));
        ear.until_complete().await;
        ear
    }

    /// All that is told by the next complete notice.
    async fn until_complete(&mut self) -> Vec<Change> {
        let mut told = Vec::new();
        let hearing = async {
            loop {
                let notice = self.0.next().await.expect("the feed is up");
                told.extend(notice.changes);
                if notice.is_complete {
                    break;
                }
            }
        };
        timeout(PATIENCE, hearing).await.expect("the feed is complete in time");
        told
    }

    /// Listens until a change is told for which this holds.
    async fn until(&mut self, holds: impl Fn(&Change) -> bool) -> Change {
        let hearing = async {
            loop {
                let notice = self.0.next().await.expect("the feed is up");
                if let Some(change) = notice.changes.into_iter().find(&holds) {
                    return change;
                }
            }
        };
        timeout(PATIENCE, hearing).await.expect("the change is told in time")
    }
}

/// Whether a change says that this record is another now; with its access key if it must.
fn names(change: &Change, record: &Credential, with_key: bool) -> bool {
    match change {
        Change::Everything => true,
        Change::Project(id) => record.project_id.as_ref() == Some(id),
        Change::Record { id, access_key } => {
            *id == record.id && (!with_key || *access_key == record.access_key)
        }
        Change::User(id) => *id == record.user_id,
    }
}
