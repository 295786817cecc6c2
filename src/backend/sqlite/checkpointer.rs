//! Copies the write-ahead log into the file, on a thread of its own, so that writers do not wait.
//!
//! The engine reuses the log from its start once all of it is copied and no write is in progress.
//! Under steady load that never happens by itself, so the writer copies the short rest when the
//! log is long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use rusqlite::Connection;

use super::connection::{checkpoint, wait_for_locks};
use super::error::Trouble;
use super::file::{DatabaseFile, Opened};
use crate::backend::{OpenError, OpenErrorKind};

/// After how many changed records the log is copied. It then has about four times as many pages.
const CHANGES: usize = 1_000;

/// After how many more changes a failed copy is tried again.
const RETRY: usize = CHANGES / 10;

/// A change counts once more for each of these bytes of text, which take four pages.
const BYTES: usize = 16_384;

/// The number of pages in the log at which the writer resets it.
const LONG_LOG: i64 = 4_000;

/// The thread that copies the log. Dropping it waits until its connection is closed.
#[derive(Debug)]
pub(super) struct Checkpointer {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of changed records that may not have been copied.
    changes: AtomicUsize,
    is_log_long: AtomicBool,
    is_over: AtomicBool,
}

impl Checkpointer {
    pub(super) fn start(file: Arc<DatabaseFile>) -> Result<Self, OpenError> {
        let state = Arc::<State>::default();
        let mut worker = Worker { file, opened: None, state: Arc::clone(&state) };
        let thread = thread::Builder::new().name("credentials-log".into());
        let thread = thread.spawn(move || worker.run()).map_err(|error| {
            let what = "cannot start the thread that copies the log";
            OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
        })?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// Counts the changed records of a commit, and the length of their texts in bytes.
    pub(super) fn add(&self, records: usize, bytes: usize) {
        let changes = records + bytes / BYTES;
        let before = self.state.changes.fetch_add(changes, Ordering::Relaxed);
        if before < CHANGES && before + changes >= CHANGES {
            self.wake();
        }
    }

    /// Resets the log with the connection that writes, if the log is long: the next write starts
    /// at its beginning.
    pub(super) fn shorten(&self, writer: &mut Connection) {
        if !self.state.is_log_long.swap(false, Ordering::Relaxed) {
            return;
        }
        // Does not wait for readers: the next attempt may find none.
        let shortened = without_waiting(writer, |writer| checkpoint(writer, "RESTART"));
        if let Err(error) = shortened {
            tracing::debug!(%error, "cannot reset the log");
        }
    }

    fn wake(&self) {
        self.thread.as_ref().map(JoinHandle::thread).map(Thread::unpark).unwrap_or_default();
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that copies the log panicked");
        }
    }
}

struct Worker {
    file: Arc<DatabaseFile>,
    opened: Option<Opened>,
    state: Arc<State>,
}

impl Worker {
    fn run(&mut self) {
        while !self.state.is_over.load(Ordering::Relaxed) {
            if self.state.changes.load(Ordering::Relaxed) < CHANGES {
                // Wakes up now and then without a reason.
                thread::park();
                continue;
            }
            self.state.changes.store(0, Ordering::Relaxed);
            match self.copy() {
                Ok(pages) => {
                    let is_long = pages.is_some_and(|pages| pages >= LONG_LOG);
                    self.state.is_log_long.store(is_long, Ordering::Relaxed);
                }
                Err(error) => {
                    // The file may have been replaced, or the disk may be full.
                    tracing::debug!(%error, "the log was not copied");
                    self.opened = None;
                    self.state.changes.fetch_add(CHANGES - RETRY, Ordering::Relaxed);
                }
            }
        }
    }

    /// Copies as much of the log as readers permit; returns its length in pages, or `None` if
    /// another process copies it now.
    fn copy(&mut self) -> Result<Option<i64>, Trouble> {
        let opened = self.file.writer(&mut self.opened)?;
        Ok(checkpoint(&opened.connection, "PASSIVE")?)
    }
}

fn without_waiting<T>(
    connection: &mut Connection,
    run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.busy_timeout(Duration::ZERO)?;
    let result = run(connection);
    wait_for_locks(connection)?;
    result
}
