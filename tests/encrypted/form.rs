//! The format on disk must never change: texts that another program sealed are opened
//! (Python's `cryptography`, following the module's documentation).

use std::{sync::Arc, time::UNIX_EPOCH};

use tower_credentials::{
    backend::{
        CredentialBackend,
        encrypted::{Encrypted, KeyRing},
        memory::MemoryBackend,
    },
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
        Status, UserId, Version,
    },
};

use crate::{REGISTER, as_text, get, insert};

const SEALED: &str = "tower-sealed:1:2026-11:ZGVmZ2hpamtsbW5vAd-ye41Nyc2ZKWyktK9Pb49Lr-xMtHNhXcEfELd\
                      Q_hWCyEtXmMZtvYw9LZgpJTSlm5Yl";

const SEALED_BLOB: &str = "tower-sealed:1:2026-11:MjM0NTY3ODk6Ozw9HWuxPp3kMfNhCMLereKRZ3LlwN9KjvaP8GBFzRnAw3fI\
                           uK7gYA";

const REGISTERED: &str = r#"{"format":1,"keys":[{"id":"2026-11","check":"8b3bef376c9a5d84cda3a366338f9773","retiring":false}],"plain":false,"seals":["tower-sealed:1:2026-11:yMnKy8zNzs_Q0dLT1EHcp-qbY9As83njulC0_0vFGy0kNvBRpVFiYniw6RxEHr4Ab81SYBc_Vyy23KZ1Vx4LCWn6jAdZYgkSY6Djb2bneaT66LDtXp-dzdVZmsPeVKmjUTr-HkH6PPPhJTJuE9Y5YxmIxu1gn5oAvcL_GpRdFumF0BFam4ow5RF7fVM"]}"#;

/// 00 01 02 .. 1f.
const LINE: &str = "2026-11 = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A record with every field that the text is bound to.
fn record() -> Credential {
    let mut record = Credential::new(
        CredentialId::from_stored("an id"),
        Kind::ec2(),
        UserId::new("a user").unwrap(),
        Material::KeyPair { secret: None },
        UNIX_EPOCH,
        Version::from_stored(1 << 62),
    );
    record.project_id = Some(ProjectId::new("a project").unwrap());
    record.slot = Some(Slot::S3);
    record.access_key = Some(AccessKey::new("an-access-key").unwrap());
    record.status = Status::Inactive;
    record.delegation = Some(Delegation::Trust { id: "t1".into() });
    as_text(&mut record, SEALED);
    record
}

fn register() -> Credential {
    let mut register = Credential::new(
        CredentialId::from_stored(REGISTER),
        Kind::from_stored("tower-sealed-keys"),
        UserId::from_stored("tower-sealed-keys"),
        Material::KeyPair { secret: None },
        UNIX_EPOCH,
        Version::from_stored(7),
    );
    as_text(&mut register, REGISTERED);
    register
}

#[tokio::test]
async fn store_that_another_program_sealed_is_opened() {
    let store = MemoryBackend::default();
    insert(&store, &register()).await;
    insert(&store, &record()).await;
    let mut opaque = Credential::new(
        CredentialId::from_stored("a blob"),
        Kind::from_stored("totp"),
        UserId::new("a user").unwrap(),
        Material::KeyPair { secret: None },
        UNIX_EPOCH,
        Version::from_stored(5),
    );
    as_text(&mut opaque, SEALED_BLOB);
    insert(&store, &opaque).await;
    let encrypted = Encrypted::open(store, KeyRing::parse(LINE).unwrap()).await.unwrap();
    let opened = get(&encrypted, &record()).await.unwrap();
    assert_eq!(opened.secret_key().unwrap().expose(), "a secret");
    assert_eq!(opened.status, Status::Inactive);
    let opened = get(&encrypted, &opaque).await.unwrap();
    assert_eq!(opened.material, Material::Blob(Blob::new("opaque \"text\" ä")));
}

#[tokio::test]
async fn written_register_has_the_documented_format() {
    let store = MemoryBackend::default();
    Encrypted::open(store.clone(), KeyRing::parse(LINE).unwrap()).await.unwrap();
    let id = CredentialId::from_stored(REGISTER);
    let written = store.get(&id).await.unwrap().unwrap();
    let Material::Blob(blob) = &written.material else { panic!("no text") };
    let (state, _) = REGISTERED.split_once(",\"seals\"").unwrap();
    assert!(blob.expose().starts_with(state), "{}", blob.expose());
    let mut expected = register();
    expected.version = written.version;
    expected.material = written.material.clone();
    assert_eq!(written, Arc::new(expected));
}
