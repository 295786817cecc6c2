//! What the writers are asked to do, and how many of one kind are done at once.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::ToSql;

use crate::backend::row::Row;
use crate::domain::Quota;

use super::connection::{LONG, Link, Values};
use super::rows::{self, Arrays};
use super::statements::{self, Written};
use super::told;
use super::trouble::Trouble;

/// One write, with all that it needs. Its texts are those of the columns.
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
    /// Ids, and the second of a use of each.
    Note {
        uses: Vec<(String, i64)>,
    },
    PurgeProject {
        project_id: String,
    },
    PurgeUser {
        user_id: String,
    },
    Update {
        row: Row,
        expected: i64,
    },
}

/// Which writes can be done together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Delete,
    Insert,
    Note,
    Purge,
    Update,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was refused for the sake of another in the batch that was refused itself.
    Again,
    /// It is done; how many rows it changed.
    Done(u64),
    /// No answer came, and it is not there now; it may have been, or come to be.
    Doubtful,
    /// The quota does not admit it.
    Full,
    /// The id, the access key or the slot is taken.
    Taken,
}

impl Write {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Delete { .. } => Kind::Delete,
            Self::Insert { .. } => Kind::Insert,
            Self::Note { .. } => Kind::Note,
            Self::PurgeProject { .. } | Self::PurgeUser { .. } => Kind::Purge,
            Self::Update { .. } => Kind::Update,
        }
    }

    /// The record that it is about; no two of one record are done together.
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Delete { id, .. } => Some(id),
            Self::Insert { row, .. } | Self::Update { row, .. } => Some(&row.id),
            Self::Note { .. } | Self::PurgeProject { .. } | Self::PurgeUser { .. } => None,
        }
    }

    /// What others must let go of before it is done: its user where a quota is checked,
    /// the record otherwise.
    pub(super) fn waits_for(&self) -> Option<&str> {
        match self {
            Self::Insert { row, quota: Quota::AtMost(_) } => Some(&row.user_id),
            _ => self.id(),
        }
    }

    /// About how many bytes it takes on its way.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Insert { row, .. } | Self::Update { row, .. } => rows::size(row),
            Self::Note { uses } => uses.len() * 100,
            Self::Delete { .. } | Self::PurgeProject { .. } | Self::PurgeUser { .. } => 100,
        }
    }

    fn row(&self) -> Option<&Row> {
        match self {
            Self::Insert { row, .. } | Self::Update { row, .. } => Some(row),
            _ => None,
        }
    }

    fn told(&self) -> Option<String> {
        Some(match self {
            Self::Delete { id, .. } => told::record(id, None),
            Self::Insert { row, .. } | Self::Update { row, .. } => rows::told(row),
            Self::Note { .. } => return None,
            Self::PurgeProject { project_id } => told::project(project_id),
            Self::PurgeUser { user_id } => told::user(user_id),
        })
    }
}

/// Does these writes, all of one kind and no two of one record; all or none are done.
pub(super) async fn apply(
    link: &Link,
    kind: Kind,
    writes: &[&Write],
) -> Result<Vec<Outcome>, Trouble> {
    // All go about it in one order, so that no two batches wait for each other.
    let mut sorted = writes.to_vec();
    sorted.sort_unstable_by_key(|write| write.id());
    match kind {
        Kind::Delete => {
            delete(link, &sorted).await.map(|done| by_id(writes, &done, Outcome::Done(0)))
        }
        Kind::Insert if writes.iter().any(|write| limit(write).is_some()) => {
            let held = insert_limited(link, &sorted).await?;
            Ok(within_quotas(writes, &held))
        }
        Kind::Insert => {
            insert(link, &sorted).await.map(|done| by_id(writes, &done, Outcome::Taken))
        }
        Kind::Note => note(link, &sorted).await.map(|()| vec![Outcome::Done(0); writes.len()]),
        Kind::Purge => {
            let mut outcomes = Vec::new();
            for write in writes {
                outcomes.push(Outcome::Done(purge(link, write).await?));
            }
            Ok(outcomes)
        }
        Kind::Update => {
            update(link, &sorted).await.map(|done| by_id(writes, &done, Outcome::Done(0)))
        }
    }
}

