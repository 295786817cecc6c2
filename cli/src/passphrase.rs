//! Reading passphrases from a file, from the environment, or from the terminal.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::report::{Exit, Failure};
use age::secrecy::{ExposeSecret, SecretString};
use tower_credentials::secret_files::SecretFiles;

/// The environment variable for a passphrase.
pub(crate) const VARIABLE: &str = "CREDENTIALS_PASSPHRASE";

const TERMINAL: &str = "/dev/tty";

/// Reads the first line of a file.
pub(crate) fn from_file(path: &Path, files: SecretFiles) -> Result<SecretString, Failure> {
    let text = files.read(path).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let line = text.expose().lines().next().unwrap_or_default();
    not_empty(line, &path.display().to_string())
}

/// Reads the environment variable, if it is set.
pub(crate) fn from_env() -> Result<Option<SecretString>, Failure> {
    match env::var(VARIABLE) {
        Ok(text) => not_empty(&text, VARIABLE).map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(_) => Err(Failure::new(Exit::Usage, format!("{VARIABLE} is not valid UTF-8"))),
    }
}

/// Prompts for a passphrase, once to open and twice to seal. Returns `None` without a terminal.
pub(crate) fn from_terminal(twice: bool) -> Result<Option<SecretString>, Failure> {
    let Ok(terminal) = OpenOptions::new().read(true).write(true).open(TERMINAL) else {
        return Ok(None);
    };
    let typed = prompt(&terminal, "Passphrase: ")?;
    if twice && prompt(&terminal, "Repeat passphrase: ")?.expose_secret() != typed.expose_secret() {
        return Err(Failure::new(Exit::Usage, "the two passphrases differ"));
    }
    not_empty(typed.expose_secret(), TERMINAL).map(Some)
}

fn not_empty(text: &str, source: &str) -> Result<SecretString, Failure> {
    if text.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("the passphrase from {source} is empty")));
    }
    Ok(SecretString::from(text.to_owned()))
}

fn prompt(mut terminal: &File, text: &str) -> io::Result<SecretString> {
    // Before the prompt appears: some people type at once.
    let _echo_off = EchoOff::new()?;
    write!(terminal, "{text}")?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    writeln!(terminal)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(SecretString::from(line))
}

/// Turns the terminal's echo off until it is dropped.
struct EchoOff;

static ECHO: Mutex<Echo> = Mutex::new(Echo::On);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Off,
    On,
    /// The process ends: echo must not be turned off again.
    OnForGood,
}

impl EchoOff {
    fn new() -> io::Result<Self> {
        let mut echo = echo();
        if *echo == Echo::OnForGood {
            return Err(io::ErrorKind::Interrupted.into());
        }
        stty("-echo")?;
        *echo = Echo::Off;
        Ok(Self)
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        turn_echo_on(Echo::On);
    }
}

/// Turns the terminal's echo on for good, even if a thread still waits for a passphrase. Called
/// before the process ends.
pub(crate) fn restore_echo() {
    if turn_echo_on(Echo::OnForGood)
        && let Ok(mut terminal) = OpenOptions::new().write(true).open(TERMINAL)
    {
        // The cursor is behind the prompt.
        let _ = writeln!(terminal);
    }
}

/// Returns whether echo was off.
fn turn_echo_on(state: Echo) -> bool {
    let mut echo = echo();
    let was_off = *echo == Echo::Off;
    if was_off && stty("echo").is_err() {
        tracing::warn!("cannot turn the terminal's echo on again: run `stty echo`");
    }
    if *echo != Echo::OnForGood {
        *echo = state;
    }
    was_off
}

fn echo() -> MutexGuard<'static, Echo> {
    ECHO.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stty(setting: &str) -> io::Result<()> {
    let terminal = File::open(TERMINAL)?;
    let mut command = Command::new("stty");
    command.arg(setting).stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status()?.success() { Ok(()) } else { Err(io::Error::other("stty failed")) }
}
