//! The thread that writes the lines.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    chain::{AuditKey, ChainHead},
    error::AuditFileError,
    line::{text_of, time_of},
    log_file::{self, Content, Failed, LogFile},
    queue::{Entry, Queue, Taken},
};
use crate::{audit::AuditId, clock::Clock};

/// How long the writer waits before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the head of the chain is logged.
const HEAD_INTERVAL: Duration = Duration::from_hours(1);

/// How many lines are written at a time.
const MAX_BATCH: usize = 1_024;

/// Writes the entries of a queue to a file.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) key: AuditKey,
    pub(super) is_synced: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: Arc<Queue>,
    /// `None` if its content is not known.
    log: Option<LogFile>,
    /// After a failed sync: how much of the file is known to be on the disk.
    unsynced: Option<u64>,
    head: ChainHead,
    /// The members of the intents without an outcome, for the next file.
    open: BTreeMap<AuditId, String>,
    pending: VecDeque<Entry>,
    head_logged: Option<SystemTime>,
    /// The failure that was logged last, while it lasts.
    failure: Option<String>,
}

#[derive(Serialize)]
struct Start {
    r#type: &'static str,
    time: String,
    previous: String,
    version: &'static str,
    synced: bool,
}

#[derive(Serialize)]
struct Lost {
    r#type: &'static str,
    time: String,
    count: u64,
}

impl Writer {
    /// Opens the file and writes the start line. Returns the intents that an earlier process left
    /// without an outcome.
    pub(super) fn open(
        path: PathBuf,
        key: AuditKey,
        is_synced: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<Value>), AuditFileError> {
        let (log, mut content) = LogFile::open(&path, &key, 0)?;
        if content.head.is_none() {
            // The file was rotated before its process ended.
            content = log_file::newest_rotated(&path, &key);
        }
        let is_rotated = log.is_empty();
        let mut writer = Self {
            path,
            key,
            is_synced,
            clock,
            queue: Arc::default(),
            log: Some(log),
            unsynced: None,
            head: content.head.unwrap_or(ChainHead::NONE),
            open: BTreeMap::new(),
            pending: VecDeque::new(),
            head_logged: None,
            failure: None,
        };
        let left: Vec<_> = content.open.into_values().collect();
        writer.open =
            left.iter().filter_map(|line| Some((id_of(line)?, members_of(line)))).collect();
        writer.start_file(is_rotated)?;
        writer.log_head();
        Ok((writer, left))
    }

    /// Runs until the queue is closed.
    pub(super) fn run(mut self) {
        let mut wait = HEAD_INTERVAL;
        loop {
            let Taken { entries, mut lost, is_closed } = self.queue.take(wait);
            self.pending.extend(entries);
            if !self.pending.is_empty() || lost > 0 {
                self.queue.began(self.clock.now());
                let failure = self.write_all(&mut lost).err().map(|error| error.with_cause());
                self.log_failure(failure.as_deref());
                let is_failed = failure.is_some();
                // First, so that a refused client finds the reason.
                self.queue.ended(failure, lost);
                if is_failed {
                    self.reject_intents();
                }
            }
            let until_head = self.log_head_if_due();
            wait = if self.failure.is_some() { RETRY } else { until_head };
            if is_closed && (self.pending.is_empty() || self.failure.is_some()) {
                break;
            }
        }
        self.log_head();
        // Also unlocks the file.
        if let Some(mut log) = self.log.take() {
            let _ = log.sync();
        }
        self.queue.done(self.pending.len());
    }

