//! The queries of the readers.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{
    Connection, OptionalExtension, Params, params, params_from_iter, types::ToSqlOutput,
};

use crate::backend::{
    BackendError, ListQuery, Order, Page, access_key_marker, contract::MAX_DIFFERENCES,
    list::parse_expiry_marker, row::COLUMNS,
};
use crate::domain::{AccessKey, Credential, CredentialId, ProjectId, UserId};

use super::error::{CorruptRow, read_failed};
use super::{names, rows};

/// Which record to look up.
pub(super) enum Lookup {
    AccessKey(String),
    Id(String),
    Slot { user_id: String, slot: &'static str },
}

/// Finds one record.
pub(super) fn find(
    connection: &Connection,
    lookup: &Lookup,
) -> Result<Option<Arc<Credential>>, BackendError> {
    match lookup {
        Lookup::AccessKey(key) => {
            let id = CredentialId::of(&AccessKey::from_stored(key.as_str()));
            let (hash, id) = by_id(id.as_str());
            one(connection, &BY_ACCESS_KEY, params![hash, id, key, access_key_marker(key)])
        }
        Lookup::Id(id) => {
            let (hash, id) = by_id(id);
            one(connection, &BY_ID, params![hash, id])
        }
        Lookup::Slot { user_id, slot } => {
            one(connection, &BY_SLOT, params![names::pack(user_id.as_bytes()), slot])
        }
    }
}

/// How many rows a short list may examine.
const FEW: usize = 16;

/// Reads one page.
pub(super) fn list(connection: &Connection, query: &ListQuery) -> Result<Page, BackendError> {
    let page = examine(connection, query, ListQuery::MAX_EXAMINED)?;
    // `None` only if fewer rows may be examined.
    Ok(page.unwrap_or_default())
}

/// Reads one page if that takes only a few rows.
pub(super) fn list_few(
    connection: &Connection,
    query: &ListQuery,
) -> Result<Option<Page>, BackendError> {
    examine(connection, query, FEW)
}

/// Reads one page; returns `None` if it takes more rows than these, unless they are as many as a
/// page may examine. Rows are stepped one by one, and those that the index did not select are
/// filtered here, so that the work is bounded for all filters. A filtered row is not decoded:
/// a damaged row does not affect lists of other records.
fn examine(
    connection: &Connection,
    query: &ListQuery,
    most: usize,
) -> Result<Option<Page>, BackendError> {
    let (sql, values) = list_sql(query);
    let mut statement = connection.prepare_cached(&sql).map_err(read_failed)?;
    let mut rows = statement.query(params_from_iter(values)).map_err(read_failed)?;

    let (mut page, mut bytes) = (Page::default(), 0);
    let mut last_examined = None;
    for examined in 0.. {
        let Some(row) = rows.next().map_err(read_failed)? else { break };
        if examined == ListQuery::MAX_EXAMINED {
            page.next = last_examined;
            break;
        }
        if examined == most {
            return Ok(None);
        }
        if examined + 1 == ListQuery::MAX_EXAMINED {
            last_examined = Some(rows::marker(row, query.order)?);
        }
        if !rows::is_admitted(row, query) {
            continue;
        }
        if query.is_full(page.credentials.len(), bytes) {
            let last = page.credentials.last();
            page.next = last.and_then(|last| query.order.marker(last));
            break;
        }
        let record = rows::read(row)?;
        bytes += record.size();
        page.credentials.push(Arc::new(record));
    }
    Ok(Some(page))
}

/// Finds when these keys were last used.
pub(super) fn last_used(
    connection: &Connection,
    ids: &[CredentialId],
) -> Result<HashMap<CredentialId, SystemTime>, BackendError> {
    let mut statement = connection.prepare_cached(LAST_USED).map_err(read_failed)?;
    let mut found = HashMap::with_capacity(ids.len());
    for id in ids {
        let (hash, stored) = by_id(id.as_str());
        let seconds = statement.query_row(params![hash, stored], |row| row.get(0)).optional();
        if let Some(seconds) = seconds.map_err(read_failed)? {
            let time = from_seconds(seconds).ok_or_else(|| corrupt(id))?;
            found.insert(id.clone(), time);
        }
    }
    Ok(found)
}

/// Checks the whole file; returns what differs.
pub(super) fn check_indexes(connection: &Connection) -> Result<Vec<String>, BackendError> {
    let check = format!("PRAGMA integrity_check({MAX_DIFFERENCES})");
    let mut statement = connection.prepare(&check).map_err(read_failed)?;
    let lines = statement.query_map([], |row| row.get(0)).map_err(read_failed)?;
    let lines = lines.collect::<Result<Vec<String>, _>>().map_err(read_failed)?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn from_seconds(seconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

fn corrupt(id: &CredentialId) -> BackendError {
    let id = id.as_str().into();
    BackendError::Corrupt(Box::new(CorruptRow { id, column: "last_used" }))
}

/// Returns the values that select the record with this id.
pub(super) fn by_id(id: &str) -> (i64, ToSqlOutput<'_>) {
    (names::hash(id.as_bytes()), names::pack(id.as_bytes()))
}

const LAST_USED: &str =
    "SELECT last_used FROM records WHERE hash = ? AND id = ? AND last_used IS NOT NULL";
static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM records", COLUMNS.join(", ")));
/// Searches by the digest of the access key, and by the access key itself only if that fails.
static BY_ACCESS_KEY: LazyLock<String> = LazyLock::new(|| {
    let select = &*SELECT;
    format!(
        "{select} WHERE hash = ?1 AND id = ?2 AND access_key = ?3
        UNION ALL {select} INDEXED BY records_by_marker WHERE marker = ?4 LIMIT 1"
    )
});
pub(super) static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE hash = ? AND id = ?", *SELECT));
static BY_SLOT: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE user_id = ? AND slot = ?", *SELECT));

fn one(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let mut statement = connection.prepare_cached(sql).map_err(read_failed)?;
    let mut rows = statement.query(values).map_err(read_failed)?;
    match rows.next().map_err(read_failed)? {
        Some(row) => Ok(Some(Arc::new(rows::read(row)?))),
        None => Ok(None),
    }
}

/// Returns the statement of a list, and its values.
///
/// Names the index, so that no statistics can make the engine choose a plan that sorts: the
/// rows come in order, and stepping can stop anywhere.
fn list_sql(query: &ListQuery) -> (String, Vec<ToSqlOutput<'_>>) {
    // Few records have an expiry: the filters select among them.
    let by_expiry = query.order == Order::ExpiresAt;
    let user = query.user_id.as_ref().filter(|_| !by_expiry).map(UserId::as_str);
    let project = query.project_id.as_ref().filter(|_| !by_expiry).map(ProjectId::as_str);
    let (index, condition, owner) = match (query.order, user, project) {
        (Order::ExpiresAt, ..) => ("records_by_expiry", "expires_at IS NOT NULL", None),
        (Order::Key, Some(user), _) => ("records_by_user", "user_id = ?", Some(user)),
        (Order::Key, None, Some(project)) => {
            ("records_by_project", "project_id = ?", Some(project))
        }
        (Order::Key, None, None) => ("records_by_marker", "marker IS NOT NULL", None),
    };

    let mut sql = format!("{} INDEXED BY {index} WHERE {condition}", *SELECT);
    let mut values: Vec<ToSqlOutput<'_>> =
        owner.map(|owner| names::pack(owner.as_bytes())).into_iter().collect();
    for (comparison, marker) in [(">", &query.after), ("<", &query.before)] {
        let Some(marker) = marker.as_deref().filter(|marker| !marker.is_empty()) else { continue };
        if by_expiry {
            let (micros, id) = parse_expiry_marker(marker);
            sql = format!("{sql} AND (expires_at, name) {comparison} (?, ?)");
            values.extend([micros.into(), id.into()]);
        } else {
            sql = format!("{sql} AND marker {comparison} ?");
            values.push(marker.into());
        }
    }
    let order = if by_expiry { "expires_at, name" } else { "marker" };
    (format!("{sql} ORDER BY {order}"), values)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::backend::sqlite::{SqliteBackend, connection::open_reader, schema};

    /// Returns the steps of the engine's plan.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec!["x"; statement.parameter_count()];
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[test]
    fn lists_neither_scan_nor_sort() {
        let connection = schema::in_memory();
        let marker = || [None, Some(String::new()), Some("m".to_owned())];
        for order in [Order::ExpiresAt, Order::Key] {
            for user_id in [None, Some(UserId::from_stored("u"))] {
                for project_id in [None, Some(ProjectId::from_stored("p"))] {
                    for (after, before) in marker().into_iter().zip(marker().into_iter().rev()) {
                        let (user_id, project_id) = (user_id.clone(), project_id.clone());
                        let owned = user_id.is_some() || project_id.is_some();
                        let selective = owned && order != Order::ExpiresAt;
                        let mut query = ListQuery::new(order);
                        (query.user_id, query.project_id) = (user_id, project_id);
                        (query.after, query.before) = (after, before);
                        let (sql, _) = list_sql(&query);
                        let steps = plan(&connection, &sql);
                        assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
                        // Only the list of all records may walk a whole index, in order.
                        let walks = steps[0].contains(" USING INDEX records_by_");
                        let searches = steps[0].starts_with("SEARCH");
                        assert!(walks && (searches || !selective), "{sql}: {steps:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn statements_are_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.db");
        let _backend = SqliteBackend::open(&path).unwrap();
        let connection = open_reader(&path).unwrap();
        for user in ["a", "b", "c"] {
            let mut query = ListQuery::new(Order::Key);
            query.user_id = Some(UserId::from_stored(user));
            list_few(&connection, &query).unwrap();
            let key = Lookup::AccessKey(user.into());
            let slot = Lookup::Slot { user_id: user.into(), slot: "s3" };
            for lookup in [Lookup::Id(user.into()), key, slot] {
                find(&connection, &lookup).unwrap();
            }
            let (list, _) = list_sql(&query);
            for sql in [&*list, &BY_ACCESS_KEY, &BY_ID, &BY_SLOT] {
                let statement = connection.prepare_cached(sql).unwrap();
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
                let runs = statement.get_status(StatementStatus::Run);
                assert!(runs > 0, "not cached: {sql}");
            }
        }
    }

    #[test]
    fn every_lookup_searches_an_index() {
        let connection = schema::in_memory();
        let row = "SEARCH records USING INTEGER PRIMARY KEY (rowid=?)";
        let marker = "SEARCH records USING INDEX records_by_marker (marker=?)";
        let slot = "SEARCH records USING INDEX records_by_slot (user_id=? AND slot=?)";
        assert_eq!(plan(&connection, &BY_ID), [row]);
        assert_eq!(plan(&connection, LAST_USED), [row]);
        assert_eq!(plan(&connection, &BY_SLOT), [slot]);
        let mut by_access_key = plan(&connection, &BY_ACCESS_KEY);
        by_access_key.retain(|step| step.contains("records"));
        assert_eq!(by_access_key, [row, marker]);
    }
}
