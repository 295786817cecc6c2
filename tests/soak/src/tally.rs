//! Counts requests and results.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The counts of one server.
#[derive(Default)]
pub(crate) struct Tally {
    /// Requests by class.
    sent: Mutex<BTreeMap<&'static str, u64>>,
    /// Changes of keys and their owners.
    done: Mutex<BTreeMap<&'static str, u64>>,
    /// Expected responses of 500 and above: outages, and S3's 501.
    excused: Mutex<BTreeMap<u16, u64>>,
    accepted: AtomicU64,
    rejected: AtomicU64,
}

fn count<K: Ord>(counts: &Mutex<BTreeMap<K, u64>>, name: K) {
    *counts.lock().unwrap().entry(name).or_default() += 1;
}

impl Tally {
    pub(crate) fn sent(&self, class: &'static str) {
        count(&self.sent, class);
    }

    pub(crate) fn done(&self, what: &'static str) {
        count(&self.done, what);
    }

    pub(crate) fn excused(&self, status: u16) {
        count(&self.excused, status);
    }

    /// Counts a use of a key with the expected result.
    pub(crate) fn used(&self, accepted: bool) {
        let counter = if accepted { &self.accepted } else { &self.rejected };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a change was made.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.done.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// The numbers of uses that were accepted and rejected as expected.
    pub(crate) fn uses(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Relaxed), self.rejected.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = self.sent.lock().unwrap();
        write!(f, "{} requests (", sent.values().sum::<u64>())?;
        list(f, &sent)?;
        let (accepted, rejected) = self.uses();
        write!(f, "); key uses {accepted} accepted, {rejected} rejected; ")?;
        list(f, &self.done.lock().unwrap())?;
        let excused = self.excused.lock().unwrap();
        f.write_str("; 5xx 0")?;
        if !excused.is_empty() {
            f.write_str(", expected ")?;
            list(f, &excused)?;
        }
        Ok(())
    }
}

fn list<K: fmt::Display>(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<K, u64>) -> fmt::Result {
    for (n, (name, count)) in counts.iter().enumerate() {
        write!(f, "{}{name} {count}", if n == 0 { "" } else { ", " })?;
    }
    Ok(())
}
