//! The cases, one function per clause.
//!
//! Each takes a backend and the feed of its changes, and panics if the clause is violated.
//! Others may write to the store meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    backend::contract::{Change, ChangeFeed, Changes},
    conformance::fixtures::{
        Backend, delete, fresh_access_key, fresh_full, fresh_pair, fresh_user, get, insert,
        rekeyed, update,
    },
    domain::{AccessKey, Credential, Quota},
};

type Feed = Arc<dyn ChangeFeed>;

/// The timeout for a complete notice: generous, for busy machines.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An insert is reported with its access key, which was absent before.
///
/// # Panics
///
/// If the insert is not reported.
pub async fn insert_is_reported_with_its_access_key(backend: Backend, feed: Feed) {
    let mut listener = Listener::of(&feed).await;
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let changes = listener.until_complete().await;
    assert!(changes.iter().any(|change| names(change, &pair, true)), "{changes:?}");
}

/// An update to a new access key is reported with the new one.
///
/// # Panics
///
/// If the update is not reported.
pub async fn new_access_key_is_reported_with_its_record(backend: Backend, feed: Feed) {
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let mut listener = Listener::of(&feed).await;
    let next = rekeyed(&pair, &fresh_access_key());
    update(&backend, &next, pair.version).await;
    let changes = listener.until_complete().await;
    assert!(changes.iter().any(|change| names(change, &next, true)), "{changes:?}");
}

/// A delete is reported.
///
/// # Panics
///
/// If the delete is not reported.
pub async fn delete_is_reported(backend: Backend, feed: Feed) {
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    let mut listener = Listener::of(&feed).await;
    delete(&backend, &pair).await;
    let changes = listener.until_complete().await;
    assert!(changes.iter().any(|change| names(change, &pair, false)), "{changes:?}");
}

/// A purge is reported, as one change or as every record.
///
/// # Panics
///
/// If the purge of a record is not reported.
pub async fn purges_are_reported(backend: Backend, feed: Feed) {
    let (first, mut second) = (fresh_full(), fresh_full());
    second.user_id = first.user_id.clone();
    second.slot = None;
    let third = fresh_full();
    for record in [&first, &second, &third] {
        insert(&backend, record).await;
    }
    let mut listener = Listener::of(&feed).await;
    backend.purge_user(&first.user_id).await.expect("the user is purged");
    let project = third.project_id.as_ref().expect("a full record has a project");
    backend.purge_project(project).await.expect("the project is purged");
    let changes = listener.until_complete().await;
    for record in [&first, &second, &third] {
        assert!(changes.iter().any(|change| names(change, record, false)), "{changes:?}");
    }
}

/// The changes of one record are reported in the order in which they were made.
///
/// # Panics
///
/// If the order differs, or a change is missing.
pub async fn changes_of_one_record_are_reported_in_order(backend: Backend, feed: Feed) {
    let mut listener = Listener::of(&feed).await;
    let mut record = fresh_pair(&fresh_user());
    let mut keys = vec![record.access_key.clone()];
    insert(&backend, &record).await;
    for _ in 0..20 {
        let next = rekeyed(&record, &fresh_access_key());
        update(&backend, &next, record.version).await;
        keys.push(next.access_key.clone());
        record = next;
    }
    let changes = listener.until_complete().await;
    if changes.contains(&Change::Everything) {
        return;
    }
    let mut reported: Vec<Option<AccessKey>> = Vec::new();
    for change in changes {
        if let Change::Record { id, access_key } = change
            && id == record.id
            // A change may be reported twice.
            && reported.last() != Some(&access_key)
        {
            reported.push(access_key);
        }
    }
    assert_eq!(reported, keys);
}

/// A read that follows the report of a change returns the new state.
///
/// # Panics
///
/// If the read returns the former state.
pub async fn changes_are_reported_after_they_were_made(backend: Backend, feed: Feed) {
    for _ in 0..20 {
        let pair = fresh_pair(&fresh_user());
        let mut listener = Listener::of(&feed).await;
        let writing = {
            let (backend, pair) = (Arc::clone(&backend), pair.clone());
            tokio::spawn(async move { insert(&backend, &pair).await })
        };
        loop {
            // `Everything` may be reported because of another write, before this one is done.
            let change = listener.until(|change| names(change, &pair, false)).await;
            let is_there = get(&backend, &pair.id).await.is_some();
            assert!(is_there || change == Change::Everything, "reported before it was done");
            if is_there {
                break;
            }
        }
        writing.await.expect("the insert goes through");
    }
}

