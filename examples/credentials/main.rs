//! What operators do with stores of credentials: making, moving, counting and checking
//! them.
//!
//! ```text
//! cargo run --release --example credentials -- --help
//! ```

mod copy;
mod export;
mod format;
mod import;
mod load;
mod options;
mod outcome;
mod passphrase;
mod patience;
mod progress;
mod record;
mod seal;
mod stats;
#[path = "../common/store/mod.rs"]
mod store;
mod verify;
mod walk;

use std::{io::IsTerminal, path::Path, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    store::{Expected, Store},
    options::{Command, Options},
    outcome::{Exit, Failure, Outcome},
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log_to_stderr();
    let (name, stdout) = match &options.command {
        Command::Copy { .. } => ("copy", true),
        Command::Export(export) => ("export", export.file != Path::new("-")),
        Command::Import(_) => ("import", true),
        Command::Init { .. } => ("init", true),
        Command::Migrate { .. } => ("migrate", true),
        Command::Stats { .. } => ("stats", true),
        Command::Verify { .. } => ("verify", true),
    };
    let outcome = if options.json && !stdout {
        let what = "stdout takes the export or the outcome, not both";
        Failure::new(Exit::Usage, what).into()
    } else {
        // What is under way is given up as if by an error, so that no file is left behind.
        tokio::select! {
            outcome = run(options.command) => outcome.unwrap_or_else(Outcome::from),
            _ = tokio::signal::ctrl_c() => Failure::new(Exit::Problem, "interrupted").into(),
        }
    };
    outcome.tell(name, options.json, stdout);
    ExitCode::from(outcome.exit() as u8)
}

async fn run(command: Command) -> Result<Outcome, Failure> {
    match command {
        Command::Copy { from, to } => copy::run(&from, &to).await,
        Command::Export(export) => export::run(export).await,
        Command::Import(import) => import::run(import).await,
        Command::Init { url } => {
            let store = Store::open(&url, Expected::New).await?;
            Ok(about(&store, &url))
        }
        Command::Migrate { url } => {
            let store = Store::open(&url, Expected::Existing).await?;
            Ok(about(&store, &url))
        }
        Command::Stats { url } => stats::run(&url).await,
        Command::Verify { url } => verify::run(&url).await,
    }
}

/// A store, for people to see.
fn about(store: &Store, url: &str) -> Outcome {
    Outcome::default().with("store", store::redacted(url)).with("engine", store.engine.name())
}

/// Logs to stderr what `RUST_LOG` says; unless set, warnings.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
}
