//! The one connection that writes, on a thread of its own.
//!
//! Writes queue up while a transaction is written to the disk; the next transaction takes all
//! of them. So there is one sync of the disk per batch rather than per write, and callers get
//! their result after it.

use std::{sync::Arc, thread};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::backend::{
    BackendError,
    contract::{Change, Loaded},
    hub::Hub,
};
use crate::meter::Batches;

use super::checkpointer::Checkpointer;
use super::connection::{GIVE_WAY, data_version};
use super::counts::Counts;
use super::error::{BatchFailed, Trouble, WriterGone};
use super::file::{DatabaseFile, Opened};
use super::statements::Done;
use super::write::Write;
use crate::backend::{OpenError, OpenErrorKind};

/// The maximum number of writes in one transaction, and the length of the queue. Further callers
/// wait for a place in the queue, in order.
const MAX_BATCH: usize = 256;

/// The sender of the writing thread. Dropping it waits until all queued writes are done and
/// the file is closed.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    hub: Hub,
    batches: Batches,
    thread: Option<thread::JoinHandle<()>>,
}

/// A write, and where its result goes. A queued write is done completely even if its caller is
/// gone.
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Done, BackendError>>,
}

impl Writer {
    pub(super) fn start(opened: Opened, file: Arc<DatabaseFile>) -> Result<Self, OpenError> {
        let (queue, jobs) = mpsc::channel(MAX_BATCH);
        let hub = Hub::default();
        let checkpointer = Checkpointer::start(Arc::clone(&file))?;
        let (opened, counts) = (Some(opened), Counts::default());
        let batches = Batches::new("sqlite");
        let worker = Worker {
            file,
            checkpointer,
            opened,
            jobs,
            hub: hub.clone(),
            counts,
            batches: batches.clone(),
        };
        let thread = thread::Builder::new()
            .name("credentials-db".into())
            .spawn(move || worker.run())
            .map_err(|error| {
                let what = "cannot start the thread that writes";
                OpenError::new(OpenErrorKind::Unavailable, what).with_source(error)
            })?;
        Ok(Self { queue: Some(queue), hub, batches, thread: Some(thread) })
    }

    /// Writes; returns the result after it is on disk.
    pub(super) async fn write(&self, write: Write) -> Result<Done, BackendError> {
        let gone = || BackendError::Unavailable(Box::new(WriterGone));
        let _waiting = self.batches.wait();
        let (reply, result) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Job { write, reply }).await.map_err(|_| gone())?;
        // If the thread panics, the job and its end of the channel are dropped.
        result.await.map_err(|_| gone())?
    }

    /// Returns the hub that changes are reported to before callers get their results.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when its queue is closed and empty.
        self.queue = None;
        if let Some(Err(_)) = self.thread.take().map(thread::JoinHandle::join) {
            tracing::error!("the writing thread of the store panicked");
        }
    }
}

struct Worker {
    file: Arc<DatabaseFile>,
    // Before the connection that writes: the connection that is closed last cleans up.
    checkpointer: Checkpointer,
    /// `None` after a failure that the connection may have caused.
    opened: Option<Opened>,
    jobs: mpsc::Receiver<Job>,
    hub: Hub,
    counts: Counts,
    batches: Batches,
}

