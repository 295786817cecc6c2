//! Clauses: *writes are atomic*, *uniqueness*, *quota* and *compare-and-set*, for rotations.

use std::sync::Arc;

use super::race::{RACERS, ROUNDS, start_together};
use crate::{
    backend::BackendError,
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_stored, assert_taken, find,
        fresh_access_key, fresh_full, fresh_pair, fresh_project, fresh_user, fresh_version,
        in_project, in_slot, insert, rekeyed, time, try_insert, update, with_id,
    },
    domain::{Credential, Quota, Slot, Version},
};

/// A rotation stores the new record and the new state of the replaced one.
///
/// # Panics
///
/// If one of the two is not stored, or is not stored completely.
pub async fn rotate_stores_both_states(backend: Backend) {
    let old = fresh_full();
    insert(&backend, &old).await;
    // Read once, so that caches are tested too.
    assert_stored(&backend, &old).await;
    let (new, retired) = rotation(&old);
    assert!(find(&backend, access_key(&new)).await.is_none());
    assert!(matches!(rotate(&backend, &new, Quota::AtMost(2), &retired, &old).await, Ok(true)));
    assert_stored(&backend, &new).await;
    assert_stored(&backend, &retired).await;
}

/// A rotation from another version returns `false` and changes nothing, even if the quota is full
/// or the new record is a duplicate.
///
/// # Panics
///
/// If the rotation returns anything but `false`, or changes a record.
pub async fn rotate_needs_the_expected_version(backend: Backend) {
    let (other, first, never) = (fresh_full(), fresh_full(), fresh_full());
    insert(&backend, &other).await;
    insert(&backend, &first).await;
    let second = first.clone().touched(time(5));
    assert!(update(&backend, &second, first.version).await);

    let (new, retired) = rotation(&first);
    let duplicate = rekeyed(&new, access_key(&other));
    let taken = rekeyed(&retired, access_key(&other));
    for stale in [first.version, second.version.next(), fresh_version(), Version::from_stored(0)] {
        for (new, quota, retired) in [
            (&new, Quota::Unlimited, &retired),
            (&new, Quota::AtMost(0), &retired),
            (&duplicate, Quota::Unlimited, &retired),
            (&new, Quota::Unlimited, &taken),
        ] {
            let from = Credential { version: stale, ..first.clone() };
            assert!(matches!(rotate(&backend, new, quota, retired, &from).await, Ok(false)));
        }
    }
    let (heir, missing) = rotation(&never);
    let outcome = rotate(&backend, &heir, Quota::Unlimited, &missing, &never).await;
    assert!(matches!(outcome, Ok(false)), "{outcome:?}");
    for gone in [&new, &heir, &missing] {
        assert_gone(&backend, gone).await;
    }
    assert_stored(&backend, &second).await;
    assert_stored(&backend, &other).await;
}

/// The new record counts for the quota of its owner, together with the replaced one. A full quota
/// is reported before a duplicate, and neither record changes.
///
/// # Panics
///
/// If the rotation is accepted, or changes a record.
pub async fn rotate_over_a_full_quota_changes_nothing(backend: Backend) {
    let (foreign, old) = (fresh_full(), fresh_pair(&fresh_user()));
    insert(&backend, &foreign).await;
    insert(&backend, &old).await;
    let (new, retired) = rotation(&old);
    let duplicate = rekeyed(&new, access_key(&foreign));
    let taken = rekeyed(&retired, access_key(&foreign));
    for (new, retired) in [(&new, &retired), (&duplicate, &retired), (&new, &taken)] {
        let outcome = rotate(&backend, new, Quota::AtMost(1), retired, &old).await;
        assert_over_quota(&outcome.map(drop));
        assert!(backend.get(&new.id).await.expect("get").is_none());
    }
    assert_stored(&backend, &old).await;
    assert_stored(&backend, &foreign).await;
    let admitted = rotate(&backend, &new, Quota::AtMost(2), &retired, &old).await;
    assert!(matches!(admitted, Ok(true)), "{admitted:?}");
    let next = fresh_pair(&old.user_id);
    assert_over_quota(&backend.insert(&next.clone().into(), Quota::AtMost(2)).await);
    assert!(backend.insert(&next.into(), Quota::AtMost(3)).await.is_ok());
}

