//! The writes of a batch, and the statements that carry them out.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::ToSql;

use crate::backend::row::Row;
use crate::domain::Quota;

use super::error::PostgresError;
use super::notify;
use super::rows::{self, Arrays};
use super::session::{LONG_FACTOR, Session, Values};
use super::statements::{self, WriteStatement};

/// One write with all its parameters. The texts are those of the columns.
pub(super) enum Write {
    /// At this version, or at any.
    Delete {
        id: String,
        expected: Option<i64>,
    },
    Insert {
        row: Row,
        quota: Quota,
    },
    PurgeProject {
        project_id: String,
    },
    PurgeUser {
        user_id: String,
    },
    /// Ids, each with the second of a use.
    RecordUses {
        uses: Vec<(String, i64)>,
    },
    Rotate(Box<Rotation>),
    Update {
        row: Row,
        expected: i64,
    },
}

/// Inserts `row` and updates `retired`, or does neither.
pub(super) struct Rotation {
    pub(super) row: Row,
    pub(super) quota: Quota,
    pub(super) retired: Row,
    /// The version of the replaced record.
    pub(super) expected: i64,
}

/// The kinds of writes. A batch holds writes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Delete,
    Insert,
    Purge,
    RecordUses,
    Rotate,
    Update,
}

/// The result of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteResult {
    /// Written; how many rows were changed.
    Done(u64),
    /// The quota does not admit the insert.
    QuotaExceeded,
    /// Not written, because of another write of the batch that was not written either.
    Retry,
    /// The id, the access key or the slot is taken.
    Taken,
    /// The server did not answer, and the record is not there now. The write may have taken
    /// effect, or may still do so.
    Unknown,
}

impl Write {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Delete { .. } => Kind::Delete,
            Self::Insert { .. } => Kind::Insert,
            Self::PurgeProject { .. } | Self::PurgeUser { .. } => Kind::Purge,
            Self::RecordUses { .. } => Kind::RecordUses,
            Self::Rotate(_) => Kind::Rotate,
            Self::Update { .. } => Kind::Update,
        }
    }

    /// The id of the record; of a rotation, that of the new one. A batch holds no two writes of
    /// one record.
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Delete { id, .. } => Some(id),
            Self::Insert { row, .. } | Self::Update { row, .. } => Some(&row.id),
            Self::Rotate(rotation) => Some(&rotation.row.id),
            Self::PurgeProject { .. } | Self::PurgeUser { .. } | Self::RecordUses { .. } => None,
        }
    }

    /// What the write locks: its user if a quota is checked, otherwise the record.
    pub(super) fn lock(&self) -> Option<&str> {
        match self {
            Self::Insert { row, quota: Quota::AtMost(_) } => Some(&row.user_id),
            _ => self.id(),
        }
    }

    /// Approximate size on the wire, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Insert { row, .. } | Self::Update { row, .. } => rows::size(row),
            Self::RecordUses { uses } => uses.len() * 100,
            Self::Rotate(rotation) => rows::size(&rotation.row) + rows::size(&rotation.retired),
            Self::Delete { .. } | Self::PurgeProject { .. } | Self::PurgeUser { .. } => 100,
        }
    }

    fn row(&self) -> Option<&Row> {
        match self {
            Self::Insert { row, .. } | Self::Update { row, .. } => Some(row),
            Self::Rotate(rotation) => Some(&rotation.row),
            _ => None,
        }
    }

    /// The change to notify others of.
    fn change(&self) -> Option<String> {
        Some(match self {
            Self::Delete { id, .. } => notify::record(id, None),
            Self::Insert { row, .. } | Self::Update { row, .. } => written(row),
            Self::Rotate(rotation) => written(&rotation.row),
            Self::PurgeProject { project_id } => notify::project(project_id),
            Self::PurgeUser { user_id } => notify::user(user_id),
            Self::RecordUses { .. } => return None,
        })
    }
}

/// The change to notify others of when this row is written.
fn written(row: &Row) -> String {
    notify::record(&row.id, row.access_key.as_deref())
}