    /// Writes all pending entries, in batches. Sets `lost` to 0 when it is reported.
    fn write_all(&mut self, lost: &mut u64) -> Result<(), AuditFileError> {
        self.reopen()?;
        if *lost > 0 {
            let time = time_of(self.clock.now());
            self.append(&[text_of(&Lost { r#type: "lost", time, count: *lost })])?;
            *lost = 0;
        }
        while !self.pending.is_empty() {
            self.write_batch()?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), AuditFileError> {
        let count = self.pending.len().min(MAX_BATCH);
        let batch: Vec<_> = self.pending.drain(..count).collect();
        // An intent may be in the same batch.
        let intents: BTreeSet<_> =
            batch.iter().filter(|entry| entry.kind == "intent").map(|entry| entry.id).collect();
        let is_open = |id: &AuditId| intents.contains(id) || self.open.contains_key(id);
        let needed = |entry: &&Entry| !entry.only_if_open || is_open(&entry.id);
        let lines: Vec<_> = batch.iter().filter(needed).map(|entry| &*entry.members).collect();
        let written = lines.len() as u64;
        let before = self.head;
        let has_intents = batch.iter().any(|entry| entry.kind == "intent");
        let result =
            self.append(&lines).and_then(|()| if has_intents { self.sync() } else { Ok(()) });
        if let Err(error) = result {
            // So that lines that were written but not synced are found again.
            self.head = before;
            for entry in batch.into_iter().rev() {
                self.pending.push_front(entry);
            }
            return Err(error);
        }
        self.queue.finished(&batch, written);
        for entry in batch {
            match entry.kind {
                "intent" => _ = self.open.insert(entry.id, entry.members),
                "outcome" => _ = self.open.remove(&entry.id),
                _ => {}
            }
            if let Some(durable) = entry.durable {
                let _ = durable.send(());
            }
        }
        Ok(())
    }

    /// Makes sure that the file is open, and is that of the path.
    fn reopen(&mut self) -> Result<(), AuditFileError> {
        let is_rotated = self.log.as_ref().is_some_and(|log| !log.is_current());
        if is_rotated {
            if self.is_synced {
                self.sync()?;
            }
            self.log = None;
        } else if self.log.is_some() {
            return Ok(());
        }
        let (log, content) = LogFile::open(&self.path, &self.key, self.head.seq)?;
        self.log = Some(log);
        let Content { head, open, at_after, recent } = content;
        match head {
            // Lines that were written although the attempt failed.
            Some(head) if at_after == Some(self.head) => {
                if let Some(durable) = self.unsynced {
                    let synced = self.file()?.sync_again(durable);
                    self.settle(synced)?;
                    self.unsynced = None;
                }
                self.head = head;
                for (id, line) in &open {
                    self.open.entry(*id).or_insert_with(|| members_of(line));
                }
                let is_written =
                    |entry: &Entry| recent.contains(&(entry.kind.to_owned(), entry.id));
                let (done, left): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(is_written);
                for entry in done.iter().filter(|entry| entry.kind == "outcome") {
                    self.open.remove(&entry.id);
                }
                self.queue.finished(&done, done.len() as u64);
                self.pending = left.into();
                Ok(())
            }
            Some(_) | None => {
                // At a rotation too, so that the check can begin with the new file.
                self.log_head();
                let started = self.start_file(true);
                if started.is_err() {
                    // The next attempt writes the start line.
                    self.log = None;
                }
                started
            }
        }
    }

    /// Writes the start line. A new file also gets the intents without an outcome.
    fn start_file(&mut self, is_rotated: bool) -> Result<(), AuditFileError> {
        let start = Start {
            r#type: "start",
            time: time_of(self.clock.now()),
            previous: self.head.mac_text(),
            version: env!("CARGO_PKG_VERSION"),
            synced: self.is_synced,
        };
        let mut lines = vec![text_of(&start)];
        if is_rotated {
            lines.extend(self.open.values().cloned());
        }
        self.append(&lines)?;
        if self.is_synced {
            self.sync()?;
            self.file()?.sync_name()?;
        }
        Ok(())
    }

    /// Appends lines, and advances the chain if all are written.
    fn append(&mut self, lines: &[impl AsRef<str>]) -> Result<(), AuditFileError> {
        let (mut head, mut bytes) = (self.head, Vec::new());
        for members in lines {
            head = head.append(&self.key, members.as_ref(), &mut bytes);
        }
        let appended = self.file()?.append(&bytes);
        self.settle(appended)?;
        self.head = head;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AuditFileError> {
        let log = self.file()?;
        let (durable, synced) = (log.durable(), log.sync());
        self.unsynced = synced.is_err().then_some(durable);
        self.settle(synced)
    }

    /// Closes the file if its content is not known any more.
    fn settle(&mut self, result: Result<(), Failed>) -> Result<(), AuditFileError> {
        match result {
            Ok(()) => Ok(()),
            Err(Failed::Nothing(error)) => Err(error.into()),
            Err(Failed::Unknown(error)) => {
                self.log = None;
                Err(error.into())
            }
        }
    }

    fn file(&mut self) -> Result<&mut LogFile, AuditFileError> {
        let closed = || AuditFileError::Io(io::ErrorKind::NotConnected.into());
        self.log.as_mut().ok_or_else(closed)
    }

    /// Refuses the changes whose intents are not durable. Their lines are written later, so that
    /// the file counts as healthy only when such lines fit.
    fn reject_intents(&mut self) {
        for entry in &mut self.pending {
            entry.durable = None;
        }
    }

    /// Logs that the file cannot be written, and that it can be written again.
    fn log_failure(&mut self, reason: Option<&str>) {
        if reason != self.failure.as_deref() {
            if let Some(reason) = reason {
                tracing::error!(path = ?self.path, reason, "cannot write to the audit file");
            } else {
                tracing::info!(path = ?self.path, "the audit file can be written again");
            }
            self.failure = reason.map(str::to_owned);
        }
    }

    /// Returns the time until the head is logged next.
    fn log_head_if_due(&mut self) -> Duration {
        let now = self.clock.now();
        // A clock that was set back counts as an hour.
        let elapsed = self.head_logged.and_then(|at| now.duration_since(at).ok());
        match elapsed.and_then(|elapsed| HEAD_INTERVAL.checked_sub(elapsed)) {
            Some(left) if !left.is_zero() => left,
            _ => {
                self.log_head();
                HEAD_INTERVAL
            }
        }
    }

    fn log_head(&mut self) {
        self.head_logged = Some(self.clock.now());
        tracing::info!(
            target: "tower_credentials::audit",
            head = %self.head,
            path = ?self.path,
            "head of the audit chain"
        );
    }
}

pub(super) fn id_of(line: &Value) -> Option<AuditId> {
    AuditId::parse(line.get("id")?.as_str()?)
}

/// Returns the members of a line of a file, without its number and code.
fn members_of(line: &Value) -> String {
    let mut line = line.clone();
    if let Some(line) = line.as_object_mut() {
        line.remove("seq");
        line.remove("mac");
    }
    text_of(&line)
}
