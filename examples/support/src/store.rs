//! Command lines that name stores and files with secrets.

use std::{env, process};

use clap::{Args, Parser};
use tower_credentials::{backend::redact_url, secret_files::SecretFiles};

/// Parses the command line. An error message hides the passwords in it.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        let original = error.render().to_string();
        let redacted = env::args_os().fold(original.clone(), |message, argument| {
            let argument = argument.to_string_lossy();
            let value = argument.split_once('=').filter(|(name, _)| name.starts_with('-'));
            let value = value.map_or(&*argument, |(_, value)| value);
            if value.is_empty() { message } else { message.replace(value, &redact_url(value)) }
        });
        if redacted == original {
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
