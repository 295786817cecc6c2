//! Which rings open a store, and the errors for the others.

use std::{error::Error as _, fs, os::unix::fs::PermissionsExt, sync::Arc};

use async_trait::async_trait;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, OpenError, OpenErrorKind,
        encrypted::{Encrypted, KeyError, KeyErrorKind, KeyProvider, KeyRing},
        memory::MemoryBackend,
    },
    domain::{CredentialId, Quota},
};

use crate::{REGISTER, as_text, get, insert, open, pair, ring, sealed, tamper, text};

async fn refused(store: &MemoryBackend, ring: impl KeyProvider) -> OpenError {
    Encrypted::open(store.clone(), ring).await.unwrap_err()
}

#[tokio::test]
async fn ring_without_keys_in_use_is_rejected_and_they_are_named() {
    let (store, _) = sealed(&["k1"]).await;
    open(&store, &["k1", "k2"]).await;
    let error = refused(&store, ring(&["k3"])).await;
    assert_eq!(error.kind(), OpenErrorKind::MissingKey);
    assert!(error.to_string().ends_with("sealed with: k1, k2"), "{error}");
    let error = refused(&store, ring(&["k2", "k3"])).await;
    assert!(error.to_string().ends_with("sealed with: k1"), "{error}");
    // The rejected rings changed nothing.
    let encrypted = open(&store, &["k1", "k2"]).await;
    assert_eq!(encrypted.keys_in_use().await.unwrap(), ["k1", "k2"]);
}

#[tokio::test]
async fn another_key_under_the_id_of_a_key_in_use_is_rejected() {
    let (store, encrypted) = sealed(&["k1"]).await;
    insert(&encrypted, &pair("alice", "key")).await;
    let error = refused(&store, KeyRing::new("k1", &[9; 32]).unwrap()).await;
    assert_eq!(error.kind(), OpenErrorKind::WrongKey);
    assert!(error.to_string().contains("another key under the id k1"), "{error}");
}

#[tokio::test]
async fn unused_key_may_be_missing_or_change() {
    let (store, _) = sealed(&["k1", "k2"]).await;
    open(&store, &["k2"]).await;
    let other = KeyRing::new("k1", &[9; 32]).unwrap();
    let key = [&b"k2"[..], &[7; 30]].concat();
    let other = other.with_newest("k2", &key.try_into().unwrap()).unwrap();
    Encrypted::open(store, other).await.unwrap();
}

#[derive(Debug)]
struct Broken;

#[async_trait]
impl KeyProvider for Broken {
    async fn key_ring(&self) -> Result<KeyRing, KeyError> {
        Err(KeyError::unavailable("the key service timed out", "timeout"))
    }
}

#[tokio::test]
async fn failed_key_provider_opens_and_writes_nothing() {
    let store = MemoryBackend::default();
    let error = refused(&store, Broken).await;
    assert_eq!(error.kind(), OpenErrorKind::KeysUnavailable);
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "the key service timed out");
    assert!(store.get(&CredentialId::from_stored(REGISTER)).await.unwrap().is_none());
    let provider: Arc<dyn KeyProvider> = Arc::new(ring(&["k"]));
    Encrypted::open(store, provider).await.unwrap();
    for empty in ["", "# nothing\n", ";"] {
        let error = KeyRing::parse(empty).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Invalid);
        assert_eq!(error.to_string(), "the key ring has no key");
    }
}

#[test]
fn key_file_is_read_if_only_its_owner_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let line = KeyRing::generate_key("2026").unwrap();
    fs::write(&path, format!("# the key\n{}\n", line.expose())).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o620, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyRing::from_file(&path).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Exposed, "{mode:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ring = KeyRing::from_file(&path).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["2026"]);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "2026 = tooshort").unwrap();
    let error = KeyRing::from_file(&path).unwrap_err();
    assert!(error.to_string().contains("ring: line 1"), "{error}");
    assert!(!error.to_string().contains("tooshort"), "{error}");
    let missing = KeyRing::from_file(folder.path().join("none")).unwrap_err();
    assert_eq!(missing.kind(), KeyErrorKind::Inaccessible);
}

