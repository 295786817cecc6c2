//! Clauses: markers, limits and `next` of [`ListQuery`] and
//! [`Page`](crate::backend::Page).

use crate::{
    backend::{ListQuery, Order, access_key_marker, id_marker},
    conformance::fixtures::{
        Backend, delete, fresh_opaque, fresh_pair, fresh_project, fresh_user, in_project, insert,
        insert_all, list_all, marker, markers, of_kind, of_project, of_user, pair, sorted, unique,
        with_id,
    },
    domain::{AccessKey, Blob, Credential, Kind, Material, ProjectId, UserId},
};

/// `after` and `before` are exclusive, and need not be markers of records.
///
/// # Panics
///
/// If a list has any other records than those between the markers.
pub async fn markers_are_exclusive_and_need_not_exist(backend: Backend) {
    let queries = ten(&backend).await;
    let ranges = [
        (Some("3"), None, 4..10),
        (None, Some("3"), 0..3),
        (Some("3"), Some("6"), 4..6),
        (Some("3"), Some("4"), 4..4),
        (Some("35"), Some("65"), 4..7),
        (Some("9"), None, 10..10),
        (None, Some("0"), 0..0),
        (Some(""), Some("~"), 0..10),
    ];
    for (stem, query) in queries {
        for (after, before, expected) in ranges.clone() {
            let mut query = query.clone();
            query.after = after.map(|text| format!("{stem}{text}"));
            query.before = before.map(|text| format!("{stem}{text}"));
            let expected: Vec<_> = expected.map(|digit| format!("{stem}{digit}")).collect();
            assert_eq!(markers(&backend, &query).await, expected, "{query:?}");
            let paged = query.clone().with_limit(2);
            assert_eq!(markers(&backend, &paged).await, expected, "{paged:?}");
        }
    }
}

/// An empty `after` or `before` is ignored.
///
/// # Panics
///
/// If an empty marker hides a record.
pub async fn empty_marker_is_ignored(backend: Backend) {
    for (_, query) in ten(&backend).await {
        for (after, before) in [(Some(""), None), (None, Some("")), (Some(""), Some(""))] {
            let mut query = query.clone();
            (query.after, query.before) = (after.map(Into::into), before.map(Into::into));
            assert_eq!(markers(&backend, &query).await.len(), 10, "{query:?}");
        }
    }
}

/// A page has as many records as its limit if enough records follow, and never more.
///
/// # Panics
///
/// If a page has more or fewer records.
pub async fn page_has_at_most_limit_records(backend: Backend) {
    for (_, query) in ten(&backend).await {
        for limit in [1, 2, 9, 10, 11, 1_000] {
            let query = query.clone().with_limit(limit);
            let page = backend.list(&query).await.expect("list");
            assert_eq!(page.credentials.len(), limit.min(10), "{query:?}");
        }
    }
}

/// A page takes no further record once its records have enough bytes. Its `next` leads to the
/// others.
///
/// # Panics
///
/// If the page has more records, or if a record is not found.
pub async fn page_of_long_records_is_short(backend: Backend) {
    const LONG: usize = ListQuery::MAX_BYTES / 4;
    let (user, project, stem) = (fresh_user(), fresh_project(), unique());
    let digits = (0..10).map(|digit| digit.to_string());
    let mut records = Form::Pair.spelt((&user, &project, &stem), digits);
    for record in &mut records[2..] {
        record.material = Material::Blob(Blob::new("x".repeat(LONG)));
    }
    insert_all(&backend, &records).await;
    for query in [of_user(&user, Order::Key), of_project(&project, Order::Key)] {
        let page = backend.list(&query).await.expect("list");
        assert_eq!(page.credentials.len(), 6, "{query:?}");
        assert!(page.next.is_some(), "{query:?}");
        let all: Vec<_> = records.iter().collect();
        assert_eq!(markers(&backend, &query).await, sorted(&all, query.order), "{query:?}");
    }
}

