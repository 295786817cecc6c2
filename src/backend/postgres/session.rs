//! One session on the server.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{
    CancelToken, Client, Row, Statement,
    error::SqlState,
    types::{Oid, ToSql},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;
use super::statements;
use super::timeline::SessionTimeline;

/// How much longer than the server's own timeout to wait for its answer.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How many times longer than other statements purges and loads may take.
pub(super) const LONG_FACTOR: u32 = 60;

/// The wait for one lock is bounded by the statement timeout divided by this.
const LOCK_TIMEOUT_DIVISOR: u32 = 2;

const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The errors of a server that does not send notifications for this user.
const NO_NOTIFY_CODES: [SqlState; 3] = [
    SqlState::UNDEFINED_FUNCTION,
    SqlState::FEATURE_NOT_SUPPORTED,
    SqlState::INSUFFICIENT_PRIVILEGE,
];

/// A session and the statements that are prepared in it.
///
/// Callers share it: each statement is sent without waiting for the answers to those
/// before.
pub(super) struct Session {
    client: Client,
    timeline: SessionTimeline,
    prepared: Mutex<HashMap<Box<str>, Statement>>,
    driver: AbortHandle,
    closed: AtomicBool,
    cancel: (CancelToken, MakeRustlsConnect),
    statement_timeout: Duration,
    /// Where to send notifications; `None` if the server has none.
    notify_channel: Option<String>,
    /// How long the server waits for one lock; `None` if it has no such setting.
    lock_timeout: Option<Duration>,
    is_writer: bool,
}

