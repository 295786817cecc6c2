//! The operators' tool: creates, moves, counts and checks stores of credentials.
//!
//! ```text
//! cargo run --release -p tower-credentials-cli -- --help
//! ```

mod audit;
mod bars;
mod copy;
mod description;
mod export;
mod files;
mod format;
mod import;
mod key;
mod key_options;
mod key_times;
#[cfg(feature = "keystone")]
mod keystone;
mod list;
mod load;
mod maintain;
mod options;
mod passphrase;
mod progress;
mod purge;
mod record;
mod remarks;
mod report;
mod ring;
mod scan;
mod seal;
mod session;
mod stats;
mod store;
mod times;
mod verify;

use std::{io, panic::resume_unwind, path::Path, process::ExitCode, time::Duration};

use crate::{
    options::{AuditCommand, Command, Options, StoreArgs},
    report::{Exit, Failure, Report},
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

/// How long an interrupted command may take to clean up. A thread that waits for a prompt or a
/// pipe does not end at all.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let options = options::parse();
    options::log_to_stderr();
    // The name of the command, and whether its report goes to stdout.
    let (name, stdout) = match &options.command {
        Command::Audit(AuditCommand::Verify(_)) => ("audit verify", true),
        Command::Copy { .. } => ("copy", true),
        Command::Export(export) => ("export", export.file != Path::new("-")),
        Command::Import(_) => ("import", true),
        Command::Init(_) => ("init", true),
        Command::Ring { .. } => ("ring", true),
        Command::Key(key) => (key.name(), true),
        // Without `--json`, stdout has the table.
        Command::List(_) => ("list", options.json),
        Command::Migrate(_) => ("migrate", true),
        Command::Purge(_) => ("purge", true),
        Command::Remove { .. } => ("remove", true),
        Command::Reseal { .. } => ("reseal", true),
        // With `--credential-process`, stdout has the credentials.
        Command::Session(session) => ("session", !session.credential_process),
        Command::Show(_) => ("show", true),
        Command::Stats(_) => ("stats", true),
        Command::Verify { .. } => ("verify", true),
    };
    let Options { json, secret_files, command } = options;
    let report = if json && !stdout {
        let message = "--json prints the report to stdout: name a file for the export";
        Failure::new(Exit::Usage, message).into()
    } else {
        until_interrupted(run(command, secret_files.into(), json)).unwrap_or_else(Report::from)
    };
    report.print(name, json, stdout);
    ExitCode::from(report.exit() as u8)
}

/// Runs the command on other threads and waits until it is done or a signal arrives. So a
/// command that blocks on a prompt or a pipe can be interrupted too.
fn until_interrupted(
    command: impl Future<Output = Result<Report, Failure>> + Send + 'static,
) -> Result<Report, Failure> {
    let workers = Runtime::new()?;
    let report = Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Handles signals before the command starts.
        let interrupted = interrupted()?;
        let mut running = workers.spawn(command);
        tokio::select! {
            done = &mut running => done.unwrap_or_else(|error| resume_unwind(error.into_panic())),
            () = interrupted => {
                // Drops the command's temporary files.
                running.abort();
                let _ = timeout(GRACE, &mut running).await;
                passphrase::restore_echo();
                Err(Failure::new(Exit::Problem, "interrupted"))
            }
        }
    });
    workers.shutdown_timeout(GRACE);
    report
}

async fn run(command: Command, files: SecretFiles, json: bool) -> Result<Report, Failure> {
    match command.with_urls(files)? {
        Command::Audit(AuditCommand::Verify(options)) => audit::verify(&options, files),
        Command::Copy { from, to, from_key_ring, to_key_ring } => {
            let (key_ring, key_ring_option) = (from_key_ring, "--from-key-ring");
            let from = StoreArgs { url: from, key_ring, key_ring_option };
            let (key_ring, key_ring_option) = (to_key_ring, "--to-key-ring");
            let to = StoreArgs { url: to, key_ring, key_ring_option };
            copy::run(&from, &to, files).await
        }
        Command::Export(export) => export::run(export, files).await,
        Command::Import(import) => import::run(import, files).await,
        Command::Init(store) => {
            store::open(&store, files, OpenMode::CreateNew).await.map(|it| describe(&it, &store))
        }
        Command::Key(command) => key::run(command, files).await,
        Command::List(options) => list::list(options, files, json).await,
        Command::Purge(options) => purge::run(options, files).await,
        Command::Ring { file, id, standby } => ring::run(&file, &id, standby, files),
        Command::Migrate(store) => {
            store::open(&store, files, OpenMode::Existing).await.map(|it| describe(&it, &store))
        }
        Command::Remove { url, ids } => maintain::remove(&url, &ids).await,
        Command::Session(options) => session::run(options),
        Command::Reseal { store, adopt } => maintain::reseal(&store, adopt, files).await,
        Command::Show(options) => list::show_one(options, files).await,
        Command::Stats(options) => stats::run(options, files).await,
        Command::Verify { store, repair } => verify::run(&store, repair, files).await,
    }
}

/// Waits for SIGINT or SIGTERM.
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

/// The report of `init` and `migrate`.
fn describe(store: &Store, args: &StoreArgs) -> Report {
    Report::default()
        .with("store", redact_url(&args.url))
        .with("engine", store.engine())
        .with("sealed", store.encrypted().is_some())
}
