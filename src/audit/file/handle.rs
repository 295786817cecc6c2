//! [`AuditFile`]: the handle of an audit file.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

use super::{
    chain::AuditKey,
    error::AuditFileError,
    line,
    queue::{Entry, Queue},
    resolving::{self, Resolved},
    writer::Writer,
};
use crate::{
    audit::{AuditError, AuditEvent, AuditId, AuditOutcome, AuditSink},
    backend::{BackendError, CredentialBackend},
    clock::{Clock, SystemClock},
};

/// How long an intent waits until it is durable.
const INTENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of an [`AuditFile`].
#[derive(Debug)]
#[must_use = "call `open` to get the sink"]
pub struct AuditFileBuilder {
    path: PathBuf,
    key: AuditKey,
    is_synced: bool,
    clock: Arc<dyn Clock>,
}

/// A sink that writes events as lines of JSON to a file. See the [module](super).
///
/// A clone is another handle to the same file. A thread writes the lines; it ends after the last
/// handle is dropped, or after [`close`](Self::close).
///
/// ```no_run
/// use tower_credentials::{
///     CredentialLayer,
///     audit::file::{AuditFile, AuditKey},
///     auth::StaticTokens,
///     backend::memory::MemoryBackend,
/// };
///
/// # async fn example(key: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let audit = AuditFile::builder("/var/log/keys/audit.log", AuditKey::new(key)?);
/// let (audit, backend) = (audit.synced(true).open()?, MemoryBackend::default());
/// // After a crash: which changes were made?
/// audit.resolve(&backend).await?;
/// let layer = CredentialLayer::builder(StaticTokens::new(), backend).audit(audit).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AuditFile(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    queue: Arc<Queue>,
    is_synced: bool,
    clock: Arc<dyn Clock>,
    /// The intents of an earlier process, until they are resolved.
    unresolved: Mutex<Vec<Value>>,
    /// The events of this process that are recorded as intents, until they have an outcome.
    announced: Mutex<HashSet<AuditId>>,
}

/// The metrics of an audit file since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStats {
    /// Lines that were written, without those that start a file.
    pub written: u64,
    /// Events that were lost, because too many waited.
    pub lost: u64,
    /// Events that wait to be written.
    pub waiting: usize,
}

impl AuditFileBuilder {
    /// Sets whether each change has a durable intent before it is made. Default: false.
    ///
    /// Changes then wait for the disk, and fail with 503 while the file cannot be written.
    pub fn synced(mut self, synced: bool) -> Self {
        self.is_synced = synced;
        self
    }

    /// Sets the clock. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens or creates the file, with permissions for its owner only, and writes the first line.
    /// Reads an existing file to its end, and blocks meanwhile.
    ///
    /// # Errors
    ///
    /// * [`AuditFileError::InUse`] if another process writes to it.
    /// * [`AuditFileError::Io`] if it cannot be opened, read or written.
    /// * [`AuditFileError::NotAFile`] if it is a folder, a pipe or a device.
    /// * [`AuditFileError::NotAnAuditFile`] if its last line is not an audit line under this key.
    pub fn open(self) -> Result<AuditFile, AuditFileError> {
        let Self { path, key, is_synced, clock } = self;
        let (writer, unresolved) = Writer::open(path, key, is_synced, Arc::clone(&clock))?;
        let queue = Arc::clone(&writer.queue);
        thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
        let (unresolved, announced) = (Mutex::new(unresolved), Mutex::default());
        Ok(AuditFile(Arc::new(Handle { queue, is_synced, clock, unresolved, announced })))
    }
}

impl AuditFile {
    /// Returns a builder of a sink that writes to the file at `path`.
    pub fn builder(path: impl Into<PathBuf>, key: AuditKey) -> AuditFileBuilder {
        let clock = Arc::new(SystemClock);
        AuditFileBuilder { path: path.into(), key, is_synced: false, clock }
    }

    /// Records the outcome of the changes that an earlier process attempted before it crashed, as
    /// the store shows them.
    ///
    /// Call it once, before any change of these records. A change is `done` if the stored record
    /// has the version and the state that the intent names, `withdrawn` if it has those before the
    /// change, and `unknown` if another process changed it since. If several processes share the
    /// store, another one may have made the same change, or have undone it.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method of a backend; see [`BackendError`]. The remaining
    /// intents can be resolved by another call.
    pub async fn resolve<B: CredentialBackend>(
        &self,
        backend: &B,
    ) -> Result<Resolved, BackendError> {
        let mut resolved = Resolved::default();
        loop {
            let unresolved = &self.0.unresolved;
            let next = unresolved.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
            let Some(intent) = next else { return Ok(resolved) };
            let outcome = resolving::outcome_of(&intent, backend).await?;
            resolved.count(outcome);
            if let Some(entry) = resolving::entry(&intent, outcome, self.0.clock.now()) {
                self.0.queue.push(entry);
            }
            unresolved.lock().unwrap_or_else(PoisonError::into_inner).pop();
        }
    }

    /// Returns the number of intents of an earlier process that are not resolved.
    #[must_use]
    pub fn unresolved(&self) -> usize {
        self.0.unresolved.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the metrics.
    #[must_use]
    pub fn stats(&self) -> AuditStats {
        let waiting = self.0.queue.waiting();
        let state = self.0.queue.lock();
        AuditStats { written: state.written, lost: state.lost_in_total, waiting }
    }

    /// Reports whether events are written.
    ///
    /// # Errors
    ///
    /// Why the file cannot be written at the moment, or that the disk does not respond.
    pub fn health(&self) -> Result<(), String> {
        let state = self.0.queue.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let elapsed = state.writing_since.map(|since| self.0.clock.now().duration_since(since));
        match elapsed {
            Some(Ok(elapsed)) if elapsed > INTENT_TIMEOUT => {
                Err(format!("the audit file has not responded for {} s", elapsed.as_secs()))
            }
            _ => Ok(()),
        }
    }

    /// Writes what waits, and closes the file. Blocks until then, at most this long. Returns
    /// whether everything was written. Later events are lost, and later intents refused.
    #[must_use = "false if events may be lost"]
    pub fn close(&self, longest: Duration) -> bool {
        self.0.queue.close();
        self.0.queue.wait_until_done(longest)
    }

    fn announced(&self) -> MutexGuard<'_, HashSet<AuditId>> {
        self.0.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[async_trait]
impl AuditSink for AuditFile {
    async fn intent(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if !self.0.is_synced {
            return Ok(());
        }
        self.announced().insert(event.id);
        let (durable, is_durable) = oneshot::channel();
        let members = line::members("intent", event, false);
        let entry = Entry {
            kind: "intent",
            id: event.id,
            only_if_open: false,
            members,
            durable: Some(durable),
        };
        if !self.0.queue.push(entry) {
            return Err(AuditError::new("too many events wait for the audit file"));
        }
        match timeout(INTENT_TIMEOUT, is_durable).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(AuditError::new("the audit file cannot be written")),
            Err(_) => Err(AuditError::new("the audit file does not respond")),
        }
    }

    fn record(&self, event: AuditEvent) {
        let is_withdrawn = event.outcome == AuditOutcome::Withdrawn;
        let has_intent = self.0.is_synced && self.announced().remove(&event.id);
        if is_withdrawn && !has_intent {
            return;
        }
        let kind = if has_intent { "outcome" } else { "event" };
        let members = line::members(kind, &event, false);
        let id = event.id;
        self.0.queue.push(Entry { kind, id, only_if_open: is_withdrawn, members, durable: None });
    }
}
