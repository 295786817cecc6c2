//! `purge_user` and `purge_project`.

use crate::{
    backend::{ListQuery, Order},
    conformance::fixtures::{
        Backend, assert_gone, assert_over_quota, assert_stored, fresh_full, fresh_opaque,
        fresh_pair, fresh_project, fresh_user, in_project, in_slot, insert, insert_all, list_all,
        of_project, of_user,
    },
    domain::{Credential, ProjectId, Quota, Slot, Status, UserId},
};

/// A purge deletes all of a user's records, of every kind and project, and no other user's.
///
/// # Panics
///
/// If a record of the user remains, another user's record is deleted, or the count is wrong.
pub async fn purge_user_deletes_their_records_and_no_others(backend: Backend) {
    let (amy, bob) = (fresh_user(), fresh_user());
    // A project with the user's own id, as of a root key, is not the user.
    let (shared, namesake) = (fresh_project(), ProjectId::from_stored(amy.as_str()));
    let records = crowd([&amy, &bob], [&shared, &namesake]);
    insert_all(&backend, &records).await;
    assert_eq!(purge_user(&backend, &amy).await, 6);
    assert_purged(&backend, &records, |record| record.user_id == amy).await;
    assert!(list_all(&backend, &of_user(&amy, Order::Key)).await.is_empty());
    assert_eq!(purge_user(&backend, &amy).await, 0);
}

/// A purge deletes all of a project's records, of every kind and user, and no others.
///
/// # Panics
///
/// If a record of the project remains, another project's record is deleted, or the count is
/// wrong.
pub async fn purge_project_deletes_its_records_and_no_others(backend: Backend) {
    let (shared, other) = (fresh_project(), fresh_project());
    let (amy, namesake) = (fresh_user(), UserId::from_stored(shared.as_str()));
    let records = crowd([&amy, &namesake], [&shared, &other]);
    insert_all(&backend, &records).await;
    assert_eq!(purge_project(&backend, &shared).await, 6);
    assert_purged(&backend, &records, |record| record.project_id.as_ref() == Some(&shared)).await;
    assert!(list_all(&backend, &of_project(&shared, Order::Key)).await.is_empty());
    assert_eq!(purge_project(&backend, &shared).await, 0);
}

/// A purge of an owner without records returns zero and is not an error.
///
/// # Panics
///
/// If the purge fails or returns another number, or if a record is deleted.
pub async fn purge_without_records_returns_zero(backend: Backend) {
    let bystander = fresh_full();
    insert(&backend, &bystander).await;
    assert_eq!(purge_user(&backend, &fresh_user()).await, 0);
    assert_eq!(purge_project(&backend, &fresh_project()).await, 0);
    assert_stored(&backend, &bystander).await;
}

/// A purge frees the ids, access keys, slots and quota of the purged records.
///
/// # Panics
///
/// If an id, an access key, a slot or the quota of a purged record is still taken.
pub async fn purge_frees_access_keys_slots_and_quota(backend: Backend) {
    let (first, second) = (fresh_full(), fresh_full());
    for record in [&first, &second] {
        insert(&backend, record).await;
        assert_stored(&backend, record).await;
        let full = backend.insert(&fresh_pair(&record.user_id).into(), Quota::AtMost(1)).await;
        assert_over_quota(&full);
    }
    assert_eq!(purge_user(&backend, &first.user_id).await, 1);
    let project = second.project_id.as_ref().expect("a full record has a project");
    assert_eq!(purge_project(&backend, project).await, 1);
    for record in [&first, &second] {
        assert_gone(&backend, record).await;
        let again = backend.insert(&record.clone().into(), Quota::AtMost(1)).await;
        again.expect("the purge frees the record's names");
        assert_stored(&backend, record).await;
    }
}

/// A purge deletes all records, even if they are more than the longest page can have.
///
/// # Panics
///
/// If a record of the owner remains, or the count is wrong.
pub async fn purge_is_not_bounded_by_a_page(backend: Backend) {
    const MANY: usize = ListQuery::MAX_LIMIT + 1;
    let (user, project) = (fresh_user(), fresh_project());
    let records: Vec<_> = (0..MANY).map(|_| in_project(fresh_pair(&user), &project)).collect();
    insert_all(&backend, &records).await;
    assert_eq!(purge_user(&backend, &user).await, MANY as u64);
    assert!(list_all(&backend, &of_user(&user, Order::Key)).await.is_empty());

    insert_all(&backend, &records).await;
    assert_eq!(purge_project(&backend, &project).await, MANY as u64);
    assert!(list_all(&backend, &of_project(&project, Order::Key)).await.is_empty());
}

async fn purge_user(backend: &Backend, user: &UserId) -> u64 {
    backend.purge_user(user).await.expect("purge_user")
}

async fn purge_project(backend: &Backend, project: &ProjectId) -> u64 {
    backend.purge_project(project).await.expect("purge_project")
}

/// Returns records of two users, in two projects and without one, of every kind.
fn crowd(users: [&UserId; 2], projects: [&ProjectId; 2]) -> Vec<Credential> {
    let of_user = |user| {
        [
            in_project(fresh_pair(user), projects[0]),
            in_project(fresh_pair(user), projects[1]),
            in_slot(in_project(fresh_opaque(user), projects[0]), Slot::Ec2),
            in_slot(fresh_pair(user), Slot::S3),
            fresh_opaque(user),
            Credential { status: Status::Inactive, ..in_project(fresh_pair(user), projects[0]) },
        ]
    };
    users.into_iter().flat_map(of_user).collect()
}

async fn assert_purged(
    backend: &Backend,
    records: &[Credential],
    is_purged: impl Fn(&Credential) -> bool,
) {
    for record in records {
        if is_purged(record) {
            assert_gone(backend, record).await;
        } else {
            assert_stored(backend, record).await;
        }
    }
}
