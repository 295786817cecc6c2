//! Secrets sealed at rest, over any backend.
//!
//! [`Encrypted`] seals what a credential holds, its [`Material`](crate::domain::Material):
//! the secret key, the v3 blob, the hash of a password. The store below gets a sealed text
//! in its place, which only the keys of a [`KeyRing`] open; everything else of the record
//! stays as it is, so that the store finds, sorts and counts as before.
//!
//! # What it protects from
//!
//! * **Reading.** Whoever has the file, a dump, a backup or the account of the database
//!   learns no secret.
//! * **Swapping.** A sealed text opens only in the record that it was sealed for. Bound to
//!   it are the id, type, owner, project, slot, access key, status, delegation and version
//!   of the record, and whether it is marked as a root key. To put a secret under another owner, or to make a disabled key active
//!   again past this crate, makes the record unreadable:
//!   [`Corrupt`](BackendError::Corrupt), never a key that works.
//! * **Forging.** A record that is not sealed is refused, unless the store was
//!   [adopted](Encrypted::adopt) and not everything is sealed yet.
//!
//! It does **not** protect from these:
//!
//! * Access keys, owners, projects, status, attributes and times are readable; attributes
//!   and times can be changed too.
//! * A whole record can be deleted, or put back as it was earlier: with its older version
//!   it is genuine. So can be the record that tells which keys are in use, and with it
//!   that a store was adopted: give no process [`adopt`](Encrypted::adopt) that can do
//!   without.
//! * The length of a sealed text tells that of the secret.
//! * Whoever can read the memory of the process, or the key ring, reads everything.
//!
//! # The record that tells which keys are in use
//!
//! One record of the store, `!tower-sealed-keys`, says without a scan which keys anything
//! may be sealed with. [`Encrypted::open`] reads it, and refuses a ring that lacks one of
//! them or has another key under its id. It is sealed itself, and in no list, look-up or
//! count of [`Encrypted`].
//!
//! # Changing the key
//!
//! 1. Make a key with [`KeyRing::generate_key`]. Put it into the ring of every process, but
//!    *not last*, and restart them one by one: now each can open what it will seal.
//! 2. Move it to the end of every ring, and restart them one by one: now it seals.
//! 3. Call [`Encrypted::reseal`] in one of them, or in a tool. It ends with
//!    [`Resealed::Done`] when nothing is sealed with an older key and no process writes
//!    with one.
//! 4. Call it again when every process has been restarted: a write that nobody was answered
//!    for, by one that was killed in step 2, may have come behind it.
//! 5. Take the old key out of the rings, and restart. Keep it as long as backups that need
//!    it.
//!
//! With one process, steps 1 and 2 are one. A process that was forgotten in step 2 and
//! goes on to write with the old key is noticed: it looks at the record above after each
//! write and before it answers, and puts its key back into use; then
//! [`reseal`](Encrypted::reseal) does not end, and later a ring without that key is
//! refused. What it wrote is never dropped in silence.
//!
//! # Sealing a store that holds plain records
//!
//! Stop what writes to it without [`Encrypted`], start it anew with
//! [`Encrypted::adopt`], which reads plain and sealed records, and call
//! [`reseal`](Encrypted::reseal). When that is done, start with [`Encrypted::open`].
//! Secrets that were on the disk in plain text before stay there until the store
//! overwrites them (`VACUUM` of an SQLite file or a PostgreSQL table, compaction of
//! etcd), and in old backups. A plain v3 blob that itself starts with `tower-sealed:` is
//! taken for a sealed text, and cannot be opened; delete it.
//!
//! # Order of wrappers
//!
//! `Cached<Encrypted<B>>`: the cache holds opened records, and a look-up costs nothing
//! more. The other way around each look-up opens the record again.
//!
//! # The form
//!
//! `tower-sealed:1:<key id>:<nonce, ciphertext and tag in base64url>`, by AES-256-GCM-SIV
//! (RFC 8452), with a key that is derived from the ring's by HKDF with SHA-256. Nonces are
//! random; should one ever come twice, that tells at most that two texts are the same.

mod error;
mod fernet;
mod identity;
mod open;
mod others;
mod pages;
mod provider;
mod register;
mod reseal;
mod ring;
mod sealer;
mod text;
mod verify;
mod witness;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use self::error::Unreadable;
use self::open::Plain;
use self::register::{ID, OWNER};
use self::sealer::Sealer;
use self::witness::Witness;

use super::{BackendError, CredentialBackend, ListQuery, OpenError, Page};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, Quota, Slot, UserId, Version};

pub use self::{
    fernet::{FernetError, FernetKeys},
    provider::{KeyError, KeyErrorKind, KeyProvider},
    reseal::{ResealProgress, Resealed, ResealedPage},
    ring::KeyRing,
    verify::VerifiedPage,
};

