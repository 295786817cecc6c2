//! What a command line says of stores.
//!
//! Whoever is on the same machine can read it, and a URL may hold a password. So it may
//! name the place of a URL instead.

use std::{
    env,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    process,
};

use clap::Parser;

use super::{engine::is_url, redacted};

/// The longest URL, in bytes.
const LONGEST: u64 = 64 << 10;

/// Parses the command line. What is wrong with it is told without the passwords in it.
pub(crate) fn parse<T: Parser>() -> T {
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

/// The URL of a store as it stands on a command line: itself; or `env:` and the name of a
/// variable that holds it; or `@` and the path of a file whose first line it is, and which
/// only its owner may read.
///
/// Not `file:`, with which `SQLite` has the URLs of databases begin.
pub(crate) fn url(said: &str) -> Result<String, String> {
    let (text, place) = if let Some(name) = said.strip_prefix("env:") {
        let text = env::var(name);
        // Not the error itself, which repeats a text that is not Unicode.
        let what = || format!("the environment variable {} is not set to a text", redacted(name));
        (text.map_err(|_| what())?, name)
    } else if let Some(path) = said.strip_prefix('@') {
        (read_private(path)?, path)
    } else {
        return Ok(said.to_owned());
    };
    let url = text.lines().next().unwrap_or_default().trim();
    // Not repeated: it may be another secret.
    if is_url(url) {
        Ok(url.to_owned())
    } else {
        Err(format!("{} holds no URL of a store", redacted(place)))
    }
}

/// The text of a file that is its owner's alone.
fn read_private(path: &str) -> Result<String, String> {
    // Perhaps a URL by mistake.
    let told = redacted(path);
    let unreadable = |error: io::Error| format!("cannot read {told}: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "{told} can be read or written by others than its owner: chmod 600 it, and change \
             the password if it may have been read"
        ));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
