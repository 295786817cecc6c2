//! What was heard of the backend, for as long as it counts.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter, Weighter,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult},
};

use super::builder::Settings;
use super::writes::{Place, Stamp, Writes};
use crate::domain::Credential;

/// How many parts lock apart from each other, if there is enough for all.
const MAX_SHARDS: usize = 32;

/// How many entries are worth a lock of their own.
const MIN_SHARD: usize = 64;

/// Records of up to this many bytes of text count as one, longer ones as several.
const BYTES: usize = 4_096;

/// Answers by access key: records, and absences, which push out no record.
pub(super) struct Memory {
    settings: Settings,
    pub(super) writes: Arc<Writes>,
    present: Cache<Box<str>, Kept, Weight>,
    // Anybody can ask for anything: a hash that nobody can aim at.
    absent: Cache<Box<str>, Absence, UnitWeighter, RandomState>,
}

/// When a question was asked: an answer is as old as its question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: SystemTime,
    pub(super) stamp: Stamp,
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
    weight: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Absence {
    asked: Asked,
    place: [Place; 1],
}

/// What is remembered of an access key.
pub(super) enum Recalled {
    Absent(Absence),
    /// With whether it is time to ask for it anew.
    Present(Kept, bool),
}

impl Memory {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            writes: Arc::default(),
            present: cache(settings.capacity, Weight, DefaultHashBuilder::default()),
            absent: cache(settings.absence_capacity, UnitWeighter, RandomState::new()),
        }
    }

    /// What a lookup can be given now.
    pub(super) fn recall(&self, access_key: &str, now: SystemTime) -> Option<Recalled> {
        if let Some(kept) = self.present.get(access_key)
            && let Some(age) = self.age_of_present(&kept, now)
        {
            let is_due = age >= self.refresh_age(kept.refreshes);
            return Some(Recalled::Present(kept, is_due));
        }
        let absence = self.absent.get(access_key)?;
        self.is_absence_servable(&absence, now).then_some(Recalled::Absent(absence))
    }

    /// Whether a lookup can be given this now.
    pub(super) fn is_servable(&self, heard: &Heard, now: SystemTime) -> bool {
        match heard {
            Heard::Absent(absence) => self.is_absence_servable(absence, now),
            Heard::Present(kept) => self.age_of_present(kept, now).is_some(),
        }
    }

    /// What was heard, to be kept or passed on.
    pub(super) fn heard(
        &self,
        access_key: &str,
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
        let weight = u32::try_from(1 + credential.size() / BYTES).unwrap_or(u32::MAX);
        Heard::Present(Kept { credential, asked, places, refreshes: 0, weight })
    }

    /// Remembers it, instead of what was heard before. The questions about one key
    /// follow one another, so what is kept last was asked last.
    pub(super) fn keep(&self, access_key: &str, heard: Heard) {
        match heard {
            Heard::Absent(absence) => {
                self.present.remove(access_key);
                self.absent.insert(access_key.into(), absence);
            }
            Heard::Present(kept) => {
                self.absent.remove(access_key);
                self.present.insert(access_key.into(), kept);
            }
        }
    }

    /// Whether the caller is the one to ask for it anew; others need not for a while.
    pub(super) fn claims_refresh(&self, access_key: &str, now: SystemTime) -> bool {
        let key: Box<str> = access_key.into();
        let claimed = self.present.entry(&key, Some(Duration::ZERO), |_, kept| {
            let due = self.refresh_age(kept.refreshes);
            let is_due = self.age_of_present(kept, now).is_some_and(|age| age >= due);
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

    /// The age of the oldest answer that a lookup can be given; forgets the others.
    pub(super) fn sweep(&self, now: SystemTime) -> Duration {
        let oldest = Cell::new(Duration::ZERO);
        let look = |age: Option<Duration>| {
            oldest.set(oldest.get().max(age.unwrap_or_default()));
            age.is_some()
        };
        self.present.retain(|_, kept| look(self.age_of_present(kept, now)));
        self.absent.retain(|_, absence| look(self.age_of_absence(absence, now)));
        oldest.get()
    }

    fn age_of_present(&self, kept: &Kept, now: SystemTime) -> Option<Duration> {
        self.age(kept.asked, &kept.places, now, self.settings.ttl)
    }

    fn is_absence_servable(&self, absence: &Absence, now: SystemTime) -> bool {
        self.age_of_absence(absence, now).is_some()
    }

    fn age_of_absence(&self, absence: &Absence, now: SystemTime) -> Option<Duration> {
        self.age(absence.asked, &absence.place, now, self.settings.absence_ttl)
    }

    /// The age of what can be served; an answer from the future, after the clock
    /// was put back, has none.
    fn age(
        &self,
        asked: Asked,
        places: &[Place],
        now: SystemTime,
        bound: Duration,
    ) -> Option<Duration> {
        let age = now.duration_since(asked.at).ok().filter(|age| *age < bound)?;
        self.writes.are_untouched(places, asked.stamp).then_some(age)
    }

    /// From which age on it is asked for anew: after three quarters of its time, and
    /// while that brings nothing, after each further sixteenth.
    fn refresh_age(&self, refreshes: u16) -> Duration {
        let sixteenth = self.settings.ttl / 16;
        sixteenth.saturating_mul(12 + u32::from(refreshes))
    }
}

/// Room for this many entries and not one more.
fn cache<V: Clone, W, H>(capacity: usize, weighter: W, hasher: H) -> Cache<Box<str>, V, W, H>
where
    W: Weighter<Box<str>, V> + Clone,
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

impl Weighter<Box<str>, Kept> for Weight {
    fn weight(&self, _: &Box<str>, kept: &Kept) -> u64 {
        kept.weight.into()
    }
}
