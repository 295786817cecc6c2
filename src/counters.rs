//! [`Counters`]: events per key and minute, in a fixed amount of memory.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// The number of counters among which a new one finds its place.
const WAYS: usize = 8;

/// Counts events per key in the current minute.
///
/// The memory is allocated once. Each key belongs to one set of counters. In a full set, a new key
/// replaces the counter with the fewest events in this minute; of several, the oldest. So keys with
/// one event each, however many, do not replace a key with two.
///
/// The hash of the keys is random per process: nobody can choose keys that share a set. Two keys
/// with the same 64 bits count as one.
pub(crate) struct Counters {
    sets: Box<[Mutex<Set>]>,
    hasher: RandomState,
}

opaque_debug!(Counters);

/// The counters of a set, from the oldest to the newest.
type Set = [Counter; WAYS];

#[derive(Clone, Copy, Default)]
struct Counter {
    hash: u64,
    minute: u32,
    /// Zero in a counter that was never used.
    events: u32,
}

impl Counters {
    /// Creates counters in this many bytes, but at least one set.
    pub(crate) fn new(bytes: usize) -> Self {
        let sets = (bytes / mem::size_of::<Mutex<Set>>()).max(1);
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Counts an event, and returns how many this key has had in the minute of `now`.
    ///
    /// If the clock went back, the events of the later minute count as those of this one. They are
    /// forgotten when the next minute begins.
    pub(crate) fn add(&self, key: &impl Hash, now: SystemTime) -> u32 {
        let (hash, minute) = (self.hasher.hash_one(key), minute_of(now));
        // The high bits of the hash, scaled to the number of sets.
        let index = (u128::from(hash) * self.sets.len() as u128) >> u64::BITS;
        let set = self.sets[usize::try_from(index).unwrap_or_default()].lock();
        count(&mut set.unwrap_or_else(PoisonError::into_inner), hash, minute)
    }
}

fn count(set: &mut Set, hash: u64, minute: u32) -> u32 {
    let found = set.iter_mut().find(|counter| counter.hash == hash && counter.events > 0);
    if let Some(counter) = found
        && counter.minute >= minute
    {
        (counter.minute, counter.events) = (minute, counter.events.saturating_add(1));
        return counter.events;
    }
    // The same key in an earlier minute is the first choice. A later minute is that of a clock that
    // was set back.
    let weight = |counter: &Counter| match counter.minute != minute {
        true if counter.hash == hash => (0, 0),
        true => (1, 0),
        false => (1, counter.events),
    };
    let replaced = (0..WAYS).min_by_key(|at| weight(&set[*at])).unwrap_or_default();
    set[replaced..].rotate_left(1);
    set[WAYS - 1] = Counter { hash, minute, events: 1 };
    1
}

fn minute_of(now: SystemTime) -> u32 {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn events_are_counted_per_key_and_minute() {
        let counters = Counters::new(1 << 12);
        assert_eq!([1, 2, 3], [60, 61, 119].map(|second| counters.add(&"a", at(second))));
        assert_eq!(counters.add(&"b", at(119)), 1);
        assert_eq!([1, 2], [120, 121].map(|second| counters.add(&"a", at(second))));
    }

    #[test]
    fn clock_that_goes_back_keeps_the_count_until_the_next_minute() {
        let counters = Counters::new(1 << 12);
        assert_eq!([1, 2], [999_999, 999_999].map(|second| counters.add(&"a", at(second))));
        assert_eq!(counters.add(&"a", at(60)), 3);
        assert_eq!(counters.add(&"a", at(119)), 4);
        assert_eq!(counters.add(&"a", at(120)), 1);
    }

    #[test]
    fn new_keys_replace_the_fewest_events_and_then_the_oldest() {
        let set = &mut Set::default();
        for hash in 1..=8 {
            assert_eq!(count(set, hash, 7), 1);
        }
        assert_eq!(count(set, 1, 7), 2);
        // These replace 2 to 8, in this order, and then each other.
        for hash in 100..200 {
            assert_eq!(count(set, hash, 7), 1);
            assert!(!set.iter().any(|counter| counter.hash == 2));
            assert_eq!(set.iter().any(|counter| counter.hash == 8), hash < 106);
        }
        assert_eq!(count(set, 1, 7), 3);
        // In the next minute all are replaced.
        for hash in 300..308 {
            assert_eq!(count(set, hash, 8), 1);
        }
        assert_eq!(count(set, 1, 8), 1);
    }

    #[test]
    fn key_without_events_is_not_found_in_an_empty_set() {
        let set = &mut Set::default();
        assert_eq!([count(set, 0, 0), count(set, 0, 0), count(set, 1, 0)], [1, 2, 1]);
    }

    #[test]
    fn memory_is_what_was_asked_for() {
        for bytes in [0, 1_000, 1 << 20] {
            let used = mem::size_of_val(&*Counters::new(bytes).sets);
            assert!(used <= bytes.max(200) && used + 200 > bytes, "{bytes}: {used}");
        }
    }
}
