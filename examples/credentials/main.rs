//! What operators do with stores of credentials: making, moving, counting and checking
//! them.
//!
//! ```text
//! cargo run --release --example credentials -- --help
//! ```

mod copy;
mod export;
mod files;
mod format;
mod import;
mod key;
mod keystone;
#[path = "../keystone_front/records.rs"]
#[allow(dead_code, reason = "the front uses all of it")]
mod keystone_records;
mod load;
mod open;
mod options;
mod outcome;
mod passphrase;
mod patience;
mod progress;
mod record;
mod remove;
mod reseal;
mod seal;
mod stats;
#[path = "../common/store/mod.rs"]
mod store;
mod transfer;
mod verify;
mod walk;

use std::{io::IsTerminal, path::Path, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    options::{Command, Options, StoreArgs},
    outcome::{Exit, Failure, Outcome},
    store::{Expected, Store},
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log_to_stderr();
    let (name, stdout) = match &options.command {
        Command::Copy { .. } => ("copy", true),
        Command::Export(export) => ("export", export.file != Path::new("-")),
        Command::Import(_) => ("import", true),
        Command::Init(_) => ("init", true),
        Command::Key { .. } => ("key", true),
        Command::Migrate(_) => ("migrate", true),
        Command::Remove { .. } => ("remove", true),
        Command::Reseal { .. } => ("reseal", true),
        Command::Stats(_) => ("stats", true),
        Command::Verify { .. } => ("verify", true),
    };
    let outcome = if options.json && !stdout {
        let what = "stdout takes the export or the outcome, not both";
        Failure::new(Exit::Usage, what).into()
    } else {
        // What is under way is given up as if by an error, so that no file is left behind.
        tokio::select! {
            outcome = run(options.command) => outcome.unwrap_or_else(Outcome::from),
            () = interrupted() => Failure::new(Exit::Problem, "interrupted").into(),
        }
    };
    outcome.tell(name, options.json, stdout);
    ExitCode::from(outcome.exit() as u8)
}

async fn run(command: Command) -> Result<Outcome, Failure> {
    match command {
        Command::Copy { from, to, from_key_ring, to_key_ring } => {
            let from = StoreArgs { url: from, key_ring: from_key_ring };
            copy::run(&from, &StoreArgs { url: to, key_ring: to_key_ring }).await
        }
        Command::Export(export) => export::run(export).await,
        Command::Import(import) => import::run(import).await,
        Command::Init(store) => {
            open::open(&store, Expected::New).await.map(|it| about(&it, &store))
        }
        Command::Key { file, id, standby } => key::run(&file, &id, standby),
        Command::Migrate(store) => {
            open::open(&store, Expected::Existing).await.map(|it| about(&it, &store))
        }
        Command::Remove { url, ids } => remove::run(&url, &ids).await,
        Command::Reseal { store, adopt } => reseal::run(&store, adopt).await,
        Command::Stats(store) => stats::run(&store).await,
        Command::Verify { store, repair } => verify::run(&store, repair).await,
    }
}

/// Waits until it is asked to end, by a person or by whatever started it.
async fn interrupted() {
    let mut terminated = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminated {
            Some(terminated) => drop(terminated.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// A store, for people to see.
fn about(store: &Store, args: &StoreArgs) -> Outcome {
    Outcome::default()
        .with("store", store::redacted(&args.url))
        .with("engine", store.engine.name())
        .with("sealed", store.seal.is_some())
}

/// Logs to stderr what `RUST_LOG` says; unless set, warnings.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
}
