//! Runs the tool as a process, on real files.

mod auditing;
mod copying;
mod damaged;
mod engines;
mod exporting;
mod importing;
mod interrupted;
mod keys;
mod keystone;
mod listing;
mod pictures;
mod purging;
mod records;
mod rotating;
mod sealed;
mod secret_files;
mod sessions;
mod starting;
mod terms;
mod tool;
mod urls;
mod verifying;

use test_support::{etcd, installed, postgres as lab, secret_file, waiting};
