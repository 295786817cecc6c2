//! What the examples that are servers share.

pub(crate) mod backend;
mod figures;
mod idle;
pub(crate) mod server;
pub(crate) mod store;

use std::{error::Error, io::IsTerminal, process::ExitCode};

use tracing_subscriber::EnvFilter;

/// Logs to stderr what `RUST_LOG` says; unless set, this.
pub(crate) fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
}

/// How the process ends; an error is told for people.
pub(crate) fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
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
