//! Runs the front; see the library.

use std::process::ExitCode;

use example_support::{exit_code, log_to_stderr, parse};

#[tokio::main]
async fn main() -> ExitCode {
    let options: keystone_front::options::Options = parse();
    log_to_stderr("info", options.server.log_format());
    exit_code(keystone_front::run(options).await)
}
