//! Runs the front as a process, with a scripted Keystone.

#[cfg(feature = "metrics")]
mod drills;
mod failing;
mod guessers;
mod headers;
mod importing;
mod key_options;
mod mirror_failures;
mod mirror_limits;
mod mirror_rotation;
mod mirroring;
mod passing;
mod paths;
mod process;
mod purging;
mod raw;
mod secret_files;
mod serving;
mod slow_bodies;
mod starting;
mod streaming;
#[cfg(feature = "tls")]
mod tls;
mod warm_reads;

use test_support::{http, keystone, secret_file, waiting};
