//! The object gateway as a process, with real S3 clients.
//!
//! What a test needs and the machine lacks (Python with boto3, the AWS command
//! line, rclone, s3cmd, curl, openssl) is skipped with a line on stderr; with
//! `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

mod bounds;
mod forms;
mod hosts;
mod lab;
mod listing;
mod objects;
mod ownership;
mod uploads;
use test_support::process::Program;

/// The server that is tested.
const GATEWAY: Program = Program { path: env!("CARGO_BIN_EXE_object-gateway"), keeps_data: false };

mod clients {
    test_support::client_tests!(crate::GATEWAY);
}
