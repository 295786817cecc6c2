//! Encrypts secrets at rest, over any backend.
//!
//! [`Encrypted`] seals the secret of each credential, its [`Material`](crate::domain::Material):
//! the secret key, the v3 blob or the password hash. The store below receives a sealed text
//! instead, which only the keys of a [`KeyRing`] open. All other fields stay readable, so that
//! the store looks up, sorts and counts as before. Start with [`Encrypted::open`].
//!
//! # What it protects from
//!
//! * **Reading.** A copy of the file, a dump, a backup or access to the database reveals no
//!   secret.
//! * **Swapping.** A sealed text opens only in the record that it was sealed for. It is bound
//!   to the id, type, owner, project, slot, access key, status, delegation and version of the
//!   record, and to its mark as a root key. If another program moves a secret to another owner
//!   or enables a disabled key, the record becomes unreadable:
//!   [`Corrupt`](crate::backend::BackendError::Corrupt), never a key that works.
//! * **Forging.** A record that is not sealed is rejected, unless the store was
//!   [adopted](Encrypted::adopt) and is not completely sealed yet.
//!
//! # What it does not protect from
//!
//! * Access keys, owners, projects, status, attributes and times are readable. Attributes and
//!   times can also be changed.
//! * A complete record can be deleted or replaced by an older copy of itself, which is valid
//!   with its older version. The same holds for the record of the keys in use, including its
//!   note that a store was adopted. So call [`adopt`](Encrypted::adopt) only in processes that
//!   need it.
//! * The length of a sealed text reveals the length of the secret.
//! * A program that can read the memory of the process, or the key ring, can read every
//!   secret.
//!
//! # The register of keys in use
//!
//! One record of the store, `!tower-sealed-keys`, lists the keys that records may be sealed
//! with. [`Encrypted::open`] reads it, and rejects a ring that lacks one of these keys or has
//! another key under its id. The register is sealed too. No list, lookup or count of
//! [`Encrypted`] includes it.
//!
//! # Changing the key
//!
//! 1. Create a key with [`KeyRing::generate_key`]. Add it to the ring of every process, but
//!    *not last*, and restart the processes one by one. Now each process can open what the new
//!    key seals.
//! 2. Move the key to the end of every ring, and restart the processes one by one. Now the new
//!    key seals.
//! 3. Call [`Encrypted::reseal`] in one process, or in a tool. It returns [`Resealed::Done`]
//!    when nothing is sealed with an older key and no process writes with one.
//! 4. Call it again after every process was restarted. A process that was killed in step 2 may
//!    have left a write behind whose call never returned.
//! 5. Remove the old key from the rings, and restart. Keep the key as long as there are backups
//!    that need it.
//!
//! With one process, steps 1 and 2 are one step. A process that was missed in step 2 and still
//! writes with the old key is detected: it reads the register after each write, before the
//! call returns, and registers its key again. Then [`reseal`](Encrypted::reseal) does not
//! finish, and a ring without that key is rejected later. Its writes are never lost.
//!
//! # Sealing a store that has plain records
//!
//! Stop the processes that write without [`Encrypted`]. Restart them with
//! [`Encrypted::adopt`], which reads plain and sealed records, and call
//! [`reseal`](Encrypted::reseal). Then restart with [`Encrypted::open`]. Plain secrets stay on
//! the disk until the store overwrites them (`VACUUM` of an SQLite file or a PostgreSQL table,
//! compaction of etcd), and in old backups. A plain v3 blob that starts with `tower-sealed:`
//! is mistaken for a sealed text and cannot be opened; delete it.
//!
//! # Order of wrappers
//!
//! Use `Cached<Encrypted<B>>`: the cache stores opened records, so that a cached lookup does
//! not decrypt. With `Encrypted<Cached<B>>` each lookup decrypts.
//!
//! # Format
//!
//! `tower-sealed:1:<key id>:<nonce, ciphertext and tag in base64url>`, with AES-256-GCM-SIV
//! (RFC 8452). Its key is derived from the ring's by HKDF with SHA-256. Nonces are random; a
//! repeated nonce reveals at most that two texts are equal.

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
