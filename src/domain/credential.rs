//! [`Credential`]: the stored record.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::RngExt;
use serde_json::{Map, Value};

use super::{
    AccessKey, Blob, BlobText, CredentialId, Delegation, Kind, Life, Material, ProjectId,
    SecretKey, Terms, UserId,
};

/// Members that a dialect does not know and returns as they came.
pub type Attributes = Map<String, Value>;

/// One stored record: an access key with its secret, or an opaque blob, owned by
/// a user, optionally within a project.
///
/// One record serves every dialect: a key that was created in one is visible, usable and
/// revocable in the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Credential {
    /// Never changes; unique in a store.
    pub id: CredentialId,
    /// The type: `ec2` for key pairs.
    pub kind: Kind,
    /// The owner.
    pub user_id: UserId,
    /// The project, if any.
    pub project_id: Option<ProjectId>,
    /// The slot of a v2 grant; at most one record per user and slot.
    pub slot: Option<Slot>,
    /// The key for lookups; unique in a store. Opaque records have none.
    pub access_key: Option<AccessKey>,
    /// The content.
    pub material: Material,
    /// Whether the credential may be used.
    pub status: Status,
    /// The delegation under which the credential was created, which limits its use.
    pub delegation: Option<Delegation>,
    /// Whether it is a project's root key. `None` in a record with
    /// [equal ids](Self::has_equal_ids) that an earlier release wrote. Stores keep the mark of
    /// records with equal ids. Read it through [`is_root_key`](Self::is_root_key).
    pub root_key: Option<bool>,
    /// Members that are returned as they came.
    pub attributes: Attributes,
    /// The name, the expiry and the boundary.
    pub terms: Terms,
    /// When the credential was created; whole microseconds.
    pub created_at: SystemTime,
    /// When the credential was last written; whole microseconds.
    pub updated_at: SystemTime,
    /// Changes with every write.
    pub version: Version,
}

