//! Clause: *compare-and-set*, for deletes.

use crate::{
    conformance::fixtures::{
        Backend, ORDERS, access_key, assert_gone, assert_stored, delete, find, fresh_access_key,
        fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user, fresh_version, in_project,
        in_slot, insert, list_all, of_user, rekeyed, time, unique, update, with_id,
    },
    domain::{Credential, CredentialId, Slot, Version},
};

/// A delete from any other version is `false` and changes nothing.
///
/// # Panics
///
/// If it is anything else.
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

/// Deleting what is not there, or not there any more, is `false`.
///
/// # Panics
///
/// If it is anything else.
pub async fn delete_of_what_is_not_there_is_false(backend: Backend) {
    let unknown = CredentialId::from_stored(unique());
    assert!(!backend.delete(&unknown, fresh_version()).await.expect("delete"));
    let record = fresh_full();
    insert(&backend, &record).await;
    // An access key is no id.
    let by_key = CredentialId::from_stored(access_key(&record).as_str());
    assert!(!backend.delete(&by_key, record.version).await.expect("delete"));
    assert!(delete(&backend, &record).await);
    for _ in 0..2 {
        assert!(!delete(&backend, &record).await);
    }
    assert_gone(&backend, &record).await;
}

/// What a deleted record held is free for others at once, each part by itself:
/// also the access key and the slot that it got by an update.
///
/// # Panics
///
/// If something is still taken.
pub async fn delete_frees_id_access_key_and_slot(backend: Backend) {
    let (user, other) = (fresh_user(), fresh_user());
    let first = in_slot(fresh_pair(&user), Slot::Ec2);
    insert(&backend, &first).await;
    // Read once, so that whatever remembers it is put to the test.
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

/// A key that was deleted and made again is the new one to every read, and
/// cannot be changed by who knew the old one.
///
/// # Panics
///
/// If anything of the old record shows or works.
pub async fn a_record_made_again_is_not_its_former_self(backend: Backend) {
    let old = fresh_full();
    insert(&backend, &old).await;
    // Read once, so that whatever remembers it is put to the test.
    assert_stored(&backend, &old).await;
    assert!(delete(&backend, &old).await);

    let mut new = in_project(fresh_pair(&fresh_user()), &fresh_project());
    (new.id, new.access_key) = (old.id.clone(), old.access_key.clone());
    insert(&backend, &new).await;
    assert_stored(&backend, &new).await;

    assert!(!delete(&backend, &old).await);
    assert!(!update(&backend, &old.clone().touched(time(5)), old.version).await);
    assert_stored(&backend, &new).await;
    for order in ORDERS {
        assert!(list_all(&backend, &of_user(&old.user_id, order)).await.is_empty());
    }
    let traces = Credential { id: CredentialId::from_stored(unique()), access_key: None, ..old };
    assert_gone(&backend, &traces).await;
}

/// Only the named record goes; the user's and the project's others stay.
///
/// # Panics
///
/// If another record is touched.
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
