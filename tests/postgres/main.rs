//! Tests `PostgresBackend` on servers that the tests start in temporary folders.

mod conflicts;
mod damaged;
mod failover;
mod faults;
mod load;
mod locked;
mod notifications;
mod opening;
mod overlong;
mod plans;
mod rotating;
mod sealed;
mod suite;
mod tls;
mod waiting;

use test_support::{damaged_list, installed, postgres as lab};