/// Writes a batch: all of it or nothing. All writes are of one kind, no two of one record.
pub(super) async fn apply(
    session: &Session,
    kind: Kind,
    writes: &[&Write],
) -> Result<Vec<WriteResult>, PostgresError> {
    // All batches lock in one order, so that no two deadlock.
    let mut sorted = writes.to_vec();
    sorted.sort_unstable_by_key(|write| write.id());
    match kind {
        Kind::Delete => {
            let ids = delete(session, &sorted).await?;
            Ok(results(writes, &ids, WriteResult::Done(0)))
        }
        Kind::Insert if writes.iter().any(|write| limit(write).is_some()) => {
            let inserted = insert_limited(session, &sorted).await?;
            Ok(limited_results(writes, &inserted))
        }
        Kind::Insert => {
            let ids = insert(session, &sorted).await?;
            Ok(results(writes, &ids, WriteResult::Taken))
        }
        Kind::Purge => {
            let mut results = Vec::new();
            for write in writes {
                results.push(WriteResult::Done(purge(session, write).await?));
            }
            Ok(results)
        }
        Kind::RecordUses => {
            record_uses(session, &sorted).await?;
            Ok(vec![WriteResult::Done(0); writes.len()])
        }
        Kind::Rotate => {
            let mut results = Vec::new();
            for write in writes {
                results.push(rotate(session, write).await?);
            }
            Ok(results)
        }
        Kind::Update => {
            let ids = update(session, &sorted).await?;
            Ok(results(writes, &ids, WriteResult::Done(0)))
        }
    }
}

/// Finds out which inserts of an earlier attempt took effect, by their unique versions.
/// Inserts nothing.
pub(super) async fn confirm(
    session: &Session,
    writes: &[&Write],
) -> Result<Vec<WriteResult>, PostgresError> {
    let rows = || writes.iter().filter_map(|write| write.row());
    let ids: Vec<&str> = rows().map(|row| &*row.id).collect();
    let versions: Vec<i64> = rows().map(|row| row.version).collect();
    let stored = session.query(statements::CONFIRM, &[&ids, &versions]).await?;
    let stored: WrittenIds = stored.iter().map(|row| row.get(0)).collect();
    Ok(results(writes, &stored, WriteResult::Unknown))
}

/// The ids that a [`WriteStatement`] returns.
type WrittenIds = BTreeSet<String>;

async fn delete(session: &Session, writes: &[&Write]) -> Result<WrittenIds, PostgresError> {
    let (mut ids, mut versions) = (Vec::new(), Vec::new());
    for write in writes {
        if let Write::Delete { id, expected } = write {
            ids.push(&**id);
            versions.push(*expected);
        }
    }
    execute(session, &statements::DELETE, vec![&ids, &versions], writes).await
}

async fn insert(session: &Session, writes: &[&Write]) -> Result<WrittenIds, PostgresError> {
    let arrays = Arrays::of(writes.iter().filter_map(|write| write.row()));
    execute(session, &statements::INSERT, arrays.values(), writes).await
}

