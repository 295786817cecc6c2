//! Clauses: *reads return the record exactly as it was written*, and *uniqueness*.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::{
    backend::{BackendError, Order},
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_over_quota, assert_stored, assert_taken,
        fresh_access_key, fresh_full, fresh_opaque, fresh_pair, fresh_project, fresh_user,
        in_project, in_slot, insert, markers, of_user, overlong, pair, sorted, time, try_insert,
        unique, update, with_id,
    },
    domain::{
        Blob, Credential, Delegation, Kind, Material, ProjectId, Quota, SecretKey, SecretText,
        Slot, Status,
    },
};

/// Reads return every field as it was written, for full and for minimal records.
///
/// # Panics
///
/// If a field differs, or if the backend fails.
pub async fn insert_keeps_every_field(backend: Backend) {
    let user = fresh_user();
    let mut active = fresh_full();
    active.status = Status::Active;
    let mut wordy = fresh_opaque(&user);
    wordy.kind = Kind::from_stored("Type with spaces, \u{e4}, 'quotes' and %_\\");
    let records = [
        fresh_full(),
        active,
        fresh_pair(&user),
        wordy,
        in_slot(fresh_opaque(&user), Slot::Ec2),
        in_slot(fresh_opaque(&user), Slot::Password),
        in_slot(fresh_opaque(&user), Slot::S3),
    ];
    for record in &records {
        insert(&backend, record).await;
    }
    for record in &records {
        assert_stored(&backend, record).await;
    }
}

