//! Memory and descriptors of a process.

use std::{fmt, fs, time::Duration};

use tokio::time::sleep;

use crate::world::{World, duration};

/// The allowed growth, in addition to a quarter.
const MORE_KIB: usize = 24 << 10;
const MORE_DESCRIPTORS: usize = 32;

/// How long descriptors may stay open after the clients have ended. The servers close idle
/// connections after 15 to 18 seconds.
const CLOSED_WITHIN: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    kib: usize,
    descriptors: usize,
}

impl Sample {
    /// `None` if the process has ended.
    fn of(process: u32) -> Option<Self> {
        let maps = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let line = maps.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
        let kib = line.split_whitespace().next()?.parse().ok()?;
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        Some(Self { kib, descriptors })
    }
}

/// The maximum anonymous memory and descriptors in the second quarter of the run and in its last
/// fifth.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    early: Option<Sample>,
    late: Option<Sample>,
}

/// Measures until the run is over.
pub(crate) async fn measure(world: &World) -> Usage {
    let (mut usage, step) = (Usage::default(), duration() / 100);
    while !world.is_over() {
        let Some(now) = Sample::of(world.server.id()) else {
            world.fault("the process has ended");
            break;
        };
        let part = world.began.elapsed().as_secs_f64() / duration().as_secs_f64();
        let most = |seen: &mut Option<Sample>| {
            let seen = seen.get_or_insert(now);
            seen.kib = seen.kib.max(now.kib);
            seen.descriptors = seen.descriptors.max(now.descriptors);
        };
        match part {
            0.25..0.5 => most(&mut usage.early),
            0.8.. => most(&mut usage.late),
            _ => {}
        }
        sleep(step.min(Duration::from_secs(1))).await;
    }
    usage
}

impl Usage {
    /// Checks that the growth is within the limits.
    pub(crate) fn check(&self, world: &World) {
        let (Some(early), Some(late)) = (self.early, self.late) else {
            return world.fault("the run was too short to measure");
        };
        if late.kib > early.kib + early.kib / 4 + MORE_KIB
            || late.descriptors > early.descriptors + MORE_DESCRIPTORS
        {
            world.fault(format_args!("it grows: {self}"));
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(early), Some(late)) = (self.early, self.late) else {
            return f.write_str("not measured");
        };
        write!(
            f,
            "memory {:.1} MiB early, {:.1} late; descriptors {} early, {} late",
            mib(early.kib),
            mib(late.kib),
            early.descriptors,
            late.descriptors
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "to be read by people")]
fn mib(kib: usize) -> f64 {
    kib as f64 / 1024.0
}

/// The number of descriptors of the process.
pub(crate) fn descriptors(world: &World) -> usize {
    Sample::of(world.server.id()).map_or(usize::MAX, |sample| sample.descriptors)
}

/// Waits until the descriptors of connections are closed.
pub(crate) async fn wait_for_close(world: &World, before: usize) {
    for _ in 0..CLOSED_WITHIN {
        // The stores may open more files.
        if descriptors(world) <= before + 8 {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let now = descriptors(world);
    world.fault(format_args!("descriptors stay open: {before} at the start, {now} at the end"));
}
