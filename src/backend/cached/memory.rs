//! What was heard of the backend, for as long as it counts.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter, Weighter,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult},
};

use super::name::Name;
use super::vouched::Vouched;
use super::writes::{Place, Stamp, Writes};
use crate::domain::{AccessKey, Credential};

/// How many parts lock apart from each other, if there is enough for all.
const MAX_SHARDS: usize = 32;

/// How many entries are worth a lock of their own.
const MIN_SHARD: usize = 64;

/// Records of up to this many bytes of text count as one, longer ones as several.
const BYTES: usize = 4_096;

/// How long, and how many, answers are remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) ttl: Duration,
    pub(super) followed_ttl: Duration,
    pub(super) absence_ttl: Duration,
    pub(super) capacity: usize,
    pub(super) absence_capacity: usize,
}

/// Answers by access key: records, and absences, which push out no record.
pub(super) struct Memory {
    ttl: u64,
    followed_ttl: u64,
    absence_ttl: u64,
    pub(super) vouched: Vouched,
    pub(super) writes: Arc<Writes>,
    present: Cache<Name, Kept, Weight>,
    // Anybody can ask for anything: a hash that nobody can aim at.
    absent: Cache<Name, Absence, UnitWeighter, RandomState>,
}

/// When a question was asked: an answer is as old as its question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// In nanoseconds since 1970.
    at: u64,
    stamp: Stamp,
}

impl Asked {
    /// That of an answer from the future, after the clock was put back, is not known.
    fn age(self, now: u64) -> Option<u64> {
        now.checked_sub(self.at)
    }
}

/// What the backend said.
#[derive(Clone)]
pub(super) enum Heard {
    Absent(Absence),
    Present(Kept),
}

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) credential: Arc<Credential>,
    asked: Asked,
    /// Of the record, the access key, the user and the project.
    places: [Place; 4],
    /// How often it has been asked for anew since.
    refreshes: u16,
    weight: u16,
}

/// What a lookup is given.
pub(super) enum Recalled {
    Absent,
    Present {
        credential: Arc<Credential>,
        /// Whether it is time to ask for it anew.
        is_due: bool,
    },
}

#[derive(Clone, Copy)]
pub(super) struct Absence {
    asked: Asked,
    place: [Place; 1],
}

impl Memory {
    pub(super) fn new(settings: Settings) -> Self {
        let nanos = |ttl: Duration| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        Self {
            ttl: nanos(settings.ttl),
            followed_ttl: nanos(settings.followed_ttl),
            vouched: Vouched::default(),
            absence_ttl: nanos(settings.absence_ttl),
            writes: Arc::default(),
            present: cache(settings.capacity, Weight, DefaultHashBuilder::default()),
            absent: cache(settings.absence_capacity, UnitWeighter, RandomState::new()),
        }
    }

    /// A question that is asked now: to be made before it is.
    pub(super) fn ask(&self, now: SystemTime) -> Asked {
        // What is asked at no known time never has an age, and is not served.
        Asked { at: nanos(now).unwrap_or(u64::MAX), stamp: self.writes.stamp() }
    }

    /// What a lookup can be given now.
    pub(super) fn recall(&self, access_key: &str, now: SystemTime) -> Option<Recalled> {
        let (now, name) = (nanos(now)?, access_key.as_bytes());
        // Taken apart, since moving it whole is a good part of a lookup's time.
        if let Some(Kept { credential, asked, places, refreshes, .. }) = self.present.get(name)
            && let Some(age) = self.age_of_present(asked, &places, now)
        {
            let is_due = self.is_due(age, refreshes, now);
            return Some(Recalled::Present { credential, is_due });
        }
        let absence = self.absent.get(name)?;
        self.age_of_absence(&absence, now).map(|_| Recalled::Absent)
    }

    /// The same as it was heard.
    pub(super) fn recall_heard(&self, access_key: &str, now: SystemTime) -> Option<Heard> {
        let name = access_key.as_bytes();
        let present = || self.present.get(name).map(Heard::Present);
        let absent = || self.absent.get(name).map(Heard::Absent);
        let servable = |heard: &Heard| self.is_servable(heard, now);
        present().filter(servable).or_else(|| absent().filter(servable))
    }

    /// Whether a lookup can be given this now.
    pub(super) fn is_servable(&self, heard: &Heard, now: SystemTime) -> bool {
        let age = nanos(now).and_then(|now| match heard {
            Heard::Absent(absence) => self.age_of_absence(absence, now),
            Heard::Present(kept) => self.age_of_present(kept.asked, &kept.places, now),
        });
        age.is_some()
    }

    /// What was heard, to be kept or passed on.
    pub(super) fn heard(
        &self,
        access_key: &AccessKey,
        asked: Asked,
        found: Option<Arc<Credential>>,
    ) -> Heard {
        let writes = &self.writes;
        let key = writes.access_key(access_key);
        let Some(credential) = found else {
            return Heard::Absent(Absence { asked, place: [key] });
        };
        let user = writes.user(&credential.user_id);
        let project = credential.project_id.as_ref().map_or(user, |id| writes.project(id));
        let places = [writes.record(&credential.id), key, user, project];
        let weight = u16::try_from(1 + credential.size() / BYTES).unwrap_or(u16::MAX);
        Heard::Present(Kept { credential, asked, places, refreshes: 0, weight })
    }

