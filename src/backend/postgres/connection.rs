//! One session on the server.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{
    CancelToken, Client, Row, Statement,
    error::SqlState,
    types::{Oid, ToSql},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::era::Term;
use super::statements;
use super::together::{Boxed, in_order};
use super::trouble::Trouble;

/// How much longer than the server itself to wait for it.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How much longer than other statements purges and loads may take.
pub(super) const LONG: u32 = 60;

/// Which part of the time for a statement it may wait for one lock.
const LOCK_PART: u32 = 2;

/// How long to try to have the server give up a statement that is not waited for.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a server answers that sends no notifications for us.
const MUTE: [SqlState; 3] = [
    SqlState::UNDEFINED_FUNCTION,
    SqlState::FEATURE_NOT_SUPPORTED,
    SqlState::INSUFFICIENT_PRIVILEGE,
];

/// A session, and the statements that are prepared in it.
///
/// Statements of several callers share it: each is sent without waiting for the
/// answers to those before.
pub(super) struct Link {
    client: Client,
    term: Term,
    prepared: Mutex<HashMap<Box<str>, Statement>>,
    driver: AbortHandle,
    retired: AtomicBool,
    cancel: (CancelToken, MakeRustlsConnect),
    /// For how long the server runs a statement.
    limit: Duration,
    /// Where to tell of changes; `None` if the server tells none.
    channel: Option<String>,
    /// For how long the server waits for one lock; `None` if it bounds only the statement.
    lock_limit: Option<Duration>,
    writes: bool,
}

/// The values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Link {
    pub(super) fn new(
        client: Client,
        term: Term,
        driver: AbortHandle,
        tls: MakeRustlsConnect,
        limit: Duration,
    ) -> Self {
        let cancel = (client.cancel_token(), tls);
        let (prepared, retired) = (Mutex::default(), AtomicBool::new(false));
        Self {
            client,
            term,
            prepared,
            driver,
            retired,
            cancel,
            limit,
            channel: None,
            lock_limit: None,
            writes: false,
        }
    }

    /// Makes it a session that writes: learns whether the server tells of changes, and where.
    ///
    /// What it is at is not cancelled when it is given up. The server ends it in time, but for
    /// a commit that waits for its standby: cancelled, that would be seen by everybody and
    /// lost with the primary.
    pub(super) async fn for_writing(mut self) -> Result<Self, tokio_postgres::Error> {
        self.writes = true;
        let lock_limit = self.limit / LOCK_PART;
        match self.client.batch_execute(&lock_timeout(lock_limit)).await {
            Ok(()) => self.lock_limit = Some(lock_limit),
            Err(error) => tracing::debug!(%error, "the server does not bound the wait for a lock"),
        }
        match self.client.simple_query(statements::TRY_TELLING).await {
            Ok(_) => {
                let row = self.client.query_one(statements::STORE_NUMBER, &[]).await?;
                let number: Oid = row.try_get(0)?;
                self.channel = Some(statements::channel(number));
            }
            // An engine without notifications, or a user who may not send any. Whoever else
            // would be mute for as long as the session lives, and others trust the feed.
            Err(error) if error.code().is_some_and(|code| MUTE.contains(code)) => {}
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn term(&self) -> &Term {
        &self.term
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// Has the session wait this long for a lock, where it can be told; as long as it did
    /// at first if for `None`. Nobody else may use it meanwhile.
    pub(super) async fn wait_for_locks(&self, wait: Option<Duration>) -> Result<(), Trouble> {
        let Some(limit) = self.lock_limit else { return Ok(()) };
        let set = lock_timeout(wait.unwrap_or(limit));
        self.in_time(self.limit, self.client.batch_execute(&set)).await
    }

    /// Begins a transaction that may take this long.
    pub(super) fn begin_long(&self, limit: Duration) -> String {
        let millis = limit.as_millis();
        let mut begin = format!("{}; {}", statements::BEGIN, statements::set_local_timeout(millis));
        if self.lock_limit.is_some() {
            begin = format!("{begin}; {}", statements::set_local_lock_timeout(millis));
        }
        begin
    }

    pub(super) fn is_closed(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.client.is_closed() || self.term.is_over()
    }

    /// Ends the session at once; whoever waits for an answer gets an error.
    pub(super) fn retire(&self) {
        // For those who ask before the task has ended.
        self.retired.store(true, Ordering::Relaxed);
        self.driver.abort();
    }

    /// The prepared statement of this text.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let known = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(statement) = known().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        known().insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Runs one statement, in a transaction of its own.
    pub(super) async fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Trouble> {
        self.in_time(self.limit, async {
            let statement = self.statement(sql).await?;
            self.client.query(&statement, values).await
        })
        .await
    }

    /// Runs statements in one transaction, in one round trip; gives the rows of each.
    ///
    /// Nobody else may use the session meanwhile.
    pub(super) async fn transaction(
        &self,
        steps: &[(&str, Values<'_>)],
        patience: u32,
    ) -> Result<Vec<Answer>, Trouble> {
        let limit = self.limit * patience;
        self.in_time(limit, async {
            let mut prepared = Vec::with_capacity(steps.len());
            for (sql, values) in steps {
                prepared.push((self.statement(sql).await?, *values));
            }
            let begin =
                if patience > 1 { self.begin_long(limit) } else { statements::BEGIN.to_owned() };
            let mut all: Vec<Boxed<'_, Result<Answer, tokio_postgres::Error>>> = Vec::new();
            all.push(Box::pin(async move {
                self.client.batch_execute(&begin).await.map(|()| Answer::default())
            }));
            for (statement, values) in &prepared {
                all.push(Box::pin(self.answer(statement, values)));
            }
            all.push(Box::pin(async {
                // After a failed statement the server takes this for a rollback.
                self.client.batch_execute(statements::COMMIT).await.map(|()| Answer::default())
            }));
            let mut answers: Vec<_> = in_order(all).await.into_iter().collect::<Result<_, _>>()?;
            answers.pop();
            answers.remove(0);
            Ok(answers)
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

    /// Waits a little longer than the server does. A session that does not answer then
    /// is given up, for nobody knows what it is at.
    pub(super) async fn in_time<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        let result = timeout(limit + GRACE, work).await;
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => {
                self.give_up();
                return Err(Trouble::TimedOut);
            }
        };
        Err(error.into())
    }

    /// Ends the session here, and asks the server to end what it is at, if that only reads.
    fn give_up(&self) {
        self.retire();
        if self.writes {
            return;
        }
        let (token, tls) = self.cancel.clone();
        tokio::spawn(async move {
            let cancelled = timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::debug!("a statement that is not waited for could not be cancelled");
            }
        });
    }
}

fn lock_timeout(wait: Duration) -> String {
    // 0 would be for ever.
    statements::set_lock_timeout(wait.as_millis().max(1))
}

/// What a statement of a transaction gave.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How many rows it changed, if it gives none.
    pub(super) changed: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
