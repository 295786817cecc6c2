//! `PostgresBackend` on real servers: private ones in scratch folders.

#[path = "../common/installed.rs"]
mod installed;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/postgres.rs"]
mod lab;

mod suite;
