//! The record in the store that lists the keys in use.

use std::{sync::Arc, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::missing_keys;
use super::sealer::{Sealer, SealingKey, random_nonce};
use super::text::NONCE;
pub(super) use crate::backend::maintenance::SEAL_RECORD as ID;
use crate::backend::{BackendError, CredentialBackend};
use crate::backend::{OpenError, OpenErrorKind};
use crate::domain::{Blob, Credential, CredentialId, Kind, Material, Quota, UserId, Version};

/// The owner and the type of the register, which no other record may have.
pub(super) const OWNER: &str = "tower-sealed-keys";

const FORMAT: u64 = 1;

/// The keys in use in a store, as of one version of its register.
///
/// A key is added before anything is sealed with it, and removed when nothing is sealed with
/// it any more. The register is sealed with every key in the ring of its writer. So a reader
/// with one of these keys can verify it, and a writer without any cannot forge it.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub(super) state: State,
    pub(super) version: Version,
}

/// The content of a register.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct State {
    format: u64,
    /// The keys that records may be sealed with.
    keys: Vec<KeyInUse>,
    /// Whether the store may have plain records.
    pub(super) plain: bool,
}

/// A key that records may be sealed with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct KeyInUse {
    id: String,
    check: String,
    /// Whether its records are being re-sealed. A process that still writes with the key
    /// clears this.
    retiring: bool,
}

/// The register as it is stored. The names of its members are on disk: add, never rename.
#[derive(Deserialize, Serialize)]
struct Stored {
    #[serde(flatten)]
    state: State,
    seals: Vec<String>,
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl State {
    /// Returns the state of a store in which this key is the only one.
    pub(super) fn new(key: &SealingKey, plain: bool) -> Self {
        let mut state = Self { format: FORMAT, keys: Vec::new(), plain };
        state.put_in_use(key);
        state
    }

    /// Returns whether this key is in use and is not being retired.
    pub(super) fn is_in_use(&self, key: &SealingKey) -> bool {
        self.keys.iter().any(|it| it.id == key.id && !it.retiring)
    }

    pub(super) fn put_in_use(&mut self, key: &SealingKey) {
        self.keys.retain(|it| it.id != key.id);
        let (id, check) = (key.id.clone(), key.check.clone());
        self.keys.push(KeyInUse { id, check, retiring: false });
    }

    /// Marks all other keys as retiring.
    pub(super) fn retire_all_but(&mut self, key: &SealingKey) {
        self.put_in_use(key);
        for other in self.keys.iter_mut().filter(|other| other.id != key.id) {
            other.retiring = true;
        }
    }

    /// Returns the ids of the keys that records may be sealed with.
    pub(super) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &*key.id)
    }

    /// Checks that the ring has every key in use, with the same bytes.
    fn check(&self, sealer: &Sealer) -> Result<(), OpenError> {
        let missing: Vec<_> = self.key_ids().filter(|id| sealer.key(id).is_none()).collect();
        if !missing.is_empty() {
            return Err(missing_keys(&missing));
        }
        let is_other = |it: &&KeyInUse| sealer.key(&it.id).is_none_or(|key| key.check != it.check);
        match self.keys.iter().find(is_other) {
            Some(KeyInUse { id, .. }) => {
                let what = format!("the ring has another key under the id {id} than the store");
                Err(OpenError::new(OpenErrorKind::WrongKey, what))
            }
            None => Ok(()),
        }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("strings always serialize")
    }
}

impl Register {
    /// Reads the register of a store that this ring must be able to open.
    pub(super) fn of_ring(record: &Credential, sealer: &Sealer) -> Result<Self, OpenError> {
        let stored = Stored::of(record)?;
        stored.state.check(sealer)?;
        stored.vouched_for(record, sealer)
    }

    /// Reads the register of a store that may use keys which this ring lacks.
    pub(super) fn of_any(record: &Credential, sealer: &Sealer) -> Result<Self, OpenError> {
        Stored::of(record)?.vouched_for(record, sealer)
    }

    /// Returns the record with this state, at the version.
    fn record(state: State, version: Version, sealer: &Sealer) -> Arc<Credential> {
        let owner = UserId::from_stored(OWNER);
        let nothing = Material::KeyPair { secret: None };
        let kind = Kind::from_stored(OWNER);
        let mut record = Credential::new(id(), kind, owner, nothing, UNIX_EPOCH, version);
        let text = state.text();
        let seal = |key: &SealingKey| key.seal(&record, &[&text], random_nonce());
        let stored = Stored { seals: sealer.keys().iter().map(seal).collect(), state };
        let text = serde_json::to_string(&stored).expect("strings always serialize");
        record.material = Material::Blob(Blob::new(text));
        Arc::new(record)
    }
}

impl Stored {
    fn of(record: &Credential) -> Result<Self, OpenError> {
        let text = match &record.material {
            Material::Blob(blob) => blob.expose(),
            _ => "",
        };
        let format: Option<Format> = serde_json::from_str(text).ok();
        if format.is_some_and(|it| it.format > FORMAT) {
            let what = "the store is sealed in a format of a later release";
            return Err(OpenError::new(OpenErrorKind::Newer, what));
        }
        serde_json::from_str(text).map_err(|_| altered("is damaged"))
    }

    /// Returns the state, if a key of the ring sealed it.
    fn vouched_for(self, record: &Credential, sealer: &Sealer) -> Result<Register, OpenError> {
        let expected = self.state.text();
        let is_genuine = self.seals.iter().any(|seal| {
            let said = sealer.open_text(record, seal);
            said.is_ok_and(|said| said[NONCE..] == *expected.as_bytes())
        });
        if is_genuine {
            Ok(Register { state: self.state, version: record.version })
        } else {
            Err(altered("was altered, or written without any key of the ring"))
        }
    }
}

pub(super) fn id() -> CredentialId {
    CredentialId::from_stored(ID)
}

/// Returns whether a record must not be written, because it would be the register or hidden
/// with it.
pub(super) fn is_reserved(record: &Credential) -> bool {
    record.id.as_str() == ID || record.user_id.as_str() == OWNER
}

/// Creates the register; returns `false` if it exists.
pub(super) async fn make<B: CredentialBackend>(
    backend: &B,
    sealer: &Sealer,
    state: State,
) -> Result<bool, BackendError> {
    let record = Register::record(state, Version::fresh(), sealer);
    match backend.insert(&record, Quota::Unlimited).await {
        Ok(()) => Ok(true),
        Err(BackendError::AlreadyExists) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces the state of a register that is still at this version; returns the new register,
/// or `None` if the version has changed.
pub(super) async fn change<B: CredentialBackend>(
    backend: &B,
    sealer: &Sealer,
    state: State,
    from: Version,
) -> Result<Option<Register>, BackendError> {
    let version = from.next();
    let record = Register::record(state.clone(), version, sealer);
    let done = backend.update(&record, from).await?;
    Ok(done.then_some(Register { state, version }))
}

fn altered(how: &str) -> OpenError {
    let what = format!("the record of the keys in use ({ID}) {how}");
    OpenError::new(OpenErrorKind::Corrupt, what)
}
