//! Keys in order.
//!
//! etcd looks at every key of a range to count them, whatever the limit. So where there
//! are many, a range ends soon behind where it starts: behind all keys that begin as its
//! start does, up to so many bytes. How many is learned.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::Store;
use super::error::{Trouble, TroubleKind};
use super::keys::behind;
use super::wire::{KeyValue, Range};

/// A range with more keys than this is too wide.
const WIDE: i64 = 10_000;

/// How many keys a range should have.
const AIM: i64 = 2_000;

/// How many places are remembered where ranges are narrow.
const MAX_PLACES: usize = 1_000;

/// Keys that follow each other, with their values but for records.
pub(super) struct Walk {
    pub(super) entries: Vec<KeyValue>,
    /// When they were so, or the first of them.
    pub(super) revision: i64,
    /// Whether all were so at that time.
    pub(super) is_one_state: bool,
}

/// By how many bytes of what follows a prefix its ranges are bounded; those of others by
/// none.
#[derive(Debug, Default)]
pub(super) struct Widths(Mutex<HashMap<Vec<u8>, usize>>);

impl Widths {
    fn get(&self, walked: &[u8]) -> usize {
        let widths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        widths.get(walked).copied().unwrap_or_default()
    }

    fn set(&self, walked: &[u8], kept: usize) {
        let mut widths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept == 0 {
            widths.remove(walked);
            return;
        }
        if widths.len() >= MAX_PLACES && !widths.contains_key(walked) {
            widths.clear();
        }
        widths.insert(walked.to_vec(), kept);
    }
}

/// The first keys, at most `limit`, from `start` up to `end`, which is left out. All begin
/// with `walked`.
pub(super) async fn keys(
    store: &Store,
    walked: &[u8],
    start: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
) -> Result<Walk, Trouble> {
    let known = store.widths.get(walked);
    let (mut kept, mut learned, mut start) = (known, known, start);
    let mut walk = Walk { entries: Vec::new(), revision: 0, is_one_state: true };
    loop {
        let bound = bound(&start, walked.len(), kept).min(end.clone());
        let left = i64::try_from(limit - walk.entries.len()).unwrap_or(i64::MAX);
        let mut range = Range { limit: left, ..Range::between(start, bound.clone()) };
        range.keys_only = walked == store.keys.record("");
        range.revision = if walk.is_one_state { walk.revision } else { 0 };
        let answer = match store.client.range(&range).await {
            Err(trouble) if trouble.is(TroubleKind::Compacted) => {
                // etcd has forgotten how it began: it goes on as it is.
                walk.is_one_state = false;
                start = range.key.0;
                continue;
            }
            answer => answer?,
        };
        if walk.revision == 0 {
            walk.revision = answer.header.revision;
        }
        walk.entries.extend(answer.kvs);
        if answer.count > WIDE {
            learned = kept + narrower(answer.count);
        }
        if walk.entries.len() >= limit || bound == end {
            break;
        }
        // Too narrow; what follows is asked for with a wider range.
        kept = kept.saturating_sub(1);
        learned = kept;
        start = bound;
    }
    if learned != known {
        store.widths.set(walked, learned);
    }
    Ok(walk)
}

/// By how many bytes more a range of so many keys should be bounded, if each has sixteen
/// values.
fn narrower(count: i64) -> usize {
    let parts = u64::try_from(count / AIM).unwrap_or_default().max(1);
    usize::try_from(parts.ilog2() / 4).unwrap_or_default().max(1)
}

/// The end of a range from here: behind all keys that begin with the same bytes, so many
/// after the prefix.
fn bound(start: &[u8], prefix: usize, kept: usize) -> Vec<u8> {
    let mut beginning = start.to_vec();
    if beginning.len() < prefix + kept {
        // Keys and ids begin with a digit, or a letter behind it.
        beginning.resize(prefix + kept, b'0');
    }
    beginning.truncate(prefix + kept);
    behind(&beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_from_end_to_end_leave_nothing_out() {
        // From the start, each range wider than the one before, up to the end.
        let mut start = b"r".to_vec();
        let mut ends = Vec::new();
        for kept in (0..=3).rev() {
            let end = bound(&start, 1, kept);
            assert!(end > start);
            start.clone_from(&end);
            ends.push(String::from_utf8(end).unwrap());
        }
        assert_eq!(ends, ["r001", "r01", "r1", "s"]);
        assert_eq!(bound(b"rff7\0", 1, 2), b"rfg");
        assert_eq!(bound(b"rfg", 1, 1), b"rg");
    }

    #[test]
    fn the_more_keys_the_narrower() {
        for (count, bytes) in [(10_001, 1), (100_000, 1), (1_000_000, 2), (16_000_000, 3)] {
            assert_eq!(narrower(count), bytes, "{count}");
        }
    }
}
