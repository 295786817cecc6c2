//! Seeing to it that the keys that are written with stay in the register.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::error::Unconfirmed;
use super::register::{self, Register};
use super::sealer::Sealer;
use crate::backend::{BackendError, CredentialBackend};
use crate::domain::Version;

/// How often to start again when others change the register meanwhile.
const TRIES: usize = 32;

/// Looks at the register after every write.
///
/// Whoever takes a key out of use first marks it, then looks at every record, and then
/// takes it out if the register did not change meanwhile. A writer looks at the register
/// after its write and before it answers; if its key is marked or gone it puts it back.
/// So a write that is answered was either there to be looked at, or its writer changed
/// the register: no key is out of use that an answered write needs.
///
/// Writers that come at the same time share a look.
#[derive(Debug)]
pub(super) struct Witness {
    /// How many writes were done.
    arrivals: AtomicU64,
    seen: Mutex<Seen>,
    /// Whether plain records may be there, as of the last look.
    plain: AtomicBool,
    /// Whether the last look found no place for our key.
    is_lost: AtomicBool,
}

#[derive(Debug)]
struct Seen {
    /// The writes that were done before the last look.
    covers: u64,
    /// Those before the last look that failed.
    failed: u64,
    /// What the register was when it was seen last.
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

    /// Whether plain records may be there, as far as is known.
    pub(super) fn admits_plain(&self) -> bool {
        self.plain.load(Ordering::Acquire)
    }

    /// Before a write: refuses it if the last look found no place for our key, and there
    /// is none now.
    pub(super) async fn before<B: CredentialBackend>(
        &self,
        backend: &B,
        sealer: &Sealer,
    ) -> Result<(), BackendError> {
        if self.is_lost.load(Ordering::Acquire) { self.look(backend, sealer).await } else { Ok(()) }
    }

    /// After a write: sees to it that the newest key of our ring is in use.
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
            // While the store is away nobody waits for more than two looks.
            let what = "cannot check that the key of this write is registered as in use";
            return Err(Unconfirmed { what, source: None }.into_backend_error());
        }
        // Read before the register is: these writes are done.
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

    /// Takes over what was found out elsewhere.
    pub(super) async fn saw(&self, register: &Register) {
        let mut seen = self.seen.lock().await;
        self.plain.store(register.state.plain, Ordering::Release);
        seen.version = register.version;
    }
}

/// The register, in which our newest key is in use; `None` if it is what it was.
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
        let record = backend.get(&register::id()).await.map_err(unread)?;
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
            tracing::warn!("a key that is still written with was being retired");
            return Ok(Some(changed));
        }
    }
    Err(trouble("other processes keep changing the keys in use"))
}
