//! The cases, one function per clause.
//!
//! Each takes a backend and a bulk load of the same store, which may contain other data.
//! Panics if the clause is violated.

use std::sync::Arc;

use crate::{
    backend::{
        Order,
        contract::{BulkLoad, Loaded, MAX_LOAD},
    },
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_stored, delete,
        fresh_access_key, fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user,
        fresh_version, in_project, in_slot, insert, markers, of_kind, of_user, overlong, pair,
        rekeyed, sorted, time, try_insert, unique, update, with_id,
    },
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, Quota, SecretKey,
        SecretText, Slot, Status,
    },
};

pub(super) type Load = Arc<dyn BulkLoad>;

/// Records of every kind are stored unchanged, and every lookup finds them.
///
/// # Panics
///
/// If a field differs, or a record is not found.
pub async fn records_are_stored_unchanged(backend: Backend, load: Load) {
    let user = fresh_user();
    let secret = || SecretKey::from_stored("s3cr3t \"quoted\" \\ \u{1F511}");
    let blob = Material::Blob(Blob::new(r#"{ "access" : "a",  "secret":"b", "x": [1.50] }"#));
    let grant = Material::Grant {
        username: "test_user".into(),
        secret: secret(),
        signature: SecretText::new("bbb"),
    };
    // A stored hash: deriving one is slow by design.
    let password = r#"{"form":"password","username":"amy","hash":"pbkdf2-sha256$1000$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}"#;
    let password = Material::decode(password).expect("a password grant");
    let records = [
        fresh_full(),
        fresh_pair(&user),
        fresh_opaque(&user),
        with_material(fresh_pair(&user), Material::KeyPair { secret: None }),
        with_material(of_kind(fresh_opaque(&user), &Kind::from_stored("cert")), blob),
        with_material(in_slot(fresh_pair(&user), Slot::Ec2), grant),
        with_material(in_slot(fresh_opaque(&user), Slot::Password), password),
        Credential {
            delegation: Some(Delegation::ApplicationCredential { id: unique(), restricted: true }),
            // The id of a pair whose access key was replaced.
            id: CredentialId::of(&fresh_access_key()),
            updated_at: time(4_000_000_000_000_001),
            ..in_project(fresh_pair(&user), &fresh_project())
        },
    ];
    assert_eq!(loaded(&load, &records).await, [Loaded::Stored; 8]);
    for record in &records {
        assert_stored(&backend, record).await;
    }
}

/// An empty load is not an error.
///
/// # Panics
///
/// If the load fails or returns a result.
pub async fn empty_load_is_not_an_error(_: Backend, load: Load) {
    assert!(loaded(&load, &[]).await.is_empty());
}

/// A load of the maximum length is stored completely.
///
/// # Panics
///
/// If a record is missing.
pub async fn longest_load_is_stored_completely(backend: Backend, load: Load) {
    let user = fresh_user();
    let records: Vec<_> = (0..MAX_LOAD).map(|_| fresh_pair(&user)).collect();
    let outcomes = loaded(&load, &records).await;
    assert_eq!(outcomes.len(), MAX_LOAD);
    assert!(outcomes.iter().all(|outcome| *outcome == Loaded::Stored));
    let order = Order::Key;
    let expected = sorted(&records.iter().collect::<Vec<_>>(), order);
    assert!(markers(&backend, &of_user(&user, order)).await == expected);
    assert_stored(&backend, &records[MAX_LOAD / 2]).await;
}

/// Quotas are not checked: a user may get more records than an insert would allow.
///
/// # Panics
///
/// If a record is refused.
pub async fn quotas_are_not_checked(backend: Backend, load: Load) {
    let user = fresh_user();
    let first = fresh_pair(&user);
    let inserted = backend.insert(&first.clone().into(), Quota::AtMost(1)).await;
    inserted.expect("insert of a new record");
    let more = [fresh_pair(&user), fresh_pair(&user)];
    assert_eq!(loaded(&load, &more).await, [Loaded::Stored; 2]);
    assert_stored(&backend, &more[1]).await;
}

/// Loaded records count in the quota of their user, once.
///
/// # Panics
///
/// If a record does not count, or counts more than once.
pub async fn loaded_records_count_in_quotas(backend: Backend, load: Load) {
    let user = fresh_user();
    let records = [fresh_pair(&user), fresh_opaque(&user), fresh_pair(&user)];
    loaded(&load, &records).await;
    loaded(&load, &records).await;
    let full = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(3)).await;
    assert_over_quota(&full);
    let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(4)).await;
    inserted.expect("the quota has room for one more");
    assert!(delete(&backend, &records[0]).await);
    let inserted = backend.insert(&fresh_pair(&user).into(), Quota::AtMost(4)).await;
    inserted.expect("the quota has room again after a delete");
}

