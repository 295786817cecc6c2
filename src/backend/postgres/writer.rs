//! The sessions that write, each a batch at a time.
//!
//! Writes queue up while a batch is on its way; the next one takes all of a kind that
//! wait, up to a bound. So the server waits for its disk once per batch rather than
//! once per write, and callers are answered once it has answered.

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

use super::apart;
use super::connection::{GRACE, LONG};
use super::connector::{Connector, Role};
use super::line::{Line, pause};
use super::trouble::{Shared, Trouble, Verdict};
use super::write::{self, Kind, Outcome, Write};

/// How many writes one batch takes at the most, and about how many bytes.
const MAX_BATCH: usize = 256;
const MAX_BYTES: usize = 4 << 20;

/// How many writes wait in the queue; further callers wait for a place in it.
const QUEUE: usize = 1_024;

/// How often a session that is down looks whether it is still not needed.
const IDLE: Duration = Duration::from_millis(20);

/// How often to try a batch.
const TRIES: u32 = 5;

/// The way to the sessions that write. Purges have one of their own, for they may take
/// long.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    purges: mpsc::Sender<Job>,
    patience: Duration,
}

/// A write and where its result goes. If the caller is gone before it is begun it is
/// not done at all; once it is begun it is done whole.
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Outcome, BackendError>>,
}

impl Writer {
    pub(super) fn start(connector: &Arc<Connector>, count: usize) -> Self {
        let (queue, purges) = (start(connector, count), start(connector, 1));
        // Waiting for a session, for the batch before, and for its own.
        let patience = connector.patience() + connector.statement_timeout() + 2 * GRACE;
        Self { queue, purges, patience }
    }

    /// Writes; returns what came of it, after it is durable.
    pub(super) async fn write(&self, write: Write) -> Result<Outcome, BackendError> {
        let (queue, patience) = match write.kind() {
            Kind::Purge => (&self.purges, self.patience * LONG),
            _ => (&self.queue, self.patience),
        };
        let writing = async {
            let (reply, result) = oneshot::channel();
            queue.send(Job { write, reply }).await.map_err(|_| gone())?;
            // When the runtime of the sessions ends, the job is dropped.
            result.await.map_err(|_| gone())?
        };
        let result = timeout(patience, writing).await;
        result.unwrap_or_else(|_| Err(Trouble::TimedOut.into_backend_error()))
    }
}

/// Sessions that share what is sent to them.
fn start(connector: &Arc<Connector>, count: usize) -> mpsc::Sender<Job> {
    let (queue, jobs) = mpsc::channel(QUEUE);
    let intake = Arc::new(Mutex::new(Intake { jobs, waiting: VecDeque::new() }));
    let lines: Arc<[Line]> =
        (0..count).map(|_| Line::start(Arc::clone(connector), Role::Write)).collect();
    for line in &*lines {
        tokio::spawn(run(line.clone(), Arc::clone(&lines), Arc::clone(&intake)));
    }
    queue
}

fn gone() -> BackendError {
    Trouble::Gone.into_backend_error()
}

/// Where the sessions take their batches from, one at a time.
struct Intake {
    jobs: mpsc::Receiver<Job>,
    waiting: VecDeque<Job>,
}

impl Intake {
    /// The writes of the kind that has waited longest; `None` when there will be no
    /// more.
    async fn batch(&mut self) -> Option<(Kind, Vec<Job>)> {
        loop {
            if self.waiting.is_empty() {
                let first = self.jobs.recv().await?;
                self.waiting.push_back(first);
                // Callers that were just answered may be about to write again.
                yield_now().await;
            }
            while self.waiting.len() < QUEUE
                && let Ok(job) = self.jobs.try_recv()
            {
                self.waiting.push_back(job);
            }
            // Nobody waits for these, and nothing of them was done.
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
        let most = if kind == Kind::Purge { 1 } else { MAX_BATCH };
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        let (mut ids, mut bytes) = (HashSet::new(), 0);
        for job in self.waiting.drain(..) {
            let fits = taken.len() < most && bytes < MAX_BYTES && job.write.kind() == kind;
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

/// Does one batch after the other; while this session is down and others are up, they do.
async fn run(line: Line, lines: Arc<[Line]>, intake: Arc<Mutex<Intake>>) {
    let is_idle = || !line.is_up() && lines.iter().any(Line::is_up);
    loop {
        while is_idle() {
            sleep(IDLE).await;
        }
        let mut taking = intake.lock().await;
        let Some((kind, mut jobs)) = taking.batch().await else { return };
        if is_idle() {
            taking.put_back(jobs);
            continue;
        }
        drop(taking);
        while !jobs.is_empty() {
            let writes: Vec<_> = jobs.iter().map(|job| &job.write).collect();
            let outcomes = decide(&line, kind, &writes).await;
            let mut again = Vec::new();
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                match outcome {
                    Ok(Outcome::Again) => again.push(job),
                    // A caller that is gone does not want to know.
                    outcome => {
                        let error = |shared: Shared| match kind {
                            Kind::Insert | Kind::Update => shared.of_row(),
                            _ => shared.into_backend_error(),
                        };
                        drop(job.reply.send(outcome.map_err(error)));
                    }
                }
            }
            jobs = again;
        }
    }
}

/// Does the writes, and tries again as far as that is safe; what came of each.
async fn decide(line: &Line, kind: Kind, writes: &[&Write]) -> Vec<Result<Outcome, Shared>> {
    match decide_together(line, kind, writes).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        // One of them takes the others down.
        Err(trouble) if writes.len() > 1 && trouble.is_of_one() => {
            apart::decide(line, kind, writes, &trouble).await
        }
        Err(trouble) if trouble.is_taken() => vec![Ok(Outcome::Taken)],
        Err(trouble) => {
            tracing::warn!(?kind, writes = writes.len(), ?trouble, "a batch failed");
            vec![Err(Shared(Arc::new(trouble))); writes.len()]
        }
    }
}

/// Does the writes, all or none of them, and tries again as far as that is safe.
pub(super) async fn decide_together(
    line: &Line,
    kind: Kind,
    writes: &[&Write],
) -> Result<Vec<Outcome>, Trouble> {
    let mut is_doubtful = false;
    for tries in 1.. {
        let session = line.link().await?;
        let result = if is_doubtful {
            write::confirm(&session, writes).await
        } else {
            write::apply(&session, kind, writes).await
        };
        let trouble = match result {
            Ok(outcomes) => {
                tracing::debug!(?kind, writes = writes.len(), tries, "written");
                return Ok(outcomes);
            }
            Err(trouble) => trouble,
        };
        let verdict = trouble.verdict();
        let is_over = match verdict {
            Verdict::Conflict | Verdict::Stale => tries == TRIES,
            Verdict::Lost => tries == TRIES || kind != Kind::Insert,
            _ => true,
        };
        if is_over {
            // What the server says of the question whether it is there says nothing of it.
            return Err(if is_doubtful { Trouble::Doubtful } else { trouble });
        }
        // Not to be done again: it may have been done, and undone by others since.
        // Whether it is there can be told by its version, which nobody else has.
        is_doubtful |= verdict == Verdict::Lost;
        if verdict == Verdict::Stale {
            session.retire();
        }
        tracing::debug!(?kind, tries, ?trouble, "a batch is tried again");
        sleep(pause(tries)).await;
    }
    Err(Trouble::Gone)
}
