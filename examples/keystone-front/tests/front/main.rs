//! Runs the front as a process, with a scripted Keystone.

mod failing;
mod headers;
mod importing;
mod mirror_failures;
mod mirror_limits;
mod mirroring;
mod passing;
mod paths;
mod process;
mod purging;
mod raw;
mod secret_files;
mod slow_bodies;
mod starting;
mod streaming;

use test_support::{http, keystone, secret_file, waiting};