/// Loaded records can be changed, deleted and purged like others, and loaded again.
///
/// # Panics
///
/// If an update, a delete, a purge or a load fails.
pub async fn loaded_records_can_be_changed_and_deleted(backend: Backend, load: Load) {
    let before = fresh_full();
    let other = fresh_pair(&before.user_id);
    loaded(&load, &[before.clone(), other.clone()]).await;
    let after = rekeyed(&before, &fresh_access_key());
    assert!(!update(&backend, &after, other.version).await, "another version");
    assert!(update(&backend, &after, before.version).await);
    assert_stored(&backend, &after).await;
    assert!(delete(&backend, &after).await);
    assert_gone(&backend, &after).await;
    assert_eq!(loaded(&load, std::slice::from_ref(&before)).await, [Loaded::Stored]);
    assert_stored(&backend, &before).await;
    let purged = backend.purge_user(&before.user_id).await.expect("purge_user");
    assert_eq!(purged, 2);
    assert_gone(&backend, &before).await;
    assert_gone(&backend, &other).await;
}

/// A repeated load changes nothing, and reports the records as already there.
///
/// # Panics
///
/// If a record changes, or is not reported as already there.
pub async fn repeated_load_changes_nothing(backend: Backend, load: Load) {
    let mut record = fresh_full();
    // Numbers with several spellings.
    for (name, number) in [("a", "1.5e300"), ("b", "0.1"), ("c", "18446744073709551615")] {
        record.attributes.insert(name.into(), number.parse().expect("a number"));
    }
    let records = [record, fresh_pair(&fresh_user()), fresh_opaque(&fresh_user())];
    assert_eq!(loaded(&load, &records).await, [Loaded::Stored; 3]);
    assert_eq!(loaded(&load, &records).await, [Loaded::AlreadyThere; 3]);
    let inserted = fresh_full();
    insert(&backend, &inserted).await;
    let again = [inserted.clone(), fresh_pair(&inserted.user_id)];
    assert_eq!(loaded(&load, &again).await, [Loaded::AlreadyThere, Loaded::Stored]);
    for record in records.iter().chain(&again) {
        assert_stored(&backend, record).await;
    }
}

/// A record whose id, access key or slot is taken is refused. The stored record does not
/// change.
///
/// # Panics
///
/// If the record is not refused, or the stored record changes.
pub async fn stored_records_stay_unchanged(backend: Backend, load: Load) {
    let there = fresh_full();
    insert(&backend, &there).await;
    for clashing in clashing(&there) {
        assert_eq!(loaded(&load, &[clashing]).await, [Loaded::Refused]);
        assert_stored(&backend, &there).await;
    }
}

/// A refused record is not found anywhere and takes no name.
///
/// # Panics
///
/// If a part of the record is stored.
pub async fn refused_record_leaves_nothing_behind(backend: Backend, load: Load) {
    let there = fresh_full();
    insert(&backend, &there).await;
    let [by_id, by_key, by_slot] = clashing(&there);
    loaded(&load, &[by_id.clone(), by_key.clone(), by_slot.clone()]).await;
    // Its free names are still free.
    let name = |access_key: &AccessKey, id: &CredentialId| {
        with_id(pair(&fresh_user(), access_key.clone()), id.as_str())
    };
    let free = [
        name(access_key(&by_id), &CredentialId::of(&fresh_access_key())),
        name(&fresh_access_key(), &by_key.id),
        name(access_key(&by_slot), &by_slot.id),
    ];
    for record in &free {
        try_insert(&backend, record).await.expect("the names of a refused record are free");
        assert_stored(&backend, record).await;
    }
    let inserted = backend.insert(&fresh_pair(&there.user_id).into(), Quota::AtMost(2)).await;
    inserted.expect("a refused record does not count");
}

/// A refused record does not stop the others of its load.
///
/// # Panics
///
/// If a record that is not refused is missing.
pub async fn refused_record_does_not_stop_the_others(backend: Backend, load: Load) {
    let there = fresh_full();
    insert(&backend, &there).await;
    let user = fresh_user();
    let mut records = Vec::new();
    for clashing in clashing(&there) {
        records.extend([fresh_pair(&user), clashing]);
    }
    records.push(fresh_pair(&user));
    loaded(&load, &records).await;
    for record in records.iter().step_by(2) {
        assert_stored(&backend, record).await;
    }
}

/// A record that is too long for the store is refused, and does not stop the others of its
/// load.
///
/// # Panics
///
/// If the load fails, or if a result disagrees with what is stored.
pub async fn overlong_record_does_not_stop_the_others(backend: Backend, load: Load) {
    let user = fresh_user();
    let [name, blob] = overlong();
    let records = [fresh_pair(&user), name, fresh_pair(&user), blob, fresh_pair(&user)];
    let outcomes = loaded(&load, &records).await;
    for (place, (record, outcome)) in records.iter().zip(outcomes).enumerate() {
        match outcome {
            Loaded::Stored => assert_stored(&backend, record).await,
            Loaded::Refused if place % 2 == 1 => assert_gone(&backend, record).await,
            other => panic!("record {place} is reported as {other:?}"),
        }
    }
}

