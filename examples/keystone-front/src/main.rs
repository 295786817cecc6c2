//! Runs the front; see the library.

use std::process::ExitCode;

use example_support::{exit_code, log_to_stderr, parse};

#[tokio::main]
async fn main() -> ExitCode {
    log_to_stderr("info");
    exit_code(keystone_front::run(parse()).await)
}
