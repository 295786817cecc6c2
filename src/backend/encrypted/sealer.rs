//! Sealing and opening with the keys of a ring.

use std::{fmt, sync::Arc};

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag, aead::inout::InOutBuf};
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::Rng as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::{Unopened, Unreadable};
use super::ring::KeyRing;
use super::text::{self, NONCE, SealedText, TAG};
use crate::domain::{
    AccessKey, Blob, Credential, Delegation, Material, ProjectId, Slot, Terms, to_micros,
};

/// The purposes of the keys that are derived from a key of the ring. These texts are on disk.
const FOR_SECRETS: &[u8] = b"tower-credentials/1/secrets";
const FOR_NONCES: &[u8] = b"tower-credentials/1/nonces";
const FOR_CHECK: &[u8] = b"tower-credentials/1/check";

/// Starts a sealed blob, before the blob's own text, which may be long and needs no other
/// encoding. Other material is sealed as [`Material::encode`] writes it, starting with a
/// brace. This is on disk.
const BLOB: &str = "blob:";

/// The number of bytes that distinguish a key from another one with its id.
const CHECK: usize = 16;

/// Seals with the newest key of a ring, and opens with any key.
pub(super) struct Sealer {
    /// Not empty; the newest key last.
    keys: Vec<SealingKey>,
}

/// The keys that are derived from one key of the ring.
pub(super) struct SealingKey {
    pub(super) id: String,
    /// Distinguishes this key from another one with its id, and reveals nothing else.
    pub(super) check: String,
    cipher: Aes256GcmSiv,
    nonces: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(super) fn new(ring: &KeyRing) -> Self {
        Self { keys: ring.keys().iter().map(|key| SealingKey::new(&key.id, &key.bytes)).collect() }
    }

    pub(super) fn keys(&self) -> &[SealingKey] {
        &self.keys
    }

    pub(super) fn newest(&self) -> &SealingKey {
        self.keys.last().expect("a ring is never empty")
    }

    pub(super) fn key(&self, id: &str) -> Option<&SealingKey> {
        self.keys.iter().rev().find(|key| key.id == id)
    }

    /// Returns the record as the store below stores it.
    pub(super) fn seal(&self, credential: &Credential) -> Arc<Credential> {
        self.seal_with(credential, |_| random_nonce())
    }

    /// Like [`seal`](Self::seal), but seals equal records to equal texts, so that a store
    /// recognizes a record that it already has.
    pub(super) fn seal_repeatably(&self, credential: &Credential) -> Arc<Credential> {
        self.seal_with(credential, |plain| self.newest().nonce_for(credential, plain))
    }

    fn seal_with(
        &self,
        credential: &Credential,
        nonce: impl FnOnce(&[&str]) -> Nonce,
    ) -> Arc<Credential> {
        let seal = |plain: &[&str]| self.newest().seal(credential, plain, nonce(plain));
        let text = match &credential.material {
            Material::Blob(blob) => seal(&[BLOB, blob.expose()]),
            other => seal(&[other.encode().expose()]),
        };
        Arc::new(with_material(credential, Material::Blob(Blob::new(text))))
    }

    /// Returns the record as it was before it was sealed.
    ///
    /// A record that is not sealed is [`Unopened::Plain`].
    pub(super) fn open(&self, sealed: Arc<Credential>) -> Result<Arc<Credential>, Unreadable> {
        match self.material(&sealed) {
            Ok(material) => Ok(Arc::new(match Arc::try_unwrap(sealed) {
                Ok(record) => Credential { material, ..record },
                Err(shared) => with_material(&shared, material),
            })),
            Err(why) => Err(Unreadable { id: sealed.id.as_str().into(), why }),
        }
    }

    fn material(&self, sealed: &Credential) -> Result<Material, Unopened> {
        let Material::Blob(blob) = &sealed.material else { return Err(Unopened::Plain) };
        let mut plain = self.open_text(sealed, blob.expose())?;
        if plain[NONCE..].starts_with(BLOB.as_bytes()) {
            // Moved, not copied: the blob wipes it.
            let mut text = std::mem::take(&mut *plain);
            text.drain(..NONCE + BLOB.len());
            let text = String::from_utf8(text).map_err(|_| Unopened::Malformed)?;
            return Ok(Material::Blob(Blob::new(text)));
        }
        let text = str::from_utf8(&plain[NONCE..]).map_err(|_| Unopened::Malformed)?;
        Material::decode(text).map_err(|_| Unopened::Malformed)
    }

    /// Opens a text that was sealed for this record; the content follows the bytes of the
    /// nonce.
    pub(super) fn open_text(
        &self,
        record: &Credential,
        text: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let text = SealedText::parse(text)?;
        let key = self.key(text.key_id).ok_or_else(|| Unopened::Key(text.key_id.into()))?;
        key.open(record, &text)
    }
}

impl SealingKey {
    fn new(id: &str, bytes: &[u8; 32]) -> Self {
        let keys = Hkdf::<Sha256>::new(None, bytes);
        let derive = |purpose, derived: &mut [u8]| {
            keys.expand(purpose, derived).expect("32 bytes are never too many");
        };
        let (mut secrets, mut nonces) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let mut check = [0; CHECK];
        derive(FOR_SECRETS, &mut *secrets);
        derive(FOR_NONCES, &mut *nonces);
        derive(FOR_CHECK, &mut check);
        let cipher = Aes256GcmSiv::new((&*secrets).into());
        Self { id: id.into(), check: HEXLOWER.encode(&check), cipher, nonces }
    }