/// The parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Session {
    pub(super) fn new(
        client: Client,
        timeline: SessionTimeline,
        driver: AbortHandle,
        tls: MakeRustlsConnect,
        statement_timeout: Duration,
    ) -> Self {
        let cancel = (client.cancel_token(), tls);
        let (prepared, closed) = (Mutex::default(), AtomicBool::new(false));
        Self {
            client,
            timeline,
            prepared,
            driver,
            closed,
            cancel,
            statement_timeout,
            notify_channel: None,
            lock_timeout: None,
            is_writer: false,
        }
    }

    /// Makes this a session that writes: finds out whether and where to send notifications.
    ///
    /// When such a session is abandoned, its statement is not canceled. The server ends the
    /// statement in time, except for a commit that waits for a standby. Canceling that commit
    /// would make it visible to everybody, and it would be lost with the primary.
    pub(super) async fn for_writing(mut self) -> Result<Self, tokio_postgres::Error> {
        self.is_writer = true;
        let lock_timeout = self.statement_timeout / LOCK_TIMEOUT_DIVISOR;
        match self.client.batch_execute(&set_lock_timeout(lock_timeout)).await {
            Ok(()) => self.lock_timeout = Some(lock_timeout),
            Err(error) => tracing::debug!(%error, "the server has no lock timeout"),
        }
        match self.client.simple_query(statements::TRY_NOTIFY).await {
            Ok(_) => {
                let row = self.client.query_one(statements::STORE_NUMBER, &[]).await?;
                let number: Oid = row.try_get(0)?;
                self.notify_channel = Some(statements::notify_channel(number));
            }
            // The engine has no notifications, or the user may not send any. After any other
            // error the session must not be used: it would never notify, and others rely on
            // the feed.
            Err(error) if error.code().is_some_and(|code| NO_NOTIFY_CODES.contains(code)) => {}
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn timeline(&self) -> &SessionTimeline {
        &self.timeline
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    pub(super) fn notify_channel(&self) -> Option<&str> {
        self.notify_channel.as_deref()
    }

    /// Sets how long the session waits for a lock, if the server supports that. `None`
    /// restores the initial timeout. Requires exclusive use of the session.
    pub(super) async fn set_lock_timeout(
        &self,
        wait: Option<Duration>,
    ) -> Result<(), PostgresError> {
        let Some(initial) = self.lock_timeout else { return Ok(()) };
        let set = set_lock_timeout(wait.unwrap_or(initial));
        self.with_timeout(self.statement_timeout, self.client.batch_execute(&set)).await
    }

    /// Returns the statements that begin a transaction with this timeout.
    pub(super) fn begin_long(&self, timeout: Duration) -> String {
        let millis = timeout.as_millis();
        let mut begin = format!("{}; {}", statements::BEGIN, statements::set_local_timeout(millis));
        if self.lock_timeout.is_some() {
            begin = format!("{begin}; {}", statements::set_local_lock_timeout(millis));
        }
        begin
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
            || self.client.is_closed()
            || self.timeline.is_superseded()
    }

    /// Closes the session at once. Callers that wait for an answer get an error.
    pub(super) fn close(&self) {
        // The driver ends a little later than this returns.
        self.closed.store(true, Ordering::Relaxed);
        self.driver.abort();
    }

    /// Returns the prepared statement for this SQL.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let prepared = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(statement) = prepared().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        prepared().insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Runs one statement in its own transaction.
    pub(super) async fn query(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        self.with_timeout(self.statement_timeout, async {
            let statement = self.statement(sql).await?;
            self.client.query(&statement, values).await
        })
        .await
    }

    /// Runs statements in one transaction and one round trip. Returns the answer to each.
    /// `timeout_factor` multiplies the statement timeout.
    ///
    /// Requires exclusive use of the session.
    pub(super) async fn transaction(
        &self,
        steps: &[(&str, Values<'_>)],
        timeout_factor: u32,
    ) -> Result<Vec<Answer>, PostgresError> {
        let timeout = self.statement_timeout * timeout_factor;
        self.with_timeout(timeout, async {
            let mut prepared = Vec::with_capacity(steps.len());
            for (sql, values) in steps {
                prepared.push((self.statement(sql).await?, *values));
            }
            let begin = if timeout_factor > 1 {
                self.begin_long(timeout)
            } else {
                statements::BEGIN.to_owned()
            };
            let mut all: Vec<Boxed<'_, Result<Answer, tokio_postgres::Error>>> = Vec::new();
            all.push(Box::pin(async move {
                self.client.batch_execute(&begin).await.map(|()| Answer::default())
            }));
            for (statement, values) in &prepared {
                all.push(Box::pin(self.answer(statement, values)));
            }
            all.push(Box::pin(async {
                // After a failed statement the server treats this as a rollback.
                self.client.batch_execute(statements::COMMIT).await.map(|()| Answer::default())
            }));
            let mut answers: Vec<_> =
                join_in_order(all).await.into_iter().collect::<Result<_, _>>()?;
            answers.pop();
            answers.remove(0);
            Ok(answers)
        })
        .await
    }

    /// Runs statements one after the other in one transaction. Commits if `is_done` is true for
    /// their result, otherwise rolls back.
    ///
    /// Requires exclusive use of the session.
    pub(super) async fn atomically<T>(
        &self,
        steps: impl Future<Output = Result<T, tokio_postgres::Error>>,
        is_done: impl FnOnce(&T) -> bool,
    ) -> Result<T, PostgresError> {
        self.with_timeout(self.statement_timeout, async {
            self.client.batch_execute(statements::BEGIN).await?;
            let result = steps.await;
            let commits = result.as_ref().is_ok_and(is_done);
            let end = if commits { statements::COMMIT } else { statements::ROLLBACK };
            let ended = self.client.batch_execute(end).await;
            let result = result?;
            ended.map(|()| result)
        })
        .await
    }

    async fn answer(
        &self,
        statement: &Statement,
        values: Values<'_>,
    ) -> Result<Answer, tokio_postgres::Error> {
        if statement.columns().is_empty() {
            let changed = self.client.execute(statement, values).await?;
            return Ok(Answer { rows: Vec::new(), changed });
        }
        Ok(Answer { rows: self.client.query(statement, values).await?, changed: 0 })
    }

    /// Waits a little longer than the server's own timeout. A session that does not answer
    /// by then is abandoned, because its state is unknown.
    pub(super) async fn with_timeout<T>(
        &self,
        server_timeout: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PostgresError> {
        if let Ok(result) = timeout(server_timeout + GRACE, work).await {
            return Ok(result?);
        }
        self.abandon();
        Err(PostgresError::TimedOut)
    }

    /// Closes the session. If it only reads, asks the server to cancel its statement.
    fn abandon(&self) {
        self.close();
        if self.is_writer {
            return;
        }
        let (token, tls) = self.cancel.clone();
        tokio::spawn(async move {
            let canceled = timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await;
            if !matches!(canceled, Ok(Ok(()))) {
                tracing::debug!("cannot cancel an abandoned statement");
            }
        });
    }
}

fn set_lock_timeout(wait: Duration) -> String {
    // 0 would mean no timeout.
    statements::set_lock_timeout(wait.as_millis().max(1))
}

/// The answer to one statement of a transaction.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How many rows were changed, by a statement that returns none.
    pub(super) changed: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A future on the heap.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for all futures. Each is first polled in this order, so that statements on one
/// connection are sent in order and without waiting for answers.
pub(super) async fn join_in_order<T>(mut futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut is_pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        if is_pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Waits until one of two futures completes; drops the other.
pub(super) async fn join_either(first: impl Future, second: impl Future) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        let is_done =
            first.as_mut().poll(context).is_ready() || second.as_mut().poll(context).is_ready();
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