/// Following `next` returns every record once, in order, for every limit.
///
/// # Panics
///
/// If a record is returned twice, out of order or never, or if `next` is not greater than the
/// marker that its page starts after.
pub async fn next_visits_every_record_once(backend: Backend) {
    for (stem, query) in ten(&backend).await {
        let expected: Vec<_> = (0..10).map(|digit| format!("{stem}{digit}")).collect();
        for limit in [1, 2, 3, 5, 9, 10] {
            let mut query = query.clone().with_limit(limit);
            assert_eq!(markers(&backend, &query).await, expected, "{query:?}");
            query.before = Some(format!("{stem}8"));
            assert_eq!(markers(&backend, &query).await, expected[..8], "{query:?}");
        }
    }
}

/// `next` is `Some` if and only if another record passes the filters after the page and before
/// `before`.
///
/// # Panics
///
/// If `next` leads to an empty page, or the list ends early.
pub async fn next_is_none_exactly_when_nothing_follows(backend: Backend) {
    for form in FORMS {
        check_next(&backend, form).await;
    }
}

async fn check_next(backend: &Backend, form: Form) {
    let (user, project, stem) = (fresh_user(), fresh_project(), unique());
    let (wanted, other) = (Kind::from_stored(unique()), Kind::from_stored(unique()));
    let digits = (0..10).map(|digit| digit.to_string());
    let mut records = form.spelt((&user, &project, &stem), digits);
    let stem = form.marker(&stem);
    for (index, record) in records.iter_mut().enumerate() {
        // Matches at 0, 2 and 5; no record after 5 passes the filter by type.
        let kind = if [0, 2, 5].contains(&index) { &wanted } else { &other };
        *record = of_kind(record.clone(), kind);
    }
    insert_all(backend, &records).await;

    let cases = [
        (None, None, 1, 1, true),
        (None, None, 2, 2, true),
        (None, None, 3, 3, false),
        (None, None, 4, 3, false),
        (Some("0"), None, 1, 1, true),
        (Some("2"), None, 1, 1, false),
        (Some("5"), None, 1, 0, false),
        (None, Some("5"), 2, 2, false),
        (None, Some("5"), 1, 1, true),
        (None, Some("6"), 2, 2, true),
    ];
    for query in [of_user(&user, Order::Key), of_project(&project, Order::Key)] {
        for (after, before, limit, found, more) in cases {
            let mut query = query.clone().with_limit(limit);
            query.kind = Some(wanted.clone());
            query.after = after.map(|digit| format!("{stem}{digit}"));
            query.before = before.map(|digit| format!("{stem}{digit}"));
            let page = backend.list(&query).await.expect("list");
            assert_eq!(page.credentials.len(), found, "{query:?}");
            assert_eq!(page.next.is_some(), more, "{query:?} gave {:?}", page.next);
        }
        let whole = query.clone().with_limit(10);
        assert_eq!(backend.list(&whole).await.expect("list").next, None, "{whole:?}");
    }
}

/// A record that is written or deleted between two pages does not make another one appear
/// twice or never.
///
/// # Panics
///
/// If another record appears twice or never.
pub async fn write_while_paging_does_not_affect_other_records(backend: Backend) {
    let order = Order::Key;
    for form in FORMS {
        let (user, project, stem) = (fresh_user(), fresh_project(), unique());
        let digits = (0..8).map(|digit| digit.to_string());
        let records = form.spelt((&user, &project, &stem), digits);
        insert_all(&backend, &records).await;

        let mut query = of_user(&user, order).with_limit(2);
        let mut seen = Vec::new();
        let late = ["15", "05", "7~"].map(String::from);
        let mut late = form.spelt((&user, &project, &stem), late).into_iter();
        // Deletes the last record of the page, and records after it and before it.
        let mut doomed = [&records[1], &records[5], &records[0]].into_iter();
        loop {
            let page = backend.list(&query).await.expect("list");
            seen.extend(page.credentials.iter().map(|record| marker(record, order)));
            let Some(next) = page.next else {
                break;
            };
            query.after = Some(next);
            if let (Some(record), Some(gone)) = (late.next(), doomed.next()) {
                insert(&backend, &record).await;
                assert!(delete(&backend, gone).await);
            }
        }
        // Relative to the marker at that time: `15` is seen, `05` is not, `7~` is.
        let expected = ["0", "1", "15", "2", "3", "4", "6", "7", "7~"];
        let expected = expected.map(|digit| form.marker(&format!("{stem}{digit}")));
        assert_eq!(seen, expected, "{form:?}");
    }
}

