//! Logging to stderr, as text or as JSON.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

/// Logs to stderr by the filter in `RUST_LOG`, or by `default` if that is unset or not valid.
///
/// A filter lists targets with levels: `info,s3s::ops=off`.
///
/// # Panics
///
/// If `default` is not a valid filter, or logging was set up before.
pub fn log_to_stderr(default: &str, format: LogFormat) {
    let filter = env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| filter.parse().ok());
    let filter: Targets =
        filter.unwrap_or_else(|| default.parse().expect("the default is a filter"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.with_ansi(false).json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(filter).init();
}
