//! Records in their stored form, which is JSON, and as part of a transaction.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::backend::{BackendError, ListQuery};
use crate::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, Terms, UserId, Version, from_micros, to_micros,
};

use super::error::{CorruptKey, EtcdError, EtcdErrorKind};
use super::keys::{Entry, Keys};
use super::wire::{KeyValue, Range, RangeAnswer, Txn};

/// The stored form. Its members are on disk: add new ones, never rename one.
#[derive(Deserialize, Serialize)]
struct Stored<'a> {
    id: Cow<'a, str>,
    kind: Cow<'a, str>,
    user_id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key: Option<Cow<'a, str>>,
    material: Cow<'a, str>,
    status: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delegation: Option<Cow<'a, str>>,
    /// Absent from records of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_key: Option<bool>,
    #[serde(default, skip_serializing_if = "is_empty")]
    attributes: Cow<'a, Attributes>,
    /// All terms but the expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terms: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
    version: u64,
}

fn is_empty(attributes: &Attributes) -> bool {
    attributes.is_empty()
}

/// Encodes a record for storage.
pub(super) fn encode(credential: &Credential) -> Zeroizing<Vec<u8>> {
    // Destructured in full so that a new field cannot be forgotten here.
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material,
        status: _,
        delegation,
        root_key: _,
        attributes,
        terms,
        created_at,
        updated_at,
        version,
    } = credential;
    let material = material.encode();
    let stored = Stored {
        id: id.as_str().into(),
        kind: kind.as_str().into(),
        user_id: user_id.as_str().into(),
        project_id: project_id.as_ref().map(|id| id.as_str().into()),
        slot: slot.map(|slot| slot.as_str().into()),
        access_key: access_key.as_ref().map(|key| key.as_str().into()),
        material: material.expose().into(),
        status: credential.stored_status().into(),
        delegation: delegation.as_ref().map(|delegation| delegation.encode().into()),
        root_key: credential.stored_root_key(),
        attributes: Cow::Borrowed(attributes),
        terms: terms.encode().map(Into::into),
        expires_at: terms.expires_at().map(to_micros),
        created_at: to_micros(*created_at),
        updated_at: to_micros(*updated_at),
        version: version.get(),
    };
    let text = serde_json::to_vec(&stored);
    Zeroizing::new(text.expect("structs with text keys always serialize"))
}

/// A stored record.
pub(super) struct Found {
    pub(super) credential: Arc<Credential>,
    /// The revision that created it.
    pub(super) create_revision: i64,
    /// The revision that last wrote it.
    pub(super) mod_revision: i64,
}

/// Decodes a stored record.
pub(super) fn decode(found: &KeyValue) -> Result<Found, BackendError> {
    let stored = parse(found)?;
    Ok(Found {
        credential: Arc::new(credential(stored, found)?),
        create_revision: found.create_revision,
        mod_revision: found.mod_revision,
    })
}

/// Decodes a stored record if it passes the filters of a query. Other records are not decoded
/// completely, so that a damaged one fails only the lists that include it.
pub(super) fn decode_matching(
    found: &KeyValue,
    query: &ListQuery,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let stored = parse(found)?;
    let passes = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
    if passes(query.kind.as_ref().map(Kind::as_str), Some(&stored.kind))
        && passes(query.user_id.as_ref().map(UserId::as_str), Some(&stored.user_id))
        && passes(query.project_id.as_ref().map(ProjectId::as_str), stored.project_id.as_deref())
    {
        credential(stored, found).map(|credential| Some(Arc::new(credential)))
    } else {
        Ok(None)
    }
}

fn parse(found: &KeyValue) -> Result<Stored<'_>, BackendError> {
    let stored = serde_json::from_slice(&found.value.0);
    stored.map_err(|_| CorruptKey::new(&found.key.0, "the record").into())
}

fn credential(stored: Stored<'_>, found: &KeyValue) -> Result<Credential, BackendError> {
    if !found.key.0.ends_with(stored.id.as_bytes()) {
        return Err(CorruptKey::new(&found.key.0, "the id").into());
    }
    decoded(stored).map_err(|what| CorruptKey::new(&found.key.0, what).into())
}

