//! [`Remembered`]: the last answer about one key, and how long it is valid.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Standing;

/// How long an answer is valid if the directory reports no revision: a change takes effect
/// within the directory's own documented age plus this time.
///
/// During an outage, also the time between two lookups of the same key.
const VALIDITY: Duration = Duration::from_secs(1);

/// The `good_at` of a key whose last answer is negative or missing.
const NEVER: i64 = i64::MIN;

/// Stands for a missing revision.
const UNKNOWN: u64 = u64::MAX;

/// The last answer about one version of one key. Times are in microseconds.
///
/// While the directory reports a revision, an answer of that revision is valid. While it
/// reports none, an answer is valid for [`VALIDITY`]. After the clock was set back, an answer
/// from the future is not valid, so that no answer outlives its time by more than that step.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// The revision of the last positive answer. Written before `good_at` and read after it. A
    /// reader between the two writes sees the new revision with an older time. That is safe,
    /// because the new revision has a positive answer.
    revision: AtomicU64,
    /// When the last answer was last known to be valid, if it is positive.
    good_at: AtomicI64,
    /// The number of lookups that were begun.
    lookups: AtomicU64,
    /// `revision` and `good_at` change under this lock, except when `good_at` is extended.
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    standing: Arc<Standing>,
    revision: u64,
    asked_at: i64,
    /// The number of the lookup that returned it.
    lookup: u64,
    /// When a later lookup last failed.
    failed_at: i64,
    /// The last time at which it was used in its grace time.
    used_at: i64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            revision: AtomicU64::new(UNKNOWN),
            good_at: AtomicI64::new(NEVER),
            lookups: AtomicU64::default(),
            last: Mutex::default(),
        }
    }
}

impl Remembered {
    /// Returns whether the last answer is positive and valid.
    pub(super) fn is_good(&self, current: Option<u64>, now: i64) -> bool {
        let good_at = self.good_at.load(Ordering::Acquire);
        let revision = self.revision.load(Ordering::Relaxed);
        if good_at == NEVER || !is_valid(revision, good_at, current, now) {
            return false;
        }
        // The grace time starts when the answer was last known to be valid. The time is exact
        // to a second, so that requests do not contend for the cache line.
        if current.is_some() && !is_younger(good_at, now, VALIDITY) {
            let (written, read) = (Ordering::Release, Ordering::Relaxed);
            // Fails if another answer arrived meanwhile: a negative answer must remain negative.
            let _ = self.good_at.compare_exchange(good_at, now, written, read);
        }
        true
    }

    /// The last answer, if it is valid, or if it is in its grace time and the last lookup failed
    /// within [`VALIDITY`].
    pub(super) fn known(
        &self,
        current: Option<u64>,
        now: i64,
        grace: Duration,
    ) -> Option<Arc<Standing>> {
        let mut last = self.last();
        let last = last.as_mut()?;
        let is_known = if last.is_good() {
            self.is_good(current, now)
        } else {
            is_valid(last.revision, last.asked_at, current, now)
        };
        if is_known {
            return Some(Arc::clone(&last.standing));
        }
        let failed_lately = is_younger(last.failed_at, now, VALIDITY);
        failed_lately.then(|| self.in_grace(last, now, grace)).flatten()
    }

    /// Begins a lookup, and returns its number.
    pub(super) fn begin(&self) -> u64 {
        self.lookups.fetch_add(1, Ordering::Relaxed)
    }

    /// Caches the answer of a lookup, and returns it. If the answer of a later lookup arrived
    /// before, returns that instead.
    pub(super) fn keep(
        &self,
        lookup: u64,
        standing: Arc<Standing>,
        revision: Option<u64>,
        now: i64,
    ) -> Arc<Standing> {
        let mut last = self.last();
        if let Some(later) = last.as_ref().filter(|last| last.lookup > lookup) {
            return Arc::clone(&later.standing);
        }
        let revision = revision.unwrap_or(UNKNOWN);
        let (asked_at, failed_at, used_at) = (now, NEVER, NEVER);
        let answer = Last { standing, revision, asked_at, lookup, failed_at, used_at };
        if answer.is_good() {
            self.revision.store(revision, Ordering::Relaxed);
            self.good_at.store(now, Ordering::Release);
        } else {
            self.good_at.store(NEVER, Ordering::Release);
        }
        Arc::clone(&last.insert(answer).standing)
    }

    /// Records that a lookup failed, and returns the last answer if it is positive and in its
    /// grace time.
    pub(super) fn failed(&self, now: i64, grace: Duration) -> Option<Arc<Standing>> {
        let mut last = self.last();
        let last = last.as_mut()?;
        last.failed_at = now;
        self.in_grace(last, now, grace)
    }

    fn in_grace(&self, last: &mut Last, now: i64, grace: Duration) -> Option<Arc<Standing>> {
        if grace.is_zero() {
            return None;
        }
        // For a negative answer this is `NEVER`, so its grace time has ended.
        let good_at = self.good_at.load(Ordering::Acquire);
        let end = good_at.saturating_add(micros(VALIDITY.saturating_add(grace)));
        // Requests may arrive here out of order, within a small time. If the clock was set back
        // further, the length of the outage is unknown.
        let latest = last.used_at.max(good_at);
        if now >= end || now.saturating_add(micros(VALIDITY)) < latest {
            return None;
        }
        last.used_at = latest.max(now);
        Some(Arc::clone(&last.standing))
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn is_good(&self) -> bool {
        matches!(*self.standing, Standing::Good(_))
    }
}

/// Returns whether an answer of this revision, last known to be valid at this time, is
/// valid now.
fn is_valid(revision: u64, at: i64, current: Option<u64>, now: i64) -> bool {
    match current {
        Some(current) if current != UNKNOWN => revision == current,
        _ => is_younger(at, now, VALIDITY),
    }
}

fn is_younger(at: i64, now: i64, age: Duration) -> bool {
    (0..micros(age)).contains(&now.saturating_sub(at))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
