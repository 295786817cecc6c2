//! Changes to the store by another program.

use std::time::{Duration, UNIX_EPOCH};

use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::{
        AccessKey, Credential, CredentialId, Delegation, Kind, ProjectId, Slot, Status, Terms,
        UserId, Version,
    },
};

use crate::{REGISTER, as_text, by_id, corruption, get, insert, pair, sealed, tamper, text};

type Change = fn(&mut Credential);

#[tokio::test]
async fn record_moved_to_another_owner_or_reactivated_is_corrupt() {
    let changes: &[(&str, Change)] = &[
        ("kind", |it| it.kind = Kind::from_stored("totp")),
        ("owner", |it| it.user_id = UserId::new("mallory").unwrap()),
        ("project", |it| it.project_id = Some(ProjectId::new("another").unwrap())),
        ("no project", |it| it.project_id = None),
        ("slot", |it| it.slot = Some(Slot::S3)),
        ("access key", |it| it.access_key = pair("x", "another").access_key),
        ("no access key", |it| it.access_key = None),
        ("status", |it| it.status = Status::Active),
        ("delegation", |it| it.delegation = None),
        ("other delegation", |it| it.delegation = Some(Delegation::Trust { id: "t2".into() })),
        ("version", |it| it.version = it.version.next()),
        ("later expiry", |it| it.terms.set_expires_at(Some(UNIX_EPOCH + Duration::from_secs(9)))),
        ("no expiry", |it| it.terms.set_expires_at(None)),
        ("wider boundary", |it| it.terms.set_boundary(Some(r#"{"buckets":["*"]}"#.into()))),
        ("no boundary", |it| it.terms.set_boundary(None)),
        ("name", |it| it.terms.set_name(Some("another".into())).unwrap()),
        ("no terms", |it| it.terms = Terms::default()),
    ];
    for (name, change) in changes {
        let (store, encrypted) = sealed(&["k"]).await;
        let mut record = pair("alice", "key");
        record.status = Status::Inactive;
        record.delegation = Some(Delegation::Trust { id: "t1".into() });
        record.terms.set_expires_at(Some(UNIX_EPOCH + Duration::from_secs(8)));
        record.terms.set_boundary(Some(r#"{"buckets":["b"]}"#.into()));
        insert(&encrypted, &record).await;
        tamper(&store, &record.id, change).await;
        let reported = corruption(encrypted.get(&record.id).await);
        assert!(
            reported.contains(record.id.as_str()) && reported.contains("altered"),
            "{name}: {reported}"
        );
        corruption(encrypted.list(&by_id()).await);
    }
}

#[tokio::test]
async fn terms_that_are_added_to_a_record_are_detected() {
    let changes: [Change; 3] = [
        |it| it.terms.set_expires_at(Some(UNIX_EPOCH)),
        |it| it.terms.set_boundary(Some("{}".into())),
        |it| it.terms.set_name(Some("a name".into())).unwrap(),
    ];
    for change in changes {
        let (store, encrypted) = sealed(&["k"]).await;
        let record = pair("alice", "key");
        insert(&encrypted, &record).await;
        tamper(&store, &record.id, change).await;
        assert!(corruption(encrypted.get(&record.id).await).contains("altered"));
    }
}

#[tokio::test]
async fn mark_of_a_root_key_is_sealed_with_its_secret() {
    let user = UserId::from_stored("demo");
    let marks = [Some(true), Some(false), None];
    for (mark, other) in marks.into_iter().flat_map(|mark| marks.map(|other| (mark, other))) {
        if mark == other {
            continue;
        }
        let (store, encrypted) = sealed(&["k"]).await;
        let mut record = pair(user.as_str(), "key");
        record.project_id = Some(ProjectId::from_stored("demo"));
        record.root_key = mark;
        insert(&encrypted, &record).await;
        assert_eq!(get(&encrypted, &record).await.unwrap().root_key, mark);
        tamper(&store, &record.id, |it| it.root_key = other).await;
        let reported = corruption(encrypted.get(&record.id).await);
        assert!(reported.contains("altered"), "{mark:?} as {other:?}: {reported}");
    }
}

#[tokio::test]
async fn attributes_and_times_are_not_sealed() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    tamper(&store, &record.id, |it| {
        it.attributes.insert("name".into(), "another".into());
        it.updated_at += Duration::from_secs(1);
    })
    .await;
    assert_eq!(get(&encrypted, &record).await.unwrap().attributes["name"], "another");
}

#[tokio::test]
async fn swapped_secrets_are_corrupt_and_the_others_are_not() {
    let (store, encrypted) = sealed(&["k"]).await;
    let records = [pair("alice", "a"), pair("alice", "b"), pair("alice", "c")];
    for record in &records {
        insert(&encrypted, record).await;
    }
    let (one, two) = (text(&store, &records[0]).await, text(&store, &records[1]).await);
    tamper(&store, &records[0].id, |it| as_text(it, two)).await;
    tamper(&store, &records[1].id, |it| as_text(it, one)).await;
    for record in &records[..2] {
        corruption(encrypted.get(&record.id).await);
        corruption(encrypted.find_by_access_key(record.access_key.as_ref().unwrap()).await);
    }
    assert_eq!(*get(&encrypted, &records[2]).await.unwrap(), records[2]);
}

#[tokio::test]
async fn truncated_or_altered_text_is_corrupt() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    let whole = text(&store, &record).await;
    let start = "tower-sealed:1:k:".len();
    for at in 0..whole.len() {
        tamper(&store, &record.id, |it| as_text(it, &whole[..at])).await;
        corruption(encrypted.get(&record.id).await);
        let mut flipped = whole.clone();
        let other = if &whole[at..=at] == "A" { "B" } else { "A" };
        flipped.replace_range(at..=at, other);
        tamper(&store, &record.id, |it| as_text(it, flipped)).await;
        corruption(encrypted.get(&record.id).await);
    }
    for other in [format!("{whole}A"), format!("{whole}AAAA"), whole[..start].into()] {
        tamper(&store, &record.id, |it| as_text(it, other)).await;
        corruption(encrypted.get(&record.id).await);
    }
    tamper(&store, &record.id, |it| as_text(it, &*whole)).await;
    assert_eq!(*get(&encrypted, &record).await.unwrap(), record);
}

#[tokio::test]
async fn plain_record_among_sealed_ones_is_corrupt() {
    let (store, encrypted) = sealed(&["k"]).await;
    let smuggled = pair("root", "smuggled");
    insert(&store, &smuggled).await;
    let reported = corruption(encrypted.get(&smuggled.id).await);
    assert!(reported.contains("not sealed"), "{reported}");
    let mut blob = pair("root", "blob");
    as_text(&mut blob, r#"{"access": "blob", "secret": "s"}"#);
    insert(&store, &blob).await;
    corruption(encrypted.find_by_access_key(blob.access_key.as_ref().unwrap()).await);
}

#[tokio::test]
async fn blob_that_looks_sealed_is_sealed_like_any_other() {
    let (store, encrypted) = sealed(&["k"]).await;
    let (one, mut two) = (pair("alice", "a"), pair("alice", "b"));
    insert(&encrypted, &one).await;
    let stolen = text(&store, &one).await;
    as_text(&mut two, stolen);
    insert(&encrypted, &two).await;
    assert_eq!(*get(&encrypted, &two).await.unwrap(), two);
}

#[tokio::test]
async fn errors_contain_neither_secret_nor_sealed_text() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    let whole = text(&store, &record).await;
    tamper(&store, &record.id, |it| it.user_id = UserId::new("bob").unwrap()).await;
    let error = encrypted.get(&record.id).await.unwrap_err();
    let reported = format!("{error} {error:?} {encrypted:?}");
    assert!(!reported.contains(&whole[20..]) && !reported.contains("the secret of"), "{reported}");
}

#[tokio::test]
async fn record_in_place_of_the_register_is_not_returned() {
    let (store, encrypted) = sealed(&["k"]).await;
    tamper(&store, &CredentialId::from_stored(REGISTER), |it| {
        it.access_key = pair("x", "key").access_key;
    })
    .await;
    let key = pair("x", "key").access_key.unwrap();
    assert!(encrypted.find_by_access_key(&key).await.unwrap().is_none());
}

/// Two letters, distributed over the texts of a record in every way, with and without the
/// optional texts: no record opens another's text.
#[tokio::test]
async fn sealed_text_opens_only_in_its_own_record() {
    let spread = |letters: [usize; 5], absent: [bool; 2]| {
        let [id, kind, user, project, key] = letters.map(|count| "a".repeat(count));
        let mut record = pair("x", "y");
        record.id = CredentialId::from_stored(id);
        record.kind = Kind::from_stored(kind);
        record.user_id = UserId::from_stored(user);
        record.project_id = (!absent[0]).then(|| ProjectId::from_stored(project));
        record.access_key = (!absent[1]).then(|| AccessKey::from_stored(key));
        record.version = Version::from_stored(1);
        record
    };
    let mut records = Vec::new();
    for one in 0..5 {
        for two in one..5 {
            let mut letters = [0; 5];
            letters[one] += 1;
            letters[two] += 1;
            for absent in [[false, false], [false, true], [true, false], [true, true]] {
                if (0..2).all(|index| !absent[index] || letters[3 + index] == 0) {
                    records.push(spread(letters, absent));
                }
            }
        }
    }
    assert_eq!(records.len(), 41);
    for sealed_for in &records {
        let (store, encrypted) = sealed(&["k"]).await;
        insert(&encrypted, sealed_for).await;
        let stolen = text(&store, sealed_for).await;
        take_away(&store, sealed_for).await;
        for record in &records {
            let mut forged = record.clone();
            as_text(&mut forged, &*stolen);
            insert(&store, &forged).await;
            match encrypted.get(&record.id).await {
                Ok(opened) => {
                    assert_eq!(opened.as_deref(), Some(sealed_for));
                    assert_eq!(record, sealed_for);
                }
                error => {
                    corruption(error);
                    assert_ne!(record, sealed_for);
                }
            }
            take_away(&store, record).await;
        }
    }
}

async fn take_away(store: &MemoryBackend, record: &Credential) {
    assert!(store.delete(&record.id, record.version).await.unwrap());
}
