//! The last answer about one key, and how long it counts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Standing;

/// How long an answer counts where the directory reports no revision: a change takes
/// effect within the directory's own stated age plus this.
///
/// During an outage, also how long the directory is not asked again about the same key.
const VALIDITY: Duration = Duration::from_secs(1);

/// The `good_at` of a key whose last answer is negative or missing.
const NEVER: i64 = i64::MIN;

/// The stored form of no revision.
const UNKNOWN: u64 = u64::MAX;

/// The last answer about one version of one key. Times are in microseconds.
///
/// While the directory reports a revision, an answer of that revision counts. While it
/// reports none, an answer counts for [`VALIDITY`]. An answer from the future, after the
/// clock was put back, does not count then, so that no answer outlives its time by more
/// than that step.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// The revision of the last positive answer. Written before `good_at`, read after it:
    /// a reader between the two writes sees the new revision, of which a positive answer
    /// is known by then, with an older time.
    revision: AtomicU64,
    /// When the last answer, if it is positive, was last known to count.
    good_at: AtomicI64,
    /// How many questions were begun.
    questions: AtomicU64,
    /// Both atomics above change under this lock, but for `good_at` moving on.
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    standing: Arc<Standing>,
    revision: u64,
    asked_at: i64,
    /// The number of its question.
    question: u64,
    /// When asking again failed last.
    failed_at: i64,
    /// The latest time at which it was used in its grace time.
    used_at: i64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            revision: AtomicU64::new(UNKNOWN),
            good_at: AtomicI64::new(NEVER),
            questions: AtomicU64::default(),
            last: Mutex::default(),
        }
    }
}

impl Remembered {
    /// Whether the last answer is positive and counts.
    pub(super) fn is_good(&self, current: Option<u64>, now: i64) -> bool {
        let good_at = self.good_at.load(Ordering::Acquire);
        let revision = self.revision.load(Ordering::Relaxed);
        if good_at == NEVER || !counts(revision, good_at, current, now) {
            return false;
        }
        // The grace time starts when the answer was last known to count. To the second,
        // so that requests do not contend for the line.
        if current.is_some() && !is_younger(good_at, now, VALIDITY) {
            let (written, read) = (Ordering::Release, Ordering::Relaxed);
            // Fails if there is another answer by now, which must not become positive.
            let _ = self.good_at.compare_exchange(good_at, now, written, read);
        }
        true
    }

    /// The last answer, if it counts, or if it is in its grace time and the directory
    /// failed a moment ago.
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
            counts(last.revision, last.asked_at, current, now)
        };
        if is_known {
            return Some(Arc::clone(&last.standing));
        }
        let failed_lately = is_younger(last.failed_at, now, VALIDITY);
        failed_lately.then(|| self.in_grace(last, now, grace)).flatten()
    }

    /// Begins a question, whose number is returned.
    pub(super) fn begin(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers the answer to a question, and returns the one that counts: an answer to
    /// a later question may have arrived before.
    pub(super) fn keep(
        &self,
        question: u64,
        standing: Arc<Standing>,
        revision: Option<u64>,
        now: i64,
    ) -> Arc<Standing> {
        let mut last = self.last();
        if let Some(later) = last.as_ref().filter(|last| last.question > question) {
            return Arc::clone(&later.standing);
        }
        let revision = revision.unwrap_or(UNKNOWN);
        let (asked_at, failed_at, used_at) = (now, NEVER, NEVER);
        let answer = Last { standing, revision, asked_at, question, failed_at, used_at };
        if answer.is_good() {
            self.revision.store(revision, Ordering::Relaxed);
            self.good_at.store(now, Ordering::Release);
        } else {
            self.good_at.store(NEVER, Ordering::Release);
        }
        Arc::clone(&last.insert(answer).standing)
    }

    /// Records that the directory could not be asked, and returns the last answer if it is
    /// positive and in its grace time.
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
        // Of a negative answer that is `NEVER`, and its end long ago.
        let good_at = self.good_at.load(Ordering::Acquire);
        let end = good_at.saturating_add(micros(VALIDITY.saturating_add(grace)));
        // Requests that came earlier may ask later, but not by much. Once the clock was put
        // back, nobody knows how long the outage is.
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

/// Whether an answer of this revision, last known to count at this time, counts.
fn counts(revision: u64, at: i64, current: Option<u64>, now: i64) -> bool {
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
