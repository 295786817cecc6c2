//! The program: see the library beside it.

use std::process::ExitCode;

use example_support::{exit_code, log_to_stderr, store::parse};

#[tokio::main]
async fn main() -> ExitCode {
    log_to_stderr("info");
    exit_code(object_gateway::run(parse()).await)
}
