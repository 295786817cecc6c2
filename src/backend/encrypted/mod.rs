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

mod backend;
mod error;
mod fernet;
mod open;
mod register;
mod reseal;
mod ring;
mod sealer;
mod text;
mod verify;
mod witness;

pub use self::{
    backend::Encrypted,
    error::{KeyError, KeyErrorKind},
    fernet::{FernetError, FernetKeys},
    reseal::{ResealProgress, Resealed, ResealedPage},
    ring::{KeyProvider, KeyRing},
    verify::VerifiedPage,
};