/// What came of inserts that may have been done, by their versions: nobody else has them.
/// Nothing is inserted.
pub(super) async fn confirm(link: &Link, writes: &[&Write]) -> Result<Vec<Outcome>, Trouble> {
    let rows = || writes.iter().filter_map(|write| write.row());
    let ids: Vec<&str> = rows().map(|row| &*row.id).collect();
    let versions: Vec<i64> = rows().map(|row| row.version).collect();
    let stored = link.query(statements::CONFIRM, &[&ids, &versions]).await?;
    let stored: Done = stored.iter().map(|row| row.get(0)).collect();
    Ok(by_id(writes, &stored, Outcome::Doubtful))
}

/// The ids of what was written, as [`Written`] gives them.
type Done = BTreeSet<String>;

async fn delete(link: &Link, writes: &[&Write]) -> Result<Done, Trouble> {
    let (mut ids, mut versions) = (Vec::new(), Vec::new());
    for write in writes {
        if let Write::Delete { id, expected } = write {
            ids.push(&**id);
            versions.push(*expected);
        }
    }
    written(link, &statements::DELETE, vec![&ids, &versions], writes).await
}

async fn insert(link: &Link, writes: &[&Write]) -> Result<Done, Trouble> {
    let arrays = Arrays::of(writes.iter().filter_map(|write| write.row()));
    written(link, &statements::INSERT, arrays.values(), writes).await
}

async fn update(link: &Link, writes: &[&Write]) -> Result<Done, Trouble> {
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
    written(link, &statements::UPDATE, values, writes).await
}

