//! Compares what `Encrypted` adds to a write and a read with the bare AEAD call on the same bytes.
//!
//! The store below keeps one record, so that only the sealing is measured.
//!
//! `cargo bench --bench encrypted`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    hint::black_box,
    sync::{Arc, Mutex},
    time::Instant,
};

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use sha2::Sha256;
use test_support::{bench, records};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Page,
        encrypted::{Encrypted, KeyRing},
    },
    domain::{
        AccessKey, Blob, Credential, CredentialId, Material, ProjectId, Quota, SecretKey, Slot,
        UserId, Version,
    },
};

const KEY: [u8; 32] = [7; 32];
const REGISTER: &str = "!tower-sealed-keys";
const BATCH: usize = 64;
const BATCH_F64: f64 = 64.0;
const ROUNDS: usize = 2_000;

/// A store for one record, and for the record of the keys in use.
#[derive(Debug, Default)]
struct Two {
    register: Mutex<Option<Arc<Credential>>>,
    record: Mutex<Option<Arc<Credential>>>,
}

impl Two {
    fn slot(&self, id: &CredentialId) -> &Mutex<Option<Arc<Credential>>> {
        if id.as_str() == REGISTER { &self.register } else { &self.record }
    }
}

#[async_trait]
impl CredentialBackend for Two {
    async fn insert(&self, credential: &Arc<Credential>, _: Quota) -> Result<(), BackendError> {
        *self.slot(&credential.id).lock().unwrap() = Some(Arc::clone(credential));
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        let mut slot = self.slot(id).lock().unwrap();
        // Like a store that reads a row: nobody else has the record.
        Ok(if id.as_str() == REGISTER { slot.clone() } else { slot.take() })
    }

    async fn find_by_access_key(
        &self,
        _: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(self.record.lock().unwrap().clone())
    }

    async fn find_by_slot(
        &self,
        _: &UserId,
        _: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        Ok(None)
    }

    async fn list(&self, _: &ListQuery) -> Result<Page, BackendError> {
        Ok(Page::default())
    }

    async fn update(&self, _: &Arc<Credential>, _: Version) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn rotate(
        &self,
        _: &Arc<Credential>,
        _: Quota,
        _: &Arc<Credential>,
        _: Version,
    ) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn delete(&self, _: &CredentialId, _: Version) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn purge_user(&self, _: &UserId) -> Result<u64, BackendError> {
        Ok(0)
    }

