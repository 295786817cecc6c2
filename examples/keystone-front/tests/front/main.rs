//! The front as a process, before a Keystone that does as it is told.

mod failing;
mod headers;
mod importing;
mod mirror_limits;
mod mirroring;
mod passing;
mod process;
mod purging;
mod raw;
mod secret_files;
mod slow_bodies;
mod spelling;
mod starting;
mod streaming;

use test_support::{http, keystone, secret_file, waiting};