/// Updates one record and inserts another one, in one transaction.
async fn rotate(session: &Session, write: &Write) -> Result<WriteResult, PostgresError> {
    let Write::Rotate(rotation) = write else { return Ok(WriteResult::Done(0)) };
    let Rotation { row, quota, retired, expected } = &**rotation;
    let retired_id = &*retired.id;
    let payloads = notify::payloads([written(row), written(retired)]);
    let (new, old) = (Arrays::of([row].into_iter()), Arrays::of([retired].into_iter()));
    let steps = async {
        let client = session.client();
        let most = match quota {
            Quota::AtMost(limit) => i64::from(*limit),
            Quota::Unlimited => 0,
        };
        if *quota != Quota::Unlimited {
            // Before the record, in the order in which inserts lock.
            let lock = session.statement(statements::LOCK_OWNERS).await?;
            client.execute(&lock, &[&[&*row.user_id].as_slice()]).await?;
        }
        let lock = session.statement(statements::LOCK_RECORD).await?;
        let user_id = &*row.user_id;
        let found = client.query_opt(&lock, &[&retired_id, expected, &user_id, &most]).await?;
        let Some(found) = found else { return Ok(WriteResult::Done(0)) };
        let held: i64 = found.try_get(0)?;
        if *quota != Quota::Unlimited && !quota.admits(held.unsigned_abs()) {
            return Ok(WriteResult::QuotaExceeded);
        }
        let update = session.statement(&statements::UPDATE.plain).await?;
        let mut values = old.values();
        let versions = vec![*expected];
        values.push(&versions);
        client.query(&update, &values).await?;
        let insert = session.statement(&statements::INSERT.plain).await?;
        if client.query(&insert, &new.values()).await?.is_empty() {
            return Ok(WriteResult::Taken);
        }
        if let Some(notify_channel) = session.notify_channel() {
            let notify = session.statement(statements::NOTIFY).await?;
            client.query(&notify, &[&notify_channel, &payloads]).await?;
        }
        Ok(WriteResult::Done(1))
    };
    session.atomically(steps, |result| matches!(result, WriteResult::Done(1))).await
}

async fn update(session: &Session, writes: &[&Write]) -> Result<WrittenIds, PostgresError> {
    let arrays = Arrays::of(writes.iter().filter_map(|write| write.row()));
    let versions: Vec<i64> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Update { expected, .. } => Some(*expected),
            _ => None,
        })
        .collect();
    let mut values = arrays.values();
    values.push(&versions);
    execute(session, &statements::UPDATE, values, writes).await
}

