//! How a command ends: what it tells people and scripts, and its exit code.

use std::{error::Error, io};

use serde_json::{Map, Value, json};
use tower_credentials::backend::{BackendError, OpenError, OpenErrorKind};

/// The exit codes. Scripts rely on them: add, never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Fine = 0,
    /// Something is wrong with the store, or it was found to be.
    Problem = 1,
    /// What was asked for makes no sense.
    Usage = 2,
    /// A store is not there, or cannot be reached; trying again may help.
    Unavailable = 3,
    /// Something else is there already: a store, a file, or records.
    Conflict = 4,
    /// An export cannot be read: it is damaged, cut short, or sealed otherwise.
    Unreadable = 5,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) what: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into() }
    }

    /// A failure of this exit code, told with all its causes.
    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, told(error))
    }

    /// The same, with what was being done before it.
    pub(crate) fn when(mut self, doing: &str) -> Self {
        self.what = format!("{doing}: {}", self.what);
        self
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let exit = match error {
            BackendError::Unavailable(_) => Exit::Unavailable,
            _ => Exit::Problem,
        };
        Self::of(exit, &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        use OpenErrorKind::{
            AlreadyExists, Busy, InvalidSetting, NotFound, PermissionDenied, Sealed, Unavailable,
            Unsupported,
        };
        let exit = match error.kind() {
            AlreadyExists => Exit::Conflict,
            Busy | NotFound | PermissionDenied | Unavailable => Exit::Unavailable,
            InvalidSetting | Unsupported => Exit::Usage,
            Sealed => return Self::new(Exit::Problem, format!("{error}: --key-ring")),
            _ => Exit::Problem,
        };
        Self::of(exit, &error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(Exit::Problem, &error)
    }
}

/// What a command found or did, by name and in the order to be told, and what failed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    members: Vec<(&'static str, Value)>,
    failure: Option<Failure>,
}

impl Outcome {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// Of several failures the first one counts.
    pub(crate) fn failing(mut self, failure: impl Into<Option<Failure>>) -> Self {
        self.failure = self.failure.or(failure.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.failure.as_ref().map_or(Exit::Fine, |failure| failure.exit)
    }

    /// Tells it: as one JSON object on stdout, or there for people, and on stderr what
    /// failed. Without `stdout` all goes to stderr, for what is on stdout is an export.
    pub(crate) fn tell(&self, command: &str, as_json: bool, stdout: bool) {
        if as_json {
            println!("{}", self.json(command));
            return;
        }
        for (name, value) in &self.members {
            let line = line(name, value);
            if stdout { print!("{line}") } else { eprint!("{line}") }
        }
        if let Some(Failure { what, .. }) = &self.failure {
            eprintln!("error: {}", printable(what));
        }
    }

    fn json(&self, command: &str) -> Value {
        let error = self.failure.as_ref().map(|failure| failure.what.as_str());
        let mut object = Map::new();
        object.insert("command".into(), command.into());
        object.insert("exit".into(), json!(self.exit() as u8));
        object.insert("error".into(), json!(error));
        object.extend(self.members.iter().map(|(name, value)| ((*name).into(), value.clone())));
        object.into()
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::default().failing(failure)
    }
}

/// A member for people: a line, or a line and one for each thing below it.
fn line(name: &str, value: &Value) -> String {
    let name = name.replace('_', " ");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), printable);
    let below: Vec<String> = match value {
        Value::Array(values) if values.is_empty() => return String::new(),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect()
        }
        Value::Null => return String::new(),
        _ => return format!("{name}: {}\n", plain(value)),
    };
    format!("{name}:\n  {}\n", below.join("\n  "))
}

/// Text for people. Ids of records may hold anything: control and bidirectional
/// characters are escaped.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => printable.push(c),
            _ => printable.extend(c.escape_debug()),
        }
    }
    printable
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