impl Credential {
    /// Creates an active record of this owner, without project, slot, access key, delegation
    /// and attributes.
    ///
    /// Cuts times to whole microseconds, which every store can keep.
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
            root_key: Some(false),
            attributes: Attributes::new(),
            terms: Terms::default(),
            created_at: now,
            updated_at: now,
            version,
        }
    }

    /// Returns the record for a change at this time: with its next version, and a mark that
    /// says whether it is a root key.
    #[must_use]
    pub fn touched(mut self, now: SystemTime) -> Self {
        self.root_key = Some(self.is_root_key());
        self.updated_at = whole_micros(now);
        self.version = self.version.next();
        self
    }

    /// Returns the secret for signatures, if there is one.
    #[must_use]
    pub fn secret_key(&self) -> Option<&SecretKey> {
        self.material.secret_key()
    }

    /// Returns the record as the blob of a v3 credential without its secret: the access key
    /// and the delegation of a key pair. `None` for records that are not key pairs.
    #[must_use]
    pub fn blob_without_secret(&self) -> Option<Blob> {
        let access_key = self.access_key.as_ref().filter(|_| self.kind.is_ec2())?;
        Some(Blob::of_pair(access_key, None, self.delegation.as_ref()))
    }

    /// Returns the record as the blob of a v3 credential: its own blob, or a new blob with its
    /// key pair. `None` for password grants, which v3 does not show.
    #[must_use]
    pub fn blob(&self) -> Option<Blob> {
        match self.blob_text()? {
            BlobText::Own(blob) => Some(blob.clone()),
            BlobText::Pair { access, secret, delegation } => {
                Some(Blob::of_pair(&AccessKey::from_stored(access), secret, delegation))
            }
        }
    }

    /// Returns the text of [`blob`](Self::blob).
    pub(crate) fn blob_text(&self) -> Option<BlobText<'_>> {
        let access_key = self.access_key.as_ref().map(AccessKey::as_str);
        let access = match &self.material {
            Material::Blob(blob) => return Some(BlobText::Own(blob)),
            Material::Grant { username, .. } => access_key.unwrap_or(username),
            Material::KeyPair { .. } => access_key?,
            Material::Password { .. } => return None,
        };
        let (secret, delegation) = (self.secret_key(), self.delegation.as_ref());
        Some(BlobText::Pair { access, secret, delegation })
    }

    /// Returns the text of [`blob_without_secret`](Self::blob_without_secret).
    pub(crate) fn blob_text_without_secret(&self) -> Option<BlobText<'_>> {
        let access = self.access_key.as_ref().filter(|_| self.kind.is_ec2())?.as_str();
        Some(BlobText::Pair { access, secret: None, delegation: self.delegation.as_ref() })
    }

    /// Returns true if this is a project's root key, which belongs to no user.
    ///
    /// The record of a root key has a mark, and its user id is the project's id. Equal ids
    /// alone do not make a root key.
    ///
    /// Earlier releases did not mark records. Of their records with equal ids, those that
    /// IBM's dialect wrote are root keys: key pairs with a secret of their own, without a slot
    /// and a delegation. v3 stores a blob instead, and v2 a slot. OS-EC2 stores the same form,
    /// but only for a user whose id is the id of a project. The rule gives such a key no new
    /// rights: earlier releases treated every record with equal ids as a root key.
    /// [`is_assumed_root_key`](Self::is_assumed_root_key) finds these records.
    #[must_use]
    pub fn is_root_key(&self) -> bool {
        self.has_equal_ids() && self.root_key.unwrap_or_else(|| self.has_form_of_root_key())
    }

    /// Returns true if an earlier release wrote this record, and only its form makes it a
    /// root key.
    #[must_use]
    pub fn is_assumed_root_key(&self) -> bool {
        self.root_key.is_none() && self.is_root_key()
    }

    /// Returns true if the owner's id is the id of the project, as for every root key.
    #[must_use]
    pub fn has_equal_ids(&self) -> bool {
        self.project_id.as_ref().is_some_and(|id| self.user_id.is_root_of(id))
    }

    /// The mark that a store keeps of [`root_key`](Self::root_key).
    #[cfg(any(feature = "encryption", feature = "etcd", feature = "postgres", feature = "sqlite"))]
    pub(crate) fn stored_root_key(&self) -> Option<bool> {
        self.root_key.filter(|_| self.has_equal_ids())
    }

    /// The record with the mark that a store kept of its [`root_key`](Self::root_key).
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "sqlite"))]
    pub(crate) fn with_stored_root_key(mut self, stored: Option<bool>) -> Self {
        self.root_key = if self.has_equal_ids() { stored } else { Some(false) };
        self
    }

    fn has_form_of_root_key(&self) -> bool {
        let pair = matches!(self.material, Material::KeyPair { secret: Some(_) });
        pair && self.kind.is_ec2() && self.slot.is_none() && self.delegation.is_none()
    }

    /// Returns true if the credential can make valid signatures at this time: it is an active
    /// key pair with a secret, and has not expired.
    #[must_use]
    pub fn is_usable(&self, now: SystemTime) -> bool {
        self.kind.is_ec2()
            && self.status == Status::Active
            && !self.is_expired(now)
            && self.access_key.is_some()
            && self.secret_key().is_some()
    }

    /// Returns true if the credential has an expiry that is not after this time.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.terms.expires_at().is_some_and(|end| end <= now)
    }

    /// Returns how long the credential is valid from its creation, before any rotation
    /// shortened that.
    #[must_use]
    pub fn life(&self) -> Life {
        self.terms.original_life().unwrap_or_else(|| match self.terms.expires_at() {
            Some(end) => Life::For(end.duration_since(self.created_at).unwrap_or_default()),
            None => Life::Unlimited,
        })
    }

    /// The word for the status in stores. Earlier releases know nothing of expiry and boundary,
    /// so a credential with one of them has a word that they reject.
    #[must_use]
    pub fn stored_status(&self) -> &'static str {
        match (self.status, self.terms.are_limiting()) {
            (status, false) => status.as_str(),
            (Status::Active, true) => "ActiveLimited",
            (Status::Inactive, true) => "InactiveLimited",
        }
    }
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// It may be used.
    #[default]
    Active,
    /// Its signatures are rejected.
    Inactive,
}

