//! Real S3 clients, and what they share. Included by the tests of each server that
//! they are tried against, which name it.

#[path = "../common/aws_signer.rs"]
pub(crate) mod aws_signer;
mod aws_sigv4;
mod curl;
#[path = "../common/example.rs"]
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod example;
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod http;
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod keys;
mod lifecycle;
mod lines_to_paste;
mod log_lines;
mod loopback;
mod object_store;
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod posting;
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod process;
mod python;
mod rclone;
pub(crate) mod rusty_s3;
mod s3cmd;
#[path = "../common/secret_file.rs"]
pub(crate) mod secret_file;
mod secret_files;
#[allow(dead_code, reason = "not every server is tested for all of it")]
pub(crate) mod signing;
pub(crate) mod tools;