async fn execute(
    session: &Session,
    statement: &WriteStatement,
    mut values: Vec<&(dyn ToSql + Sync)>,
    writes: &[&Write],
) -> Result<WrittenIds, PostgresError> {
    let rows = match session.notify_channel() {
        None => session.query(&statement.plain, &values).await?,
        Some(notify_channel) => {
            let payloads = notify::payloads(writes.iter().filter_map(|write| write.change()));
            values.extend([&notify_channel as &(dyn ToSql + Sync), &payloads]);
            session.query(&statement.notifying, &values).await?
        }
    };
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The result of each write; `otherwise` for those that are not among the written ids.
fn results(writes: &[&Write], written: &WrittenIds, otherwise: WriteResult) -> Vec<WriteResult> {
    let is_written = |write: &&Write| write.id().is_some_and(|id| written.contains(id));
    writes.iter().map(|w| if is_written(w) { WriteResult::Done(1) } else { otherwise }).collect()
}

/// The results of inserts with quotas, by id.
type LimitedInserts = HashMap<String, LimitedInsert>;

struct LimitedInsert {
    is_stored: bool,
    /// Whether the quota admits this insert and all of its user's before it.
    is_admitted: bool,
    /// How many records the user had before the batch.
    held: u64,
}

async fn insert_limited(
    session: &Session,
    writes: &[&Write],
) -> Result<LimitedInserts, PostgresError> {
    let owners: BTreeSet<&str> = writes
        .iter()
        .filter(|write| limit(write).is_some())
        .filter_map(|write| write.row().map(|row| &*row.user_id))
        .collect();
    let owners: Vec<&str> = owners.into_iter().collect();
    let limits: Vec<Option<i64>> = writes.iter().map(|write| limit(write)).collect();
    let max_limit = limits.iter().flatten().max().copied().unwrap_or_default();
    let mut of_user: HashMap<&str, i64> = HashMap::new();
    let mut before = Vec::with_capacity(writes.len());
    for row in writes.iter().filter_map(|write| write.row()) {
        let count = of_user.entry(&row.user_id).or_default();
        before.push(*count);
        *count += 1;
    }

    let arrays = Arrays::of(writes.iter().filter_map(|write| write.row()));
    let mut values = arrays.values();
    values.extend([&limits as &(dyn ToSql + Sync), &before, &max_limit]);
    let insert = &**statements::INSERT_LIMITED;
    let locked: [&(dyn ToSql + Sync); 1] = [&owners];
    let mut steps: Vec<(&str, Values<'_>)> =
        vec![(statements::LOCK_OWNERS, &locked), (insert, &values)];
    let payloads = notify::payloads(writes.iter().filter_map(|write| write.change()));
    let parameters: Vec<&(dyn ToSql + Sync)>;
    let notify_channel = session.notify_channel();
    if let Some(notify_channel) = &notify_channel {
        parameters = vec![notify_channel, &payloads];
        steps.push((statements::NOTIFY, &parameters));
    }
    let answers = session.transaction(&steps, 1).await?;
    let rows = answers.get(1).map_or(&[][..], |answer| &answer.rows);
    let limited = |row: &tokio_postgres::Row| {
        let held = row.get::<_, i64>(3).unsigned_abs();
        (row.get(0), LimitedInsert { is_stored: row.get(1), is_admitted: row.get(2), held })
    };
    Ok(rows.iter().map(limited).collect())
}

/// The result of each insert. An insert was counted after the earlier ones of its user in the
/// batch. If one of those was not stored, the quota may admit it on a retry.
fn limited_results(writes: &[&Write], inserted: &LimitedInserts) -> Vec<WriteResult> {
    let mut stored: HashMap<&str, u64> = HashMap::new();
    for row in writes.iter().filter_map(|write| write.row()) {
        let is_stored = inserted.get(&row.id).is_some_and(|insert| insert.is_stored);
        *stored.entry(&row.user_id).or_default() += u64::from(is_stored);
    }
    let result = |write: &&Write| {
        let Write::Insert { row, quota } = write else { return WriteResult::Taken };
        let Some(insert) = inserted.get(&row.id) else { return WriteResult::Taken };
        let now = insert.held + stored.get(&*row.user_id).copied().unwrap_or_default();
        match quota {
            _ if insert.is_stored => WriteResult::Done(1),
            _ if insert.is_admitted => WriteResult::Taken,
            quota if quota.admits(now) => WriteResult::Retry,
            _ => WriteResult::QuotaExceeded,
        }
    };
    writes.iter().map(result).collect()
}

fn limit(write: &Write) -> Option<i64> {
    match write {
        Write::Insert { quota: Quota::AtMost(limit), .. } => Some(i64::from(*limit)),
        _ => None,
    }
}

async fn record_uses(session: &Session, writes: &[&Write]) -> Result<(), PostgresError> {
    let mut latest: HashMap<&str, i64> = HashMap::new();
    for write in writes {
        let Write::RecordUses { uses } = write else { continue };
        for (id, second) in uses {
            let known = latest.entry(id).or_insert(*second);
            *known = (*known).max(*second);
        }
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    latest.sort_unstable();
    let (ids, seconds): (Vec<&str>, Vec<i64>) = latest.into_iter().unzip();
    session.query(statements::RECORD_USES, &[&ids, &seconds]).await.map(drop)
}

async fn purge(session: &Session, write: &Write) -> Result<u64, PostgresError> {
    let (sql, id) = match write {
        Write::PurgeProject { project_id } => (statements::PURGE_PROJECT, project_id),
        Write::PurgeUser { user_id } => (statements::PURGE_USER, user_id),
        _ => return Ok(0),
    };
    let owner: [&(dyn ToSql + Sync); 1] = [id];
    let mut steps: Vec<(&str, Values<'_>)> = vec![(sql, &owner)];
    let payloads = notify::payloads(write.change());
    let parameters: Vec<&(dyn ToSql + Sync)>;
    let notify_channel = session.notify_channel();
    if let Some(notify_channel) = &notify_channel {
        parameters = vec![notify_channel, &payloads];
        steps.push((statements::NOTIFY, &parameters));
    }
    let answers = session.transaction(&steps, LONG_FACTOR).await?;
    Ok(answers.first().map_or(0, |answer| answer.changed))
}
