//! Code that the example servers share: command line, logging, stores, identities, serving.

pub mod audit_options;
pub mod aws_options;
pub mod backend;
pub mod guesser_options;
pub mod health;
pub mod hello;
pub mod identities;
pub mod key_options;
mod log_format;
pub mod loopback;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod publishing;
pub mod server;
#[cfg(feature = "tls")]
mod tls;

use std::{
    env,
    error::Error,
    process::{self, ExitCode},
};

use clap::{Args, Parser};
use tower_credentials::{backend::redact_arguments, secret_files::SecretFiles};

pub use self::log_format::{LogFormat, log_to_stderr};

/// Prints an error with its causes, and returns the exit code of the process.
pub fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // `main` would print a returned error as `{:?}`.
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

/// Parses the command line. An error message hides the passwords in it.
pub fn parse<T: Parser>() -> T {
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

/// Which files with secrets are accepted.
#[derive(Clone, Copy, Debug, Args)]
pub struct SecretFileOptions {
    /// Accept files with secrets that other users can read or write.
    ///
    /// By default, a file with a password, a passphrase, tokens or keys must belong to the user of
    /// this process or to root, and its group and others must have no permissions.
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
