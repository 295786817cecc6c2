//! `PostgresBackend` on real servers: private ones in scratch folders.

#[path = "../common/around.rs"]
mod around;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/installed.rs"]
mod installed;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/postgres.rs"]
mod lab;

mod conflicts;
mod damaged;
mod failover;
mod faults;
mod hearing;
mod load;
mod locked;
mod opening;
mod overlong;
mod plans;
mod sealed;
mod suite;
mod tls;
mod waiting;
