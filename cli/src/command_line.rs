//! The parts of a command line that have nothing to do with the commands.

use std::{
    env,
    io::{self, IsTerminal as _},
    process,
};

use clap::{Args, Parser};
use tower_credentials::{backend::redact_arguments, secret_files::SecretFiles};
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Parses the command line. An error message hides the passwords in it.
pub(crate) fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        let message = error.render().to_string();
        let redacted = redact_arguments(&message, env::args_os());
        if redacted == message {
            error.exit();
        }
        eprint!("{redacted}");
        process::exit(error.exit_code())
    })
}

/// Which files with secrets to accept.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SecretFileOptions {
    /// Accept files with secrets that other users can read or write.
    ///
    /// Without this, a file with a password, a passphrase, tokens or keys is refused unless it belongs
    /// to the user of this process or to root, and its group and others have no permissions.
    #[arg(long, global = true)]
    accept_open_files: bool,
}

impl From<SecretFileOptions> for SecretFiles {
    fn from(options: SecretFileOptions) -> Self {
        Self::new()
            .accept_exposed(options.accept_open_files)
            .hint("--accept-open-files accepts the file as it is")
    }
}

/// Logs to stderr by the filter in `RUST_LOG`, or warnings if that is unset or not valid.
pub(crate) fn log_to_stderr() {
    let filter: Option<Targets> = env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = lines.with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
}