impl Status {
    /// Returns the word on the wire and in stores: `Active` or `Inactive`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }

    /// Parses the word. Case matters.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Inactive].into_iter().find(|status| status.as_str() == word)
    }

    /// Parses the word that [`Credential::stored_status`] returned for a record with these terms.
    /// `None` if it does not fit them.
    #[must_use]
    pub fn from_stored(word: &str, terms: &Terms) -> Option<Self> {
        let plain = word.strip_suffix("Limited");
        let is_limiting = plain.is_some();
        Self::from_word(plain.unwrap_or(word)).filter(|_| is_limiting == terms.are_limiting())
    }
}

/// The slot of a v2 grant: its type. A user has at most one grant of each type.
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
    /// Returns the word in stores: `ec2`, `password` or `s3`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Password => "password",
            Self::S3 => "s3",
        }
    }

    /// Parses the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ec2, Self::Password, Self::S3].into_iter().find(|slot| slot.as_str() == word)
    }
}

/// Distinguishes two states of a record.
///
/// New records start at a random number, and each write adds one. So a key that was deleted
/// and created again never has the version of the earlier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// Leaves room above, so that adding one never overflows a signed column.
    const START: u64 = (1 << 62) - 1;

    /// Returns the version of a new record. It must be a new number, but need not be secret.
    #[must_use]
    pub fn fresh() -> Self {
        Self(rand::rng().random::<u64>() & Self::START)
    }

    /// Returns the version after another write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Returns the number for a store: never above [`i64::MAX`] in practice.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// Creates the version from the number in a store.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(user_id: &str, root_key: Option<bool>, material: Material) -> Credential {
        let access_key = AccessKey::new("AK").unwrap();
        let (id, user_id) = (CredentialId::of(&access_key), UserId::new(user_id).unwrap());
        let (now, version) = (UNIX_EPOCH, Version::fresh());
        let mut record = Credential::new(id, Kind::ec2(), user_id, material, now, version);
        record.access_key = Some(access_key);
        record.project_id = Some(ProjectId::new("demo").unwrap());
        record.root_key = root_key;
        record
    }

    fn pair() -> Material {
        Material::KeyPair { secret: Some(SecretKey::from_stored("secret")) }
    }

    #[test]
    fn marked_record_is_a_root_key_of_its_own_project_only() {
        assert!(record("demo", Some(true), pair()).is_root_key());
        assert!(!record("demo", Some(false), pair()).is_root_key());
        assert!(!record("amy", Some(true), pair()).is_root_key());
        let mut without_project = record("demo", Some(true), pair());
        without_project.project_id = None;
        assert!(!without_project.is_root_key());
    }

    #[test]
    fn unmarked_record_is_a_root_key_only_in_the_form_of_the_ibm_dialect() {
        let old = record("demo", None, pair());
        assert!(old.is_root_key() && old.is_assumed_root_key());
        assert!(!record("amy", None, pair()).is_root_key());
        let blob = Material::Blob(Blob::new(r#"{"access":"AK","secret":"secret"}"#));
        assert!(!record("demo", None, blob).is_root_key());
        assert!(!record("demo", None, Material::KeyPair { secret: None }).is_root_key());
        let mut in_slot = record("demo", None, pair());
        in_slot.slot = Some(Slot::Ec2);
        assert!(!in_slot.is_root_key());
        let mut delegated = record("demo", None, pair());
        delegated.delegation = Some(Delegation::Other);
        assert!(!delegated.is_root_key());
    }

    #[test]
    fn change_keeps_a_root_key_one_and_marks_it() {
        let changed = record("demo", None, pair()).touched(UNIX_EPOCH);
        assert_eq!(changed.root_key, Some(true));
        assert!(changed.is_root_key() && !changed.is_assumed_root_key());
        let changed = record("amy", None, pair()).touched(UNIX_EPOCH);
        assert_eq!(changed.root_key, Some(false));
    }
}
