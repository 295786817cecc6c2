//! What was noted just now, to be found without a lock.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// How many keys are remembered at the most; a power of two.
const PLACES: usize = 4_096;

/// The bits of a word that tell the second, which come round again after 194 days;
/// the others tell the key.
const SECOND: u64 = (1 << 24) - 1;

/// In which second keys were last noted, for some of them.
///
/// A store's busiest keys are used thousands of times a second, on all cores. Whoever
/// comes second only reads one word here, which all cores can do at once.
///
/// A word holds as much of the key's hash as fits. That another key in the same place
/// has the same 40 bits, and so is passed over within the same second, is as good as
/// impossible: hashes are keyed at random.
pub(super) struct Recent(Box<[AtomicU64]>);

impl Recent {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the key with this hash was noted in this second.
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

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_the_second_in_which_it_was_put_and_no_other_key_is() {
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
