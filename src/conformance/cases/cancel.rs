//! Clause: *writes are atomic*, also when the caller drops the future.
//!
//! A write whose future is dropped may have happened, and may still happen a little later. So
//! each case repeats the write, which settles the outcome, and then checks that everything is
//! consistent.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use crate::{
    backend::{BackendError, Order},
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_stored, delete, find,
        fresh_access_key, fresh_full, fresh_pair, fresh_version, insert, markers, of_user, rekeyed,
        sorted, update,
    },
    domain::{Credential, Quota},
};

/// The write is dropped at its first pause, at its second, and so on.
const PAUSES: usize = 6;

/// An insert whose future is dropped stores the complete record or nothing, and the quota
/// counts the stored records.
///
/// # Panics
///
/// If a part of the record is stored, or blocks other writes.
pub async fn dropped_insert_happens_completely_or_not_at_all(backend: Backend) {
    for pause in 0..PAUSES {
        let record = fresh_full();
        drop_at_pause(pause, backend.insert(&record.clone().into(), Quota::AtMost(2))).await;
        match backend.insert(&record.clone().into(), Quota::AtMost(2)).await {
            Ok(()) | Err(BackendError::AlreadyExists) => {}
            Err(other) => panic!("expected AlreadyExists, got {other:?}"),
        }
        assert_stored(&backend, &record).await;
        let listed = markers(&backend, &of_user(&record.user_id, Order::Key)).await;
        assert_eq!(listed, sorted(&[&record], Order::Key));
        let (second, third) = (fresh_pair(&record.user_id), fresh_pair(&record.user_id));
        backend
            .insert(&second.clone().into(), Quota::AtMost(2))
            .await
            .expect("the quota has room for one more");
        assert_over_quota(&backend.insert(&third.clone().into(), Quota::AtMost(2)).await);
    }
}

/// An update whose future is dropped leaves the old state or the new one.
///
/// # Panics
///
/// If the update leaves a mixture of both states, or blocks other writes.
pub async fn dropped_update_happens_completely_or_not_at_all(backend: Backend) {
    for pause in 0..PAUSES {
        let first = fresh_full();
        insert(&backend, &first).await;
        let second = rekeyed(&first, &fresh_access_key());
        drop_at_pause(pause, backend.update(&second.clone().into(), first.version)).await;
        // `false` if the dropped update happened; either way it has happened now.
        let _ = update(&backend, &second, first.version).await;
        assert_stored(&backend, &second).await;
        assert!(find(&backend, access_key(&first)).await.is_none());
        let third = rekeyed(&second, access_key(&first));
        assert!(update(&backend, &third, second.version).await);
        assert_stored(&backend, &third).await;
    }
}

/// A delete whose future is dropped leaves the complete record or nothing.
///
/// # Panics
///
/// If a part of the record is left, or blocks other writes.
pub async fn dropped_delete_happens_completely_or_not_at_all(backend: Backend) {
    for pause in 0..PAUSES {
        let record = fresh_full();
        insert(&backend, &record).await;
        let dropped = Arc::clone(&backend);
        drop_at_pause(pause, dropped.delete(&record.id, record.version)).await;
        let _ = delete(&backend, &record).await;
        assert_gone(&backend, &record).await;
        // With a new version, which a delete in progress does not match.
        let again = Credential { version: fresh_version(), ..record };
        let inserted = backend.insert(&again.clone().into(), Quota::AtMost(1)).await;
        inserted.expect("a deleted record takes no name and no quota");
        assert_stored(&backend, &again).await;
    }
}

/// Polls a future until it has paused this often, then drops it.
async fn drop_at_pause<F: Future>(pause: usize, future: F) {
    let (mut future, mut left) = (pin!(future), pause);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending if left == 0 => Poll::Ready(()),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}