#[test]
fn unset_or_invalid_variable_is_rejected() {
    let error = KeyRing::from_env("SURELY_NOT_SET").unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Inaccessible);
    assert!(error.to_string().contains("SURELY_NOT_SET"), "{error}");
    let error = KeyRing::from_env("PATH").unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Invalid);
    assert!(error.to_string().starts_with("PATH: line 1"), "{error}");
    assert!(!error.to_string().contains("/bin"), "{error}");
}

#[tokio::test]
async fn altered_register_is_rejected() {
    let id = CredentialId::from_stored(REGISTER);
    let mut register = pair("x", "x");
    register.id = id.clone();
    for (from, to) in [
        ("\"plain\":false", "\"plain\":true"),
        ("\"retiring\":false", "\"retiring\":true"),
        (":k2:", ":k3:"),
        ("{\"format\"", "{\"Format\""),
        ("\"seals\":[", "\"seals\":[],\"x\":["),
    ] {
        let (store, _) = sealed(&["k2"]).await;
        let whole = text(&store, &register).await;
        let altered = whole.replace(from, to);
        assert_ne!(altered, whole, "{from}");
        tamper(&store, &id, |it| as_text(it, altered)).await;
        let error = refused(&store, ring(&["k2"])).await;
        assert_eq!(error.kind(), OpenErrorKind::Corrupt, "{from}: {error}");
    }
}

#[tokio::test]
async fn register_of_a_later_release_is_rejected_as_newer() {
    let (store, _) = sealed(&["k"]).await;
    let id = CredentialId::from_stored(REGISTER);
    tamper(&store, &id, |it| as_text(it, r#"{"format":2,"anything":"else"}"#)).await;
    assert_eq!(refused(&store, ring(&["k"])).await.kind(), OpenErrorKind::Newer);
    tamper(&store, &id, |it| as_text(it, "no register")).await;
    assert_eq!(refused(&store, ring(&["k"])).await.kind(), OpenErrorKind::Corrupt);
}

#[tokio::test]
async fn sealed_store_without_its_register_is_rejected_and_accepts_no_writes() {
    let (store, encrypted) = sealed(&["k"]).await;
    insert(&encrypted, &pair("alice", "key")).await;
    let id = CredentialId::from_stored(REGISTER);
    let register = store.get(&id).await.unwrap().unwrap();
    assert!(store.delete(&id, register.version).await.unwrap());
    let error = refused(&store, ring(&["k"])).await;
    assert_eq!(error.kind(), OpenErrorKind::Corrupt);
    assert!(error.to_string().contains(REGISTER), "{error}");

    let [first, second] = ["one", "two"].map(|key| pair("alice", key));
    for record in [&first, &second] {
        let error = encrypted.insert(&Arc::new(record.clone()), Quota::Unlimited).await;
        assert!(matches!(error, Err(BackendError::Unavailable(_))), "{error:?}");
    }
    // The first write may have happened; the second was rejected before it started.
    assert!(get(&store, &second).await.is_none());
    insert(&store, &register).await;
    insert(&encrypted, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrently_started_servers_agree() {
    for _ in 0..20 {
        let store = MemoryBackend::default();
        let starting: Vec<_> = [["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]]
            .into_iter()
            .map(|ids| {
                let store = store.clone();
                tokio::spawn(async move { open(&store, &ids).await })
            })
            .collect();
        for (index, started) in starting.into_iter().enumerate() {
            let encrypted = started.await.unwrap();
            let record = pair("alice", &format!("key-{index}"));
            insert(&encrypted, &record).await;
            let mut in_use = open(&store, &["a", "b"]).await.keys_in_use().await.unwrap();
            in_use.sort();
            assert!(in_use == ["a", "b"] || index < 3, "{in_use:?}");
        }
        assert!(Encrypted::open(store.clone(), ring(&["a"])).await.is_err());
        assert!(Encrypted::open(store, ring(&["b"])).await.is_err());
    }
}
