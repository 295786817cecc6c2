//! Clause: *compare-and-set*, for updates.

use serde_json::json;

use crate::{
    backend::Order,
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_same, assert_stored,
        assert_taken, find, find_slot, fresh_access_key, fresh_full, fresh_opaque, fresh_pair,
        fresh_project, fresh_user, fresh_version, get, in_slot, insert, list_all, markers,
        of_project, of_user, pair, rekeyed, sorted, time, unique, update, with_id,
    },
    domain::{
        Blob, Credential, Delegation, Kind, Material, ProjectId, Quota, Slot, Status, Terms,
        Version,
    },
};

/// The new state replaces the old one completely; fields that it leaves out are removed.
///
/// # Panics
///
/// If the stored record is not the new state.
pub async fn update_replaces_the_record(backend: Backend) {
    let first = fresh_full();
    insert(&backend, &first).await;

    let mut second = first.clone().touched(time(77));
    second.kind = Kind::from_stored("cert");
    second.material = Material::Blob(Blob::new(r#"{"secret":"new"}"#));
    second.status = Status::Active;
    second.delegation = Some(Delegation::Other);
    second.attributes = [("other".to_owned(), json!({"n": 1}))].into_iter().collect();
    assert!(update(&backend, &second, first.version).await);
    assert_stored(&backend, &second).await;

    let mut third = second.clone().touched(time(78));
    third.slot = None;
    third.delegation = None;
    third.terms = Terms::default();
    third.attributes.clear();
    assert!(update(&backend, &third, second.version).await);
    assert_stored(&backend, &third).await;
    assert!(find_slot(&backend, &first.user_id, Slot::S3).await.is_none());

    // Back to the first state, with a new version that need not be greater.
    let fourth = Credential { version: Version::from_stored(7), ..first };
    assert!(update(&backend, &fourth, third.version).await);
    assert_stored(&backend, &fourth).await;
}

/// An update from another version returns `false` and changes nothing, even if it would also
/// violate uniqueness.
///
/// # Panics
///
/// If the update returns anything but `false`, or changes the record.
pub async fn update_needs_the_expected_version(backend: Backend) {
    let (other, first) = (fresh_full(), fresh_full());
    insert(&backend, &other).await;
    insert(&backend, &first).await;
    let second = rekeyed(&first, &fresh_access_key());
    assert!(update(&backend, &second, first.version).await);

    let late = rekeyed(&first, &fresh_access_key());
    let next = second.version.next();
    for stale in [first.version, next, fresh_version(), Version::from_stored(0)] {
        assert!(!update(&backend, &late, stale).await);
        assert!(!update(&backend, &rekeyed(&first, access_key(&other)), stale).await);
    }
    assert_stored(&backend, &second).await;
    assert_stored(&backend, &other).await;
    assert!(find(&backend, access_key(&late)).await.is_none());
}

/// An update of a record that does not exist returns `false` and creates nothing.
///
/// # Panics
///
/// If the update returns anything but `false`, or creates a record.
pub async fn update_of_unknown_record_is_false(backend: Backend) {
    let (never, deleted) = (fresh_full(), fresh_full());
    insert(&backend, &deleted).await;
    assert!(backend.delete(&deleted.id, deleted.version).await.expect("delete"));
    for missing in [never, deleted] {
        let next = missing.clone().touched(time(5));
        assert!(!update(&backend, &next, missing.version).await);
        assert_gone(&backend, &missing).await;
    }
}

/// Lookups and lists use the new access key. The id stays, and the old access key is free.
///
/// # Panics
///
/// If the old access key still finds the record, or the new one does not.
pub async fn update_follows_a_new_access_key(backend: Backend) {
    let first = fresh_full();
    insert(&backend, &first).await;
    // Read once, so that caches are tested too.
    assert_stored(&backend, &first).await;
    let second = rekeyed(&first, &fresh_access_key());
    assert!(update(&backend, &second, first.version).await);

    assert_stored(&backend, &second).await;
    assert!(find(&backend, access_key(&first)).await.is_none());
    for query in [of_user(&first.user_id, Order::Key), of_project(&project_of(&second), Order::Key)]
    {
        assert_eq!(markers(&backend, &query).await, sorted(&[&second], Order::Key));
    }

    let heir = with_id(pair(&fresh_user(), access_key(&first).clone()), &unique());
    insert(&backend, &heir).await;
    assert_stored(&backend, &heir).await;
    assert_stored(&backend, &second).await;
}

/// An update can remove a record's access key, and add one later.
///
/// # Panics
///
/// If lookups or lists by access key return the former state.
pub async fn update_adds_and_removes_an_access_key(backend: Backend) {
    let first = fresh_full();
    insert(&backend, &first).await;
    // Read once, so that caches are tested too.
    assert_stored(&backend, &first).await;
    let second = Credential { access_key: None, ..first.clone().touched(time(5)) };
    assert!(update(&backend, &second, first.version).await);
    assert_stored(&backend, &second).await;
    assert!(find(&backend, access_key(&first)).await.is_none());
    let listed = markers(&backend, &of_user(&first.user_id, Order::Key)).await;
    assert_eq!(listed, sorted(&[&second], Order::Key));

    let third = rekeyed(&second, access_key(&first));
    assert!(update(&backend, &third, second.version).await);
    assert_stored(&backend, &third).await;
}

/// An update to another record's access key is refused, and changes nothing.
///
/// # Panics
///
/// If the update is accepted.
pub async fn update_refuses_a_taken_access_key(backend: Backend) {
    let user = fresh_user();
    let (first, same_user, other_user) = (fresh_pair(&user), fresh_pair(&user), fresh_full());
    let records = [&first, &same_user, &other_user];
    for record in records {
        insert(&backend, record).await;
    }
    for taken in [&same_user, &other_user] {
        let mut next = rekeyed(&first, access_key(taken));
        next.status = Status::Inactive;
        let outcome = backend.update(&next.clone().into(), first.version).await;
        assert_taken(&outcome.map(drop));
    }
    for record in records {
        assert_stored(&backend, record).await;
    }
}

/// An update to the slot of another record of the user is refused and changes nothing. An
/// update to a free slot takes it and frees the old one.
///
/// # Panics
///
/// If an update to a taken slot is accepted, or an update to a free slot is refused.
pub async fn update_refuses_a_taken_slot(backend: Backend) {
    let user = fresh_user();
    let (first, second) = (in_slot(fresh_pair(&user), Slot::Ec2), fresh_opaque(&user));
    let neighbor = in_slot(fresh_opaque(&fresh_user()), Slot::S3);
    for record in [&first, &second, &neighbor] {
        insert(&backend, record).await;
    }
    let next = in_slot(second.clone().touched(time(5)), Slot::Ec2);
    let outcome = backend.update(&next.clone().into(), second.version).await;
    assert_taken(&outcome.map(drop));
    assert_stored(&backend, &first).await;
    assert_stored(&backend, &second).await;

    let moved = in_slot(first.clone().touched(time(6)), Slot::S3);
    assert!(update(&backend, &moved, first.version).await);
    assert!(update(&backend, &next, second.version).await);
    for record in [&moved, &next, &neighbor] {
        assert_stored(&backend, record).await;
    }
}

/// The store has no rules of its own: it stores a state with another user and project like any
/// other. Lists, slots and quotas use the new owner.
///
/// # Panics
///
/// If a read still finds the record under the old owner, or not under the new one.
pub async fn update_moves_a_record_to_another_owner(backend: Backend) {
    let first = fresh_full();
    insert(&backend, &first).await;
    let mut second = first.clone().touched(time(5));
    second.user_id = fresh_user();
    second.project_id = Some(fresh_project());
    assert!(update(&backend, &second, first.version).await);
    assert_stored(&backend, &second).await;

    assert!(find_slot(&backend, &first.user_id, Slot::S3).await.is_none());
    for query in [of_user(&first.user_id, Order::Key), of_project(&project_of(&first), Order::Key)]
    {
        assert!(list_all(&backend, &query).await.is_empty());
    }
    let (left, joined) = (fresh_pair(&first.user_id), fresh_pair(&second.user_id));
    assert_over_quota(&backend.insert(&joined.clone().into(), Quota::AtMost(1)).await);
    backend
        .insert(&left.clone().into(), Quota::AtMost(1))
        .await
        .expect("the former owner has room");

    let third = Credential { project_id: None, ..second.clone().touched(time(6)) };
    assert!(update(&backend, &third, second.version).await);
    let stored = get(&backend, &third.id).await.expect("the record still exists");
    assert_same(&stored, &third);
    let by_id = of_project(&project_of(&second), Order::Key);
    assert!(list_all(&backend, &by_id).await.is_empty());
}

fn project_of(credential: &Credential) -> ProjectId {
    credential.project_id.clone().expect("a full record has a project")
}