/// Without writes, the feed still sends complete notices.
///
/// # Panics
///
/// If no complete notice arrives.
pub async fn idle_feed_is_complete(_backend: Backend, feed: Feed) {
    let mut listener = Listener::of(&feed).await;
    for _ in 0..3 {
        listener.until_complete().await;
    }
}

/// A complete notice includes every write that returned before the call.
///
/// # Panics
///
/// If a write that returned before the call is missing.
pub async fn completed_write_is_in_the_next_complete_notice(backend: Backend, feed: Feed) {
    let mut listener = Listener::of(&feed).await;
    for _ in 0..20 {
        let pair = fresh_pair(&fresh_user());
        insert(&backend, &pair).await;
        let changes = listener.until_complete().await;
        assert!(
            changes.iter().any(|change| names(change, &pair, true)),
            "a complete notice lacks the write"
        );
    }
}

/// Each subscription receives all changes; a closed one does not affect the others.
///
/// # Panics
///
/// If a subscription misses a change.
pub async fn every_subscription_receives_the_changes(backend: Backend, feed: Feed) {
    let mut listeners = [Listener::of(&feed).await, Listener::of(&feed).await];
    drop(Listener::of(&feed).await);
    let pair = fresh_pair(&fresh_user());
    insert(&backend, &pair).await;
    for listener in &mut listeners {
        let changes = listener.until_complete().await;
        assert!(changes.iter().any(|change| names(change, &pair, true)), "{changes:?}");
    }
}

/// A rotation is reported as a change of both records.
///
/// # Panics
///
/// If one of the records is not reported.
pub async fn rotation_reports_both_records(backend: Backend, feed: Feed) {
    let old = fresh_pair(&fresh_user());
    insert(&backend, &old).await;
    let mut listener = Listener::of(&feed).await;
    let (new, retired) = (fresh_pair(&old.user_id), rekeyed(&old, &fresh_access_key()));
    let (credential, next) = (Arc::new(new.clone()), Arc::new(retired.clone()));
    let rotated = backend.rotate(&credential, Quota::AtMost(2), &next, old.version).await;
    assert!(rotated.expect("the key is rotated"));
    let changes = listener.until_complete().await;
    for record in [&new, &retired] {
        assert!(changes.iter().any(|change| names(change, record, true)), "{changes:?}");
    }
}

/// Each one of many racing writes is reported.
///
/// # Panics
///
/// If a write is not reported.
pub async fn racing_writes_are_all_reported(backend: Backend, feed: Feed) {
    const WRITERS: usize = 16;
    let mut listener = Listener::of(&feed).await;
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
    let mut changes = listener.until_complete().await;
    for writer in writers {
        let written = writer.await.expect("the inserts go through");
        changes.extend(listener.until_complete().await);
        for pair in written {
            assert!(
                changes.iter().any(|change| names(change, &pair, true)),
                "a write was not reported"
            );
        }
    }
}

/// A subscription of a test.
struct Listener(Box<dyn Changes>);

impl Listener {
    /// Subscribes, and waits for the first complete notice: an earlier `Everything` would
    /// answer every check.
    async fn of(feed: &Feed) -> Self {
        let mut listener = Self(feed.subscribe().await.expect("subscribe"));
        listener.until_complete().await;
        listener
    }

    /// Returns all changes up to the next complete notice.
    async fn until_complete(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let waiting = async {
            loop {
                let notice = self.0.next().await.expect("the feed is up");
                changes.extend(notice.changes);
                if notice.is_complete {
                    break;
                }
            }
        };
        timeout(TIMEOUT, waiting).await.expect("the feed is complete in time");
        changes
    }

    /// Waits for a change that satisfies the predicate.
    async fn until(&mut self, holds: impl Fn(&Change) -> bool) -> Change {
        let waiting = async {
            loop {
                let notice = self.0.next().await.expect("the feed is up");
                if let Some(change) = notice.changes.into_iter().find(&holds) {
                    return change;
                }
            }
        };
        timeout(TIMEOUT, waiting).await.expect("the change is reported in time")
    }
}

/// Returns whether the change covers this record; if `with_key`, with its current access key.
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
