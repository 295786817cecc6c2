//! What operators do with stores of credentials: making, moving, counting and checking
//! them.
//!
//! ```text
//! cargo run --release -p tower-credentials-cli -- --help
//! ```

mod command_line;
mod copy;
mod export;
mod files;
mod format;
mod import;
mod key;
#[cfg(feature = "keystone")]
mod keystone;
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
mod transfer;
mod verify;
mod walk;

use std::{io, panic::resume_unwind, path::Path, process::ExitCode, time::Duration};

use crate::{
    options::{Command, Options, StoreArgs},
    outcome::{Exit, Failure, Outcome},
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tower_credentials::{
    backend::{OpenMode, Store, redact_url},
    secret_files::SecretFiles,
};

/// How long what is under way may take to clean up; what waits for a person or a pipe does not
/// end in any time.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let options: Options = command_line::parse();
    command_line::log_to_stderr();
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
        until_interrupted(run(options.command, options.secret_files.into()))
            .unwrap_or_else(Outcome::from)
    };
    outcome.tell(name, options.json, stdout);
    ExitCode::from(outcome.exit() as u8)
}

/// Does it on other threads, and waits here until it is done or a signal comes: so whatever it
/// waits for, be it what somebody types, it can be ended.
fn until_interrupted(
    doing: impl Future<Output = Result<Outcome, Failure>> + Send + 'static,
) -> Result<Outcome, Failure> {
    let workers = Runtime::new()?;
    let outcome = Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Listened to before anything is begun.
        let interrupted = interrupted()?;
        let mut doing = workers.spawn(doing);
        tokio::select! {
            done = &mut doing => done.unwrap_or_else(|error| resume_unwind(error.into_panic())),
            () = interrupted => {
                // Given up as if by an error, so that no file is left behind.
                doing.abort();
                let _ = timeout(GRACE, &mut doing).await;
                passphrase::show_typing_again();
                Err(Failure::new(Exit::Problem, "interrupted"))
            }
        }
    });
    workers.shutdown_timeout(GRACE);
    outcome
}

async fn run(command: Command, files: SecretFiles) -> Result<Outcome, Failure> {
    match command.with_urls(files)? {
        Command::Copy { from, to, from_key_ring, to_key_ring } => {
            let from = StoreArgs { url: from, key_ring: from_key_ring };
            copy::run(&from, &StoreArgs { url: to, key_ring: to_key_ring }, files).await
        }
        Command::Export(export) => export::run(export, files).await,
        Command::Import(import) => import::run(import, files).await,
        Command::Init(store) => {
            open::open(&store, files, OpenMode::CreateNew).await.map(|it| about(&it, &store))
        }
        Command::Key { file, id, standby } => key::run(&file, &id, standby, files),
        Command::Migrate(store) => {
            open::open(&store, files, OpenMode::Existing).await.map(|it| about(&it, &store))
        }
        Command::Remove { url, ids } => remove::run(&url, &ids).await,
        Command::Reseal { store, adopt } => reseal::run(&store, adopt, files).await,
        Command::Stats(store) => stats::run(&store, files).await,
        Command::Verify { store, repair } => verify::run(&store, repair, files).await,
    }
}

/// Waits until it is asked to end, by a person or by whatever started it.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A store, for people to see.
fn about(store: &Store, args: &StoreArgs) -> Outcome {
    Outcome::default()
        .with("store", redact_url(&args.url))
        .with("engine", store.engine())
        .with("sealed", store.encrypted().is_some())
}
