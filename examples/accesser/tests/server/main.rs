//! Runs the accesser as a process, with real sockets, S3 clients and disks.
//!
//! A test is skipped, with a line on stderr, if its tools are not installed (Python with boto3,
//! minio and pyiceberg, the AWS command line, Node.js with the AWS SDK, rclone, s3cmd, curl, openssl,
//! strace, root). With `REQUIRE_LIVE_BACKENDS=1` it fails.

mod audit;
mod audit_disk;
#[cfg(feature = "metrics")]
mod drills;
mod durability;
mod empty_root;
mod expiry;
mod folder;
mod guessers;
mod identities;
mod keys;
mod lab;
mod limits;
mod log;
mod metrics;
mod other_stores;
mod owners;
mod power_loss;
mod rotation;
#[cfg(feature = "metrics")]
mod scraping;
mod service_unit;
mod sessions;
mod signatures;
mod stopping;
mod store_gone;
mod syscalls;
mod wires;

use test_support::process::Program;

/// The tested server.
const ACCESSER: Program = Program { path: env!("CARGO_BIN_EXE_accesser"), keeps_data: true };

mod clients {
    test_support::client_tests!(crate::ACCESSER);
}

mod serving {
    test_support::serving_tests!(crate::ACCESSER);
}

#[cfg(feature = "tls")]
mod tls {
    test_support::tls_tests!(crate::ACCESSER);
}
