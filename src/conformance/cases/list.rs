//! Clause: *order is bytewise*, and the filters of [`ListQuery`].

use crate::{
    backend::{ACCESS_KEYS_END, ListQuery, Order, access_key_marker, id_marker},
    conformance::fixtures::{
        Backend, assert_same, fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user,
        in_project, insert, list_all, marker, markers, of_kind, of_project, of_user, pair, sorted,
        unique, with_id,
    },
    domain::{AccessKey, Credential, Kind, ProjectId, UserId},
};

/// Texts that collations order differently: punctuation, case, digits and prefixes.
const SPELLINGS: [&str; 16] = [
    "a~", "aB", "a_b", "a-b", "ab", "AB", "Ab", "a", "a.b", "a10", "a9", "a+b", "Z", "z", "!", "aa",
];

/// Records with an access key are listed in the bytewise order of the access keys, the same in
/// every store.
///
/// # Panics
///
/// If the order differs.
pub async fn list_order_by_access_key_is_bytewise(backend: Backend) {
    let (user, project, stem) = (fresh_user(), fresh_project(), unique());
    let records = SPELLINGS.map(|spelling| {
        let access_key = AccessKey::from_stored(format!("{stem}{spelling}"));
        in_project(pair(&user, access_key), &project)
    });
    assert_order(&backend, &records, &access_key_marker(&stem)).await;
}

/// Records without an access key are listed in the bytewise order of the ids, the same in every
/// store.
///
/// # Panics
///
/// If the order differs.
pub async fn list_order_by_id_is_bytewise(backend: Backend) {
    let (user, project, stem) = (fresh_user(), fresh_project(), unique());
    let records = SPELLINGS.map(|spelling| {
        in_project(with_id(fresh_opaque(&user), &format!("{stem}{spelling}")), &project)
    });
    assert_order(&backend, &records, &id_marker(&stem)).await;
}

/// Ids of digits are in the same order as other ids, though a store may keep them in another form.
///
/// # Panics
///
/// If the order differs.
pub async fn list_order_of_digits_is_that_of_other_ids(backend: Backend) {
    let (user, project) = (fresh_user(), fresh_project());
    let stem = unique().split_off(16);
    let spellings = [32, 33, 64, 65].into_iter().flat_map(|length| {
        ["0", "a", "A", "g"].map(|digit| format!("{stem}{}", digit.repeat(length - stem.len())))
    });
    let records: Vec<_> =
        spellings.map(|id| in_project(with_id(fresh_opaque(&user), &id), &project)).collect();
    assert_order(&backend, &records, &id_marker(&stem)).await;
}

/// All records with an access key are listed before those without one. [`ACCESS_KEYS_END`]
/// separates them.
///
/// # Panics
///
/// If the order differs, or a record is on the wrong side of the marker.
pub async fn list_shows_records_with_an_access_key_first(backend: Backend) {
    let (user, project) = (fresh_user(), fresh_project());
    let keyed = ["!", "z", "~"].map(|start| {
        in_project(pair(&user, AccessKey::from_stored(format!("{start}{}", unique()))), &project)
    });
    let keyless = ["!", "a", "~"].map(|start| {
        in_project(with_id(fresh_opaque(&user), &format!("{start}{}", unique())), &project)
    });
    for record in keyless.iter().chain(&keyed) {
        insert(&backend, record).await;
    }
    for query in [of_user(&user, Order::Key), of_project(&project, Order::Key)] {
        let all: Vec<_> = keyed.iter().chain(&keyless).map(|it| marker(it, Order::Key)).collect();
        assert_eq!(markers(&backend, &query).await, all, "{query:?}");
        let (mut with, mut without) = (query.clone(), query);
        with.before = Some(ACCESS_KEYS_END.into());
        without.after = Some(ACCESS_KEYS_END.into());
        assert_eq!(markers(&backend, &with).await, all[..keyed.len()], "{with:?}");
        assert_eq!(markers(&backend, &without).await, all[keyed.len()..], "{without:?}");
    }
}

/// Listed records are complete, as from any other read.
///
/// # Panics
///
/// If a field is missing or different.
pub async fn list_returns_complete_records(backend: Backend) {
    let (user, project) = (fresh_user(), fresh_project());
    let full = Credential { user_id: user.clone(), ..in_project(fresh_full(), &project) };
    insert(&backend, &full).await;
    for query in [of_user(&user, Order::Key), of_project(&project, Order::Key)] {
        let found = list_all(&backend, &query).await;
        assert_eq!(found.len(), 1, "{query:?}");
        assert_same(&found[0], &full);
    }
}

