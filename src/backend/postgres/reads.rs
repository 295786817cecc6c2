//! What is asked of the store.

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

use crate::backend::{BackendError, ListQuery, Page, row::COLUMNS};
use crate::domain::{Credential, Kind, ProjectId, UserId};

use super::connection::Values;
use super::connector::{Connector, Role};
use super::line::{Line, pause};
use super::rows;
use super::statements::{self, List, Owner};
use super::text::stored;
use super::trouble::{Trouble, Verdict};

/// How often to ask when other transactions are in the way.
const TRIES: u32 = 5;

/// How many look-ups are under way at once for each session, and as how many a read of
/// many rows counts: what waits for a server that is slow must not fill the memory.
const AT_ONCE: usize = 256;
pub(super) const A_LIST: u32 = 16;

/// A value of a statement.
pub(super) type Value = Box<dyn ToSql + Send + Sync>;

/// A text as it is stored.
pub(super) fn text(text: &str) -> Value {
    Box::new(stored(text).into_owned())
}

/// A few sessions that all reads share.
#[derive(Debug)]
pub(super) struct Reads {
    lines: Arc<Lines>,
    room: Arc<Semaphore>,
    /// How long to wait for room.
    patience: Duration,
}

#[derive(Debug)]
struct Lines {
    lines: Vec<Line>,
    next: AtomicUsize,
}

impl Reads {
    pub(super) fn start(connector: &Arc<Connector>, count: usize) -> Self {
        let lines = (0..count).map(|_| Line::start(Arc::clone(connector), Role::Read)).collect();
        let room = Arc::new(Semaphore::new(AT_ONCE * count));
        let lines = Arc::new(Lines { lines, next: AtomicUsize::new(0) });
        Self { lines, room, patience: connector.statement_timeout() }
    }

    /// Finds one record.
    pub(super) async fn find(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let found = self.query(sql, values, 1).await.map_err(Trouble::into_backend_error)?;
        found.first().map(rows::read).transpose().map(|found| found.map(Arc::new))
    }

    /// Asks, when there is room for so much more. Whoever goes away meanwhile leaves the
    /// room taken until the server has answered: the question is on its way all the same.
    pub(super) async fn query(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        weight: u32,
    ) -> Result<Vec<Row>, Trouble> {
        let waiting = Arc::clone(&self.room).acquire_many_owned(weight);
        let room = timeout(self.patience, waiting).await.map_err(|_| Trouble::Crowded)?;
        let room = room.map_err(|_| Trouble::Gone)?;
        let (lines, sql) = (Arc::clone(&self.lines), sql.into());
        let asking = tokio::spawn(async move {
            let _room = room;
            let values: Vec<&(dyn ToSql + Sync)> =
                values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            lines.ask(&sql, &values).await
        });
        asking.await.map_err(|_| Trouble::Gone)?
    }

    /// Reads one page.
    pub(super) async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let marker = |marker: &Option<String>| {
            marker
                .as_deref()
                .filter(|marker| !marker.is_empty())
                .map(|text| stored(text).into_owned())
        };
        let text = |text: &str| stored(text).into_owned();
        let (user, project) = (query.user_id.as_ref(), query.project_id.as_ref());
        let (user, mut project) =
            (user.map(UserId::as_str).map(text), project.map(ProjectId::as_str).map(text));
        let kind = query.kind.as_ref().map(Kind::as_str).map(text);
        let (after, before) = (marker(&query.after), marker(&query.before));
        let (owner, id) = match user {
            Some(user) => (Owner::User, Some(user)),
            None => match project.take() {
                Some(project) => (Owner::Project, Some(project)),
                None => (Owner::Nobody, None),
            },
        };
        let list =
            List { order: query.order, owner, after: after.is_some(), before: before.is_some() };
        let (examined, rows) = (as_number(ListQuery::MAX_EXAMINED), as_number(query.limit() + 2));
        // As they are stored, texts are no shorter: what is left out is not missed.
        let bytes = as_number(ListQuery::MAX_BYTES);

        let given = [id, after, before].into_iter().flatten();
        let mut values: Vec<Value> = given.map(|text| Box::new(text) as Value).collect();
        let numbers: [Value; 2] = [Box::new(bytes), Box::new(rows)];
        let filters: [Value; 3] = [Box::new(examined), Box::new(kind), Box::new(project)];
        values.extend(filters.into_iter().chain(numbers));
        let found = self.query(statements::list(list), values, A_LIST).await;
        page(&found.map_err(Trouble::into_backend_error)?, query)
    }
}

impl Lines {
    /// Asks; once more on another connection when the first one is lost, for asking
    /// changes nothing.
    async fn ask(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Trouble> {
        let mut tries = 1;
        let mut lost = false;
        loop {
            let link = self.line().link().await?;
            let trouble = match link.query(sql, values).await {
                Ok(rows) => return Ok(rows),
                Err(trouble) => trouble,
            };
            match trouble.verdict() {
                Verdict::Conflict if tries < TRIES => sleep(pause(tries)).await,
                Verdict::Lost if !lost => lost = true,
                Verdict::Stale if !lost => {
                    lost = true;
                    link.retire();
                }
                _ => return Err(trouble),
            }
            tries += 1;
        }
    }

    /// The next line in turn; one that is down only if all are.
    fn line(&self) -> &Line {
        let (count, next) = (self.lines.len(), self.next.fetch_add(1, Ordering::Relaxed));
        let mut turns = (0..count).map(|n| &self.lines[next.wrapping_add(n) % count]);
        turns.find(|line| line.is_up()).unwrap_or(&self.lines[next % count])
    }
}

/// Makes a page of what [`statements::list`] gives. What the filters drop is not read:
/// a damaged row is the trouble of those who ask for it.
fn page(found: &[Row], query: &ListQuery) -> Result<Page, BackendError> {
    const PLACE: usize = COLUMNS.len();
    let (mut page, mut bytes) = (Page::default(), 0);
    let mut last_examined = None;
    for row in found {
        let (place, passes): (i64, bool) = (row.get(PLACE), row.get(PLACE + 1));
        if place > as_number(ListQuery::MAX_EXAMINED) {
            page.next = last_examined;
            break;
        }
        if place == as_number(ListQuery::MAX_EXAMINED) {
            last_examined = Some(rows::marker(row, query.order)?);
        }
        if !passes {
            continue;
        }
        if query.is_full(page.credentials.len(), bytes) || !rows::is_whole(row) {
            let last = page.credentials.last();
            page.next = last.and_then(|last| query.order.marker(last)).map(Into::into);
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
