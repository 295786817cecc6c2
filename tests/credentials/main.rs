//! The operators' tool as a process, on real files.

#![allow(missing_docs)]

mod copying;
mod damaged;
mod engines;
#[path = "../common/etcd.rs"]
#[allow(dead_code, unfulfilled_lint_expectations, reason = "its own tests use the rest")]
mod etcd;
#[path = "../common/example.rs"]
#[allow(dead_code, reason = "tests of servers use all of it")]
mod example;
mod exporting;
mod importing;
#[path = "../common/installed.rs"]
#[allow(dead_code, reason = "other tests use all of it")]
mod installed;
mod interrupted;
mod keystone;
#[path = "../common/postgres.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod lab;
mod printing;
mod records;
mod sealed;
#[path = "../common/secret_file.rs"]
mod secret_file;
mod secret_files;
mod starting;
mod stats;
mod tool;
mod urls;
mod verifying;
