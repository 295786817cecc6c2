//! The answers of the backend, with their ages.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quick_cache::{
    DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter, Weighter,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult},
};

use super::answered::{Answered, Asked};
use super::local::Local;
use super::name::Name;
use super::vouched::Vouched;
use super::writes::{Partition, Writes};
use crate::domain::{AccessKey, Credential};

/// The maximum number of shards, each with its own lock.
const MAX_SHARDS: usize = 32;

/// The minimum number of entries of a shard.
const MIN_SHARD: usize = 64;

/// Records up to this many bytes of text count as one entry, longer ones as several.
const BYTES: usize = 4_096;

/// The settings of a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) ttl: Duration,
    pub(super) followed_ttl: Duration,
    pub(super) absence_ttl: Duration,
    pub(super) capacity: usize,
    pub(super) absence_capacity: usize,
}

/// Answers: records by access key, or by id if they have none, and absent access keys, which
/// never evict a record.
pub(super) struct Memory {
    ttl: u64,
    followed_ttl: u64,
    absence_ttl: u64,
    pub(super) vouched: Vouched,
    pub(super) writes: Arc<Writes>,
    pub(super) present: Cache<Name, Kept, Weight, DefaultHashBuilder, Evictions>,
    pub(super) local: Local,
    /// The access keys of records that were looked up by their id.
    pub(super) access_keys: Cache<Name, Name, UnitWeighter>,
    // A randomly seeded hash: any client can choose these access keys.
    absent: Cache<Name, Absence, UnitWeighter, RandomState>,
    evictions: Evictions,
}

/// Counts the records that leave to make room for others. Clones share the count.
#[derive(Clone, Default)]
pub(super) struct Evictions(Arc<AtomicU64>);

/// An answer of the backend.
#[derive(Clone)]
pub(super) enum Entry {
    Absent(Absence),
    Present(Kept),
}

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) credential: Arc<Credential>,
    pub(super) answered: Answered,
    weight: u16,
}

/// The result of a lookup in memory.
pub(super) enum Recalled {
    Absent,
    Present {
        credential: Arc<Credential>,
        /// Whether a refresh is due.
        is_due: bool,
    },
}

#[derive(Clone, Copy)]
pub(super) struct Absence {
    pub(super) asked: Asked,
    partition: [Partition; 1],
}

impl Kept {
    /// Returns whether both are the same state of the same record.
    fn is_same_state(&self, other: &Self) -> bool {
        let [one, other] = [self, other].map(|kept| &kept.credential);
        one.version == other.version && one.id == other.id
    }
}

impl Entry {
    pub(super) fn asked(&self) -> Asked {
        match self {
            Self::Absent(absence) => absence.asked,
            Self::Present(kept) => kept.answered.asked,
        }
    }
}

impl Memory {
    pub(super) fn new(settings: Settings) -> Self {
        let nanos = |ttl: Duration| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let evictions = Evictions::default();
        Self {
            ttl: nanos(settings.ttl),
            followed_ttl: nanos(settings.followed_ttl),
            vouched: Vouched::default(),
            absence_ttl: nanos(settings.absence_ttl),
            writes: Arc::default(),
            present: cache(settings.capacity, Weight, DefaultHashBuilder::default(), &evictions),
            local: Local::new(settings.capacity),
            access_keys: cache(
                settings.capacity,
                UnitWeighter,
                DefaultHashBuilder::default(),
                &DefaultLifecycle::default(),
            ),
            absent: cache(
                settings.absence_capacity,
                UnitWeighter,
                RandomState::new(),
                &DefaultLifecycle::default(),
            ),
            evictions,
        }
    }

    /// Returns the start of a call: create it before the call.
    pub(super) fn ask(&self, now: SystemTime) -> Asked {
        // Without a valid time the answer has no age, and is not served.
        Asked { at: nanos(now).unwrap_or(u64::MAX), stamp: self.writes.stamp() }
    }

