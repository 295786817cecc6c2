//! Counts keys by the time since their creation and last use, and until their expiry.

use std::time::{Duration, SystemTime};

use tower_credentials::domain::Credential;

use crate::{bars::Counts, report::Report, times::DAY};

/// The last day of each bucket, and the names of the buckets. The last bucket has no end.
const SINCE: [u32; 6] = [1, 7, 30, 90, 180, 365];
const SINCE_NAMES: [&str; 7] = [
    "up_to_1_day",
    "up_to_7_days",
    "up_to_30_days",
    "up_to_90_days",
    "up_to_180_days",
    "up_to_365_days",
    "older",
];

/// The same until the expiry of a key.
const UNTIL: [u32; 5] = [1, 7, 30, 90, 365];
const UNTIL_NAMES: [&str; 6] = [
    "within_1_day",
    "within_7_days",
    "within_30_days",
    "within_90_days",
    "within_365_days",
    "later",
];

/// Counts the records with an access key. Each of them is in one bucket of each kind.
#[derive(Debug)]
pub(crate) struct KeyTimes {
    now: SystemTime,
    ages: [u64; 7],
    /// `None` if the store has no log of uses.
    last_uses: Option<LastUses>,
    expiries: Expiries,
}

#[derive(Debug, Default)]
struct LastUses {
    times: [u64; 7],
    never: u64,
}

#[derive(Debug, Default)]
struct Expiries {
    expired: u64,
    times: [u64; 6],
    none: u64,
}

impl KeyTimes {
    pub(crate) fn new(now: SystemTime, has_usage_log: bool) -> Self {
        let last_uses = has_usage_log.then(LastUses::default);
        Self { now, ages: [0; 7], last_uses, expiries: Expiries::default() }
    }

    /// Counts a record, if it has an access key.
    pub(crate) fn add(&mut self, record: &Credential, last_used: Option<SystemTime>) {
        if record.access_key.is_none() {
            return;
        }
        // A time after now, of another clock, is in the first bucket.
        let since = |time| self.now.duration_since(time).unwrap_or_default();
        self.ages[bucket(since(record.created_at), &SINCE)] += 1;
        if let Some(last_uses) = &mut self.last_uses {
            match last_used {
                Some(time) => last_uses.times[bucket(since(time), &SINCE)] += 1,
                None => last_uses.never += 1,
            }
        }
        match record.terms.expires_at() {
            Some(_) if record.is_expired(self.now) => self.expiries.expired += 1,
            Some(end) => {
                let left = end.duration_since(self.now).unwrap_or_default();
                self.expiries.times[bucket(left, &UNTIL)] += 1;
            }
            None => self.expiries.none += 1,
        }
    }

    pub(crate) fn add_to(self, report: Report) -> Report {
        let ages = Counts(SINCE_NAMES.into_iter().zip(self.ages).collect());
        let last_uses = self.last_uses.map(|LastUses { times, never }| {
            Counts(SINCE_NAMES.into_iter().zip(times).chain([("never", never)]).collect())
        });
        let Expiries { expired, times, none } = self.expiries;
        let times = UNTIL_NAMES.into_iter().zip(times);
        let expiries = [("expired", expired)].into_iter().chain(times).chain([("none", none)]);
        let report = report.with_counts("ages", ages);
        let report = match last_uses {
            Some(last_uses) => report.with_counts("last_uses", last_uses),
            None => report,
        };
        report.with_counts("expiries", Counts(expiries.collect()))
    }
}

/// Returns the index of the first bucket that contains the duration.
fn bucket(duration: Duration, days: &[u32]) -> usize {
    days.iter().position(|days| duration <= DAY * *days).unwrap_or(days.len())
}