    async fn purge_project(&self, _: &ProjectId) -> Result<u64, BackendError> {
        Ok(0)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let secret = SecretKey::generate().unwrap();
    let pair = Material::KeyPair { secret: Some(secret) };
    let blob = |length| {
        let filler = "x".repeat(length);
        Material::Blob(Blob::new(format!(r#"{{"access": "a", "secret": "{filler}"}}"#)))
    };
    for (name, material) in [
        ("a key pair", pair),
        ("a short blob", blob(100)),
        ("a blob of 1 KiB", blob(1_000)),
        ("a blob of 16 KiB", blob(16_000)),
    ] {
        measure(name, &record(material)).await;
    }
}

async fn measure(name: &str, record: &Arc<Credential>) {
    let store = Arc::new(Two::default());
    let ring = KeyRing::new("2026", &KEY).unwrap();
    let encrypted = Encrypted::open(Arc::clone(&store), ring).await.unwrap();
    let bare = Bare::new(record);
    let id = &record.id;

    // The bare call works on the same bytes.
    encrypted.insert(record, Quota::Unlimited).await.unwrap();
    let sealed = store.get(id).await.unwrap().unwrap();
    bare.assert_opens(&sealed);

    let mut took: [Vec<f64>; 6] = Default::default();
    for round in 0..=ROUNDS {
        let mut times = [0.0; 6];
        let mut index = 0;
        let mut note = |started: Instant| {
            times[index] = started.elapsed().as_secs_f64() * 1e9 / BATCH_F64;
            index += 1;
        };

        let started = Instant::now();
        for _ in 0..BATCH {
            black_box(bare.seal());
        }
        note(started);

        let mut texts: Vec<_> = (0..BATCH).map(|_| bare.seal()).collect();
        let started = Instant::now();
        for text in &mut texts {
            bare.open(black_box(text));
        }
        note(started);

        let started = Instant::now();
        for _ in 0..BATCH {
            encrypted.insert(black_box(record), Quota::Unlimited).await.unwrap();
        }
        note(started);

        let rows: Vec<_> = (0..BATCH).map(|_| Arc::new((*sealed).clone())).collect();
        let started = Instant::now();
        for row in rows {
            *store.record.lock().unwrap() = Some(row);
            black_box(encrypted.get(id).await.unwrap());
        }
        note(started);

        let started = Instant::now();
        for _ in 0..BATCH {
            store.insert(black_box(record), Quota::Unlimited).await.unwrap();
        }
        note(started);

        let rows: Vec<_> = (0..BATCH).map(|_| Arc::new((*sealed).clone())).collect();
        let started = Instant::now();
        for row in rows {
            *store.record.lock().unwrap() = Some(row);
            black_box(store.get(id).await.unwrap());
        }
        note(started);

        if round > 0 {
            for (took, time) in took.iter_mut().zip(times) {
                took.push(time);
            }
        }
    }
    let [bare_seal, bare_open, seal, open, insert, get] = took.map(bench::median);
    let (seal, open) = (seal - insert, open - get);
    println!("{name}: {} bytes sealed, {} bound", bare.plain.len(), bare.identity.len());
    println!("  AEAD alone: seals              {bare_seal:>8.0} ns, opens {bare_open:>8.0} ns");
    println!("  Encrypted adds to a write      {seal:>8.0} ns, to a read {open:>5.0} ns");
    let ratio = (seal + open) / (bare_seal + bare_open);
    println!(
        "  Encrypted / AEAD: seal {:.2}, open {:.2}, both {ratio:.2}   bar: at most 2.00",
        seal / bare_seal,
        open / bare_open,
    );
}

/// The cipher and its arguments.
struct Bare {
    cipher: Aes256GcmSiv,
    nonce: Nonce,
    identity: Vec<u8>,
    plain: String,
}

impl Bare {
    fn new(record: &Credential) -> Self {
        let mut key = [0; 32];
        let keys = Hkdf::<Sha256>::new(None, &KEY);
        keys.expand(b"tower-credentials/1/secrets", &mut key).unwrap();
        Self {
            cipher: Aes256GcmSiv::new(&key.into()),
            nonce: Nonce::default(),
            identity: identity(record),
            plain: match &record.material {
                Material::Blob(blob) => format!("blob:{}", blob.expose()),
                other => other.encode().expose().into(),
            },
        }
    }

    fn seal(&self) -> (Vec<u8>, Tag) {
        let mut buffer = self.plain.as_bytes().to_vec();
        let in_place = buffer.as_mut_slice().into();
        let tag = self.cipher.encrypt_inout_detached(&self.nonce, &self.identity, in_place);
        (buffer, tag.unwrap())
    }

    fn open(&self, (buffer, tag): &mut (Vec<u8>, Tag)) {
        let in_place = buffer.as_mut_slice().into();
        self.cipher.decrypt_inout_detached(&self.nonce, &self.identity, in_place, tag).unwrap();
    }

    fn assert_opens(&self, sealed: &Credential) {
        let Material::Blob(blob) = &sealed.material else { panic!("not sealed") };
        let (_, body) = blob.expose().rsplit_once(':').unwrap();
        let mut bytes = BASE64URL_NOPAD.decode(body.as_bytes()).unwrap();
        let end = bytes.len() - 16;
        let tag = Tag::try_from(&bytes[end..]).unwrap();
        let nonce = Nonce::try_from(&bytes[..12]).unwrap();
        let in_place = (&mut bytes[12..end]).into();
        self.cipher.decrypt_inout_detached(&nonce, &self.identity, in_place, &tag).unwrap();
        assert_eq!(bytes[12..end], *self.plain.as_bytes());
    }
}

/// The data that a sealed text is bound to.
fn identity(record: &Credential) -> Vec<u8> {
    let mut bytes = b"tower-credentials/1/record".to_vec();
    let mut put = |present: Option<bool>, text: &str| {
        bytes.extend(present.map(u8::from));
        if present != Some(false) {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    };
    for text in ["2026", record.id.as_str(), record.kind.as_str(), record.user_id.as_str()] {
        put(None, text);
    }
    put(None, record.status.as_str());
    put(Some(true), record.project_id.as_ref().unwrap().as_str());
    put(Some(false), "");
    put(Some(true), record.access_key.as_ref().unwrap().as_str());
    put(Some(false), "");
    bytes.extend_from_slice(&record.version.get().to_le_bytes());
    bytes
}

fn record(material: Material) -> Arc<Credential> {
    let mut record = records::new_pair_in(bench::PROJECT, bench::USER);
    record.material = material;
    Arc::new(record)
}
