//! The accesser as a process: real sockets, real S3 clients, real disks.
//!
//! What a test needs and the machine lacks (Python with boto3, the AWS command
//! line, strace, root) is skipped with a line on stderr; with
//! `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

#![allow(missing_docs)]

mod clients_python;
mod clients_rust;
mod durability;
#[path = "../common/example.rs"]
mod example;
mod http;
mod identities;
#[path = "../common/installed.rs"]
mod installed;
mod keys;
mod limits;
mod lines_to_paste;
mod log;
mod power_loss;
mod process;
mod stopping;
mod store_gone;
mod syscalls;