    /// Returns what a lookup can be served now.
    pub(super) fn recall(&self, access_key: &str, now: SystemTime) -> Option<Recalled> {
        let (now, name) = (nanos(now)?, access_key.as_bytes());
        let missed = match self.local.get(access_key, now, |it| self.state(it, now)) {
            Ok(credential) => return Some(Recalled::Present { credential, is_due: false }),
            Err(missed) => missed,
        };
        // Destructured, since moving the whole entry takes much of a lookup's time.
        if let Some(Kept { credential, answered, weight }) = self.present.get(name)
            && let Some(is_due) = self.state(&answered, now)
        {
            // Long records are not copied, to bound the memory of the copies.
            if weight == 1 && !is_due {
                self.local.offer(missed, &credential, answered, now);
            }
            return Some(Recalled::Present { credential, is_due });
        }
        let absence = self.absent.get(name)?;
        self.age_of_absence(&absence, now).map(|_| Recalled::Absent)
    }

    /// Returns the entry itself, if it can be served now.
    pub(super) fn recall_entry(&self, access_key: &str, now: SystemTime) -> Option<Entry> {
        let name = access_key.as_bytes();
        let present = || self.present.get(name).map(Entry::Present);
        let absent = || self.absent.get(name).map(Entry::Absent);
        let servable = |entry: &Entry| self.is_servable(entry, now);
        present().filter(servable).or_else(|| absent().filter(servable))
    }

    /// Returns whether an entry can be served now.
    pub(super) fn is_servable(&self, entry: &Entry, now: SystemTime) -> bool {
        let age = nanos(now).and_then(|now| match entry {
            Entry::Absent(absence) => self.age_of_absence(absence, now),
            Entry::Present(kept) => self.age_of_present(&kept.answered, now),
        });
        age.is_some()
    }

    /// Returns the entry for an answer of the backend. `key` is the partition of the access key,
    /// or of the record if it has none.
    pub(super) fn entry(
        &self,
        key: Partition,
        asked: Asked,
        found: Option<Arc<Credential>>,
    ) -> Entry {
        let writes = &self.writes;
        let Some(credential) = found else {
            return Entry::Absent(Absence { asked, partition: [key] });
        };
        let user = writes.user(&credential.user_id);
        let project = credential.project_id.as_ref().map_or(user, |id| writes.project(id));
        let partitions = [writes.record(&credential.id), key, user, project];
        let weight = u16::try_from(1 + credential.size() / BYTES).unwrap_or(u16::MAX);
        let answered = Answered { asked, partitions, refreshes: 0 };
        Entry::Present(Kept { credential, answered, weight })
    }

    /// Stores an entry in place of an earlier one.
    pub(super) fn keep(&self, access_key: &AccessKey, entry: Entry, now: SystemTime) {
        if self.has_later(access_key, &entry, now) {
            return;
        }
        let name = Name::new(access_key.as_str());
        match entry {
            Entry::Absent(absence) => {
                if self.present.remove(&name).is_some() {
                    self.local.count_replaced();
                }
                self.absent.insert(name, absence);
            }
            Entry::Present(kept) => {
                self.absent.remove(&name);
                let is_other = |earlier: Kept| !earlier.is_same_state(&kept);
                let is_replaced = self.present.get(&name).is_some_and(is_other);
                self.present.insert(name, kept);
                if is_replaced {
                    self.local.count_replaced();
                }
            }
        }
    }

    /// Returns whether this caller should refresh the entry; then others should not for a
    /// while.
    pub(super) fn claims_refresh(&self, access_key: &str, now: SystemTime) -> bool {
        let (now, name) = (nanos(now), Name::new(access_key));
        let claimed = self.present.entry(&name, Some(Duration::ZERO), |_, kept| {
            let is_due = now.is_some_and(|now| {
                let answered = &kept.answered;
                let age = answered.asked.age(now);
                age.is_some_and(|age| self.is_due(age, answered.refreshes, now))
            });
            if is_due {
                kept.answered.refreshes = kept.answered.refreshes.saturating_add(1);
            }
            EntryAction::Retain(is_due)
        });
        matches!(claimed, EntryResult::Retained(true))
    }

