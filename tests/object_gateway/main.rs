//! The object gateway as a process, with real S3 clients.
//!
//! What a test needs and the machine lacks (Python with boto3, the AWS command
//! line, rclone, s3cmd, curl, openssl) is skipped with a line on stderr; with
//! `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

#![allow(missing_docs)]

mod bounds;
#[path = "../clients/mod.rs"]
mod clients;
mod forms;
mod hosts;
mod lab;
mod listing;
mod objects;
mod ownership;
#[path = "../common/signer.rs"]
#[allow(dead_code, reason = "not all that is signed is a form")]
mod signer;
mod uploads;

/// The example that is tested.
const EXAMPLE: &str = "object_gateway";

/// Whether it keeps data in a folder.
const KEEPS_DATA: bool = false;

/// Whether it takes uploads by forms.
const TAKES_FORMS: bool = true;

/// How it is started so that it admits signatures of version 2.
const SIGNATURE_V2: &[&str] = &["--signature-v2"];
