//! What a row stores, and rows that are not credentials.

use std::time::{Duration, UNIX_EPOCH};

use rusqlite::Connection;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order, sqlite::SqliteBackend},
    domain::{
        Blob, Delegation, Kind, Material, PasswordHash, ProjectId, SecretKey, SecretText, Slot,
        Status, Version,
    },
};

use crate::{folder, full_text, insert, is_stored, pair};

#[tokio::test]
async fn every_field_of_every_form_survives_a_reopened_file() {
    let (_folder, path) = folder();
    let materials = [
        Material::Blob(Blob::new("{ \"access\" : \"a\",  \"secret\":\"b\" } \u{1F511}\0")),
        Material::Grant {
            username: "amy".into(),
            secret: SecretKey::new("s").unwrap(),
            signature: SecretText::new(""),
        },
        Material::KeyPair { secret: None },
        Material::KeyPair { secret: Some(SecretKey::new("it's \"s\"").unwrap()) },
        Material::Password {
            username: "amy".into(),
            hash: PasswordHash::derive(&SecretText::new("pw")).unwrap(),
        },
    ];
    let id = || "d".to_owned();
    let delegations = [
        None,
        Some(Delegation::AccessToken { id: id() }),
        Some(Delegation::ApplicationCredential { id: id(), restricted: true }),
        Some(Delegation::ApplicationCredential { id: id(), restricted: false }),
        Some(Delegation::Ec2Credential),
        Some(Delegation::Other),
        Some(Delegation::Trust { id: id() }),
    ];
    let slots = [None, Some(Slot::Ec2), Some(Slot::Password), Some(Slot::S3)];

    let mut records = Vec::new();
    for (n, delegation) in delegations.into_iter().enumerate() {
        let mut record = pair("bob", &format!("key-{n}"));
        record.kind = Kind::new(["ec2", "totp"][n % 2]).unwrap();
        record.material = materials[n % materials.len()].clone();
        record.delegation = delegation;
        record.slot = slots.get(n).copied().flatten();
        record.project_id = (n > 2).then(|| ProjectId::new("pröject").unwrap());
        record.status = [Status::Active, Status::Inactive][n % 2];
        record.updated_at = record.created_at + Duration::from_micros(1);
        record.attributes.insert("x".into(), serde_json::json!({ "y": [1.5, null, "'"] }));
        if n == 6 {
            record.access_key = None;
            record.created_at = UNIX_EPOCH - Duration::from_micros(1);
            record.version = Version::from_stored(u64::MAX);
        }
        records.push(record);
    }

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    drop(backend);

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &records {
        assert_eq!(*backend.get(&record.id).await.unwrap().unwrap(), *record);
        if let Some(slot) = record.slot {
            let found = backend.find_by_slot(&record.user_id, slot).await.unwrap().unwrap();
            assert_eq!(*found, *record);
        }
    }
}

#[tokio::test]
async fn update_replaces_every_field_but_the_id() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let before = pair("bob", "before");
    insert(&backend, &before).await.unwrap();

    let mut after = pair("amy", "after");
    after.id = before.id.clone();
    after.kind = Kind::new("totp").unwrap();
    after.project_id = Some(ProjectId::new("p").unwrap());
    after.slot = Some(Slot::S3);
    after.status = Status::Inactive;
    after.delegation = Some(Delegation::Other);
    after.attributes.insert("a".into(), 1.into());
    after.created_at += Duration::from_secs(1);
    after.updated_at += Duration::from_secs(2);
    assert!(backend.update(&after.clone().into(), before.version).await.unwrap());
    assert_eq!(*backend.get(&before.id).await.unwrap().unwrap(), after);
}

#[tokio::test]
async fn row_that_is_not_a_credential_is_corrupt_and_its_text_is_not_repeated() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    let other = Connection::open(&path).unwrap();

    let columns = ["material", "status", "slot", "delegation", "attributes"];
    for column in columns {
        let garbage = format!("UPDATE records SET {column} = '[\"hush\"'");
        other.execute_batch(&garbage).unwrap();

        let error = backend.get(&record.id).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_)), "{column}: {error:?}");
        assert!(
            full_text(&error).contains(column) && !full_text(&error).contains("hush"),
            "{error:?}"
        );
        let error = backend.list(&ListQuery::new(Order::Key)).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_)), "{column}: {error:?}");

        assert!(backend.update(&record.clone().into(), record.version).await.unwrap());
        assert!(is_stored(&backend, &record).await);
    }
}

#[tokio::test]
async fn page_examines_a_bounded_number_of_rows_and_returns_where_to_continue() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let wanted = ProjectId::new("wanted").unwrap();
    let mut last = pair("bob", "zzz-last");
    last.project_id = Some(wanted.clone());
    insert(&backend, &last).await.unwrap();
    let fill = async |range: std::ops::Range<usize>| {
        let records: Vec<_> = range.map(|n| pair("bob", &format!("key-{n:04}"))).collect();
        let inserts = records.into_iter().map(|record| {
            let backend = backend.clone();
            tokio::spawn(async move { insert(&backend, &record).await.unwrap() })
        });
        for insert in inserts.collect::<Vec<_>>() {
            insert.await.unwrap();
        }
    };
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(last.user_id.clone());
    query.project_id = Some(wanted);

    // The last row is the last one within the bound: no `next`.
    fill(1..ListQuery::MAX_EXAMINED).await;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next), (1, None));

    // With one more row, the last one is beyond the bound.
    fill(0..1).await;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next.as_deref()), (0, Some("akey-1999")));
    query.after = page.next;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next), (1, None));

    // A full page has a `next` only if a later record passes the filters.
    let mut query = ListQuery::new(Order::Key).with_limit(2);
    query.before = Some("akey-0003".into());
    let page = backend.list(&query).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("akey-0001"));
    query.before = Some("akey-0002".into());
    assert_eq!(backend.list(&query).await.unwrap().next, None);
}
