//! The queue of writes, and the sessions that carry them out in batches.
//!
//! Writes queue up while a batch is under way. The next batch takes the queued writes of one
//! kind, up to a bound. The server thus flushes its disk once per batch instead of once per
//! write. A caller gets its result when the server has answered.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::yield_now,
    time::{sleep, timeout},
};

use crate::backend::BackendError;
use crate::meter::Batches;

use super::channel::Channel;
use super::connector::{Connector, Role};
use super::error::{PostgresError, SharedError, Verdict, backoff};
use super::session::{GRACE, LONG_FACTOR};
use super::write::{self, Kind, Write, WriteResult};

/// Maximum size of a batch, in writes and roughly in bytes.
const MAX_BATCH: usize = 256;
const MAX_BYTES: usize = 4 << 20;

/// How many writes wait in the queue. Further callers wait for a place in it.
const QUEUE: usize = 1_024;

/// How often a writer whose session is down checks whether it is needed.
const IDLE_INTERVAL: Duration = Duration::from_millis(20);

const MAX_ATTEMPTS: u32 = 5;

/// While a batch is bisected, the lock timeout is the statement timeout divided by this. That
/// is longer than healthy commits wait for each other, even with a distant standby.
const BISECT_LOCK_DIVISOR: u32 = 20;

/// How many parts of a bisected batch may time out before the rest is given up. It bounds how
/// long other writes wait for the session.
const MAX_BLOCKED_PARTS: u32 = 24;

/// A handle to the sessions that write. Purges have a session of their own, because they may
/// take long.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    purges: mpsc::Sender<Job>,
    write_timeout: Duration,
    batches: Batches,
}

/// A write and where its result goes. If the caller is gone before the write starts, it does
/// not happen. Once it has started, it completes.
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<WriteResult, BackendError>>,
}

impl Writer {
    pub(super) fn start(connector: &Arc<Connector>, count: usize) -> Self {
        let batches = Batches::new("postgres");
        let (queue, purges) = (start(connector, count, &batches), start(connector, 1, &batches));
        // A write waits for a session, for the batch before it, and for its own batch.
        let write_timeout = connector.open_timeout() + connector.statement_timeout() + 2 * GRACE;
        Self { queue, purges, write_timeout, batches }
    }

    /// Writes; returns the result when the write is durable.
    pub(super) async fn write(&self, write: Write) -> Result<WriteResult, BackendError> {
        let (queue, write_timeout) = match write.kind() {
            Kind::Purge => (&self.purges, self.write_timeout * LONG_FACTOR),
            _ => (&self.queue, self.write_timeout),
        };
        let _waiting = self.batches.wait();
        let written = async {
            let (reply, result) = oneshot::channel();
            queue.send(Job { write, reply }).await.map_err(|_| shut_down())?;
            // The job is dropped when the runtime of the sessions ends.
            result.await.map_err(|_| shut_down())?
        };
        let result = timeout(write_timeout, written).await;
        result.unwrap_or_else(|_| Err(PostgresError::TimedOut.into_backend_error()))
    }
}

/// Starts sessions that share a queue.
fn start(connector: &Arc<Connector>, count: usize, batches: &Batches) -> mpsc::Sender<Job> {
    let (queue, jobs) = mpsc::channel(QUEUE);
    let intake = Arc::new(Mutex::new(Intake { jobs, waiting: VecDeque::new() }));
    let channels: Arc<[Channel]> =
        (0..count).map(|_| Channel::start(Arc::clone(connector), Role::Write)).collect();
    for channel in &*channels {
        let batches = batches.clone();
        tokio::spawn(run(channel.clone(), Arc::clone(&channels), Arc::clone(&intake), batches));
    }
    queue
}

fn shut_down() -> BackendError {
    PostgresError::ShutDown.into_backend_error()
}

/// The queue that the sessions take their batches from, one at a time.
struct Intake {
    jobs: mpsc::Receiver<Job>,
    waiting: VecDeque<Job>,
}

