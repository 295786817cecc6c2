//! The front before a real Keystone, side by side with it.
//!
//! `scripts/keystone install` gets the Keystone; one is started for all tests.
//! Without it, or with `WITHOUT_KEYSTONE=1`, they are skipped, with a line on stderr;
//! with `REQUIRE_LIVE_BACKENDS=1` its lack is a failure.

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
