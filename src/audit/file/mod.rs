//! [`AuditFile`]: audit events as lines of JSON in a file.
//!
//! # Lines
//!
//! Each line is a JSON object. `seq` counts the lines, also across rotations, `type` is one of:
//!
//! | type | line |
//! |---|---|
//! | `start` | the first line of a process or of a file; `previous` is the code of the line before |
//! | `event` | an event |
//! | `intent` | a change that will be attempted, in the synced mode |
//! | `outcome` | the event of an intent, with the same `id`; `resolved` if it was found out after a crash |
//! | `lost` | `count` events could not be written |
//!
//! Text is ASCII: other characters are escaped.
//!
//! # Chain
//!
//! `mac` is the last member of a line: HMAC-SHA256 of the code of the line before (32 bytes) and of
//! this line up to `,"mac"`, in hexadecimal digits. The key is the operator's. Without
//! it, nobody can change, add, remove or reorder lines without a trace, except for the last lines
//! of the log. The code of the last line is logged at the start and every hour, so that a removed end is
//! found too: [`verify`](verify()) checks both.
//!
//! # Rotation
//!
//! A rotation renames or removes the file. The next line goes to a new file with the same name,
//! which continues the chain. A file that became shorter counts as new.
//!
//! # Failures
//!
//! While the file cannot be written, events wait in memory, at most 65,536 or 32 MiB of them, and
//! are written later. Events beyond are lost and counted. In the synced mode no change is made
//! meanwhile, because each needs its intent; the intents of refused changes are written later too. [`AuditFile::health`] reports the reason.
//!
//! `kill -9` loses no line that was written. Without the synced mode it loses the events that
//! wait, and a power failure loses what the system has not written. An incomplete last line is
//! removed at the next start.

mod chain;
mod error;
mod handle;
mod line;
mod lines;
mod log_file;
#[cfg(feature = "metrics")]
mod publish;
mod queue;
mod resolving;
mod verify;
mod writer;

pub use self::{
    chain::{AuditKey, ChainHead},
    error::{AuditFileError, AuditKeyError},
    handle::{AuditFile, AuditFileBuilder, AuditStats},
    resolving::Resolved,
    verify::{ChainReport, Finding, FindingKind, verify},
};
