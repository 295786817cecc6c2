//! Keeps the keys that this process writes with in the register.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::error::Unconfirmed;
use super::register::{self, Register};
use super::sealer::Sealer;
use crate::backend::{BackendError, CredentialBackend};
use crate::domain::Version;

/// How often to start again when others change the register concurrently.
const TRIES: usize = 32;

/// Reads the register after every write.
///
/// A process that retires a key first marks it, then reads every record, and then removes the
/// key if the register has not changed. A writer reads the register after its write and before
/// the call returns; if its key is marked or missing, it adds the key again. So either the
/// other process sees the write, or the writer changes the register: no retired key is needed
/// for a write that returned.
///
/// Concurrent writers share a read.
#[derive(Debug)]
pub(super) struct Witness {
    /// The number of writes that were done.
    arrivals: AtomicU64,
    seen: Mutex<Seen>,
    /// Whether the store may have plain records, as of the last read.
    plain: AtomicBool,
    /// Whether the last read failed to find or add our key.
    is_lost: AtomicBool,
}

#[derive(Debug)]
struct Seen {
    /// The writes that were done before the last read.
    covers: u64,
    /// The writes that were done before the last read that failed.
    failed: u64,
    /// The version of the register at the last read.
    version: Version,
}

impl Witness {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            arrivals: AtomicU64::default(),
            seen: Mutex::new(Seen { covers: 0, failed: 0, version: register.version }),
            plain: AtomicBool::new(register.state.plain),
            is_lost: AtomicBool::default(),
        }
    }

    /// Returns whether the store may have plain records, as far as is known.
    pub(super) fn admits_plain(&self) -> bool {
        self.plain.load(Ordering::Acquire)
    }

    /// Before a write: rejects it if the last read failed and another one fails too.
    pub(super) async fn before<B: CredentialBackend>(
        &self,
        backend: &B,
        sealer: &Sealer,
    ) -> Result<(), BackendError> {
        if self.is_lost.load(Ordering::Acquire) { self.look(backend, sealer).await } else { Ok(()) }
    }

    /// After a write: makes sure that the newest key of our ring is in use.
    pub(super) async fn look<B: CredentialBackend>(
        &self,
        backend: &B,
        sealer: &Sealer,
    ) -> Result<(), BackendError> {
        let arrival = self.arrivals.fetch_add(1, Ordering::SeqCst) + 1;
        let mut seen = self.seen.lock().await;
        if seen.covers >= arrival {
            return Ok(());
        }
        if seen.failed >= arrival {
            // During an outage of the store, no caller waits for more than two reads.
            let what = "cannot check that the key of this write is registered as in use";
            return Err(Unconfirmed { what, source: None }.into_backend_error());
        }
        // Loaded before the register is read: these writes are done.
        let covers = self.arrivals.load(Ordering::SeqCst);
        match current(backend, sealer, seen.version).await {
            Ok(changed) => {
                if let Some(register) = changed {
                    self.plain.store(register.state.plain, Ordering::Release);
                    seen.version = register.version;
                }
                seen.covers = covers;
                self.is_lost.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                seen.failed = covers;
                self.is_lost.store(true, Ordering::Release);
                Err(error.into_backend_error())
            }
        }
    }

    /// Uses a register that was read elsewhere.
    pub(super) async fn saw(&self, register: &Register) {
        let mut seen = self.seen.lock().await;
        self.plain.store(register.state.plain, Ordering::Release);
        seen.version = register.version;
    }
}

/// Returns the register if it changed, with our newest key in use; `None` if it did not
/// change.
async fn current<B: CredentialBackend>(
    backend: &B,
    sealer: &Sealer,
    known: Version,
) -> Result<Option<Register>, Unconfirmed> {
    let trouble = |what| Unconfirmed { what, source: None };
    let unread = |source| Unconfirmed {
        what: "cannot check that the key of this write is registered as in use",
        source: Some(source),
    };
    for _ in 0..TRIES {
        let record = backend.get_latest(&register::id()).await.map_err(unread)?;
        let record = record.ok_or(trouble("the register of keys in use is missing"))?;
        if record.version == known {
            return Ok(None);
        }
        let register = Register::of_any(&record, sealer).map_err(|_| {
            trouble("the register of keys in use was changed without any key of this ring")
        })?;
        if register.state.is_in_use(sealer.newest()) {
            return Ok(Some(register));
        }
        let mut state = register.state;
        state.put_in_use(sealer.newest());
        let changed = register::change(backend, sealer, state, register.version).await;
        if let Some(changed) = changed.map_err(unread)? {
            tracing::warn!(
                "another process was retiring a key that this process still writes with"
            );
            return Ok(Some(changed));
        }
    }
    Err(trouble("other processes keep changing the keys in use"))
}
