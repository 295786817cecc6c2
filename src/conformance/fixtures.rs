//! Records and queries for the cases.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Life, Material, ProjectId,
        Quota, RotatedFrom, SecretKey, Slot, Status, Terms, UserId, Version,
    },
};

pub(super) type Backend = Arc<dyn CredentialBackend>;

/// Returns a text that no other case uses: 32 hex digits.
pub(super) fn unique() -> String {
    fresh_access_key().as_str().to_owned()
}

/// Returns records that are too long for some stores: one with a name that is too long for an
/// index, and one with a long blob.
pub(super) fn overlong() -> [Credential; 2] {
    let name: String = (0..300).map(|_| unique()).collect();
    let mut blob = fresh_pair(&fresh_user());
    blob.material = Material::Blob(Blob::new("x".repeat(2 << 20)));
    [fresh_pair(&UserId::from_stored(name)), blob]
}

pub(super) fn fresh_user() -> UserId {
    UserId::from_stored(unique())
}

pub(super) fn fresh_project() -> ProjectId {
    ProjectId::from_stored(unique())
}

pub(super) fn fresh_access_key() -> AccessKey {
    AccessKey::generate().expect("the operating system has randomness")
}

pub(super) fn fresh_version() -> Version {
    Version::fresh()
}

/// Returns a fixed time, so that no case depends on when it runs.
pub(super) fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_micros(micros)
}

/// Returns a key pair of this user, without a project.
pub(super) fn fresh_pair(user: &UserId) -> Credential {
    pair(user, fresh_access_key())
}

/// Returns a key pair with this access key.
pub(super) fn pair(user: &UserId, access_key: AccessKey) -> Credential {
    let secret = SecretKey::generate().expect("the operating system has randomness");
    let material = Material::KeyPair { secret: Some(secret) };
    let id = CredentialId::of(&access_key);
    let version = fresh_version();
    let mut pair = Credential::new(id, Kind::ec2(), user.clone(), material, time(1), version);
    pair.access_key = Some(access_key);
    pair
}

/// Returns an opaque record of this user, without an access key and project.
pub(super) fn fresh_opaque(user: &UserId) -> Credential {
    let id = CredentialId::from_stored(unique());
    let (kind, material) = (Kind::from_stored("totp"), Material::KeyPair { secret: None });
    Credential::new(id, kind, user.clone(), material, time(2), fresh_version())
}

/// Returns a record in which no field has its default value.
pub(super) fn fresh_full() -> Credential {
    let mut full = fresh_pair(&fresh_user());
    full.project_id = Some(fresh_project());
    full.slot = Some(Slot::S3);
    full.status = Status::Inactive;
    full.delegation = Some(Delegation::Trust { id: unique() });
    full.attributes.insert("name".into(), json!("Amy's key"));
    full.terms = full_terms();
    full.updated_at = time(3_000_007);
    full
}

