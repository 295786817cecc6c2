//! What the soak shares with the tests of the clients.

#[path = "../common/example.rs"]
pub(crate) mod example;
#[path = "../clients/http.rs"]
#[allow(dead_code, reason = "the soak writes its requests itself")]
mod http;
#[path = "../clients/process.rs"]
#[allow(dead_code, reason = "the soak needs no wrappers and no failing starts")]
pub(crate) mod process;