    /// Returns the number of records and absences in memory, including stale ones.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.present.len(), self.absent.len())
    }

    /// Returns how many records left to make room for others.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.0.load(Relaxed)
    }

    /// Records that the feed was complete at this time.
    pub(super) fn renew(&self, asked_at: SystemTime) {
        if let Some(asked_at) = nanos(asked_at) {
            self.vouched.renew(asked_at);
        }
    }

    /// Returns the age of the oldest change by others that may not have taken effect; `None`
    /// if no feed vouches for the entries.
    pub(super) fn lag(&self, now: SystemTime) -> Option<Duration> {
        self.vouched.lag(nanos(now)?).map(Duration::from_nanos)
    }

    /// Returns the age of the oldest change that some lookup could miss; evicts entries that
    /// cannot be served.
    pub(super) fn sweep(&self, now: SystemTime) -> Duration {
        let (now, oldest) = (nanos(now), Cell::new(0));
        let lag = now.and_then(|now| self.vouched.lag(now));
        let look = |age: Option<u64>| {
            let staleness = age.map_or(0, |age| lag.map_or(age, |lag| lag.min(age)));
            oldest.set(oldest.get().max(staleness));
            age.is_some()
        };
        let look_at = |it: &Answered| look(now.and_then(|now| self.age_of_present(it, now)));
        self.present.retain(|_, kept| look_at(&kept.answered));
        // Its entry may have been evicted.
        self.local.retain(now.unwrap_or(0), look_at);
        self.absent.retain(|_, absent| look(now.and_then(|now| self.age_of_absence(absent, now))));
        Duration::from_nanos(oldest.get())
    }

    /// Returns whether a refresh of a record is due; `None` if it cannot be served.
    pub(super) fn state(&self, answered: &Answered, now: u64) -> Option<bool> {
        let age = self.age_of_present(answered, now)?;
        Some(self.is_due(age, answered.refreshes, now))
    }

    fn age_of_present(&self, answered: &Answered, now: u64) -> Option<u64> {
        // Most entries are younger than the `ttl` and need no feed. The feed is checked before
        // the partitions, because a reconnected feed first touches all of them.
        let Answered { asked, partitions, .. } = answered;
        asked
            .age(now)
            .filter(|age| *age < self.ttl || *age < self.bound(now))
            .filter(|_| self.writes.are_untouched(partitions, asked.stamp))
    }

    fn age_of_absence(&self, absence: &Absence, now: u64) -> Option<u64> {
        absence
            .asked
            .age(now)
            .filter(|age| *age < self.absence_ttl)
            .filter(|_| self.writes.are_untouched(&absence.partition, absence.asked.stamp))
    }

    /// Returns how long an entry is served: longer while a feed vouches for it.
    fn bound(&self, now: u64) -> u64 {
        match self.vouched.lag(now) {
            Some(_) => self.ttl.max(self.followed_ttl),
            None => self.ttl,
        }
    }

    /// Returns whether a refresh is due: after three quarters of the time, and while refreshes
    /// fail, after each further sixteenth.
    fn is_due(&self, age: u64, refreshes: u16, now: u64) -> bool {
        let is_past = |bound: u64| age >= (bound / 16).saturating_mul(12 + u64::from(refreshes));
        is_past(self.ttl) && is_past(self.bound(now))
    }
}

/// Returns the nanoseconds since 1970; `None` before 1970 and after 2554.
pub(super) fn nanos(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Creates a cache with at most this capacity.
fn cache<V: Clone, W, H, L>(
    capacity: usize,
    weighter: W,
    hasher: H,
    lifecycle: &L,
) -> Cache<Name, V, W, H, L>
where
    W: Weighter<Name, V> + Clone,
    H: BuildHasher + Clone,
    L: Lifecycle<Name, V> + Clone,
{
    let shards = (capacity / MIN_SHARD).clamp(1, MAX_SHARDS);
    let shards = 1 << shards.ilog2();
    let capacity = capacity / shards * shards;
    let mut options = OptionsBuilder::new();
    options.shards(shards).estimated_items_capacity(capacity).weight_capacity(capacity as u64);
    let options = options.build().expect("all required options are set");
    Cache::with_options(options, weighter, hasher, lifecycle.clone())
}

impl Lifecycle<Name, Kept> for Evictions {
    type RequestState = [Option<(Name, Kept)>; 2];

    fn on_evict(&self, evicted: &mut Self::RequestState, name: Name, kept: Kept) {
        self.0.fetch_add(1, Relaxed);
        // Most are dropped after the lock is released, as with the default.
        if let Some(free) = evicted.iter_mut().find(|place| place.is_none()) {
            *free = Some((name, kept));
        }
    }
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<Name, Kept> for Weight {
    fn weight(&self, _: &Name, kept: &Kept) -> u64 {
        kept.weight.into()
    }
}