/// If no record passes the filters, the page is empty and has no `next`.
///
/// # Panics
///
/// If the page is not empty, or if the backend fails.
pub async fn list_without_matches_is_an_empty_page(backend: Backend) {
    let user = fresh_user();
    insert(&backend, &fresh_pair(&user)).await;
    let order = Order::Key;
    let mut narrowed = of_user(&user, order);
    narrowed.project_id = Some(fresh_project());
    let mut void = of_user(&user, order);
    (void.after, void.before) = (Some("z".into()), Some("a".into()));
    let mut point = of_user(&user, order);
    (point.after, point.before) = (Some("a0".into()), Some("a0".into()));
    let unknown = [of_user(&fresh_user(), order), of_project(&fresh_project(), order)];
    for query in unknown.into_iter().chain([narrowed, void, point]) {
        let page = backend.list(&query).await.expect("list");
        assert!(page.credentials.is_empty(), "{query:?}");
        assert_eq!(page.next, None, "{query:?}");
    }
}

/// A filter by user returns only that user's records, of all projects and types.
///
/// # Panics
///
/// If another user's record is returned, or a record is missing.
pub async fn list_filters_by_user(backend: Backend) {
    let scene = Scene::set(&backend).await;
    scene.check(&backend, &of_user(&scene.users[0], Order::Key)).await;
}

/// A filter by project returns only that project's records, of all users and types.
///
/// # Panics
///
/// If another project's record is returned, or a record is missing.
pub async fn list_filters_by_project(backend: Backend) {
    let scene = Scene::set(&backend).await;
    scene.check(&backend, &of_project(&scene.projects[0], Order::Key)).await;
}

/// A filter by type returns only records of that type, of all users and projects.
///
/// # Panics
///
/// If a record of another type is returned, or a record is missing.
pub async fn list_filters_by_kind(backend: Backend) {
    let scene = Scene::set(&backend).await;
    let mut query = ListQuery::new(Order::Key);
    query.kind = Some(scene.kinds[0].clone());
    scene.check(&backend, &query).await;
}

/// Several filters return only records that pass all of them.
///
/// # Panics
///
/// If a record that does not pass all filters is returned, or a record that passes them is
/// missing.
pub async fn list_filters_narrow_together(backend: Backend) {
    let scene = Scene::set(&backend).await;
    for (user, project, kind) in
        [(true, true, false), (true, false, true), (false, true, true), (true, true, true)]
    {
        let mut query = ListQuery::new(Order::Key);
        query.user_id = user.then(|| scene.users[1].clone());
        query.project_id = project.then(|| scene.projects[0].clone());
        query.kind = kind.then(|| scene.kinds[1].clone());
        scene.check(&backend, &query).await;
    }
}

/// Checks lists of the records of one user and project, whose markers all begin with `stem`.
async fn assert_order(backend: &Backend, records: &[Credential], stem: &str) {
    let order = Order::Key;
    for record in records {
        insert(backend, record).await;
    }
    let expected = sorted(&records.iter().collect::<Vec<_>>(), order);
    let mut of_all = ListQuery::new(order);
    (of_all.after, of_all.before) = (Some(stem.to_owned()), Some(format!("{stem}\u{7f}")));
    let of_user = of_user(&records[0].user_id, order);
    let of_project = of_project(records[0].project_id.as_ref().expect("a project"), order);
    for query in [of_all, of_user, of_project] {
        assert_eq!(markers(backend, &query).await, expected, "{query:?}");
    }
}

/// Two users; two projects and no project; two types: every combination, twice.
struct Scene {
    users: [UserId; 2],
    projects: [ProjectId; 2],
    kinds: [Kind; 2],
    records: Vec<Credential>,
}

impl Scene {
    async fn set(backend: &Backend) -> Self {
        let users = [fresh_user(), fresh_user()];
        let projects = [fresh_project(), fresh_project()];
        // New types, so that a list by type returns only this scene.
        let kinds = [Kind::from_stored(unique()), Kind::from_stored(unique())];
        let mut records = Vec::new();
        for user in &users {
            for project in [None, Some(&projects[0]), Some(&projects[1])] {
                for kind in kinds.iter().chain(&kinds) {
                    let mut record = of_kind(fresh_pair(user), kind);
                    record.project_id = project.cloned();
                    insert(backend, &record).await;
                    records.push(record);
                }
            }
        }
        Self { users, projects, kinds, records }
    }

    async fn check(&self, backend: &Backend, query: &ListQuery) {
        let expected: Vec<_> = self.records.iter().filter(|record| query.admits(record)).collect();
        let expected = sorted(&expected, query.order);
        assert!(!expected.is_empty(), "the scene has records for every query");
        assert_eq!(markers(backend, query).await, expected, "{query:?}");
    }
}