fn decoded(stored: Stored<'_>) -> Result<Credential, &'static str> {
    let material = Zeroizing::new(stored.material.into_owned());
    let root_key = stored.root_key;
    let expires_at = stored.expires_at.map(|micros| from_micros(micros).ok_or("the expiry"));
    let terms = Terms::decode(stored.terms.as_deref(), expires_at.transpose()?);
    let terms = terms.map_err(|_| "the terms")?;
    let credential = Credential {
        id: CredentialId::from_stored(stored.id),
        kind: Kind::from_stored(stored.kind.into_owned()),
        user_id: UserId::from_stored(stored.user_id),
        project_id: stored.project_id.map(ProjectId::from_stored),
        slot: stored.slot.map(|word| Slot::from_word(&word).ok_or("the slot")).transpose()?,
        access_key: stored.access_key.map(AccessKey::from_stored),
        material: Material::decode(&material).map_err(|_| "the material")?,
        status: Status::from_stored(&stored.status, &terms).ok_or("the status")?,
        delegation: stored
            .delegation
            .map(|text| Delegation::decode(&text).ok_or("the delegation"))
            .transpose()?,
        root_key,
        attributes: stored.attributes.into_owned(),
        terms,
        created_at: from_micros(stored.created_at).ok_or("the time of creation")?,
        updated_at: from_micros(stored.updated_at).ok_or("the time of the last write")?,
        version: Version::from_stored(stored.version),
    };
    Ok(credential.with_stored_root_key(root_key))
}

/// Maximum size of a transaction, in bytes: etcd's default limit of 1.5 MiB, less the overhead of
/// a request.
const MAX_BYTES: usize = 1_500_000;

/// Maximum number of operations in a transaction. etcd's default limit is 128.
pub(super) const MAX_OPERATIONS: usize = 120;

/// How often a write is attempted while others write to the same records.
pub(super) const MAX_ATTEMPTS: u32 = 64;

/// A record to be written.
pub(super) struct Draft {
    pub(super) credential: Arc<Credential>,
    pub(super) key: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    pub(super) value: Zeroizing<Vec<u8>>,
    /// Approximate size of a transaction that writes only this record.
    bytes: usize,
}

impl Draft {
    /// Rejects a record that does not fit a transaction.
    pub(super) fn new(keys: &Keys, credential: &Arc<Credential>) -> Result<Self, EtcdError> {
        let mut draft = Self {
            credential: Arc::clone(credential),
            key: keys.record(credential.id.as_str()),
            entries: keys.entries(credential),
            value: encode(credential),
            bytes: 0,
        };
        let mut alone = Txn::default();
        draft.add_to(&mut alone);
        // The change and the counter are added later.
        let names = 4 * draft.key.len() + 2 * credential.user_id.as_str().len();
        draft.bytes = alone.bytes() + names + 1_024;
        if draft.bytes > MAX_BYTES {
            let bytes = draft.bytes;
            let message =
                format!("the record takes {bytes} bytes in etcd, at most {MAX_BYTES} are allowed");
            return Err(EtcdError::new(EtcdErrorKind::TooLong, message));
        }
        Ok(draft)
    }

    /// Adds the insert of this record to a transaction. If the transaction fails, it reads the
    /// record and then each unique entry.
    pub(super) fn add_to(&self, txn: &mut Txn) {
        self.add_with_freed(txn, &[]);
    }

    /// As [`add_to`](Self::add_to). The transaction frees these unique entries of another record;
    /// it does not read them.
    pub(super) fn add_with_freed(&self, txn: &mut Txn, freed: &[Vec<u8>]) {
        txn.require(self.key.clone(), 0);
        txn.otherwise(Range::of(self.key.clone()));
        txn.put(self.key.clone(), &**self.value);
        for entry in &self.entries {
            if entry.is_unique && !freed.contains(&entry.key) {
                txn.require(entry.key.clone(), 0);
                txn.otherwise(Range::of(entry.key.clone()));
            }
            txn.put(entry.key.clone(), &*entry.value);
        }
    }

    /// Returns what a failed transaction read for this record.
    pub(super) fn conflicts(&self, ranges: &mut impl Iterator<Item = RangeAnswer>) -> Conflicts {
        let stored = ranges.next().and_then(RangeAnswer::one);
        let unique = self.entries.iter().filter(|entry| entry.is_unique).count();
        let others = ranges.take(unique).filter_map(RangeAnswer::one).count();
        Conflicts { is_taken: stored.is_some() || others > 0, stored }
    }

    /// Returns whether the stored value is this record.
    pub(super) fn is(&self, found: &KeyValue) -> bool {
        *self.value == found.value.0
    }

    /// Returns all keys that the record takes.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.key).chain(self.entries.iter().map(|entry| &entry.key))
    }

    fn operations(&self) -> usize {
        1 + self.entries.len()
    }
}

/// What is stored in the place of a record.
pub(super) struct Conflicts {
    /// The record with the same id.
    pub(super) stored: Option<KeyValue>,
    /// Whether the id or a unique entry is taken.
    pub(super) is_taken: bool,
}

/// The size of a transaction of several records.
#[derive(Default)]
pub(super) struct TxnBudget {
    /// The keys to be written. Each may be written once.
    keys: HashSet<Vec<u8>>,
    users: HashSet<UserId>,
    operations: usize,
    bytes: usize,
}

impl TxnBudget {
    /// Returns whether the transaction can hold this record too.
    pub(super) fn fits(&self, draft: &Draft) -> bool {
        let user = usize::from(!self.users.contains(&draft.credential.user_id));
        self.operations + draft.operations() + user < MAX_OPERATIONS
            && self.bytes + draft.bytes <= MAX_BYTES
            && !draft.keys().any(|key| self.keys.contains(key))
    }

    pub(super) fn add(&mut self, draft: &Draft) {
        self.operations += draft.operations();
        self.operations += usize::from(self.users.insert(draft.credential.user_id.clone()));
        self.bytes += draft.bytes;
        self.keys.extend(draft.keys().cloned());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Waits before another attempt. The random pause gets longer with each attempt, so that
/// conflicting writers separate.
pub(super) async fn backoff(attempt: u32) {
    if attempt > 1 {
        let longest = Duration::from_millis(u64::from(attempt.min(20)));
        sleep(longest.mul_f64(rand::random())).await;
    }
}
