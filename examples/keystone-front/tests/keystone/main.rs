//! Compares the front with a real Keystone.
//!
//! `scripts/keystone install` installs Keystone. All tests share one instance. Without Keystone, or
//! with `WITHOUT_KEYSTONE=1`, the tests are skipped with a line on stderr. With
//! `REQUIRE_LIVE_BACKENDS=1` they fail if it is not installed.

mod cast;
mod exchanges;
mod front;
mod lab;
mod normal;
mod people;
mod tools;

mod command_line;
mod freshness;
mod importing;
mod mirroring;
mod outages;
mod purging;
mod signatures;

mod table_bodies;
mod table_credentials;
mod table_delegated;
mod table_os_ec2;
mod table_tokens;
use test_support::{http, secret_file, waiting};
