//! Where passphrases come from: a file, the environment, or whoever sits at the terminal.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use age::secrecy::{ExposeSecret, SecretString};

use crate::outcome::{Exit, Failure};

/// The variable that may hold it.
pub(crate) const VARIABLE: &str = "CREDENTIALS_PASSPHRASE";

const TERMINAL: &str = "/dev/tty";

/// The first line of a file.
pub(crate) fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let text = fs::read_to_string(path).map(SecretString::from).map_err(|error| {
        let what = format!("cannot read the passphrase in {}: {error}", path.display());
        Failure::new(Exit::Usage, what)
    })?;
    let line = text.expose_secret().lines().next().unwrap_or_default();
    checked(line, &path.display().to_string())
}

/// That of the environment, if it has one.
pub(crate) fn from_env() -> Result<Option<SecretString>, Failure> {
    match env::var(VARIABLE) {
        Ok(text) => checked(&text, VARIABLE).map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(_) => Err(Failure::new(Exit::Usage, format!("{VARIABLE} is no text"))),
    }
}

/// What is typed, once to open and twice to seal. `None` without a terminal.
pub(crate) fn from_terminal(twice: bool) -> Result<Option<SecretString>, Failure> {
    let Ok(terminal) = OpenOptions::new().read(true).write(true).open(TERMINAL) else {
        return Ok(None);
    };
    let typed = ask(&terminal, "Passphrase: ")?;
    if twice && ask(&terminal, "Once more: ")?.expose_secret() != typed.expose_secret() {
        return Err(Failure::new(Exit::Usage, "these are two passphrases"));
    }
    checked(typed.expose_secret(), "what was typed").map(Some)
}

fn checked(text: &str, place: &str) -> Result<SecretString, Failure> {
    if text.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("the passphrase in {place} is empty")));
    }
    Ok(SecretString::from(text.to_owned()))
}

fn ask(mut terminal: &File, question: &str) -> io::Result<SecretString> {
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let _silent = Silent::new()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    writeln!(terminal)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(SecretString::from(line))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent;

impl Silent {
    fn new() -> io::Result<Self> {
        stty("-echo").map(|()| Self)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        if stty("echo").is_err() {
            tracing::warn!("the terminal may be left silent: `stty echo` mends it");
        }
    }
}

fn stty(setting: &str) -> io::Result<()> {
    let terminal = File::open(TERMINAL)?;
    let mut command = Command::new("stty");
    command.arg(setting).stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status()?.success() { Ok(()) } else { Err(io::Error::other("stty fails")) }
}