    /// Seals these texts, concatenated, so that only this key opens them, and only for this
    /// record.
    pub(super) fn seal(&self, record: &Credential, plain: &[&str], nonce: Nonce) -> String {
        let identity = identity(&self.id, record);
        let length: usize = plain.iter().map(|part| part.len()).sum();
        // Allocated once: a growing buffer would leave copies behind.
        let mut sealed = Vec::with_capacity(NONCE + length + TAG);
        sealed.extend_from_slice(&nonce);
        for part in plain {
            sealed.extend_from_slice(part.as_bytes());
        }
        let in_place = InOutBuf::from(&mut sealed[NONCE..]);
        let tag = self.cipher.encrypt_inout_detached(&nonce, &identity, in_place);
        sealed.extend_from_slice(&tag.expect("a record is shorter than 64 GiB"));
        text::write(&self.id, &sealed)
    }

    fn open(
        &self,
        record: &Credential,
        text: &SealedText<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut sealed = Zeroizing::new(text.decode()?);
        let end = sealed.len() - TAG;
        let (rest, tag) = sealed.split_at_mut(end);
        let (nonce, body) = rest.split_at_mut(NONCE);
        let (Ok(nonce), Ok(tag)) = (Nonce::try_from(&*nonce), Tag::try_from(&*tag)) else {
            return Err(Unopened::Malformed);
        };
        let identity = identity(&self.id, record);
        self.cipher
            .decrypt_inout_detached(&nonce, &identity, body.into(), &tag)
            .map_err(|_| Unopened::Altered)?;
        sealed.truncate(end);
        Ok(sealed)
    }

    fn nonce_for(&self, record: &Credential, plain: &[&str]) -> Nonce {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.nonces).expect("any length will do");
        // The identity contains the lengths of its parts, so that the input is unambiguous.
        mac.update(&identity(&self.id, record));
        for part in plain {
            mac.update(part.as_bytes());
        }
        let mut nonce = Nonce::default();
        nonce.copy_from_slice(&mac.finalize().into_bytes()[..NONCE]);
        nonce
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_tuple("Sealer").field(&ids).finish()
    }
}

pub(super) fn random_nonce() -> Nonce {
    let mut nonce = Nonce::default();
    rand::rng().fill_bytes(&mut nonce);
    nonce
}

/// Returns the record with another material, without copying the current one.
fn with_material(record: &Credential, material: Material) -> Credential {
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material: _,
        status,
        delegation,
        root_key,
        attributes,
        terms,
        created_at,
        updated_at,
        version,
    } = record;
    Credential {
        id: id.clone(),
        kind: kind.clone(),
        user_id: user_id.clone(),
        project_id: project_id.clone(),
        slot: *slot,
        access_key: access_key.clone(),
        material,
        status: *status,
        delegation: delegation.clone(),
        root_key: *root_key,
        attributes: attributes.clone(),
        terms: terms.clone(),
        created_at: *created_at,
        updated_at: *updated_at,
        version: *version,
    }
}

/// Returns whether a record claims to be sealed.
pub(super) fn is_sealed(record: &Credential) -> bool {
    matches!(&record.material, Material::Blob(blob) if SealedText::is_claimed_by(blob.expose()))
}

/// Returns whether a record is sealed with the newest key, without opening it.
pub(super) fn is_newest(sealer: &Sealer, record: &Credential) -> bool {
    match &record.material {
        Material::Blob(blob) => {
            SealedText::parse(blob.expose()).is_ok_and(|text| text.key_id == sealer.newest().id)
        }
        _ => false,
    }
}

/// The first bytes of every identity: the version of its format.
const FORM: &[u8] = b"tower-credentials/1/record";

/// Precedes the terms.
const TERMS: u8 = 2;

/// Returns the bytes that a sealed text is bound to: the key, and the fields of the record
/// except attributes and times.
///
/// Each text follows its length, and an optional field follows a byte that says whether it is
/// present, so that no two records have the same bytes. This is on disk: a sealed text opens
/// only with exactly these bytes.
fn identity(key_id: &str, record: &Credential) -> Vec<u8> {
    // Destructured in full so that a new field cannot be forgotten here.
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material: _,
        status,
        delegation,
        root_key: _,
        attributes: _,
        terms,
        created_at: _,
        updated_at: _,
        version,
    } = record;
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(FORM);
    for part in [key_id, id.as_str(), kind.as_str(), user_id.as_str(), status.as_str()] {
        put(&mut bytes, part);
    }
    put_optional(&mut bytes, project_id.as_ref().map(ProjectId::as_str));
    put_optional(&mut bytes, slot.map(Slot::as_str));
    put_optional(&mut bytes, access_key.as_ref().map(AccessKey::as_str));
    put_optional(&mut bytes, delegation.as_ref().map(Delegation::encode).as_deref());
    bytes.extend_from_slice(&version.get().to_le_bytes());
    // Earlier releases, which did not mark root keys, end here.
    bytes.extend(record.stored_root_key().map(u8::from));
    // Earlier releases, which had no terms, end here. No mark of a root key has this value.
    if *terms != Terms::default() {
        bytes.push(TERMS);
        let expires_at = terms.expires_at().map(|time| to_micros(time).to_string());
        put_optional(&mut bytes, expires_at.as_deref());
        put_optional(&mut bytes, terms.encode().as_deref());
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_optional(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put(bytes, text);
    }
}
