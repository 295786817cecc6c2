//! Clause: *quota*.

use crate::{
    conformance::fixtures::{
        Backend, assert_gone, assert_over_quota, assert_stored, delete, fresh_access_key,
        fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user, in_project, in_slot,
        insert, rekeyed, update,
    },
    domain::{Credential, Quota, Slot, Status},
};

/// All of a user's records count, whatever their type, status, project or slot.
///
/// # Panics
///
/// If the quota permits more or fewer records than its limit.
pub async fn quota_counts_all_records_of_the_user(backend: Backend) {
    let user = fresh_user();
    let inactive = Credential { status: Status::Inactive, ..fresh_pair(&user) };
    let records = [
        fresh_pair(&user),
        fresh_opaque(&user),
        inactive,
        in_project(fresh_pair(&user), &fresh_project()),
        in_project(fresh_opaque(&user), &fresh_project()),
        in_slot(fresh_opaque(&user), Slot::Password),
    ];
    for (held, record) in (0..).zip(&records) {
        assert_over_quota(&backend.insert(&record.clone().into(), Quota::AtMost(held)).await);
        assert_gone(&backend, record).await;
        let inserted = backend.insert(&record.clone().into(), Quota::AtMost(held + 1)).await;
        inserted.expect("the quota has room for one more");
        assert_stored(&backend, record).await;
    }
    insert(&backend, &fresh_pair(&user)).await;
}

/// Other users' records do not count, even in the same project.
///
/// # Panics
///
/// If another user's records count.
pub async fn quota_does_not_count_other_users(backend: Backend) {
    let project = fresh_project();
    for _ in 0..5 {
        let record = in_project(fresh_pair(&fresh_user()), &project);
        let inserted = backend.insert(&record.clone().into(), Quota::AtMost(1)).await;
        inserted.expect("the first record of this user");
    }
}

/// A user with a full quota learns only that, not which names others have taken.
///
/// # Panics
///
/// If a conflict is reported although the quota is full.
pub async fn full_quota_is_reported_before_a_duplicate(backend: Backend) {
    let user = fresh_user();
    let own = in_slot(fresh_pair(&user), Slot::Ec2);
    let foreign = fresh_full();
    insert(&backend, &own).await;
    insert(&backend, &foreign).await;

    let same_id = Credential { id: foreign.id.clone(), ..fresh_pair(&user) };
    let same_key = Credential { access_key: foreign.access_key.clone(), ..fresh_pair(&user) };
    let same_slot = in_slot(fresh_pair(&user), Slot::Ec2);
    for duplicate in [&own, &same_id, &same_key, &same_slot] {
        assert_over_quota(&backend.insert(&duplicate.clone().into(), Quota::AtMost(1)).await);
    }
    assert_stored(&backend, &own).await;
    assert_stored(&backend, &foreign).await;
}

/// A quota of zero, or below the number of records that the user already has, rejects every
/// insert.
///
/// # Panics
///
/// If an insert is accepted.
pub async fn quota_below_current_count_rejects_every_insert(backend: Backend) {
    let user = fresh_user();
    assert_over_quota(&backend.insert(&fresh_pair(&user).into(), Quota::AtMost(0)).await);
    for _ in 0..3 {
        insert(&backend, &fresh_pair(&user)).await;
    }
    for limit in 0..=3 {
        assert_over_quota(&backend.insert(&fresh_pair(&user).into(), Quota::AtMost(limit)).await);
    }
    let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(u32::MAX)).await;
    inserted.expect("the quota has room");
}

/// A delete makes room for exactly one more record.
///
/// # Panics
///
/// If the user can add more than one record after a delete, or none.
pub async fn delete_frees_quota(backend: Backend) {
    let user = fresh_user();
    let (first, second) = (fresh_pair(&user), fresh_opaque(&user));
    for record in [&first, &second] {
        backend.insert(&record.clone().into(), Quota::AtMost(2)).await.expect("the quota has room");
    }
    let third = fresh_pair(&user);
    for gone in [&first, &second] {
        assert_over_quota(&backend.insert(&fresh_pair(&user).into(), Quota::AtMost(2)).await);
        assert!(delete(&backend, gone).await);
        // Another delete of the same record makes no more room.
        assert!(!delete(&backend, gone).await);
        let next = if gone.id == first.id { third.clone() } else { fresh_pair(&user) };
        backend
            .insert(&next.clone().into(), Quota::AtMost(2))
            .await
            .expect("the quota has room again");
    }
    assert_over_quota(&backend.insert(&fresh_pair(&user).into(), Quota::AtMost(2)).await);
}

/// An update neither takes nor frees quota.
///
/// # Panics
///
/// If the number of records that the user may add changes.
pub async fn update_takes_no_quota(backend: Backend) {
    let user = fresh_user();
    let mut record = fresh_pair(&user);
    backend.insert(&record.clone().into(), Quota::AtMost(1)).await.expect("the quota has room");
    for _ in 0..3 {
        let next = rekeyed(&record, &fresh_access_key());
        assert!(update(&backend, &next, record.version).await);
        assert!(!update(&backend, &next, record.version).await);
        record = next;
    }
    assert_over_quota(&backend.insert(&fresh_pair(&user).into(), Quota::AtMost(1)).await);
    let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(2)).await;
    inserted.expect("the quota has room for one more");
}