/// Returns terms of which each is set.
fn full_terms() -> Terms {
    let mut terms = Terms::default();
    terms.set_name(Some("Amy's \u{1F511}".into())).expect("a valid name");
    terms.set_description(Some("line\n\u{0}\u{1}".into())).expect("a valid description");
    terms.set_boundary(Some(r#"{"permission": "read", "buckets": ["b"]}"#.into()));
    terms.set_enabled_at(time(4));
    terms.shorten_to(time(5_000_001), Life::For(Duration::from_secs(7)));
    terms.set_rotated_from(Some(RotatedFrom {
        id: CredentialId::from_stored(unique()),
        access_key: fresh_access_key(),
        expires_at: time(6),
    }));
    terms
}

pub(super) fn in_project(mut credential: Credential, project: &ProjectId) -> Credential {
    credential.project_id = Some(project.clone());
    credential
}

pub(super) fn of_kind(mut credential: Credential, kind: &Kind) -> Credential {
    credential.kind = kind.clone();
    credential
}

pub(super) fn in_slot(mut credential: Credential, slot: Slot) -> Credential {
    credential.slot = Some(slot);
    credential
}

pub(super) fn with_id(mut credential: Credential, id: &str) -> Credential {
    credential.id = CredentialId::from_stored(id);
    credential
}

/// Returns the next state of a record, with this access key.
pub(super) fn rekeyed(credential: &Credential, access_key: &AccessKey) -> Credential {
    let mut next = credential.clone().touched(time(9));
    next.access_key = Some(access_key.clone());
    next
}

pub(super) fn access_key(credential: &Credential) -> &AccessKey {
    credential.access_key.as_ref().expect("the case made it with an access key")
}

/// Inserts without a quota; panics on an error.
pub(super) async fn insert(backend: &Backend, credential: &Credential) {
    let inserted = backend.insert(&credential.clone().into(), Quota::Unlimited).await;
    inserted.expect("insert of a new record");
}

/// Inserts many records at a time, since commits of some stores are slow.
pub(super) async fn insert_all(backend: &Backend, credentials: &[Credential]) {
    for batch in credentials.chunks(100) {
        let writes: Vec<_> = batch
            .iter()
            .map(|credential| {
                let (backend, credential) = (Arc::clone(backend), credential.clone());
                tokio::spawn(async move { insert(&backend, &credential).await })
            })
            .collect();
        for write in writes {
            write.await.expect("insert of a new record");
        }
    }
}

pub(super) async fn try_insert(
    backend: &Backend,
    credential: &Credential,
) -> Result<(), BackendError> {
    backend.insert(&credential.clone().into(), Quota::Unlimited).await
}

pub(super) async fn update(backend: &Backend, next: &Credential, expected: Version) -> bool {
    backend.update(&next.clone().into(), expected).await.expect("update")
}

pub(super) async fn delete(backend: &Backend, credential: &Credential) -> bool {
    backend.delete(&credential.id, credential.version).await.expect("delete")
}

pub(super) async fn get(backend: &Backend, id: &CredentialId) -> Option<Arc<Credential>> {
    backend.get(id).await.expect("get")
}

pub(super) async fn find(backend: &Backend, access_key: &AccessKey) -> Option<Arc<Credential>> {
    backend.find_by_access_key(access_key).await.expect("find_by_access_key")
}

async fn find_latest(backend: &Backend, access_key: &AccessKey) -> Option<Arc<Credential>> {
    backend.find_latest_by_access_key(access_key).await.expect("find_latest_by_access_key")
}

pub(super) async fn find_slot(
    backend: &Backend,
    user: &UserId,
    slot: Slot,
) -> Option<Arc<Credential>> {
    backend.find_by_slot(user, slot).await.expect("find_by_slot")
}

/// Returns a query for all records of a user, in this order.
pub(super) fn of_user(user: &UserId, order: Order) -> ListQuery {
    let mut query = ListQuery::new(order);
    query.user_id = Some(user.clone());
    query
}

/// Returns a query for all records of a project, in this order.
pub(super) fn of_project(project: &ProjectId, order: Order) -> ListQuery {
    let mut query = ListQuery::new(order);
    query.project_id = Some(project.clone());
    query
}

/// Follows `next` to the end; panics if a page makes no progress.
pub(super) async fn list_all(backend: &Backend, query: &ListQuery) -> Vec<Arc<Credential>> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = backend.list(&query).await.expect("list");
        assert!(page.credentials.len() <= query.limit(), "a page is longer than its limit");
        found.extend(page.credentials);
        let Some(next) = page.next else {
            return found;
        };
        let here = query.after.as_deref().unwrap_or_default();
        assert!(*next > *here, "`next` must be greater than the marker that the page starts after");
        query.after = Some(next);
    }
}

/// Returns the markers of all records that a query finds, in the order found.
pub(super) async fn markers(backend: &Backend, query: &ListQuery) -> Vec<String> {
    let found = list_all(backend, query).await;
    found.iter().map(|credential| marker(credential, query.order)).collect()
}

pub(super) fn marker(credential: &Credential, order: Order) -> String {
    order.marker(credential).expect("a listed record has a marker")
}

/// Returns the markers that a query should find: those of these records, in bytewise order.
pub(super) fn sorted(credentials: &[&Credential], order: Order) -> Vec<String> {
    let mut markers: Vec<_> = credentials.iter().map(|record| marker(record, order)).collect();
    markers.sort_unstable();
    markers
}

