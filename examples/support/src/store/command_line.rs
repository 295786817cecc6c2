//! What a command line says of stores.
//!
//! Whoever is on the same machine can read it, and a URL may hold a password. So it may
//! name the place of a URL instead.

use std::{env, path::Path, process};

use clap::Parser;

use super::{SecretFiles, engine::is_url, redacted};

/// Parses the command line. What is wrong with it is told without the passwords in it.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| {
        let said = error.render().to_string();
        let told = env::args_os().fold(said.clone(), |told, argument| {
            let argument = argument.to_string_lossy();
            let value = argument.split_once('=').filter(|(name, _)| name.starts_with('-'));
            let value = value.map_or(&*argument, |(_, value)| value);
            if value.is_empty() { told } else { told.replace(value, &redacted(value)) }
        });
        if told == said {
            error.exit();
        }
        eprint!("{told}");
        process::exit(error.exit_code())
    })
}

/// The URL of a store that a command line names: itself; or `env:` and the name of a
/// variable that holds it; or `@` and the path of a file whose first line it is.
///
/// Not `file:`, with which `SQLite` has the URLs of databases begin. A URL that was returned
/// by this is returned as it is.
pub fn url(said: &str, files: SecretFiles) -> Result<String, String> {
    let url = |text: &str, place: &str| {
        let url = text.lines().next().unwrap_or_default().trim();
        // Not repeated: it may be another secret.
        if is_url(url) {
            Ok(url.to_owned())
        } else {
            Err(format!("{} holds no URL of a store", redacted(place)))
        }
    };
    if let Some(name) = said.strip_prefix("env:") {
        // Not the error itself, which repeats a text that is not Unicode.
        let what = |_| format!("the environment variable {} is not set to a text", redacted(name));
        url(&env::var(name).map_err(what)?, name)
    } else if let Some(path) = said.strip_prefix('@') {
        url(&files.read(Path::new(path))?, path)
    } else {
        Ok(said.to_owned())
    }
}
