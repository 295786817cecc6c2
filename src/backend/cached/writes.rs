//! When what was written last, so that nothing older is served.

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::domain::{AccessKey, CredentialId, ProjectId, UserId};

/// How many places the writes of records and access keys share, and how many the
/// purges of users and projects. What shares a place is asked for anew together:
/// that costs a question and is never wrong. More places would not stay in the
/// processor's memory, where every lookup goes through them.
const RECORDS: usize = 1 << 14;
const OWNERS: usize = 1 << 10;

/// Counts writes, and knows for everything that can be written the last one.
///
/// A question takes the [`Stamp`] before it is asked, and a write is counted after
/// it was done and before it is answered. So an answer that missed a write has an
/// older stamp than the write's places, whenever it arrives.
pub(super) struct Writes {
    hasher: RandomState,
    count: AtomicU64,
    /// Those of records, then those of owners, which purges alone touch: a store
    /// where many keys are made has its users' places in peace.
    last: Box<[AtomicU64]>,
}

/// How many writes were done at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);

/// Where the last write of a thing is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u16);

impl Writes {
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.count.load(Ordering::SeqCst))
    }

    pub(super) fn record(&self, id: &CredentialId) -> Place {
        self.place(("record", id), 0, RECORDS)
    }

    /// The place of the record that is made with this access key, as most are that
    /// have it: a lookup then has one place less to see.
    pub(super) fn access_key(&self, access_key: &AccessKey) -> Place {
        self.record(&CredentialId::of(access_key))
    }

    pub(super) fn user(&self, id: &UserId) -> Place {
        self.place(("user", id), RECORDS, OWNERS)
    }

    pub(super) fn project(&self, id: &ProjectId) -> Place {
        self.place(("project", id), RECORDS, OWNERS)
    }

    /// Whether nothing was written in these places since.
    pub(super) fn are_untouched(&self, places: &[Place], since: Stamp) -> bool {
        places.iter().all(|place| {
            let last = self.last.get(usize::from(place.0));
            last.is_some_and(|last| last.load(Ordering::Acquire) <= since.0)
        })
    }

    /// Counts a write in these places when what this returns is dropped.
    pub(super) fn under_way(self: &Arc<Self>, places: Vec<Place>) -> UnderWay {
        UnderWay { writes: Arc::clone(self), places }
    }

    /// Counts a write of anything.
    pub(super) fn count_everywhere(&self) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        for last in &self.last {
            last.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// Counts a write in these places.
    pub(super) fn count(&self, places: &[Place]) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        for place in places {
            if let Some(last) = self.last.get(usize::from(place.0)) {
                last.fetch_max(number, Ordering::SeqCst);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "below the number of places")]
    fn place(&self, thing: impl Hash, from: usize, among: usize) -> Place {
        let at = self.hasher.hash_one(thing) % among as u64;
        Place((from as u64 + at) as u16)
    }
}

impl Default for Writes {
    fn default() -> Self {
        let last = std::iter::repeat_with(AtomicU64::default).take(RECORDS + OWNERS).collect();
        Self { hasher: RandomState::new(), count: AtomicU64::default(), last }
    }
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writes(..)")
    }
}

/// A write that is under way. Dropping it counts the write, also when it failed,
/// panicked or was ended: it may have happened.
#[derive(Debug)]
pub(super) struct UnderWay {
    writes: Arc<Writes>,
    places: Vec<Place>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.writes.count(&self.places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_touches_its_places_for_all_who_asked_before_and_for_nobody_after() {
        let writes = Arc::new(Writes::default());
        let place = writes.access_key(&AccessKey::from_stored("a"));
        let before = writes.stamp();
        let under_way = writes.under_way(vec![place]);
        assert!(writes.are_untouched(&[place], before));
        drop(under_way);
        assert!(!writes.are_untouched(&[place], before));
        assert!(writes.are_untouched(&[place], writes.stamp()));
    }

    #[test]
    fn purges_and_writes_share_no_place() {
        let writes = Writes::default();
        for number in 0..1_000 {
            let name = number.to_string();
            let user = writes.user(&UserId::from_stored(name.as_str()));
            let project = writes.project(&ProjectId::from_stored(name.as_str()));
            let record = writes.record(&CredentialId::from_stored(name.as_str()));
            let key = writes.access_key(&AccessKey::from_stored(name.as_str()));
            let [user, project, record, key] =
                [user, project, record, key].map(|place| usize::from(place.0));
            assert!(record.max(key) < RECORDS && user.min(project) >= RECORDS);
            assert!(user.max(project) < RECORDS + OWNERS);
        }
    }
}