/// Seals secrets on their way into a backend, and opens them on their way out.
///
/// See the [module](self) for what it protects from, and for how to change the key.
///
/// A record that cannot be opened, since it was altered or its key is not in the ring, is
/// [`Corrupt`](BackendError::Corrupt), as is a page that it is on. After each write one
/// record more is read, which writes that come at the same time share. A write that
/// may have happened but cannot be vouched for, since the record that tells the keys in
/// use is gone, is [`Unavailable`](BackendError::Unavailable).
///
/// A clone is another handle to the same backend.
///
/// # Example
///
/// ```
/// use tower_credentials::backend::{
///     encrypted::{Encrypted, KeyRing},
///     memory::MemoryBackend,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Once: write this line into a file that only the service may read.
/// let line = KeyRing::generate_key("2026-11")?;
/// // Then, at each start, `KeyRing::from_file`.
/// let ring = KeyRing::parse(line.expose())?;
///
/// let backend = Encrypted::open(MemoryBackend::default(), ring).await?;
/// assert_eq!(backend.keys_in_use().await?, ["2026-11"]);
/// # Ok(())
/// # }
/// ```
pub struct Encrypted<B>(Arc<Inner<B>>);

struct Inner<B> {
    backend: B,
    sealer: Sealer,
    witness: Witness,
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Opens a store in which everything is sealed, or one that is empty.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) tells a ring that lacks a key from a
    /// store that holds plain records, and whose text names the missing keys.
    pub async fn open(backend: B, keys: impl KeyProvider) -> Result<Self, OpenError> {
        Self::settled(backend, keys, Plain::Refuse).await
    }

    /// Opens a store that may hold plain records, to seal them: see
    /// [`reseal`](Self::reseal). A store that has none, or in which everything was sealed
    /// before, is opened as by [`open`](Self::open).
    ///
    /// **Until everything is sealed, what is not is taken for genuine**, whoever wrote it
    /// there. That it is done, this handle learns from its own
    /// [`reseal`](Self::reseal) or with its next write.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), but for plain records.
    pub async fn adopt(backend: B, keys: impl KeyProvider) -> Result<Self, OpenError> {
        Self::settled(backend, keys, Plain::Adopt).await
    }

    async fn settled(backend: B, keys: impl KeyProvider, plain: Plain) -> Result<Self, OpenError> {
        let sealer = Sealer::new(&keys.key_ring().await?);
        let witness = Witness::new(&open::settle(&backend, &sealer, plain).await?);
        Ok(Self(Arc::new(Inner { backend, sealer, witness })))
    }

    /// Whether plain records are accepted now.
    #[must_use]
    pub fn accepts_plain(&self) -> bool {
        self.0.witness.admits_plain()
    }
}

impl<B: CredentialBackend> Inner<B> {
    fn opened(&self, record: Arc<Credential>) -> Result<Arc<Credential>, BackendError> {
        if self.is_accepted_as_it_is(&record) {
            return Ok(record);
        }
        self.sealer.open(record).map_err(Unreadable::into_backend_error)
    }

    fn is_accepted_as_it_is(&self, record: &Credential) -> bool {
        self.witness.admits_plain() && !sealer::is_sealed(record)
    }

    fn opened_if_any(
        &self,
        record: Option<Arc<Credential>>,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        record.filter(|record| record.id.as_str() != ID).map(|it| self.opened(it)).transpose()
    }

    async fn before_write(&self, credential: &Credential) -> Result<(), BackendError> {
        if register::is_reserved(credential) {
            return Err(BackendError::AlreadyExists);
        }
        self.witness.before(&self.backend, &self.sealer).await
    }

    async fn after_write(&self) -> Result<(), BackendError> {
        self.witness.look(&self.backend, &self.sealer).await
    }
}

#[async_trait]
impl<B: CredentialBackend> CredentialBackend for Encrypted<B> {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        self.0.before_write(credential).await?;
        self.0.backend.insert(&self.0.sealer.seal(credential), quota).await?;
        self.0.after_write().await
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.get(id).await?)
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.find_by_access_key(access_key).await?)
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        self.0.opened_if_any(self.0.backend.find_by_slot(user_id, slot).await?)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        self.0.list(query).await
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        if credential.id.as_str() == ID {
            return Ok(false);
        }
        self.0.before_write(credential).await?;
        let done = self.0.backend.update(&self.0.sealer.seal(credential), expected).await?;
        if done {
            self.0.after_write().await?;
        }
        Ok(done)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        if id.as_str() == ID {
            return Ok(false);
        }
        self.0.backend.delete(id, expected).await
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        if user_id.as_str() == OWNER {
            return Ok(0);
        }
        self.0.backend.purge_user(user_id).await
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        self.0.backend.purge_project(project_id).await
    }
}

impl<B> Clone for Encrypted<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: fmt::Debug> fmt::Debug for Encrypted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("backend", &self.0.backend)
            .field("sealer", &self.0.sealer)
            .finish_non_exhaustive()
    }
}