    /// Remembers it, instead of what was heard before. The questions about one key
    /// follow one another, so what is kept last was asked last.
    pub(super) fn keep(&self, access_key: &AccessKey, heard: Heard) {
        let name = Name::new(access_key.as_str());
        match heard {
            Heard::Absent(absence) => {
                self.present.remove(&name);
                self.absent.insert(name, absence);
            }
            Heard::Present(kept) => {
                self.absent.remove(&name);
                self.present.insert(name, kept);
            }
        }
    }

    /// Whether the caller is the one to ask for it anew; others need not for a while.
    pub(super) fn claims_refresh(&self, access_key: &str, now: SystemTime) -> bool {
        let (now, name) = (nanos(now), Name::new(access_key));
        let claimed = self.present.entry(&name, Some(Duration::ZERO), |_, kept| {
            let is_due = now.is_some_and(|now| {
                let age = kept.asked.age(now);
                age.is_some_and(|age| self.is_due(age, kept.refreshes, now))
            });
            if is_due {
                kept.refreshes = kept.refreshes.saturating_add(1);
            }
            EntryAction::Retain(is_due)
        });
        matches!(claimed, EntryResult::Retained(true))
    }

    /// How many records and absences are held, servable or not.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.present.len(), self.absent.len())
    }

    /// Nothing was missing when this was asked.
    pub(super) fn renew(&self, asked_at: SystemTime) {
        if let Some(asked_at) = nanos(asked_at) {
            self.vouched.renew(asked_at);
        }
    }

    /// How long ago a change may have been made elsewhere that is not felt, if a feed
    /// vouches for anything.
    pub(super) fn lag(&self, now: SystemTime) -> Option<Duration> {
        self.vouched.lag(nanos(now)?).map(Duration::from_nanos)
    }

    /// How long ago a change may have been made that the answer to some lookup would miss;
    /// forgets what a lookup cannot be given.
    pub(super) fn sweep(&self, now: SystemTime) -> Duration {
        let (now, oldest) = (nanos(now), Cell::new(0));
        let lag = now.and_then(|now| self.vouched.lag(now));
        let look = |age: Option<u64>| {
            let staleness = age.map_or(0, |age| lag.map_or(age, |lag| lag.min(age)));
            oldest.set(oldest.get().max(staleness));
            age.is_some()
        };
        self.present.retain(|_, kept| {
            let age = now.and_then(|now| self.age_of_present(kept.asked, &kept.places, now));
            look(age)
        });
        self.absent.retain(|_, absent| look(now.and_then(|now| self.age_of_absence(absent, now))));
        Duration::from_nanos(oldest.get())
    }

    fn age_of_present(&self, asked: Asked, places: &[Place], now: u64) -> Option<u64> {
        // Most answers are young, and need nobody to vouch for them. Whoever vouches is
        // asked before the places: a feed that is back touches all of them first.
        asked
            .age(now)
            .filter(|age| *age < self.ttl || *age < self.bound(now))
            .filter(|_| self.writes.are_untouched(places, asked.stamp))
    }

    fn age_of_absence(&self, absence: &Absence, now: u64) -> Option<u64> {
        absence
            .asked
            .age(now)
            .filter(|age| *age < self.absence_ttl)
            .filter(|_| self.writes.are_untouched(&absence.place, absence.asked.stamp))
    }

    /// For how long an answer counts: longer while a feed vouches.
    fn bound(&self, now: u64) -> u64 {
        match self.vouched.lag(now) {
            Some(_) => self.ttl.max(self.followed_ttl),
            None => self.ttl,
        }
    }

    /// Whether it is to be asked for anew: after three quarters of its time, and
    /// while that brings nothing, after each further sixteenth.
    fn is_due(&self, age: u64, refreshes: u16, now: u64) -> bool {
        let is_past = |bound: u64| age >= (bound / 16).saturating_mul(12 + u64::from(refreshes));
        is_past(self.ttl) && is_past(self.bound(now))
    }
}

/// Nanoseconds since 1970; nothing before that and after 2554.
fn nanos(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Room for this many entries and not one more.
fn cache<V: Clone, W, H>(capacity: usize, weighter: W, hasher: H) -> Cache<Name, V, W, H>
where
    W: Weighter<Name, V> + Clone,
    H: BuildHasher + Clone,
{
    let shards = (capacity / MIN_SHARD).clamp(1, MAX_SHARDS);
    let shards = 1 << shards.ilog2();
    let capacity = capacity / shards * shards;
    let mut options = OptionsBuilder::new();
    options.shards(shards).estimated_items_capacity(capacity).weight_capacity(capacity as u64);
    let options = options.build().expect("all that must be set is set");
    Cache::with_options(options, weighter, hasher, DefaultLifecycle::default())
}

#[derive(Clone)]
struct Weight;

impl Weighter<Name, Kept> for Weight {
    fn weight(&self, _: &Name, kept: &Kept) -> u64 {
        kept.weight.into()
    }
}
