//! The accesser as a process: real sockets, real S3 clients, real disks.
//!
//! What a test needs and the machine lacks (Python with boto3, the AWS command
//! line, rclone, s3cmd, curl, openssl, strace, root) is skipped with a line on stderr;
//! with `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

#![allow(missing_docs)]

#[path = "../clients/mod.rs"]
mod clients;
mod durability;
#[path = "../common/etcd.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod etcd;
mod figures;
mod folder;
mod identities;
mod keys;
mod lab;
mod limits;
mod log;
mod other_stores;
mod owners;
#[path = "../common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod power_loss;
mod signatures;
#[path = "../common/signer.rs"]
#[allow(dead_code, reason = "not all that is signed is a form")]
mod signer;
mod stopping;
mod store_gone;
mod syscalls;

use crate::clients::tools::installed;

/// The example that is tested.
const EXAMPLE: &str = "accesser";

/// Whether it keeps data in a folder.
const KEEPS_DATA: bool = true;

/// Whether it takes uploads by forms.
const TAKES_FORMS: bool = true;

/// How it is started so that it admits signatures of version 2.
const SIGNATURE_V2: &[&str] = &["--signature-v2"];
