//! Collects uses and reports them in the background.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

use super::recent::Recent;
use super::waiting::{Recorded, Waiting};
use super::{UsageError, UsageLog, whole_seconds};
use crate::{domain::Credential, log};

/// The default interval between reports.
const INTERVAL: Duration = Duration::from_mins(1);

/// A shorter interval would keep a task busy all the time.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// The default capacity: about eight megabytes of keys.
const CAPACITY: usize = 65_536;

/// The timeout of one round of reports.
const ROUND: Duration = Duration::from_secs(10);

/// The timeout of a flush: the round in progress and one of its own.
const FLUSH: Duration = Duration::from_secs(20);

/// Collects uses of keys and reports them to a [`UsageLog`] in the background.
///
/// The recorder keeps the latest use of each key. It reports all of them in batches every
/// minute, or earlier if half of the capacity is used. A use that could not be reported stays
/// for the next report. If the capacity is exhausted, a use of a further key is
/// [`dropped`](Self::dropped); the next use of that key is tried again.
///
/// A clone is another handle to the same recorder. When the last handle is dropped, the
/// remaining uses are reported in the background, as long as the runtime lives. To wait for
/// that, call [`flush`](Self::flush). Uses that were not reported when the process ends are
/// lost.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use tower_credentials::{
///     backend::memory::MemoryBackend, domain::Credential, usage::UsageRecorder,
/// };
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(verified: Credential, now: SystemTime) -> Done {
/// let backend = MemoryBackend::default();
/// let recorder =
///     UsageRecorder::builder(backend.clone()).interval(Duration::from_secs(10)).start();
///
/// // For each valid signature:
/// recorder.used(&verified, now);
///
/// // Before the process ends:
/// recorder.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UsageRecorder {
    owner: Arc<Owner>,
}

impl UsageRecorder {
    /// The maximum number of keys in one report. Small enough not to delay other writes to the
    /// same store.
    pub const BATCH: usize = 256;

    /// Starts a recorder with the default settings.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    #[must_use]
    pub fn new(log: impl UsageLog) -> Self {
        Self::builder(log).start()
    }

    /// Starts to set up a recorder.
    pub fn builder(log: impl UsageLog) -> UsageRecorderBuilder {
        UsageRecorderBuilder { log: Box::new(log), interval: INTERVAL, capacity: CAPACITY }
    }

    /// Records that a key was used at this time. Fractions of a second are cut off, and times
    /// before 1970 count as 1970.
    ///
    /// Never waits for the log and never fails. Another use of the key within the same second
    /// takes no lock; within the interval, it takes no memory.
    pub fn used(&self, credential: &Credential, at: SystemTime) {
        let Shared { recent, waiting, dropped, wake, half, .. } = &*self.owner.shared;
        let (hash, second) = (waiting.hash(&credential.id), whole_seconds(at));
        if recent.has(hash, second) {
            return;
        }
        match waiting.record(hash, &credential.id, second) {
            // Exactly at the half, so that a log that fails is not called all the time.
            Recorded::First(held) if held == *half => wake.notify_one(),
            Recorded::Again | Recorded::First(_) => {}
            Recorded::NoRoom => {
                dropped.fetch_add(1, Relaxed);
                return;
            }
        }
        recent.put(hash, second);
    }

    /// Reports all uses that were recorded before the call. They are in the log when it returns
    /// `Ok`.
    ///
    /// Times out after twenty seconds.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if the log failed or timed out. The uses stay for the next report.
    pub async fn flush(&self) -> Result<(), UsageError> {
        in_time(FLUSH, self.owner.shared.round()).await
    }

    /// Returns the number of keys whose use is not reported yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.owner.shared.waiting.len()
    }

    /// Returns the number of uses that were dropped because the capacity was exhausted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.owner.shared.dropped.load(Relaxed)
    }
}

/// Builds a [`UsageRecorder`]. Every setting replaces an earlier value.
#[derive(Debug)]
#[must_use = "call `start` to get the recorder"]
pub struct UsageRecorderBuilder {
    log: Box<dyn UsageLog>,
    interval: Duration,
    capacity: usize,
}

impl UsageRecorderBuilder {
    /// Sets the time between reports; at least a millisecond.
    ///
    /// Default: one minute.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(MIN_INTERVAL);
        self
    }

    /// Sets the maximum number of keys that wait to be reported. Each takes some 130 bytes.
    ///
    /// Default: 65,536.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// Starts to report.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    #[must_use]
    pub fn start(self) -> UsageRecorder {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { log, interval, capacity } = self;
        let shared = Arc::new(Shared {
            log,
            interval,
            recent: Recent::new(),
            waiting: Waiting::new(capacity),
            half: capacity.div_ceil(2),
            dropped: AtomicU64::new(0),
            reporting: Mutex::default(),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
        });
        tokio::spawn(report(Arc::clone(&shared)));
        UsageRecorder { owner: Arc::new(Owner { shared }) }
    }
}

/// What the clones share, without the task: the task ends when this is dropped.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.closed.store(true, Release);
        self.shared.wake.notify_one();
    }
}

/// The state that the clones share with the task.
#[derive(Debug)]
struct Shared {
    log: Box<dyn UsageLog>,
    interval: Duration,
    recent: Recent,
    waiting: Waiting,
    /// The number of waiting keys at which they are reported at once.
    half: usize,
    dropped: AtomicU64,
    /// Locked during a report.
    reporting: Mutex<()>,
    wake: Notify,
    closed: AtomicBool,
}

impl Shared {
    /// Reports the waiting uses, up to the first failure.
    async fn round(&self) -> Result<(), UsageError> {
        let _alone = self.reporting.lock().await;
        let mut taken = self.waiting.take();
        let report = async {
            while let Some(batch) = taken.batch(UsageRecorder::BATCH) {
                // Not through the `Box`, whose own implementation would box the future twice.
                (*self.log).record(batch).await?;
                taken.reported(UsageRecorder::BATCH);
            }
            Ok(())
        };
        in_time(ROUND, report).await
    }
}

async fn in_time(
    limit: Duration,
    report: impl Future<Output = Result<(), UsageError>>,
) -> Result<(), UsageError> {
    timeout(limit, report).await.unwrap_or_else(|_| Err(UsageError::new(TooSlow)))
}

/// The task that reports.
async fn report(shared: Arc<Shared>) {
    loop {
        // Woken or timed out: either way it reports.
        let _ = timeout(shared.interval, shared.wake.notified()).await;
        let closed = shared.closed.load(Acquire);
        let round = Arc::clone(&shared);
        // A separate task, so that a log that panics ends only this round.
        match tokio::spawn(async move { round.round().await }).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn(&shared, &error),
            Err(panicked) => warn(&shared, &panicked),
        }
        if closed {
            return;
        }
    }
}

fn warn(shared: &Shared, error: &(dyn StdError + 'static)) {
    let cause = log::cause(error);
    let (waiting, dropped) = (shared.waiting.len(), shared.dropped.load(Relaxed));
    tracing::warn!(%error, cause, waiting, dropped, "uses of keys could not be reported");
}

/// The log did not finish in time.
#[derive(Debug)]
struct TooSlow;

fixed_error!(TooSlow, "the log of uses timed out");
