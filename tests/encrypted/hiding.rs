//! The store contains no secret, and the register is hidden.

use std::{fs, path::Path, sync::Arc};

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Order, encrypted::Encrypted,
        memory::MemoryBackend, sqlite::SqliteBackend,
    },
    domain::{
        Blob, CredentialId, Kind, Material, PasswordHash, Quota, SecretKey, SecretText, UserId,
    },
};

use crate::{REGISTER, by_id, get, ids, insert, open, pair, ring, sealed};

fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn file_contains_no_secret_of_any_form() {
    let hash = PasswordHash::derive(&SecretText::new("correct horse")).unwrap();
    let materials = [
        Material::KeyPair { secret: Some(SecretKey::new("PAIR-SECRET").unwrap()) },
        Material::Blob(Blob::new(r#"{"access": "b", "secret": "BLOB-SECRET"}"#)),
        Material::Grant {
            username: "GRANT-NAME".into(),
            secret: SecretKey::new("GRANT-SECRET").unwrap(),
            signature: SecretText::new("GRANT-SIGNATURE"),
        },
        Material::Password { username: "PASSWORD-NAME".into(), hash },
    ];
    let words = ["SECRET", "GRANT", "PASSWORD-NAME", "pbkdf2", "\"form\":\"pair"];
    for is_sealed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
        let backend: Arc<dyn CredentialBackend> = if is_sealed {
            Arc::new(Encrypted::open(store, ring(&["k"])).await.unwrap())
        } else {
            Arc::new(store)
        };
        for (index, material) in materials.iter().enumerate() {
            let mut record = pair("alice", &format!("key-{index}"));
            record.material = material.clone();
            insert(&backend, &record).await;
            assert_eq!(*get(&backend, &record).await.unwrap(), record);
        }
        drop(backend);
        for word in words {
            assert_eq!(holds(folder.path(), word), !is_sealed, "{word}");
        }
        assert!(holds(folder.path(), "key-3"));
    }
}

#[tokio::test]
async fn equal_secrets_are_sealed_to_different_texts() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted, &record).await;
    let one = crate::text(&store, &record).await;
    assert!(encrypted.delete(&record.id, record.version).await.unwrap());
    insert(&encrypted, &record).await;
    assert_ne!(one, crate::text(&store, &record).await);
}

#[tokio::test]
async fn register_is_hidden_and_cannot_be_changed() {
    let (store, encrypted) = sealed(&["k"]).await;
    let id = CredentialId::from_stored(REGISTER);
    let register = store.get(&id).await.unwrap().unwrap();
    assert!(encrypted.get(&id).await.unwrap().is_none());
    assert!(!encrypted.delete(&id, register.version).await.unwrap());
    assert!(!encrypted.update(&register, register.version).await.unwrap());
    assert_eq!(encrypted.purge_user(&register.user_id).await.unwrap(), 0);
    let taken = encrypted.insert(&register, Quota::Unlimited).await.unwrap_err();
    assert!(matches!(taken, BackendError::AlreadyExists));
    // No record can be hidden with it either.
    let mut hidden = pair(register.user_id.as_str(), "hidden");
    let taken = encrypted.insert(&Arc::new(hidden.clone()), Quota::Unlimited).await.unwrap_err();
    assert!(matches!(taken, BackendError::AlreadyExists));
    hidden.user_id = UserId::new("alice").unwrap();
    insert(&encrypted, &hidden).await;
    hidden.user_id = register.user_id.clone();
    let version = hidden.version;
    let taken = encrypted.update(&Arc::new(hidden), version).await.unwrap_err();
    assert!(matches!(taken, BackendError::AlreadyExists));
    assert_eq!(store.get(&id).await.unwrap(), Some(register));
}

#[tokio::test]
async fn lists_are_the_same_as_without_the_register() {
    // Ids before and after the register's, also with no record after the register.
    let spellings = ["\u{1}", " ", "!", "!s", "!tower-sealed-key", "!tower-sealed-keys0", "0", "~"];
    for many in 0..=spellings.len() {
        for behind in [0, spellings.len() - many] {
            let chosen = &spellings[behind..behind + many];
            let (plain, (_, encrypted)) = (MemoryBackend::default(), sealed(&["k"]).await);
            for id in chosen {
                let mut record = pair("alice", &format!("key{}", id.len()));
                record.access_key = None;
                record.project_id = None;
                record.id = CredentialId::from_stored(*id);
                insert(&plain, &record).await;
                insert(&encrypted, &record).await;
            }
            let marks = [None, Some(""), Some("!s"), Some(REGISTER), Some("!tower-sealed-keys0")];
            for (after, before) in
                marks.into_iter().flat_map(|after| marks.map(|before| (after, before)))
            {
                for limit in [1, 2, 1_000] {
                    for kind in
                        [None, Some(Kind::ec2()), Some(Kind::from_stored("tower-sealed-keys"))]
                    {
                        let mut query = by_id().with_limit(limit);
                        query.kind = kind;
                        query.after = after.map(Into::into);
                        query.before = before.map(Into::into);
                        assert_pages_end_alike(&plain, &encrypted, &query).await;
                    }
                }
            }
        }
    }
}

/// Asserts that the lists are equal. Only the first page may be empty, unless the store
/// without a register has an empty page there too.
async fn assert_pages_end_alike(
    plain: &MemoryBackend,
    encrypted: &Encrypted<MemoryBackend>,
    query: &ListQuery,
) {
    assert_eq!(ids(encrypted, query.clone()).await, ids(plain, query.clone()).await, "{query:?}");
    let mut rest = query.clone();
    loop {
        let page = encrypted.list(&rest).await.unwrap();
        assert!(page.credentials.len() <= query.limit());
        let Some(next) = page.next else { return };
        rest.after = Some(next);
        let follows = !ids(plain, rest.clone()).await.is_empty();
        assert!(follows, "the next page is empty: {rest:?}");
    }
}

#[tokio::test]
async fn register_has_no_owner() {
    let (_, encrypted) = sealed(&["k"]).await;
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(UserId::from_stored("tower-sealed-keys"));
    let page = encrypted.list(&query).await.unwrap();
    assert!(page.credentials.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn page_of_sealed_records_is_as_long_as_of_plain_ones() {
    for length in [300, 60_000, 300_000] {
        let (plain, (_, encrypted)) = (MemoryBackend::default(), sealed(&["k"]).await);
        for index in 0..30 {
            let mut record = pair("alice", &format!("key-{index:02}"));
            record.material = Material::Blob(Blob::new("x".repeat(length + index)));
            insert(&plain, &record).await;
            insert(&encrypted, &record).await;
        }
        for limit in [7, 1_000] {
            let mut query = by_id().with_limit(limit);
            loop {
                let [one, two] =
                    [plain.list(&query).await.unwrap(), encrypted.list(&query).await.unwrap()];
                assert_eq!((&one.credentials, &one.next), (&two.credentials, &two.next));
                let Some(next) = one.next else { break };
                query.after = Some(next);
            }
        }
    }
}

#[tokio::test]
async fn handles_and_clones_share_one_store() {
    let (store, encrypted) = sealed(&["k"]).await;
    let record = pair("alice", "key");
    insert(&encrypted.clone(), &record).await;
    assert_eq!(*get(&open(&store, &["k"]).await, &record).await.unwrap(), record);
}