/// A list finds a few matches among many records that pass no filter, though a store examines
/// a bounded number of records for one page. A page is never longer than the maximum.
///
/// # Panics
///
/// If a match is missing, or if the pages do not end.
pub async fn sparse_matches_are_all_found(backend: Backend) {
    const MANY: usize = ListQuery::MAX_EXAMINED + 200;
    let (user, project, stem) = (fresh_user(), fresh_project(), unique());
    let (rare, common) = (Kind::from_stored(unique()), Kind::from_stored(unique()));
    let numbers = (0..MANY).map(|number| format!("{number:05}"));
    let mut records = Form::Pair.spelt((&user, &project, &stem), numbers);
    for (index, record) in records.iter_mut().enumerate() {
        let kind = if [0, 1_000, MANY - 1].contains(&index) { &rare } else { &common };
        *record = of_kind(record.clone(), kind);
    }
    insert_all(&backend, &records).await;

    let matches = [&records[0], &records[1_000], &records[MANY - 1]];
    let (order, stem) = (Order::Key, Form::Pair.marker(&stem));
    let mut of_all = ListQuery::new(order);
    (of_all.after, of_all.before) = (Some(stem.clone()), Some(format!("{stem}~")));
    for query in [of_user(&user, order), of_project(&project, order), of_all] {
        let mut narrowed = query.clone();
        narrowed.kind = Some(rare.clone());
        for limit in [1, 2, 1_000] {
            let narrowed = narrowed.clone().with_limit(limit);
            let found = markers(&backend, &narrowed).await;
            assert_eq!(found, sorted(&matches, order), "{narrowed:?}");
        }
        assert_eq!(list_all(&backend, &query).await.len(), MANY, "{query:?}");
    }
    // These records do not affect the list of another user.
    let bystander = fresh_pair(&fresh_user());
    insert(&backend, &bystander).await;
    let page = backend.list(&of_user(&bystander.user_id, Order::Key)).await.expect("list");
    assert_eq!((page.credentials.len(), page.next), (1, None));
}

/// Whether records have an access key, which decides what their markers are.
#[derive(Clone, Copy, Debug)]
enum Form {
    Pair,
    Opaque,
}

const FORMS: [Form; 2] = [Form::Pair, Form::Opaque];

impl Form {
    /// Returns the marker of a record of this form, or the beginning of markers.
    fn marker(self, text: &str) -> String {
        match self {
            Self::Pair => access_key_marker(text),
            Self::Opaque => id_marker(text),
        }
    }

    /// Returns records of one user and project, whose access keys or ids are the stem followed by
    /// these texts.
    fn spelt(
        self,
        (user, project, stem): (&UserId, &ProjectId, &str),
        spellings: impl IntoIterator<Item = String>,
    ) -> Vec<Credential> {
        let record = |spelling| {
            let text = format!("{stem}{spelling}");
            let record = match self {
                Self::Pair => pair(user, AccessKey::from_stored(text)),
                Self::Opaque => with_id(fresh_opaque(user), &text),
            };
            in_project(record, project)
        };
        spellings.into_iter().map(record).collect()
    }
}

/// Stores ten records of each form, `stem0` to `stem9`; returns the beginning of their markers,
/// and every query that lists them.
async fn ten(backend: &Backend) -> Vec<(String, ListQuery)> {
    let mut queries = Vec::new();
    for form in FORMS {
        let (user, project, stem) = (fresh_user(), fresh_project(), unique());
        let digits = (0..10).map(|digit| digit.to_string());
        insert_all(backend, &form.spelt((&user, &project, &stem), digits)).await;
        let mut of_both = of_user(&user, Order::Key);
        of_both.project_id = Some(project.clone());
        let of_each = [of_user(&user, Order::Key), of_project(&project, Order::Key), of_both];
        queries.extend(of_each.map(|query| (form.marker(&stem), query)));
    }
    queries
}