/// Checks that every read returns the record as written.
pub(super) async fn assert_stored(backend: &Backend, expected: &Credential) {
    let by_id = get(backend, &expected.id).await;
    assert_same(&by_id.expect("the record is found by its id"), expected);
    let latest = backend.get_latest(&expected.id).await.expect("get_latest");
    assert_same(&latest.expect("the latest state is found by its id"), expected);
    if let Some(access_key) = &expected.access_key {
        let by_key = find(backend, access_key).await;
        assert_same(&by_key.expect("the record is found by its access key"), expected);
        let latest = find_latest(backend, access_key).await;
        assert_same(&latest.expect("the latest state is found by its access key"), expected);
    }
    if let Some(slot) = expected.slot {
        let by_slot = find_slot(backend, &expected.user_id, slot).await;
        assert_same(&by_slot.expect("the record is found by its slot"), expected);
    }
    let mut queries = vec![of_user(&expected.user_id, Order::Key)];
    queries.extend(expected.project_id.as_ref().map(|project| of_project(project, Order::Key)));
    for query in queries {
        let mut listed = list_all(backend, &query).await;
        listed.retain(|credential| credential.id == expected.id);
        assert_eq!(listed.len(), 1, "{query:?} shows the record {} times", listed.len());
        assert_same(&listed[0], expected);
    }
}

/// Checks that no read returns the record.
pub(super) async fn assert_gone(backend: &Backend, gone: &Credential) {
    assert!(get(backend, &gone.id).await.is_none(), "found by its id");
    let latest = backend.get_latest(&gone.id).await.expect("get_latest");
    assert!(latest.is_none(), "the latest state is found by its id");
    if let Some(access_key) = &gone.access_key {
        assert!(find(backend, access_key).await.is_none(), "found by its access key");
        let latest = find_latest(backend, access_key).await;
        assert!(latest.is_none(), "the latest state is found by its access key");
    }
    if let Some(slot) = gone.slot {
        let by_slot = find_slot(backend, &gone.user_id, slot).await;
        assert!(by_slot.is_none(), "found by its slot");
    }
    let mut listed = list_all(backend, &of_user(&gone.user_id, Order::Key)).await;
    if let Some(project) = &gone.project_id {
        listed.extend(list_all(backend, &of_project(project, Order::Key)).await);
    }
    assert!(listed.iter().all(|credential| credential.id != gone.id), "listed");
}

/// Compares field by field, so that a failure names the field and reveals no secret.
pub(super) fn assert_same(actual: &Credential, expected: &Credential) {
    // Destructured in full, so that a new field cannot be forgotten here.
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material,
        status,
        delegation,
        root_key,
        attributes,
        terms,
        created_at,
        updated_at,
        version,
    } = actual;
    assert_eq!(*id, expected.id, "id");
    assert_eq!(*kind, expected.kind, "kind");
    assert_eq!(*user_id, expected.user_id, "user_id");
    assert_eq!(*project_id, expected.project_id, "project_id");
    assert_eq!(*slot, expected.slot, "slot");
    assert_eq!(*access_key, expected.access_key, "access_key");
    assert!(*material == expected.material, "material");
    assert_eq!(*status, expected.status, "status");
    assert_eq!(*delegation, expected.delegation, "delegation");
    assert_eq!(*root_key, expected.root_key, "root_key");
    assert_eq!(*attributes, expected.attributes, "attributes");
    assert_eq!(*terms, expected.terms, "terms");
    assert_eq!(*created_at, expected.created_at, "created_at");
    assert_eq!(*updated_at, expected.updated_at, "updated_at");
    assert_eq!(*version, expected.version, "version");
}

/// Checks that the insert was refused as a duplicate.
pub(super) fn assert_taken(outcome: &Result<(), BackendError>) {
    assert!(
        matches!(outcome, Err(BackendError::AlreadyExists)),
        "expected AlreadyExists, got {outcome:?}"
    );
}

/// Checks that the insert was refused because the quota is full.
pub(super) fn assert_over_quota(outcome: &Result<(), BackendError>) {
    assert!(
        matches!(outcome, Err(BackendError::QuotaExceeded)),
        "expected QuotaExceeded, got {outcome:?}"
    );
}
