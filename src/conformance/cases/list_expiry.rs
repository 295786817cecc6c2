//! Clause: *order is bytewise*, for [`Order::ExpiresAt`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    backend::{ListQuery, Order, expires_before},
    conformance::fixtures::{
        Backend, assert_gone, assert_same, delete, fresh_full, fresh_pair, fresh_project,
        fresh_user, in_project, insert, list_all, markers, of_kind, of_project, of_user, sorted,
        unique, update, with_id,
    },
    domain::{Credential, Kind, ProjectId, UserId},
};

/// Lists by expiry are in the order of the times, then of the ids. Records without an expiry are
/// left out.
///
/// # Panics
///
/// If the order differs, or a list shows a record without an expiry.
pub async fn list_order_by_expiry_is_by_time_and_id(backend: Backend) {
    let scene = Scene::set(&backend).await;
    let expected = scene.markers(|_| true);
    for mut query in [
        ListQuery::new(Order::ExpiresAt),
        of_user(&scene.users[0], Order::ExpiresAt),
        of_project(&scene.project, Order::ExpiresAt),
    ] {
        let filter = query.clone();
        let expected: Vec<_> = if filter.user_id.is_none() && filter.project_id.is_none() {
            expected.clone()
        } else {
            scene.markers(|record| filter.admits(record))
        };
        (query.after, query.before) = scene.window();
        assert_eq!(markers(&backend, &query).await, expected, "{query:?}");
        query = query.with_limit(2);
        assert_eq!(markers(&backend, &query).await, expected, "pages of two: {query:?}");
    }
}

/// As `before`, the marker of a time lists exactly the records that expire before it.
///
/// # Panics
///
/// If a record is missing, or a record that expires at this time or later is listed.
pub async fn list_order_by_expiry_ends_before_a_time(backend: Backend) {
    let scene = Scene::set(&backend).await;
    for micros in [0, 1, 5, 6, 10, 11, 1_000_000, 1_000_001] {
        let end = scene.start + Duration::from_micros(micros);
        let expires = |record: &Credential| record.terms.expires_at().is_some_and(|at| at < end);
        let mut query = ListQuery::new(Order::ExpiresAt);
        (query.after, query.before) = (scene.window().0, Some(expires_before(end)));
        assert_eq!(markers(&backend, &query).await, scene.markers(expires), "{micros}");
        (query.after, query.before) = (Some(expires_before(end)), scene.window().1);
        assert_eq!(markers(&backend, &query).await, scene.markers(|it| !expires(it)), "{micros}");
    }
}

/// Filters narrow a list by expiry as they narrow other lists. The records are complete.
///
/// # Panics
///
/// If a record that does not pass all filters is returned, or a record that passes them is
/// missing or different.
pub async fn list_order_by_expiry_applies_filters(backend: Backend) {
    let scene = Scene::set(&backend).await;
    for (user, project, kind) in [
        (true, false, false),
        (false, true, false),
        (false, false, true),
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (true, true, true),
    ] {
        let mut query = ListQuery::new(Order::ExpiresAt);
        query.user_id = user.then(|| scene.users[1].clone());
        query.project_id = project.then(|| scene.project.clone());
        query.kind = kind.then(|| scene.kind.clone());
        let expected = scene.markers(|record| query.admits(record));
        assert!(!expected.is_empty(), "the scene has records for every query");
        assert_eq!(markers(&backend, &query).await, expected, "{query:?}");
    }
    let full = fresh_full();
    insert(&backend, &full).await;
    let listed = list_all(&backend, &of_user(&full.user_id, Order::ExpiresAt)).await;
    assert_eq!(listed.len(), 1);
    assert_same(&listed[0], &full);
}

/// The list by expiry follows updates of the expiry and deletes.
///
/// # Panics
///
/// If a record is listed with a former expiry, or after it has none.
pub async fn list_order_by_expiry_follows_writes(backend: Backend) {
    let start = fresh_start();
    let first = expiring(fresh_pair(&fresh_user()), start);
    insert(&backend, &first).await;
    let query = of_user(&first.user_id, Order::ExpiresAt);
    assert_eq!(markers(&backend, &query).await, sorted(&[&first], Order::ExpiresAt));
    let second = expiring(first.clone().touched(start), start + Duration::from_secs(9));
    assert!(update(&backend, &second, first.version).await);
    assert_eq!(markers(&backend, &query).await, sorted(&[&second], Order::ExpiresAt));
    let mut third = second.clone().touched(start);
    third.terms.set_expires_at(None);
    assert!(update(&backend, &third, second.version).await);
    assert!(list_all(&backend, &query).await.is_empty());
    let fourth = expiring(third.clone().touched(start), start);
    assert!(update(&backend, &fourth, third.version).await);
    assert_eq!(markers(&backend, &query).await, sorted(&[&fourth], Order::ExpiresAt));
    assert!(delete(&backend, &fourth).await);
    assert!(list_all(&backend, &query).await.is_empty());
    assert_gone(&backend, &fourth).await;
}

/// Records of two users that expire in a time of their own.
struct Scene {
    start: SystemTime,
    users: [UserId; 2],
    project: ProjectId,
    kind: Kind,
    records: Vec<Credential>,
}

impl Scene {
    async fn set(backend: &Backend) -> Self {
        let (start, stem) = (fresh_start(), unique());
        let (users, project) = ([fresh_user(), fresh_user()], fresh_project());
        let kind = Kind::from_stored(unique());
        let mut records = Vec::new();
        // Not in the order of the expiry, and several records with the same one.
        for (place, micros) in [10, 5, 1_000_000, 5, 0, 10].into_iter().enumerate() {
            for (user, id) in users.iter().zip([format!("{stem}z"), format!("{stem}a")]) {
                let mut record = with_id(fresh_pair(user), &format!("{id}{}", 9 - place));
                if place % 2 == 0 {
                    record = in_project(record, &project);
                }
                if place % 3 == 0 {
                    record = of_kind(record, &kind);
                }
                let record = expiring(record, start + Duration::from_micros(micros));
                insert(backend, &record).await;
                records.push(record);
            }
        }
        for user in &users {
            insert(backend, &in_project(fresh_pair(user), &project)).await;
        }
        Self { start, users, project, kind, records }
    }

    /// The markers before and after all records.
    fn window(&self) -> (Option<String>, Option<String>) {
        let end = self.start + Duration::from_secs(2);
        (Some(expires_before(self.start)), Some(expires_before(end)))
    }

    fn markers(&self, holds: impl Fn(&Credential) -> bool) -> Vec<String> {
        let found: Vec<_> = self.records.iter().filter(|record| holds(record)).collect();
        sorted(&found, Order::ExpiresAt)
    }
}

/// A time that no other case uses.
fn fresh_start() -> SystemTime {
    let digits = unique();
    let seconds = u32::from_str_radix(&digits[..7], 16).expect("hex digits");
    UNIX_EPOCH + Duration::from_secs(4_000_000_000 + 10 * u64::from(seconds))
}

fn expiring(mut record: Credential, time: SystemTime) -> Credential {
    record.terms.set_expires_at(Some(time));
    record
}
