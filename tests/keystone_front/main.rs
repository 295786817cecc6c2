//! The front as a process, before a Keystone that does as it is told.

#![allow(missing_docs)]

#[path = "../common/example.rs"]
mod example;
mod failing;
mod headers;
#[path = "../clients/http.rs"]
#[allow(dead_code, reason = "the accesser's tests use all of it")]
mod http;
mod importing;
#[allow(dead_code, reason = "the soak uses the rest")]
mod keystone;
mod mirror_limits;
mod mirroring;
mod passing;
mod process;
mod purging;
mod raw;
#[path = "../common/secret_file.rs"]
mod secret_file;
mod secret_files;
mod slow_bodies;
mod spelling;
mod starting;
mod streaming;

// Bodies, to be run by a clock that does not wait.
#[path = "../../examples/keystone_front/body.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod body;
#[path = "../../examples/keystone_front/pace.rs"]
mod pace;
#[path = "../../examples/keystone_front/returned.rs"]
mod returned;

// The mirror, to be run through the suite for backends.
#[path = "../../examples/keystone_front/answers.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod answers;
#[path = "../../examples/keystone_front/copies.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod copies;
#[path = "../../examples/keystone_front/limits.rs"]
mod limits;
#[path = "../../examples/keystone_front/listing.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod listing;
#[path = "../../examples/keystone_front/mirror.rs"]
mod mirror;
#[path = "../../examples/keystone_front/records.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod records;
