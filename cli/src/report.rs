//! What a command prints, its exit code, and its progress bar.

use std::{error::Error, io, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tower_credentials::backend::{BackendError, OpenError, OpenErrorKind};

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
    members: Vec<(&'static str, Value)>,
    failure: Option<Failure>,
}

impl Report {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
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
        for (name, value) in &self.members {
            let line = line(name, value);
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
        object.extend(self.members.iter().map(|(name, value)| ((*name).into(), value.clone())));
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

/// A progress bar on stderr, if that is a terminal. Dropping it removes the bar.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Counts records, whose total is unknown.
    pub(crate) fn of_records(activity: &'static str) -> Self {
        let template = "{spinner} {msg} {human_pos} records, {per_sec}, {elapsed}";
        Self::start(ProgressBar::new_spinner(), template, activity)
    }

    /// Shows the progress through a file of this many bytes.
    pub(crate) fn of_bytes(activity: &'static str, bytes: u64) -> Self {
        let template = "{msg} {bar:40} {bytes} of {total_bytes}, {eta} left";
        Self::start(ProgressBar::new(bytes), template, activity)
    }

    fn start(bar: ProgressBar, template: &str, activity: &'static str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(activity);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