/// The results are in the order of the records.
///
/// # Panics
///
/// If a result is not at its record's position.
pub async fn results_are_in_the_order_of_the_records(backend: Backend, load: Load) {
    let there = fresh_full();
    insert(&backend, &there).await;
    let [by_id, by_key, by_slot] = clashing(&there);
    let new = || fresh_pair(&fresh_user());
    let records = [by_key, new(), there.clone(), new(), by_id, there, by_slot, new()];
    let expected = [
        Loaded::Refused,
        Loaded::Stored,
        Loaded::AlreadyThere,
        Loaded::Stored,
        Loaded::Refused,
        Loaded::AlreadyThere,
        Loaded::Refused,
        Loaded::Stored,
    ];
    assert_eq!(loaded(&load, &records).await, expected);
}

/// An older or newer version of a stored record is refused.
///
/// # Panics
///
/// If the other version is not refused, or if the stored record changes.
pub async fn other_version_of_a_stored_record_is_refused(backend: Backend, load: Load) {
    let first = fresh_full();
    loaded(&load, std::slice::from_ref(&first)).await;
    let second = rekeyed(&first, &fresh_access_key());
    let third = rekeyed(&second, access_key(&second));
    assert!(update(&backend, &second, first.version).await);
    assert_eq!(loaded(&load, &[first, third]).await, [Loaded::Refused; 2]);
    assert_stored(&backend, &second).await;
}

/// A record that differs in a single field from the stored record with its id is refused.
///
/// # Panics
///
/// If the record that differs is reported as already there, or if the stored record changes.
pub async fn records_that_differ_in_one_field_are_not_the_same(backend: Backend, load: Load) {
    let there = fresh_full();
    insert(&backend, &there).await;
    let changes: [fn(&mut Credential); 12] = [
        |record| record.kind = Kind::from_stored("cert"),
        |record| record.user_id = fresh_user(),
        |record| record.project_id = None,
        |record| record.slot = None,
        |record| record.access_key = None,
        |record| record.material = Material::KeyPair { secret: None },
        |record| record.status = Status::Active,
        |record| record.delegation = None,
        |record| record.attributes.clear(),
        |record| record.created_at = time(0),
        |record| record.updated_at = time(0),
        |record| record.version = record.version.next(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut other = there.clone();
        change(&mut other);
        assert_eq!(loaded(&load, &[other]).await, [Loaded::Refused], "change {index}");
    }
    assert_stored(&backend, &there).await;
}

/// If two records of one load conflict, one is stored and the other refused. A record that
/// occurs twice is stored.
///
/// # Panics
///
/// If both conflicting records are reported as stored, or neither.
pub async fn conflicting_records_of_one_load_are_not_both_stored(backend: Backend, load: Load) {
    let twice = fresh_full();
    let outcomes = loaded(&load, &[twice.clone(), twice.clone()]).await;
    assert!(outcomes.contains(&Loaded::Stored) && !outcomes.contains(&Loaded::Refused));
    assert_stored(&backend, &twice).await;
    for which in 0..3 {
        let first = fresh_full();
        let [by_id, by_key, by_slot] = clashing(&first);
        let second = [by_id, by_key, by_slot][which].clone();
        let records = [first, second];
        let outcomes = loaded(&load, &records).await;
        let winner = outcomes.iter().position(|outcome| *outcome == Loaded::Stored);
        let winner = winner.expect("one of two conflicting records is stored");
        assert_eq!(outcomes[1 - winner], Loaded::Refused);
        assert_stored(&backend, &records[winner]).await;
    }
}

/// Ids, access keys and owners are compared bytewise.
///
/// # Panics
///
/// If a record is refused because of a similar name.
pub async fn keys_are_compared_bytewise(backend: Backend, load: Load) {
    let text = unique();
    let user = fresh_user();
    let names = [format!("a{text}"), format!("A{text}"), format!("a{text} "), format!("á{text}")];
    let records: Vec<_> =
        names.iter().map(|name| with_id(pair(&user, AccessKey::from_stored(name)), name)).collect();
    assert_eq!(loaded(&load, &records).await, [Loaded::Stored; 4]);
    for record in &records {
        assert_stored(&backend, record).await;
    }
}

/// Loads the records; returns the result of each.
pub(super) async fn loaded(load: &Load, records: &[Credential]) -> Vec<Loaded> {
    let records: Vec<_> = records.iter().cloned().map(Arc::new).collect();
    let outcomes = load.load(&records).await.expect("load");
    assert_eq!(outcomes.len(), records.len(), "one outcome per record");
    outcomes
}

/// Returns records with the id, the access key and the slot of a stored one; all else differs.
fn clashing(there: &Credential) -> [Credential; 3] {
    [
        with_id(fresh_pair(&fresh_user()), there.id.as_str()),
        with_id(pair(&fresh_user(), access_key(there).clone()), &unique()),
        in_slot(fresh_pair(&there.user_id), there.slot.expect("made with a slot")),
    ]
}

fn with_material(mut credential: Credential, material: Material) -> Credential {
    credential.material = material;
    credential.version = fresh_version();
    credential
}
