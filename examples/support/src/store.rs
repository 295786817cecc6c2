//! Command lines that name stores and files with secrets.

use std::{env, process};

use clap::{Args, Parser};
use tower_credentials::{backend::redact_arguments, secret_files::SecretFiles};

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

/// Which files with secrets to accept.
#[derive(Clone, Copy, Debug, Args)]
pub struct SecretFileOptions {
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
