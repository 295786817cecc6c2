//! The operators' tool as a process, on real files.

#![allow(missing_docs)]

mod copying;
mod damaged;
#[path = "../common/example.rs"]
#[allow(dead_code, reason = "tests of servers use all of it")]
mod example;
mod exporting;
mod importing;
#[path = "../common/installed.rs"]
#[allow(dead_code, reason = "other tests use all of it")]
mod installed;
mod interrupted;
mod records;
mod starting;
mod stats;
mod tool;
mod verifying;
