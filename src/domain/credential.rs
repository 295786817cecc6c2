//! The stored record.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::RngExt;
use serde_json::{Map, Value};

use super::{AccessKey, CredentialId, Delegation, Kind, Material, ProjectId, SecretKey, UserId};

/// Members that a dialect does not know and gives back as they came.
pub type Attributes = Map<String, Value>;

/// One stored record: an access key with its secret, or an opaque blob, owned by
/// a user, optionally within a project.
///
/// One record serves every dialect: a key made in one is visible, usable and
/// revocable in the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Credential {
    /// Never changes; unique in a store.
    pub id: CredentialId,
    /// What it is: `ec2` for key pairs.
    pub kind: Kind,
    /// The owner.
    pub user_id: UserId,
    /// The project that it is for, if any.
    pub project_id: Option<ProjectId>,
    /// The place of a v2 grant; at most one record per user and slot.
    pub slot: Option<Slot>,
    /// What lookups go by; unique in a store. Opaque records have none.
    pub access_key: Option<AccessKey>,
    /// What it holds.
    pub material: Material,
    /// Whether it may be used.
    pub status: Status,
    /// The delegation under which it was made, which bounds its use.
    pub delegation: Option<Delegation>,
    /// Members that round-trip.
    pub attributes: Attributes,
    /// When it was made; whole microseconds.
    pub created_at: SystemTime,
    /// When it was last written; whole microseconds.
    pub updated_at: SystemTime,
    /// Changes with every write.
    pub version: Version,
}

impl Credential {
    /// A new active record of this owner, without project, slot, access key,
    /// delegation and attributes.
    ///
    /// Times are cut to whole microseconds, which every store can keep.
    #[must_use]
    pub fn new(
        id: CredentialId,
        kind: Kind,
        user_id: UserId,
        material: Material,
        now: SystemTime,
        version: Version,
    ) -> Self {
        let now = whole_micros(now);
        Self {
            id,
            kind,
            user_id,
            project_id: None,
            slot: None,
            access_key: None,
            material,
            status: Status::Active,
            delegation: None,
            attributes: Attributes::new(),
            created_at: now,
            updated_at: now,
            version,
        }
    }

    /// The record after a change at this time: with its next version.
    #[must_use]
    pub fn touched(mut self, now: SystemTime) -> Self {
        self.updated_at = whole_micros(now);
        self.version = self.version.next();
        self
    }

    /// The secret that signatures are made with, if there is one.
    #[must_use]
    pub fn secret_key(&self) -> Option<&SecretKey> {
        self.material.secret_key()
    }

    /// About how many bytes of text it holds.
    ///
    /// Clients choose the length of blobs and attributes, so records are counted in
    /// bytes where many are held at once.
    #[must_use]
    pub fn size(&self) -> usize {
        let material = match &self.material {
            Material::Blob(blob) => blob.expose().len(),
            Material::Grant { username, secret, signature } => {
                username.len() + secret.expose().len() + signature.expose().len()
            }
            Material::KeyPair { secret } => secret.as_ref().map_or(0, |key| key.expose().len()),
            Material::Password { username, .. } => username.len(),
        };
        let attributes = if self.attributes.is_empty() {
            0
        } else {
            serde_json::to_string(&self.attributes).map_or(0, |text| text.len())
        };
        material + attributes
    }

    /// Whether this is a project's root key, which belongs to no user.
    #[must_use]
    pub fn is_root_key(&self) -> bool {
        self.project_id.as_ref().is_some_and(|id| self.user_id.is_root_of(id))
    }

    /// Whether signatures with it are accepted: an active key pair with a secret.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.kind.is_ec2()
            && self.status == Status::Active
            && self.access_key.is_some()
            && self.secret_key().is_some()
    }
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// It may.
    #[default]
    Active,
    /// Its signatures are refused.
    Inactive,
}

impl Status {
    /// The word for it on the wire and in stores: `Active` or `Inactive`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }

    /// Reads the word; exactly as written, in no other case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Inactive].into_iter().find(|status| status.as_str() == word)
    }
}

/// The place of a v2 grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// `OS-KSEC2-ec2Credentials`.
    Ec2,
    /// `passwordCredentials`.
    Password,
    /// `OS-KSS3:s3Credentials`.
    S3,
}

impl Slot {
    /// The word for it in stores: `ec2`, `password` or `s3`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Password => "password",
            Self::S3 => "s3",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ec2, Self::Password, Self::S3].into_iter().find(|slot| slot.as_str() == word)
    }
}

/// Tells two states of a record apart.
///
/// New records start at a random number and each write adds one, so that a key
/// that was deleted and made again never looks like its former self.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// Room is left above, so that adding one never overflows a signed column.
    const START: u64 = (1 << 62) - 1;

    /// The version of a new record. It needs to be another one, not to be secret.
    #[must_use]
    pub fn fresh() -> Self {
        Self(rand::rng().random::<u64>() & Self::START)
    }

    /// The version after one more write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number for a store to keep: never above [`i64::MAX`] in practice.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// Takes a number that a store kept.
    #[must_use]
    pub fn from_stored(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Cuts a time to whole microseconds; times before 1970 become 1970.
fn whole_micros(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::new(since.as_secs(), since.subsec_micros() * 1_000)
}
