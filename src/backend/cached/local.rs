//! Copies of the records in most use, in one table for each thread.
//!
//! A lookup in the memory that all threads share writes to it: it locks a shard, marks the entry as
//! used and counts a reference to the record. Threads that look up the same key wait for each
//! other's cache lines, the longer the more cores there are. A lookup in a table of the thread's own
//! writes only to lines that no other thread uses.

use std::{
    array,
    hash::BuildHasher,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::DefaultHashBuilder;

use super::answered::Answered;
use super::stats::{STRIPES, stripe};
use crate::domain::Credential;

/// How long a copy is used before the shared memory is asked again, in nanoseconds. That marks the
/// shared entry as used, so that it is not evicted, and finds a newer one.
const TIME: u64 = 100_000_000;

/// A table has at most this many sets, each with room for a few copies.
const MAX_SETS: usize = 512;
const WAYS: usize = 4;

/// A record is copied if its key is among the last so many keys of its set that were looked up
/// without a copy.
const RECENT: usize = 2;

/// Copies of records, in one table for each thread.
pub(super) struct Local {
    hasher: DefaultHashBuilder,
    /// The number of sets of a table.
    sets: usize,
    tables: Box<[Table]>,
    /// How many answers in the shared memory were replaced by different ones.
    replaced: AtomicU64,
}

/// The result of a lookup without a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    hash: Hash,
    /// How many answers had been replaced before the lookup.
    replaced: u64,
    /// Whether this thread looked the access key up a short time ago, and may copy it.
    is_in_use: bool,
}

#[derive(Clone, Copy, Debug)]
struct Hash(u64);

/// Two cache lines, since processors prefetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Table(Mutex<Sets>);

/// Sets of access keys with the same index. They are created by the first lookup.
#[derive(Default)]
struct Sets {
    /// Apart from the copies, so that a lookup without a copy stays within a few pages.
    heads: Vec<Head>,
    copies: Vec<[Option<Copied>; WAYS]>,
}

/// Parts of the hashes of the copies, and of the last lookups without a copy.
#[derive(Clone, Copy, Default)]
struct Head {
    copied: [u32; WAYS],
    recent: [u32; RECENT],
}

/// A copy of an entry.
struct Copied {
    credential: Arc<Credential>,
    answered: Answered,
    since: u64,
    replaced: u64,
}

impl Local {
    /// A thread copies at most `capacity` records.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            sets: (capacity / WAYS).min(MAX_SETS),
            tables: iter::repeat_with(Table::default).take(STRIPES).collect(),
            replaced: AtomicU64::default(),
        }
    }

    /// Records that an answer in the shared memory was replaced by a different one. No thread
    /// uses an earlier copy after that.
    pub(super) fn count_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns this thread's copy of a record, if it is new enough and its `state` permits: `true`
    /// if a refresh is due, `None` if it cannot be served. Such a copy is dropped.
    ///
    /// # Errors
    ///
    /// Without such a copy, what [`offer`](Self::offer) needs.
    pub(super) fn get(
        &self,
        access_key: &str,
        now: u64,
        state: impl FnOnce(&Answered) -> Option<bool>,
    ) -> Result<Arc<Credential>, Missed> {
        let hash = Hash(self.hasher.hash_one(access_key.as_bytes()));
        let replaced = self.replaced.load(Ordering::Acquire);
        let missed = |is_in_use| Missed { hash, replaced, is_in_use };
        let mut sets = self.sets().ok_or(missed(false))?;
        let Some(place) = sets.find(hash, access_key) else {
            return Err(missed(sets.is_repeated(hash)));
        };
        match place.as_ref().and_then(|copied| Some((copied, state(&copied.answered)?))) {
            Some((copied, false)) if copied.is_current(now, replaced) => {
                return Ok(Arc::clone(&copied.credential));
            }
            Some(_) => {}
            None => *place = None,
        }
        Err(missed(true))
    }

    /// Copies an entry of the shared memory, if this thread looks it up often and has room for it.
    pub(super) fn offer(
        &self,
        missed: Missed,
        credential: &Arc<Credential>,
        answered: Answered,
        now: u64,
    ) {
        let Missed { hash, replaced, is_in_use } = missed;
        let Some(access_key) = credential.access_key.as_ref().filter(|_| is_in_use) else { return };
        let Some(mut sets) = self.sets() else { return };
        let copied = |credential| Some(Copied { credential, answered, since: now, replaced });
        if let Some(place) = sets.find(hash, access_key.as_str()) {
            // Equal records are not copied again.
            let same = place.take().map(|earlier| earlier.credential);
            let same = same.filter(|same| **same == **credential);
            *place = copied(same.unwrap_or_else(|| copy(credential)));
        } else if let Some((tag, room)) = sets.room(hash, now) {
            *tag = hash.tag();
            *room = copied(copy(credential));
        }
    }

    /// Keeps the copies that are used and servable.
    pub(super) fn retain(&self, now: u64, is_servable: impl Fn(&Answered) -> bool) {
        let replaced = self.replaced.load(Ordering::Acquire);
        for table in &self.tables {
            let mut sets = table.0.lock().unwrap_or_else(PoisonError::into_inner);
            for place in sets.copies.iter_mut().flatten() {
                place.take_if(|it| !it.is_current(now, replaced) || !is_servable(&it.answered));
            }
        }
    }

    /// The sets of this thread; `None` if there are none, or if another thread uses them now,
    /// because there are more threads than tables.
    fn sets(&self) -> Option<MutexGuard<'_, Sets>> {
        if self.sets == 0 {
            return None;
        }
        let mut sets = match self.tables.get(stripe())?.0.try_lock() {
            Ok(sets) => sets,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if sets.heads.is_empty() {
            sets.heads.resize(self.sets, Head::default());
            sets.copies.resize_with(self.sets, || array::from_fn(|_| None));
        }
        Some(sets)
    }
}