impl Intake {
    /// Takes writes of the kind that has waited longest. Returns `None` when the backend is
    /// dropped.
    async fn batch(&mut self) -> Option<(Kind, Vec<Job>)> {
        loop {
            if self.waiting.is_empty() {
                let first = self.jobs.recv().await?;
                self.waiting.push_back(first);
                // Callers that just got their result may be about to write again.
                yield_now().await;
            }
            while self.waiting.len() < QUEUE
                && let Ok(job) = self.jobs.try_recv()
            {
                self.waiting.push_back(job);
            }
            // These callers are gone, and their writes have not started.
            self.waiting.retain(|job| !job.reply.is_closed());
            if let Some(first) = self.waiting.front() {
                let kind = first.write.kind();
                return Some((kind, self.take(kind)));
            }
        }
    }

    fn put_back(&mut self, jobs: Vec<Job>) {
        for job in jobs.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    fn take(&mut self, kind: Kind) -> Vec<Job> {
        let max = if matches!(kind, Kind::Purge | Kind::Rotate) { 1 } else { MAX_BATCH };
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        let (mut ids, mut bytes) = (HashSet::new(), 0);
        for job in self.waiting.drain(..) {
            let fits = taken.len() < max && bytes < MAX_BYTES && job.write.kind() == kind;
            let is_first = fits && job.write.id().is_none_or(|id| ids.insert(id.to_owned()));
            if is_first {
                bytes += job.write.size();
                taken.push(job);
            } else {
                left.push_back(job);
            }
        }
        self.waiting = left;
        taken
    }
}

/// Writes one batch after the other. While this session is down and others are up, leaves the
/// queue to them.
async fn run(
    channel: Channel,
    channels: Arc<[Channel]>,
    intake: Arc<Mutex<Intake>>,
    batches: Batches,
) {
    let is_idle = || !channel.is_up() && channels.iter().any(Channel::is_up);
    loop {
        while is_idle() {
            sleep(IDLE_INTERVAL).await;
        }
        let mut guard = intake.lock().await;
        let Some((kind, mut jobs)) = guard.batch().await else { return };
        if is_idle() {
            guard.put_back(jobs);
            continue;
        }
        drop(guard);
        while !jobs.is_empty() {
            let writes: Vec<_> = jobs.iter().map(|job| &job.write).collect();
            batches.record(writes.len());
            let results = write_batch(&channel, kind, &writes).await;
            let mut retries = Vec::new();
            for (job, result) in jobs.into_iter().zip(results) {
                if let Ok(WriteResult::Retry) = result {
                    retries.push(job);
                    continue;
                }
                let error = |shared: SharedError| match kind {
                    Kind::Insert | Kind::Rotate | Kind::Update => shared.into_row_error(),
                    _ => shared.into_backend_error(),
                };
                // The caller may be gone.
                drop(job.reply.send(result.map_err(error)));
            }
            jobs = retries;
        }
    }
}

/// Writes a batch and retries where that is safe. Returns the result of each write.
async fn write_batch(
    channel: &Channel,
    kind: Kind,
    writes: &[&Write],
) -> Vec<Result<WriteResult, SharedError>> {
    match write_whole(channel, kind, writes).await {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(error) if writes.len() > 1 && error.is_of_one_write() => {
            bisect(channel, kind, writes, &error).await
        }
        Err(error) if error.is_taken() => vec![Ok(WriteResult::Taken)],
        Err(error) => {
            tracing::warn!(?kind, writes = writes.len(), ?error, "a batch of writes failed");
            vec![Err(SharedError(Arc::new(error))); writes.len()]
        }
    }
}

/// Writes all or nothing, and retries where that is safe.
async fn write_whole(
    channel: &Channel,
    kind: Kind,
    writes: &[&Write],
) -> Result<Vec<WriteResult>, PostgresError> {
    let mut is_outcome_unknown = false;
    for attempt in 1.. {
        let session = channel.session().await?;
        let result = if is_outcome_unknown {
            write::confirm(&session, writes).await
        } else {
            write::apply(&session, kind, writes).await
        };
        let error = match result {
            Ok(results) => {
                tracing::debug!(?kind, writes = writes.len(), attempt, "wrote a batch");
                return Ok(results);
            }
            Err(error) => error,
        };
        let verdict = error.verdict();
        let is_last = match verdict {
            Verdict::Conflict | Verdict::Stale => attempt == MAX_ATTEMPTS,
            Verdict::Lost => {
                attempt == MAX_ATTEMPTS || !matches!(kind, Kind::Insert | Kind::Rotate)
            }
            _ => true,
        };
        if is_last {
            // The error of a confirmation says nothing about the inserts themselves.
            return Err(if is_outcome_unknown { PostgresError::OutcomeUnknown } else { error });
        }
        // A second insert would be wrong: the first may have taken effect, and others may have
        // deleted the record since. Only its unique version shows whether it is there. A
        // rotation is looked up in the same way, by the record that it inserts.
        is_outcome_unknown |= verdict == Verdict::Lost;
        if verdict == Verdict::Stale {
            session.close();
        }
        tracing::debug!(?kind, attempt, ?error, "retrying a batch of writes");
        sleep(backoff(attempt)).await;
    }
    Err(PostgresError::ShutDown)
}

/// Splits a batch that one of its writes made fail, because it cannot be stored or waits for
/// another transaction's lock. Halves the parts until the failing writes are alone.
async fn bisect(
    channel: &Channel,
    kind: Kind,
    writes: &[&Write],
    error: &PostgresError,
) -> Vec<Result<WriteResult, SharedError>> {
    tracing::warn!(?kind, writes = writes.len(), ?error, "splitting a batch of writes that failed");
    let not_tried = SharedError(Arc::new(PostgresError::TimedOut));
    let mut results = vec![Err(not_tried.clone()); writes.len()];
    let Ok(session) = channel.session().await else { return results };
    let lock_timeout = session.statement_timeout() / BISECT_LOCK_DIVISOR;
    if session.set_lock_timeout(Some(lock_timeout)).await.is_err() {
        return results;
    }
    // Writes that need the same lock stay together.
    let mut places: Vec<usize> = (0..writes.len()).collect();
    places.sort_by_key(|place| writes[*place].lock());
    let halves = |places: &[usize]| {
        let (first, rest) = places.split_at(places.len() / 2);
        [rest.to_vec(), first.to_vec()]
    };
    let (mut parts, mut blocked) = (Vec::from(halves(&places)), 0);
    // On a reopened session the lock timeout would be longer.
    while blocked < MAX_BLOCKED_PARTS
        && !session.is_closed()
        && let Some(part) = parts.pop()
    {
        let some: Vec<_> = part.iter().map(|place| writes[*place]).collect();
        let error = match write_whole(channel, kind, &some).await {
            Ok(written) => {
                for (place, result) in part.into_iter().zip(written) {
                    results[place] = Ok(result);
                }
                continue;
            }
            Err(error) => error,
        };
        let is_divisible = match error.verdict() {
            Verdict::Blocked => {
                blocked += 1;
                some.iter().any(|write| write.lock() != some[0].lock())
            }
            Verdict::Data => part.len() > 1,
            _ => false,
        };
        if is_divisible {
            parts.extend(halves(&part));
        }
        let is_taken = !is_divisible && error.is_taken();
        let shared = SharedError(Arc::new(error));
        for place in part {
            results[place] = if is_taken { Ok(WriteResult::Taken) } else { Err(shared.clone()) };
        }
    }
    // These parts failed as a whole and were not tried in halves.
    for place in parts.into_iter().flatten() {
        results[place] = Err(not_tried.clone());
    }
    if session.set_lock_timeout(None).await.is_err() {
        session.close();
    }
    results
}
