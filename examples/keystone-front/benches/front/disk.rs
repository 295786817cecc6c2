//! What the disk allows: the bytes that a process writes, and the time to write and sync as many.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

/// The length of the file that is written again and again, as SQLite's log is.
const LENGTH: u64 = 16 << 20;

/// The bytes that a process has written to the disk.
pub(crate) fn written(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

/// Writes and syncs this number of bytes at a time; returns the 99th percentile.
pub(crate) fn p99_of_syncs(bytes: u64, length: Duration) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create_new(folder.path().join("log")).unwrap();
    let whole = usize::try_from(LENGTH).unwrap();
    file.write_all_at(&vec![1; whole], 0).unwrap();
    file.sync_all().unwrap();
    let chunk = vec![2; usize::try_from(bytes).unwrap()];
    let (mut took, mut at) = (Vec::new(), 0);
    let started = Instant::now();
    while started.elapsed() < length {
        let begin = Instant::now();
        file.write_all_at(&chunk, at).unwrap();
        file.sync_data().unwrap();
        took.push(begin.elapsed());
        at = (at + bytes) % (LENGTH - bytes);
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}
