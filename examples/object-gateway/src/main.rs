//! Runs the server; see the library.

use std::process::ExitCode;

use example_support::{exit_code, log_to_stderr, parse};

#[tokio::main]
async fn main() -> ExitCode {
    let options: object_gateway::Options = parse();
    log_to_stderr("info", options.server.log_format());
    exit_code(object_gateway::run(options).await)
}
