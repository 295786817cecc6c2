//! Runs the tool as a process, on real files.

mod copying;
mod damaged;
mod engines;
mod exporting;
mod importing;
mod interrupted;
mod keystone;
mod records;
mod sealed;
mod secret_files;
mod starting;
mod tool;
mod urls;
mod verifying;

use test_support::{etcd, installed, postgres as lab, secret_file, waiting};
