//! What the examples that are servers share.

pub mod backend;
pub mod figures;
pub mod health;
pub mod hello;
pub mod identities;
pub mod idle;
pub mod loopback;
pub mod server;
pub mod store;

use std::{
    env,
    error::Error,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Logs to stderr by the filter in `RUST_LOG`, or by `default` if that is unset or not valid.
///
/// A filter lists targets with levels: `info,s3s::ops=off`.
///
/// # Panics
///
/// If `default` is not a filter, or logging was set up before.
pub fn log_to_stderr(default: &str) {
    let filter = env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| filter.parse().ok());
    let filter: Targets =
        filter.unwrap_or_else(|| default.parse().expect("the default is a filter"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = lines.with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// How the process ends; an error is told for people.
pub fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Returned from `main`, it would be printed as `{:?}`.
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