async fn written(
    link: &Link,
    statement: &Written,
    mut values: Vec<&(dyn ToSql + Sync)>,
    writes: &[&Write],
) -> Result<Done, Trouble> {
    let rows = match link.channel() {
        None => link.query(&statement.quiet, &values).await?,
        Some(channel) => {
            let payloads = told::payloads(writes.iter().filter_map(|write| write.told()));
            values.extend([&channel as &(dyn ToSql + Sync), &payloads]);
            link.query(&statement.telling, &values).await?
        }
    };
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn by_id(writes: &[&Write], done: &Done, otherwise: Outcome) -> Vec<Outcome> {
    let is_done = |write: &&Write| write.id().is_some_and(|id| done.contains(id));
    writes.iter().map(|w| if is_done(w) { Outcome::Done(1) } else { otherwise }).collect()
}

/// What an insert under quotas gave, by id.
type Held = HashMap<String, Limited>;

struct Limited {
    is_stored: bool,
    /// Whether the quota had room for it and for all of its user's before it.
    is_admitted: bool,
    /// How many records the user held before the batch.
    held: u64,
}

async fn insert_limited(link: &Link, writes: &[&Write]) -> Result<Held, Trouble> {
    let owners: BTreeSet<&str> = writes
        .iter()
        .filter(|write| limit(write).is_some())
        .filter_map(|write| write.row().map(|row| &*row.user_id))
        .collect();
    let owners: Vec<&str> = owners.into_iter().collect();
    let limits: Vec<Option<i64>> = writes.iter().map(|write| limit(write)).collect();
    let most = limits.iter().flatten().max().copied().unwrap_or_default();
    let mut of_user: HashMap<&str, i64> = HashMap::new();
    let mut before = Vec::with_capacity(writes.len());
    for row in writes.iter().filter_map(|write| write.row()) {
        let count = of_user.entry(&row.user_id).or_default();
        before.push(*count);
        *count += 1;
    }

    let arrays = Arrays::of(writes.iter().filter_map(|write| write.row()));
    let mut values = arrays.values();
    values.extend([&limits as &(dyn ToSql + Sync), &before, &most]);
    let insert = &**statements::INSERT_LIMITED;
    let locked: [&(dyn ToSql + Sync); 1] = [&owners];
    let mut steps: Vec<(&str, Values<'_>)> =
        vec![(statements::LOCK_OWNERS, &locked), (insert, &values)];
    let payloads = told::payloads(writes.iter().filter_map(|write| write.told()));
    let telling: Vec<&(dyn ToSql + Sync)>;
    let channel = link.channel();
    if let Some(channel) = &channel {
        telling = vec![channel, &payloads];
        steps.push((statements::TELL, &telling));
    }
    let answers = link.transaction(&steps, 1).await?;
    let rows = answers.get(1).map_or(&[][..], |answer| &answer.rows);
    let limited = |row: &tokio_postgres::Row| {
        let held = row.get::<_, i64>(3).unsigned_abs();
        (row.get(0), Limited { is_stored: row.get(1), is_admitted: row.get(2), held })
    };
    Ok(rows.iter().map(limited).collect())
}

/// What became of inserts under quotas. Each was counted behind others of its user in
/// the batch; where one of those was not stored after all, there may be room.
fn within_quotas(writes: &[&Write], held: &Held) -> Vec<Outcome> {
    let mut stored: HashMap<&str, u64> = HashMap::new();
    for row in writes.iter().filter_map(|write| write.row()) {
        let is_stored = held.get(&row.id).is_some_and(|limited| limited.is_stored);
        *stored.entry(&row.user_id).or_default() += u64::from(is_stored);
    }
    let outcome = |write: &&Write| {
        let Write::Insert { row, quota } = write else { return Outcome::Taken };
        let Some(limited) = held.get(&row.id) else { return Outcome::Taken };
        let now = limited.held + stored.get(&*row.user_id).copied().unwrap_or_default();
        match quota {
            _ if limited.is_stored => Outcome::Done(1),
            _ if limited.is_admitted => Outcome::Taken,
            quota if quota.admits(now) => Outcome::Again,
            _ => Outcome::Full,
        }
    };
    writes.iter().map(outcome).collect()
}

fn limit(write: &Write) -> Option<i64> {
    match write {
        Write::Insert { quota: Quota::AtMost(limit), .. } => Some(i64::from(*limit)),
        _ => None,
    }
}

async fn note(link: &Link, writes: &[&Write]) -> Result<(), Trouble> {
    let mut latest: HashMap<&str, i64> = HashMap::new();
    for write in writes {
        let Write::Note { uses } = write else { continue };
        for (id, second) in uses {
            let known = latest.entry(id).or_insert(*second);
            *known = (*known).max(*second);
        }
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    latest.sort_unstable();
    let (ids, seconds): (Vec<&str>, Vec<i64>) = latest.into_iter().unzip();
    link.query(statements::NOTE, &[&ids, &seconds]).await.map(drop)
}

async fn purge(link: &Link, write: &Write) -> Result<u64, Trouble> {
    let (sql, id) = match write {
        Write::PurgeProject { project_id } => (statements::PURGE_PROJECT, project_id),
        Write::PurgeUser { user_id } => (statements::PURGE_USER, user_id),
        _ => return Ok(0),
    };
    let owner: [&(dyn ToSql + Sync); 1] = [id];
    let mut steps: Vec<(&str, Values<'_>)> = vec![(sql, &owner)];
    let payloads = told::payloads(write.told());
    let telling: Vec<&(dyn ToSql + Sync)>;
    let channel = link.channel();
    if let Some(channel) = &channel {
        telling = vec![channel, &payloads];
        steps.push((statements::TELL, &telling));
    }
    let answers = link.transaction(&steps, LONG).await?;
    Ok(answers.first().map_or(0, |answer| answer.changed))
}