impl Worker {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        // Looks that arrived while a batch was written.
        let mut late = Vec::new();
        // Jobs that a load left waiting come first.
        while !batch.is_empty() || self.jobs.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            self.answer_looks(&mut batch);
            if batch.is_empty() {
                continue;
            }
            match self.commit(&mut batch) {
                Ok(results) => {
                    tracing::debug!(writes = results.len(), "committed");
                    self.batches.record(results.len());
                    let last = results.len().checked_sub(1).and_then(|last| batch.get(last));
                    let is_load = matches!(last, Some(Job { write: Write::Load { .. }, .. }));
                    let changed = results.iter().flatten().map(Done::count).sum();
                    let written = batch[..results.len()].iter().map(|job| job.write.size()).sum();
                    self.checkpointer.add(changed, written);
                    self.hub.report(|| changes(&batch, &results));
                    for (job, result) in batch.drain(..results.len()).zip(results) {
                        if matches!(job.write, Write::Look) {
                            late.push(job);
                            continue;
                        }
                        // The caller may be gone.
                        let _ = job.reply.send(result);
                    }
                    self.answer_looks(&mut late);
                    if is_load {
                        // Loads follow each other closely: writers in other processes would
                        // hardly find the file unlocked.
                        thread::sleep(GIVE_WAY);
                    }
                }
                Err(error) => {
                    tracing::warn!(writes = batch.len(), %error, "commit failed");
                    // Some of the writes may have happened.
                    self.hub.report(|| batch.iter().flat_map(|job| job.write.changes()).collect());
                    let failed = BatchFailed(Arc::new(error));
                    for job in batch.drain(..) {
                        let _ = job.reply.send(Err(failed.clone().into_backend_error()));
                    }
                }
            }
        }
    }

    /// Replies to looks without a transaction: other processes may be writing.
    fn answer_looks(&mut self, batch: &mut Vec<Job>) {
        for job in batch.extract_if(.., |job| matches!(job.write, Write::Look)) {
            let look = self.look().map(|rows| Done { rows, ..Done::default() });
            let look = look.map_err(|error| BatchFailed(Arc::new(error)).into_backend_error());
            let _ = job.reply.send(look);
        }
    }

    /// Returns a number that changes when another connection has written to the file, and when
    /// this connection is a new one.
    fn look(&mut self) -> Result<u64, Trouble> {
        let opened = self.file.writer(&mut self.opened)?;
        Ok(opened.opening << 32 | data_version(&opened.connection)? & u64::from(u32::MAX))
    }

    /// Runs a batch in one transaction, together with the writes that are queued meanwhile.
    ///
    /// On an error the file and the connection are as before, unless the file was replaced
    /// meanwhile.
    fn commit(&mut self, batch: &mut Vec<Job>) -> Result<Vec<Result<Done, BackendError>>, Trouble> {
        let opened = self.file.writer(&mut self.opened)?;
        self.checkpointer.shorten(&mut opened.connection);
        self.counts.begin(opened.opening);
        let counts = &mut self.counts;
        let results = run_batch(&mut opened.connection, batch, &mut self.jobs, counts);
        if results.is_err() {
            counts.clear();
        }
        // Writes to a file that was removed meanwhile are not acknowledged.
        let moved = self.file.check(opened);
        if !keeps_connection(&opened.connection, results.as_ref().err()) {
            self.opened = None;
        }
        let results = results?;
        moved?;
        Ok(results)
    }
}

/// Runs one transaction. It takes the write lock at once, since a transaction that begins with
/// a read could be refused the lock later.
///
/// A rejected write does not undo the others, and needs no savepoint: at most one of its
/// statements changes anything, or one for each row of a load, and the engine undoes a
/// statement that breaks a constraint or is too long. A rotation, which has two
/// statements, undoes its first one. Any other error undoes the batch. After
/// some of these errors the engine has already rolled back, so nothing may be committed
/// afterwards.
fn run_batch(
    connection: &mut Connection,
    batch: &mut Vec<Job>,
    jobs: &mut mpsc::Receiver<Job>,
    counts: &mut Counts,
) -> rusqlite::Result<Vec<Result<Done, BackendError>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(MAX_BATCH);
    let mut gathered = 0;
    'gathering: loop {
        while let Some(job) = batch.get(results.len()) {
            results.push(job.write.apply(&transaction, counts)?);
            if matches!(job.write, Write::Load { .. }) {
                // Long enough: waiting writes go into the next transaction.
                break 'gathering;
            }
        }
        if batch.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        } else if batch.len() == gathered || batch.len() == MAX_BATCH {
            break;
        } else {
            // Callers that just got their results may be about to write again. They get one
            // turn, and another one as long as it brings more writes.
            gathered = batch.len();
            thread::yield_now();
        }
    }
    transaction.commit()?;
    Ok(results)
}

/// Returns the changes of a batch.
fn changes(batch: &[Job], results: &[Result<Done, BackendError>]) -> Vec<Change> {
    let is_done = |done: &Done| done.rows > 0 || done.loaded.contains(&Loaded::Stored);
    let done = batch.iter().zip(results).filter(|(_, result)| result.as_ref().is_ok_and(is_done));
    done.flat_map(|(job, _)| job.write.changes()).collect()
}

/// Returns whether a connection is usable: its transaction is over, and the cause was a lock
/// or a full disk, not the connection.
fn keeps_connection(connection: &Connection, error: Option<&rusqlite::Error>) -> bool {
    let Some(error) = error else { return true };
    let outside = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::DiskFull];
    connection.is_autocommit()
        && error.sqlite_error_code().is_some_and(|code| outside.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_get_an_error_when_the_thread_panics() {
        let (queue, mut jobs) = mpsc::channel::<Job>(1);
        let thread = thread::spawn(move || {
            let _job = jobs.blocking_recv();
            panic!("as the test wants");
        });
        let batches = Batches::new("sqlite");
        let hub = Hub::default();
        let writer = Writer { queue: Some(queue), hub, batches, thread: Some(thread) };
        for _ in 0..2 {
            let error = writer.write(Write::PurgeUser { user_id: "bob".into() }).await.unwrap_err();
            assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
        }
    }
}
