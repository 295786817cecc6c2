//! Runs the object gateway as a process, with real S3 clients.
//!
//! A test is skipped, with a line on stderr, if its tools are not installed (Python with boto3,
//! minio and pyiceberg, the AWS command line, Node.js with the AWS SDK, rclone, s3cmd, curl,
//! openssl). With `REQUIRE_LIVE_BACKENDS=1` it fails.

mod bounds;
mod expiry;
mod forms;
mod guessers;
mod hosts;
mod lab;
mod listing;
mod objects;
mod ownership;
mod rotation;
#[cfg(feature = "metrics")]
mod scraping;
mod uploads;

use test_support::process::Program;

/// The tested server.
const GATEWAY: Program = Program { path: env!("CARGO_BIN_EXE_object-gateway"), keeps_data: false };

mod clients {
    test_support::client_tests!(crate::GATEWAY);
}

mod serving {
    test_support::serving_tests!(crate::GATEWAY);
}

#[cfg(feature = "tls")]
mod tls {
    test_support::tls_tests!(crate::GATEWAY);
}
