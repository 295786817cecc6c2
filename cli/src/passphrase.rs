//! Where passphrases come from: a file, the environment, or whoever sits at the terminal.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::outcome::{Exit, Failure};
use age::secrecy::{ExposeSecret, SecretString};
use tower_credentials::secret_files::SecretFiles;

/// The variable that may hold it.
pub(crate) const VARIABLE: &str = "CREDENTIALS_PASSPHRASE";

const TERMINAL: &str = "/dev/tty";

/// The first line of a file.
pub(crate) fn from_file(path: &Path, files: SecretFiles) -> Result<SecretString, Failure> {
    let text = files.read(path).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let line = text.expose().lines().next().unwrap_or_default();
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
    // Before the question: some answer at once.
    let _silent = Silent::new()?;
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    writeln!(terminal)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(SecretString::from(line))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent;

/// What became of the terminal.
static SHOWING: Mutex<Showing> = Mutex::new(Showing::Typing);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    Nothing,
    Typing,
    /// And it stays so.
    TypingToTheEnd,
}

impl Silent {
    fn new() -> io::Result<Self> {
        let mut showing = showing();
        if *showing == Showing::TypingToTheEnd {
            return Err(io::ErrorKind::Interrupted.into());
        }
        stty("-echo")?;
        *showing = Showing::Nothing;
        Ok(Self)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        show_typing(Showing::Typing);
    }
}

/// Has the terminal show what is typed, whoever still waits for a passphrase: for when the
/// process is about to end.
pub(crate) fn show_typing_again() {
    if show_typing(Showing::TypingToTheEnd)
        && let Ok(mut terminal) = OpenOptions::new().write(true).open(TERMINAL)
    {
        // Behind the question.
        let _ = writeln!(terminal);
    }
}

/// Returns whether it did not before.
fn show_typing(now: Showing) -> bool {
    let mut showing = showing();
    let was_silent = *showing == Showing::Nothing;
    if was_silent && stty("echo").is_err() {
        tracing::warn!("the terminal may be left silent: `stty echo` mends it");
    }
    if *showing != Showing::TypingToTheEnd {
        *showing = now;
    }
    was_silent
}

fn showing() -> MutexGuard<'static, Showing> {
    SHOWING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stty(setting: &str) -> io::Result<()> {
    let terminal = File::open(TERMINAL)?;
    let mut command = Command::new("stty");
    command.arg(setting).stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status()?.success() { Ok(()) } else { Err(io::Error::other("stty fails")) }
}
