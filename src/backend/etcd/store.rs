//! What all handles of a store share, and scans of its keys.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::client::Client;
use super::counters::Users;
use super::error::{EtcdError, EtcdErrorKind};
use super::keys::{Keys, end_of_prefix};
use super::wire::{KeyValue, Range};
use crate::meter::Batches;

/// A store below one prefix of a cluster.
pub(super) struct Store {
    pub(super) client: Client,
    pub(super) keys: Keys,
    pub(super) users: Users,
    pub(super) size_limit: SizeLimit,
    pub(super) batches: Batches,
    scan_depths: ScanDepths,
}

impl Store {
    pub(super) fn new(client: Client, keys: Keys, max_size: u64) -> Self {
        Self {
            client,
            keys,
            users: Users::default(),
            size_limit: SizeLimit { max: max_size, known: Mutex::default() },
            batches: Batches::new("etcd"),
            scan_depths: ScanDepths::default(),
        }
    }
}

/// How long a known size is used.
const MAX_SIZE_AGE: Duration = Duration::from_secs(10);

/// The size is requested again after this fraction of the limit was written.
const SIZE_FRACTION: u64 = 64;

/// Rejects writes before etcd's database reaches its quota. When it has, etcd rejects all
/// writes until an operator has made room.
#[derive(Debug)]
pub(super) struct SizeLimit {
    /// In bytes, as etcd counts.
    max: u64,
    known: Mutex<Option<KnownSize>>,
}

#[derive(Debug)]
struct KnownSize {
    size: u64,
    requested_at: SystemTime,
    written_since: u64,
}

impl SizeLimit {
    /// Checks whether the database has room for a write of this many bytes.
    pub(super) async fn check(&self, client: &Client, bytes: usize) -> Result<(), EtcdError> {
        let now = client.clock().now();
        let size = if let Some(size) = self.known(now, bytes) {
            size
        } else {
            let status = client.status().await?;
            let size = u64::try_from(status.db_size).unwrap_or_default();
            let known = KnownSize { size, requested_at: now, written_since: 0 };
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
            size
        };
        if size < self.max {
            return Ok(());
        }
        let max = self.max;
        Err(EtcdError::full(format_args!(
            "etcd's database has {size} bytes, the limit is {max}; compact and defragment it, \
             or raise `max_size` and etcd's quota"
        )))
    }

    /// Returns the size if it was requested recently. A database that was full is checked
    /// each time.
    fn known(&self, now: SystemTime, bytes: usize) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_mut()?;
        known.written_since = known.written_since.saturating_add(bytes as u64);
        let is_recent = now.duration_since(known.requested_at).is_ok_and(|age| age < MAX_SIZE_AGE);
        let is_valid =
            is_recent && known.size < self.max && known.written_since < self.max / SIZE_FRACTION;
        is_valid.then_some(known.size)
    }
}

// etcd visits every key of a range to count them, whatever the limit. Where there are many
// keys, a scan therefore reads narrow ranges: all keys that share the first bytes of the start,
// up to a depth. The depth of each prefix is learned from the counts.

/// A range with more keys than this is too wide.
const MAX_RANGE: i64 = 10_000;

/// The intended number of keys in a range.
const TARGET_RANGE: i64 = 2_000;

/// How many prefixes with narrow ranges are remembered.
const MAX_DEPTHS: usize = 1_000;

/// How many bytes after a prefix the keys of one range share; 0 for prefixes that are not
/// here.
#[derive(Debug, Default)]
struct ScanDepths(Mutex<HashMap<Vec<u8>, usize>>);

impl ScanDepths {
    fn get(&self, prefix: &[u8]) -> usize {
        let depths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        depths.get(prefix).copied().unwrap_or_default()
    }

    fn set(&self, prefix: &[u8], depth: usize) {
        let mut depths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if depth == 0 {
            depths.remove(prefix);
            return;
        }
        if depths.len() >= MAX_DEPTHS && !depths.contains_key(prefix) {
            depths.clear();
        }
        depths.insert(prefix.to_vec(), depth);
    }
}

/// Consecutive keys. The values of records are left out.
pub(super) struct Scan {
    pub(super) entries: Vec<KeyValue>,
    /// The revision of the first range.
    pub(super) revision: i64,
    /// Whether all entries are of that revision.
    pub(super) is_consistent: bool,
}

impl Store {
    /// Reads the first `limit` keys from `start` up to and without `end`. All must begin with
    /// `prefix`.
    pub(super) async fn scan(
        &self,
        prefix: &[u8],
        mut start: Vec<u8>,
        end: Vec<u8>,
        limit: usize,
    ) -> Result<Scan, EtcdError> {
        let known = self.scan_depths.get(prefix);
        let (mut depth, mut learned) = (known, known);
        let mut scan = Scan { entries: Vec::new(), revision: 0, is_consistent: true };
        loop {
            let range_end = range_end(&start, prefix.len(), depth).min(end.clone());
            let left = i64::try_from(limit - scan.entries.len()).unwrap_or(i64::MAX);
            let mut range = Range { limit: left, ..Range::between(start, range_end.clone()) };
            range.keys_only = prefix == self.keys.record("");
            range.revision = if scan.is_consistent { scan.revision } else { 0 };
            let answer = match self.client.range(&range).await {
                Err(error) if error.is(EtcdErrorKind::Compacted) => {
                    // etcd no longer has the first revision. The scan continues at the latest.
                    scan.is_consistent = false;
                    start = range.key.0;
                    continue;
                }
                answer => answer?,
            };
            if scan.revision == 0 {
                scan.revision = answer.header.revision;
            }
            scan.entries.extend(answer.kvs);
            if answer.count > MAX_RANGE {
                learned = depth + additional_depth(answer.count);
            }
            if scan.entries.len() >= limit || range_end == end {
                break;
            }
            // The range was too narrow; the next one is wider.
            depth = depth.saturating_sub(1);
            learned = depth;
            start = range_end;
        }
        if learned != known {
            self.scan_depths.set(prefix, learned);
        }
        Ok(scan)
    }
}

/// How much deeper to scan a range with this many keys, if each byte has sixteen values.
fn additional_depth(count: i64) -> usize {
    let parts = u64::try_from(count / TARGET_RANGE).unwrap_or_default().max(1);
    usize::try_from(parts.ilog2() / 4).unwrap_or_default().max(1)
}

/// The end of the range from `start`: after all keys that share its first bytes, up to `depth`
/// bytes after the prefix.
fn range_end(start: &[u8], prefix: usize, depth: usize) -> Vec<u8> {
    let mut shared = start.to_vec();
    // Keys and ids begin with a digit or a letter.
    shared.resize(prefix + depth, b'0');
    end_of_prefix(&shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_ranges_leave_out_no_key() {
        // Each range is wider than the one before, up to the end.
        let mut start = b"r".to_vec();
        let mut ends = Vec::new();
        for depth in (0..=3).rev() {
            let end = range_end(&start, 1, depth);
            assert!(end > start);
            start.clone_from(&end);
            ends.push(String::from_utf8(end).unwrap());
        }
        assert_eq!(ends, ["r001", "r01", "r1", "s"]);
        assert_eq!(range_end(b"rff7\0", 1, 2), b"rfg");
        assert_eq!(range_end(b"rfg", 1, 1), b"rg");
    }

    #[test]
    fn ranges_get_narrower_with_the_number_of_keys() {
        for (count, bytes) in [(10_001, 1), (100_000, 1), (1_000_000, 2), (16_000_000, 3)] {
            assert_eq!(additional_depth(count), bytes, "{count}");
        }
    }
}
