//! Recently recorded uses, found without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of keys that are remembered; a power of two.
const PLACES: usize = 4_096;

/// The bits of a word that store the second, which wrap around after 194 days; the other bits
/// identify the key.
const SECOND: u64 = (1 << 24) - 1;

/// The second in which keys were last recorded, for some keys.
///
/// The busiest keys are used thousands of times a second, on all cores. A repeated use only
/// reads one word here, which all cores can do at once.
///
/// A word contains as many bits of the key's hash as fit. If another key with the same 40 bits
/// uses the same place, its use within the same second is skipped. That is practically
/// impossible: hashes are seeded at random.
pub(super) struct Recent(Box<[AtomicU64]>);

impl Recent {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Returns whether the key with this hash was recorded in this second.
    pub(super) fn has(&self, hash: u64, second: u64) -> bool {
        self.place(hash).load(Relaxed) == word(hash, second)
    }

    pub(super) fn put(&self, hash: u64, second: u64) {
        self.place(hash).store(word(hash, second), Relaxed);
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        // The bits that the word leaves out.
        &self.0[(hash & SECOND) as usize % PLACES]
    }
}

fn word(hash: u64, second: u64) -> u64 {
    (hash & !SECOND) | (second & SECOND)
}

opaque_debug!(Recent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recorded_key_is_found_in_its_second() {
        let recent = Recent::new();
        let key = 0x0123_4567_89ab_cdef;
        assert!(!recent.has(key, 5));
        recent.put(key, 5);
        assert!(recent.has(key, 5));
        assert!(!recent.has(key, 4) && !recent.has(key, 6));
        // In the same place, and elsewhere.
        assert!(!recent.has(key ^ 1 << 63, 5));
        assert!(!recent.has(key ^ 1, 5));
    }
}
