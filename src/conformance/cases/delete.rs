//! Clause: *compare-and-set*, for deletes.

use crate::{
    backend::Order,
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_stored, delete, find, fresh_access_key,
        fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user, fresh_version, in_project,
        in_slot, insert, list_all, of_user, rekeyed, time, unique, update, with_id,
    },
    domain::{Credential, CredentialId, Slot, Version},
};

/// A delete from another version returns `false` and changes nothing.
///
/// # Panics
///
/// If the delete returns anything but `false`, or changes the record.
pub async fn delete_needs_the_expected_version(backend: Backend) {
    let first = fresh_full();
    insert(&backend, &first).await;
    let second = first.clone().touched(time(5));
    assert!(update(&backend, &second, first.version).await);
    let next = second.version.next();
    for stale in [first.version, next, fresh_version(), Version::from_stored(0)] {
        assert!(!backend.delete(&first.id, stale).await.expect("delete"));
        assert_stored(&backend, &second).await;
    }
    assert!(delete(&backend, &second).await);
    assert_gone(&backend, &second).await;
}

/// A delete of a record that does not exist, or does not exist any more, returns `false`.
///
/// # Panics
///
/// If a delete returns anything but `false`.
pub async fn delete_of_unknown_record_is_false(backend: Backend) {
    let unknown = CredentialId::from_stored(unique());
    assert!(!backend.delete(&unknown, fresh_version()).await.expect("delete"));
    let record = fresh_full();
    insert(&backend, &record).await;
    // An access key is not an id.
    let by_key = CredentialId::from_stored(access_key(&record).as_str());
    assert!(!backend.delete(&by_key, record.version).await.expect("delete"));
    assert!(delete(&backend, &record).await);
    for _ in 0..2 {
        assert!(!delete(&backend, &record).await);
    }
    assert_gone(&backend, &record).await;
}

/// A delete frees the record's id, access key and slot at once, each independently; also an
/// access key and a slot that the record got by an update.
///
/// # Panics
///
/// If the id, an access key or a slot of the deleted record is still taken.
pub async fn delete_frees_id_access_key_and_slot(backend: Backend) {
    let (user, other) = (fresh_user(), fresh_user());
    let first = in_slot(fresh_pair(&user), Slot::Ec2);
    insert(&backend, &first).await;
    // Read once, so that caches are tested too.
    assert_stored(&backend, &first).await;
    let second = in_slot(rekeyed(&first, &fresh_access_key()), Slot::S3);
    assert!(update(&backend, &second, first.version).await);
    assert!(delete(&backend, &second).await);
    assert_gone(&backend, &first).await;
    assert_gone(&backend, &second).await;

    let same_id = with_id(fresh_pair(&other), first.id.as_str());
    let same_key = Credential { access_key: second.access_key.clone(), ..fresh_pair(&other) };
    let old_key = Credential { access_key: first.access_key.clone(), ..fresh_pair(&other) };
    let heirs = [
        same_id,
        same_key,
        old_key,
        in_slot(fresh_opaque(&user), Slot::Ec2),
        in_slot(fresh_opaque(&user), Slot::S3),
    ];
    for heir in &heirs {
        insert(&backend, heir).await;
    }
    for heir in &heirs {
        assert_stored(&backend, heir).await;
    }
}

/// After a key was deleted and created again, every read returns the new record, and the old
/// version cannot change it.
///
/// # Panics
///
/// If any part of the old record is returned, or its version is accepted.
pub async fn recreated_record_is_a_new_record(backend: Backend) {
    let old = fresh_full();
    insert(&backend, &old).await;
    // Read once, so that caches are tested too.
    assert_stored(&backend, &old).await;
    assert!(delete(&backend, &old).await);

    let mut new = in_project(fresh_pair(&fresh_user()), &fresh_project());
    (new.id, new.access_key) = (old.id.clone(), old.access_key.clone());
    insert(&backend, &new).await;
    assert_stored(&backend, &new).await;

    assert!(!delete(&backend, &old).await);
    assert!(!update(&backend, &old.clone().touched(time(5)), old.version).await);
    assert_stored(&backend, &new).await;
    assert!(list_all(&backend, &of_user(&old.user_id, Order::Key)).await.is_empty());
    let traces = Credential { id: CredentialId::from_stored(unique()), access_key: None, ..old };
    assert_gone(&backend, &traces).await;
}

/// A delete removes only the record with this id; others of the same user and project stay.
///
/// # Panics
///
/// If another record changes.
pub async fn delete_leaves_other_records_alone(backend: Backend) {
    let (user, project) = (fresh_user(), fresh_project());
    let doomed = in_slot(in_project(fresh_pair(&user), &project), Slot::Ec2);
    let kept = [
        in_slot(in_project(fresh_pair(&user), &project), Slot::S3),
        fresh_opaque(&user),
        in_slot(in_project(fresh_pair(&fresh_user()), &project), Slot::Ec2),
    ];
    insert(&backend, &doomed).await;
    for record in &kept {
        insert(&backend, record).await;
    }
    assert!(delete(&backend, &doomed).await);
    assert!(find(&backend, access_key(&doomed)).await.is_none());
    for record in &kept {
        assert_stored(&backend, record).await;
    }
}