impl Hash {
    /// The index among this many sets.
    #[allow(clippy::cast_possible_truncation, reason = "below the number of sets")]
    fn set(self, sets: usize) -> usize {
        (self.0 % sets as u64) as usize
    }

    /// Other bits than those of the index; never zero, which stands for no lookup.
    #[allow(clippy::cast_possible_truncation, reason = "a part of the hash")]
    fn tag(self) -> u32 {
        (self.0 >> 32) as u32 | 1
    }
}

impl Sets {
    /// Returns the place of a copy.
    fn find(&mut self, hash: Hash, access_key: &str) -> Option<&mut Option<Copied>> {
        let set = hash.set(self.heads.len());
        let tags = &self.heads.get(set)?.copied;
        if !tags.contains(&hash.tag()) {
            return None;
        }
        let copies = self.copies.get_mut(set)?;
        copies.iter_mut().find(|place| place.as_ref().is_some_and(|it| it.is_of(access_key)))
    }

    /// Returns whether an access key is among the last ones without a copy. From now on it is.
    fn is_repeated(&mut self, hash: Hash) -> bool {
        let set = hash.set(self.heads.len());
        let Some(Head { recent, .. }) = self.heads.get_mut(set) else { return false };
        let is_repeated = recent.contains(&hash.tag());
        if !is_repeated {
            recent.rotate_right(1);
            recent[0] = hash.tag();
        }
        is_repeated
    }

    /// Returns the place for a copy. A full set has none until the time of a copy is over, so that
    /// records in equal use do not take turns.
    fn room(&mut self, hash: Hash, now: u64) -> Option<(&mut u32, &mut Option<Copied>)> {
        let set = hash.set(self.heads.len());
        let tags = &mut self.heads.get_mut(set)?.copied;
        let mut places = tags.iter_mut().zip(self.copies.get_mut(set)?);
        places.find(|(_, copied)| copied.as_ref().is_none_or(|copied| !copied.is_new(now)))
    }
}

impl Copied {
    fn is_of(&self, access_key: &str) -> bool {
        self.credential.access_key.as_ref().is_some_and(|key| key.as_str() == access_key)
    }

    fn is_current(&self, now: u64, replaced: u64) -> bool {
        self.replaced == replaced && self.is_new(now)
    }

    fn is_new(&self, now: u64) -> bool {
        now.checked_sub(self.since).is_some_and(|age| age < TIME)
    }
}

/// A copy with a count of references of its own.
fn copy(credential: &Credential) -> Arc<Credential> {
    Arc::new(credential.clone())
}