/// A rotation is refused if the id, the access key or the slot of the new record is taken, or the
/// access key of the replaced one. Neither record changes.
///
/// # Panics
///
/// If the rotation is accepted, or changes a record.
pub async fn rotate_refuses_taken_names(backend: Backend) {
    let (foreign, old) = (fresh_full(), fresh_full());
    let neighbor = in_slot(fresh_pair(&old.user_id), Slot::Ec2);
    for record in [&foreign, &old, &neighbor] {
        insert(&backend, record).await;
    }
    let (new, retired) = rotation(&old);
    let attempts = [
        (with_id(new.clone(), foreign.id.as_str()), retired.clone()),
        (with_id(new.clone(), old.id.as_str()), retired.clone()),
        (rekeyed(&new, access_key(&foreign)), retired.clone()),
        (rekeyed(&new, access_key(&old)), retired.clone()),
        (in_slot(new.clone(), Slot::Ec2), retired.clone()),
        (in_slot(new.clone(), Slot::S3), retired.clone()),
        (new.clone(), rekeyed(&retired, access_key(&foreign))),
        (new.clone(), rekeyed(&retired, access_key(&new))),
        (new.clone(), in_slot(retired.clone(), Slot::Ec2)),
    ];
    for (new, retired) in &attempts {
        let outcome = rotate(&backend, new, Quota::AtMost(9), retired, &old).await;
        assert_taken(&outcome.map(drop));
        for record in [&foreign, &old, &neighbor] {
            assert_stored(&backend, record).await;
        }
    }
    assert_gone(&backend, &new).await;
    // What was refused took no quota.
    assert!(matches!(rotate(&backend, &new, Quota::AtMost(3), &retired, &old).await, Ok(true)));
}

/// A rotation can give the replaced record another access key and slot, and the old ones to the
/// new record.
///
/// # Panics
///
/// If the rotation is refused, or a lookup finds the wrong record.
pub async fn rotate_may_change_the_retired_access_key(backend: Backend) {
    let old = fresh_full();
    insert(&backend, &old).await;
    assert_stored(&backend, &old).await;
    let (new, retired) = rotation(&old);
    let retired = rekeyed(&in_slot(retired, Slot::Ec2), &fresh_access_key());
    let outcome = rotate(&backend, &new, Quota::AtMost(2), &retired, &old).await;
    assert!(matches!(outcome, Ok(true)), "{outcome:?}");
    assert_stored(&backend, &retired).await;
    assert!(find(&backend, access_key(&old)).await.is_none());
    let heir = in_project(with_id(fresh_pair(&fresh_user()), new.id.as_str()), &fresh_project());
    assert_taken(&try_insert(&backend, &heir).await);

    let (next, last) = rotation(&retired);
    let next = in_slot(rekeyed(&next, access_key(&retired)), Slot::Ec2);
    let last = Credential { slot: None, ..rekeyed(&last, &fresh_access_key()) };
    let outcome = rotate(&backend, &next, Quota::AtMost(3), &last, &retired).await;
    assert!(matches!(outcome, Ok(true)), "{outcome:?}");
    for record in [&new, &next, &last] {
        assert_stored(&backend, record).await;
    }
}

/// Exactly one of many rotations from one version is stored, with its new record.
///
/// # Panics
///
/// If none or several of the rotations report success, or a failed one leaves a record behind.
pub async fn racing_rotations_of_one_version_have_one_winner(backend: Backend) {
    for _ in 0..ROUNDS {
        let old = fresh_full();
        insert(&backend, &old).await;
        let pairs: Vec<_> = (0..RACERS).map(|_| rotation(&old)).collect();
        let racers = pairs.iter().map(|(new, retired)| {
            let (backend, old) = (Arc::clone(&backend), old.clone());
            let (new, retired) = (new.clone(), retired.clone());
            async move { rotate(&backend, &new, Quota::AtMost(9), &retired, &old).await }
        });
        let mut winners = Vec::new();
        for (racer, states) in start_together(racers.collect()).into_iter().zip(&pairs) {
            if racer.await.expect("rotate").expect("rotate") {
                winners.push(states);
            } else {
                assert_gone(&backend, &states.0).await;
            }
        }
        assert_eq!(winners.len(), 1, "one racer wins");
        assert_stored(&backend, &winners[0].0).await;
        assert_stored(&backend, &winners[0].1).await;
    }
}

/// Returns a new record of the same owner, and the next state of the replaced one.
fn rotation(old: &Credential) -> (Credential, Credential) {
    let mut new = fresh_pair(&old.user_id);
    new.project_id.clone_from(&old.project_id);
    new.terms.set_name(Some("new".into())).expect("a valid name");
    let mut retired = old.clone().touched(time(8));
    retired.terms.set_expires_at(Some(time(2_000_000)));
    (new, retired)
}

async fn rotate(
    backend: &Backend,
    new: &Credential,
    quota: Quota,
    retired: &Credential,
    from: &Credential,
) -> Result<bool, BackendError> {
    backend.rotate(&new.clone().into(), quota, &retired.clone().into(), from.version).await
}