/// Reads return every form of material unchanged.
///
/// # Panics
///
/// If a material differs, or if the backend fails.
pub async fn insert_keeps_every_material(backend: Backend) {
    let secret = SecretKey::from_stored("s3cr3t \"quoted\" \\ \u{e4} \u{1F511}");
    let hash = format!("pbkdf2-sha256$600000${}${}", "A".repeat(22), "A".repeat(43));
    let password = json!({"form": "password", "username": "amy", "hash": hash}).to_string();
    let forms = [
        Material::Blob(Blob::new(r#"{ "access" : "a",  "secret":"b", "x": [1.50], "x": {} }"#)),
        Material::Blob(Blob::new("not JSON \u{1F511}\r\n\t'; -- \\")),
        Material::Blob(Blob::new("")),
        Material::Blob(Blob::new("x".repeat(100_000))),
        Material::Grant {
            username: "t\u{e9}st user".into(),
            secret: secret.clone(),
            signature: SecretText::new("bbb"),
        },
        Material::Grant {
            username: String::new(),
            secret: secret.clone(),
            signature: SecretText::new(""),
        },
        Material::KeyPair { secret: Some(secret) },
        Material::KeyPair { secret: None },
        Material::decode(&password).expect("a password hash in its stored form"),
    ];
    for material in forms {
        let mut record = fresh_pair(&fresh_user());
        record.material = material;
        insert(&backend, &record).await;
        assert_stored(&backend, &record).await;
    }
}

/// Reads return attributes of any JSON: nested, in any script, with all digits of numbers.
///
/// # Panics
///
/// If an attribute differs, or if the backend fails.
pub async fn insert_keeps_attributes(backend: Backend) {
    let values = [
        Value::Null,
        json!(true),
        json!(""),
        json!("quotes \" ' \\ / \u{0} \u{7f} \u{2028} \u{e4} \u{1F511}"),
        json!([u64::MAX, i64::MIN, 0, -1, 9_007_199_254_740_993_u64]),
        json!([1.5, -0.25, 1e300, 5e-324, 1.545_042_131_588_874_3e-153]),
        json!({"a": {"b": [{"c": [[], {}, null]}]}, "": 1, "A": 2, "\u{e4}": 3}),
        json!("x".repeat(10_000)),
    ];
    for value in values {
        let mut record = fresh_pair(&fresh_user());
        record.attributes.insert("value".into(), value.clone());
        record.attributes.insert("\u{1F511} \"name\"".into(), value);
        insert(&backend, &record).await;
        assert_stored(&backend, &record).await;
    }
}

/// Reads return every delegation, with its id and its restriction.
///
/// # Panics
///
/// If a delegation differs, or if the backend fails.
pub async fn insert_keeps_every_delegation(backend: Backend) {
    let delegations = [
        None,
        Some(Delegation::AccessToken { id: unique() }),
        Some(Delegation::ApplicationCredential { id: unique(), restricted: true }),
        Some(Delegation::ApplicationCredential { id: unique(), restricted: false }),
        Some(Delegation::Ec2Credential),
        Some(Delegation::Other),
        Some(Delegation::Trust { id: "quotes \" ' \\ \u{e4}".into() }),
    ];
    for delegation in delegations {
        let mut record = fresh_pair(&fresh_user());
        record.delegation = delegation;
        insert(&backend, &record).await;
        assert_stored(&backend, &record).await;
    }
}

/// If user and project have equal ids, reads return whether the record is a root key, or that
/// an earlier release did not mark it.
///
/// # Panics
///
/// If a mark differs, or if the backend fails.
pub async fn insert_keeps_root_key_marks(backend: Backend) {
    for root_key in [Some(true), Some(false), None] {
        let user = fresh_user();
        let mut record = in_project(fresh_pair(&user), &ProjectId::from_stored(user.as_str()));
        record.root_key = root_key;
        insert(&backend, &record).await;
        assert_stored(&backend, &record).await;
        let mut next = record.clone().touched(time(9));
        next.root_key = Some(root_key != Some(true));
        assert!(update(&backend, &next, record.version).await);
        assert_stored(&backend, &next).await;
    }
}

/// Reads return both times to the microsecond.
///
/// # Panics
///
/// If a time differs, or if the backend fails.
pub async fn insert_keeps_times_to_the_microsecond(backend: Backend) {
    // The last microsecond of the year 2261, where nanoseconds still fit 64 bits.
    let late = UNIX_EPOCH + std::time::Duration::from_micros(9_214_646_399_999_999);
    let times = [(UNIX_EPOCH, time(0)), (time(1), time(999_999)), (time(500_000), late)];
    for (created_at, updated_at) in times {
        let mut record = fresh_pair(&fresh_user());
        (record.created_at, record.updated_at) = (created_at, updated_at);
        insert(&backend, &record).await;
        assert_stored(&backend, &record).await;
    }
}

/// Ids are unique in the store: an insert never overwrites.
///
/// # Panics
///
/// If the insert is not refused, or changes the stored record.
pub async fn insert_refuses_a_taken_id(backend: Backend) {
    let user = fresh_user();
    let first = fresh_pair(&user);
    insert(&backend, &first).await;
    for user in [user, fresh_user()] {
        let second = with_id(fresh_pair(&user), first.id.as_str());
        assert_taken(&try_insert(&backend, &second).await);
        let third = with_id(fresh_opaque(&user), first.id.as_str());
        assert_taken(&try_insert(&backend, &third).await);
    }
    assert_taken(&try_insert(&backend, &first).await);
    assert_stored(&backend, &first).await;
}

/// Access keys are unique in the store, for all users and ids.
///
/// # Panics
///
/// If the insert is not refused, or changes the stored record.
pub async fn insert_refuses_a_taken_access_key(backend: Backend) {
    let user = fresh_user();
    let first = in_project(fresh_pair(&user), &fresh_project());
    insert(&backend, &first).await;
    for user in [user, fresh_user()] {
        let second = with_id(pair(&user, access_key(&first).clone()), &unique());
        assert_taken(&try_insert(&backend, &second).await);
        let elsewhere = in_project(second, &fresh_project());
        assert_taken(&try_insert(&backend, &elsewhere).await);
    }
    assert_stored(&backend, &first).await;
}

/// A user has at most one record in a slot; other slots and other users' slots are free.
///
/// # Panics
///
/// If the second record in a slot is accepted, or a record in a free slot is refused.
pub async fn insert_refuses_a_taken_slot(backend: Backend) {
    let user = fresh_user();
    let first = in_slot(in_project(fresh_pair(&user), &fresh_project()), Slot::Ec2);
    insert(&backend, &first).await;
    let second = in_slot(in_project(fresh_pair(&user), &fresh_project()), Slot::Ec2);
    assert_taken(&try_insert(&backend, &second).await);
    assert_taken(&try_insert(&backend, &in_slot(fresh_opaque(&user), Slot::Ec2)).await);

    let other_slot = in_slot(fresh_opaque(&user), Slot::S3);
    let other_user = in_slot(fresh_opaque(&fresh_user()), Slot::Ec2);
    let no_slot = [fresh_opaque(&user), fresh_opaque(&user)];
    for free in [&first, &other_slot, &other_user, &no_slot[0], &no_slot[1]] {
        if free.id != first.id {
            insert(&backend, free).await;
        }
        assert_stored(&backend, free).await;
    }
}

/// A refused insert takes nothing: its id, access key, slot and quota stay free.
///
/// # Panics
///
/// If any part of the refused record is found, or blocks other writes.
pub async fn refused_insert_leaves_nothing_behind(backend: Backend) {
    let user = fresh_user();
    let first = in_slot(fresh_pair(&user), Slot::Ec2);
    insert(&backend, &first).await;

    let fresh = || in_slot(in_project(fresh_pair(&user), &fresh_project()), Slot::S3);
    let same_id = with_id(fresh(), first.id.as_str());
    let same_key = Credential { access_key: first.access_key.clone(), ..fresh() };
    let same_slot = in_slot(fresh(), Slot::Ec2);
    for refused in [&same_id, &same_key, &same_slot] {
        assert_taken(&try_insert(&backend, refused).await);
    }
    let over_quota = fresh();
    assert_over_quota(&backend.insert(&over_quota.clone().into(), Quota::AtMost(1)).await);

    let listed = markers(&backend, &of_user(&user, Order::Key)).await;
    assert_eq!(listed, sorted(&[&first], Order::Key));
    assert_gone(&backend, &with_id(same_id.clone(), &unique())).await;
    assert_gone(&backend, &Credential { access_key: None, ..same_key.clone() }).await;
    assert_gone(&backend, &Credential { slot: None, ..same_slot.clone() }).await;
    assert_gone(&backend, &over_quota).await;

    // Each with the conflicting name replaced, and with exactly the quota that it needs.
    let retries = [
        with_id(same_id, &unique()),
        Credential { slot: None, access_key: Some(fresh_access_key()), ..same_key },
        Credential { slot: None, ..same_slot },
        Credential { slot: None, ..over_quota },
    ];
    for (held, retry) in (1..).zip(&retries) {
        let inserted = backend.insert(&retry.clone().into(), Quota::AtMost(held + 1)).await;
        inserted.expect("a refused insert takes nothing");
        assert_stored(&backend, retry).await;
    }
    assert_stored(&backend, &first).await;
}

/// A long record is stored, or rejected as too long for the store; never reported as an
/// outage.
///
/// # Panics
///
/// If the insert reports an outage, or if a rejected record is stored.
pub async fn overlong_record_is_stored_or_reported_unstorable(backend: Backend) {
    for long in overlong() {
        match try_insert(&backend, &long).await {
            Ok(()) => assert_stored(&backend, &long).await,
            Err(BackendError::Unstorable(_)) => assert_gone(&backend, &long).await,
            Err(other) => panic!("expected Unstorable, got {other:?}"),
        }
        insert(&backend, &fresh_pair(&fresh_user())).await;
    }
}
