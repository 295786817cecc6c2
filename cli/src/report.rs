//! What a command prints, and its exit code.

use std::{error::Error, io};

use serde_json::{Map, Value, json};
use tower_credentials::backend::{BackendError, OpenError, OpenErrorKind};

use crate::bars::{Counts, Terminal};

/// At most this many records are listed one by one in a report.
pub(crate) const MAX_LISTED: usize = 100;

/// The exit codes. Scripts rely on them: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    /// A check failed, or the command was interrupted.
    Problem = 1,
    /// The arguments are invalid.
    Usage = 2,
    /// A store does not exist or cannot be reached; a retry may succeed.
    Unavailable = 3,
    /// A store, a file or a record already exists.
    Conflict = 4,
    /// An export is damaged, truncated, or sealed with another key.
    Unreadable = 5,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failure with this exit code and the message of an error and its causes.
    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, with_causes(error))
    }

    /// Prepends where the failure occurred to its message.
    pub(crate) fn context(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
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
            AlreadyExists, Busy, InvalidSetting, NotFound, PermissionDenied, Unavailable,
            Unsupported,
        };
        let exit = match error.kind() {
            AlreadyExists => Exit::Conflict,
            Busy | NotFound | PermissionDenied | Unavailable => Exit::Unavailable,
            InvalidSetting | Unsupported => Exit::Usage,
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

/// The result of a command: named values in the order in which they are printed, and the failure.
#[derive(Debug, Default)]
pub(crate) struct Report {
    members: Vec<(&'static str, Member)>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Member {
    Value(Value),
    /// Has bars in a terminal.
    Counts(Counts),
}

impl Report {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, Member::Value(value.into())));
        self
    }

    /// Adds counts. They are an object in JSON, and have bars in a terminal.
    pub(crate) fn with_counts(mut self, name: &'static str, counts: Counts) -> Self {
        self.members.push((name, Member::Counts(counts)));
        self
    }

    /// Sets the failure, unless there is one.
    pub(crate) fn failing(mut self, failure: impl Into<Option<Failure>>) -> Self {
        self.failure = self.failure.or(failure.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.failure.as_ref().map_or(Exit::Success, |failure| failure.exit)
    }

    /// Prints the values to stdout and the failure to stderr, or all as one JSON object to
    /// stdout. If `stdout` is false, stdout contains an export, and the values go to stderr.
    pub(crate) fn print(&self, command: &str, as_json: bool, stdout: bool) {
        if as_json {
            println!("{}", self.json(command));
            return;
        }
        let terminal = Terminal::at_stdout().filter(|_| stdout);
        for (name, member) in &self.members {
            let line = match member {
                Member::Value(value) => line(name, value),
                Member::Counts(counts) => {
                    format!("{}:\n{}", name.replace('_', " "), counts.lines(terminal))
                }
            };
            if stdout { print!("{line}") } else { eprint!("{line}") }
        }
        if let Some(Failure { message, .. }) = &self.failure {
            eprintln!("error: {}", printable(message));
        }
    }

    fn json(&self, command: &str) -> Value {
        let error = self.failure.as_ref().map(|failure| failure.message.as_str());
        let mut object = Map::new();
        object.insert("command".into(), command.into());
        object.insert("exit".into(), json!(self.exit() as u8));
        object.insert("error".into(), json!(error));
        for (name, member) in &self.members {
            let value = match member {
                Member::Value(value) => value.clone(),
                Member::Counts(counts) => counts.json(),
            };
            object.insert((*name).into(), value);
        }
        object.into()
    }
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        Self::default().failing(failure)
    }
}

/// Formats a value for people: one line, or a line and an indented line for each element.
fn line(name: &str, value: &Value) -> String {
    let name = name.replace('_', " ");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), printable);
    let elements: Vec<String> = match value {
        Value::Array(values) if values.is_empty() => return String::new(),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect()
        }
        Value::Null => return String::new(),
        _ => return format!("{name}: {}\n", plain(value)),
    };
    format!("{name}:\n  {}\n", elements.join("\n  "))
}

/// Escapes control and bidirectional characters. The id of a record may contain any text.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => printable.push(c),
            _ => printable.extend(c.escape_debug()),
        }
    }
    printable
}

/// The message of an error and its causes, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}
