//! The accesser as a process: real sockets, real S3 clients, real disks.
//!
//! What a test needs and the machine lacks (Python with boto3, the AWS command
//! line, rclone, s3cmd, curl, openssl, strace, root) is skipped with a line on stderr;
//! with `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

mod durability;
mod figures;
mod folder;
mod identities;
mod keys;
mod lab;
mod limits;
mod log;
mod other_stores;
mod owners;
mod power_loss;
mod signatures;
mod stopping;
mod store_gone;
mod syscalls;
use test_support::process::Program;

/// The server that is tested.
const ACCESSER: Program = Program { path: env!("CARGO_BIN_EXE_accesser"), keeps_data: true };

mod clients {
    test_support::client_tests!(crate::ACCESSER);
}
