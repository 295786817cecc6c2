//! Shared code of the tests and benches: the layer in a small world, servers and programs as
//! processes, signers, and S3 clients.
//!
//! All functions panic on failure.

pub mod alerts;
pub mod audit_file;
pub mod aws_signer;
pub mod bench;
pub mod child_process;
pub mod clients;
pub mod clock;
pub mod counting;
pub mod damaged_list;
pub mod etcd;
pub mod http;
pub mod installed;
pub mod keys;
pub mod keystone;
pub mod load;
pub mod network;
pub mod opening;
pub mod permissive;
pub mod postgres;
pub mod process;
pub mod records;
pub mod s3_model;
pub mod scraping;
pub mod secret_file;
pub mod serving;
pub mod signer;
pub mod signing;
pub mod small_disk;
pub mod suites;
pub mod thread_log;
pub mod tls;
pub mod tools;
pub mod waiting;
pub mod world;
