//! Lookups and lists.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_postgres::{Row, types::ToSql};

use crate::backend::{
    BackendError, ListQuery, Order, Page, list::parse_expiry_marker, row::COLUMNS,
};
use crate::domain::{Credential, Kind, ProjectId, UserId};

use super::channel::Channel;
use super::connector::{Connector, Role};
use super::error::{PostgresError, Verdict, backoff};
use super::rows::{self, escape};
use super::session::Values;
use super::statements::{self, List, Owner};

const MAX_ATTEMPTS: u32 = 5;

/// How many lookups run at once in each session. Bounds the memory that waiting reads take
/// while the server is slow.
const MAX_LOOKUPS: usize = 256;

/// A read of many rows counts as this many lookups.
pub(super) const LIST_WEIGHT: u32 = 16;

/// A parameter of a statement.
pub(super) type Value = Box<dyn ToSql + Send + Sync>;

/// A text as a parameter, in its stored form.
pub(super) fn text(text: &str) -> Value {
    Box::new(escape(text).into_owned())
}

/// The sessions that all reads share.
#[derive(Debug)]
pub(super) struct Reads {
    channels: Arc<Channels>,
    permits: Arc<Semaphore>,
    queue_timeout: Duration,
}

#[derive(Debug)]
struct Channels {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

impl Reads {
    pub(super) fn start(connector: &Arc<Connector>, count: usize) -> Self {
        let channels =
            (0..count).map(|_| Channel::start(Arc::clone(connector), Role::Read)).collect();
        let permits = Arc::new(Semaphore::new(MAX_LOOKUPS * count));
        let channels = Arc::new(Channels { channels, next: AtomicUsize::new(0) });
        Self { channels, permits, queue_timeout: connector.statement_timeout() }
    }

    /// Finds one record.
    pub(super) async fn find(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let found = self.query(sql, values, 1).await.map_err(PostgresError::into_backend_error)?;
        found.first().map(rows::read).transpose().map(|found| found.map(Arc::new))
    }

    /// Runs a query when `weight` permits are free. If the caller goes away, the permits stay
    /// taken until the server has answered: the query has been sent and runs.
    pub(super) async fn query(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        weight: u32,
    ) -> Result<Vec<Row>, PostgresError> {
        let permits = Arc::clone(&self.permits).acquire_many_owned(weight);
        let permits = timeout(self.queue_timeout, permits).await;
        let permits = permits.map_err(|_| PostgresError::Overloaded)?;
        let permits = permits.map_err(|_| PostgresError::ShutDown)?;
        let (channels, sql) = (Arc::clone(&self.channels), sql.into());
        let task = tokio::spawn(async move {
            let _permits = permits;
            let values: Vec<&(dyn ToSql + Sync)> =
                values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            channels.query(&sql, &values).await
        });
        task.await.map_err(|_| PostgresError::ShutDown)?
    }

    /// Reads one page.
    pub(super) async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let marker = |marker: &Option<String>| {
            marker
                .as_deref()
                .filter(|marker| !marker.is_empty())
                .map(|text| escape(text).into_owned())
        };
        let text = |text: &str| escape(text).into_owned();
        let (user, project) = (query.user_id.as_ref(), query.project_id.as_ref());
        let (mut user, mut project) =
            (user.map(UserId::as_str).map(text), project.map(ProjectId::as_str).map(text));
        let kind = query.kind.as_ref().map(Kind::as_str).map(text);
        let (after, before) = (marker(&query.after), marker(&query.before));
        let (owner, id) = if query.order == Order::ExpiresAt {
            (Owner::Nobody, None)
        } else if let Some(user) = user.take() {
            (Owner::User, Some(user))
        } else if let Some(project) = project.take() {
            (Owner::Project, Some(project))
        } else {
            (Owner::Nobody, None)
        };
        let list =
            List { order: query.order, owner, after: after.is_some(), before: before.is_some() };
        let (examined, rows) = (as_number(ListQuery::MAX_EXAMINED), as_number(query.limit() + 2));
        // Stored texts are never shorter than the originals, so the page is never too large.
        let bytes = as_number(ListQuery::MAX_BYTES);

        let mut values: Vec<Value> = id.into_iter().map(|id| Box::new(id) as Value).collect();
        for marker in [after, before].into_iter().flatten() {
            if query.order == Order::ExpiresAt {
                let (micros, id) = parse_expiry_marker(&marker);
                values.extend([Box::new(micros) as Value, Box::new(id.to_owned())]);
            } else {
                values.push(Box::new(marker));
            }
        }
        let numbers: [Value; 2] = [Box::new(bytes), Box::new(rows)];
        let filters: [Value; 4] =
            [Box::new(examined), Box::new(kind), Box::new(user), Box::new(project)];
        values.extend(filters.into_iter().chain(numbers));
        let found = self.query(statements::list(list), values, LIST_WEIGHT).await;
        page(&found.map_err(PostgresError::into_backend_error)?, query)
    }
}

impl Channels {
    /// Runs a query. Retries on another connection if the first one is lost.
    async fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, PostgresError> {
        let (mut attempt, mut is_lost) = (1, false);
        loop {
            let session = self.next().session().await?;
            let error = match session.query(sql, values).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            match error.verdict() {
                Verdict::Conflict if attempt < MAX_ATTEMPTS => sleep(backoff(attempt)).await,
                Verdict::Lost if !is_lost => is_lost = true,
                Verdict::Stale if !is_lost => {
                    is_lost = true;
                    session.close();
                }
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// The next channel in turn. Skips channels that are down, unless all are.
    fn next(&self) -> &Channel {
        let (count, next) = (self.channels.len(), self.next.fetch_add(1, Ordering::Relaxed));
        let mut turns = (0..count).map(|n| &self.channels[next.wrapping_add(n) % count]);
        turns.find(|channel| channel.is_up()).unwrap_or(&self.channels[next % count])
    }
}

/// Builds a page from the rows of [`statements::list`]. Rows that the filters exclude are not
/// decoded, so that a damaged one fails only the lists that include it.
fn page(found: &[Row], query: &ListQuery) -> Result<Page, BackendError> {
    const POSITION: usize = COLUMNS.len();
    let (mut page, mut bytes) = (Page::default(), 0);
    let mut last_examined = None;
    for row in found {
        let (position, passes): (i64, bool) = (row.get(POSITION), row.get(POSITION + 1));
        if position > as_number(ListQuery::MAX_EXAMINED) {
            page.next = last_examined;
            break;
        }
        if position == as_number(ListQuery::MAX_EXAMINED) {
            last_examined = Some(rows::marker(row, query.order)?);
        }
        if !passes {
            continue;
        }
        if query.is_full(page.credentials.len(), bytes) || !rows::is_whole(row) {
            let last = page.credentials.last();
            page.next = last.and_then(|last| query.order.marker(last));
            break;
        }
        let record = rows::read(row)?;
        bytes += record.size();
        page.credentials.push(Arc::new(record));
    }
    Ok(page)
}

fn as_number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
