//! The queries of the readers.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use crate::backend::{BackendError, ListQuery, Order, Page, row::COLUMNS};
use crate::domain::{Credential, CredentialId};

use super::error::{CorruptRow, read_failed};
use super::rows;

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
        Lookup::AccessKey(key) => one(connection, &BY_ACCESS_KEY, &[key]),
        Lookup::Id(id) => one(connection, &BY_ID, &[id]),
        Lookup::Slot { user_id, slot } => one(connection, &BY_SLOT, &[user_id, slot]),
    }
}

/// Reads one page. Rows are stepped one by one, and those that the index did not select are
/// filtered here, so that the work is bounded for all filters. A filtered row is not decoded:
/// a damaged row does not affect lists of other records.
pub(super) fn list(connection: &Connection, query: &ListQuery) -> Result<Page, BackendError> {
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
        if examined + 1 == ListQuery::MAX_EXAMINED {
            last_examined = Some(rows::marker(row, query.order)?);
        }
        if !rows::is_admitted(row, query) {
            continue;
        }
        if query.is_full(page.credentials.len(), bytes) {
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

/// Finds when these keys were last used.
pub(super) fn last_used(
    connection: &Connection,
    ids: &[CredentialId],
) -> Result<HashMap<CredentialId, SystemTime>, BackendError> {
    let mut statement = connection.prepare_cached(LAST_USED).map_err(read_failed)?;
    let mut found = HashMap::with_capacity(ids.len());
    for id in ids {
        let seconds = statement.query_row([id.as_str()], |row| row.get(0)).optional();
        if let Some(seconds) = seconds.map_err(read_failed)? {
            let time = from_seconds(seconds).ok_or_else(|| corrupt(id))?;
            found.insert(id.clone(), time);
        }
    }
    Ok(found)
}

fn from_seconds(seconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

fn corrupt(id: &CredentialId) -> BackendError {
    let id = id.as_str().into();
    BackendError::Corrupt(Box::new(CorruptRow { id, column: "last_used" }))
}

const LAST_USED: &str = "SELECT last_used FROM credentials WHERE id = ? AND last_used IS NOT NULL";
static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM credentials", COLUMNS.join(", ")));
static BY_ACCESS_KEY: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE access_key = ?", *SELECT));
pub(super) static BY_ID: LazyLock<String> = LazyLock::new(|| format!("{} WHERE id = ?", *SELECT));
static BY_SLOT: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE user_id = ? AND slot = ?", *SELECT));

fn one(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
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
fn list_sql(query: &ListQuery) -> (String, Vec<&str>) {
    let user = query.user_id.as_ref().map(|id| ("user_id = ?", id.as_str()));
    let project = query.project_id.as_ref().map(|id| ("project_id = ?", id.as_str()));
    let (column, index) = match (query.order, user, project) {
        (Order::AccessKey, Some(_), _) => ("access_key", "by_user_and_access_key"),
        (Order::AccessKey, None, Some(_)) => ("access_key", "by_project_and_access_key"),
        (Order::AccessKey, None, None) => ("access_key", "by_access_key"),
        (Order::Id, Some(_), _) => ("id", "by_user_and_id"),
        (Order::Id, None, Some(_)) => ("id", "by_project_and_id"),
        (Order::Id, None, None) => ("id", "by_id"),
    };

    let mut sql = format!("{} INDEXED BY {index} WHERE {column} IS NOT NULL", *SELECT);
    let mut values = Vec::new();
    if let Some((condition, owner)) = user.or(project) {
        sql = format!("{sql} AND {condition}");
        values.push(owner);
    }
    for (comparison, marker) in [(">", &query.after), ("<", &query.before)] {
        if let Some(marker) = marker.as_deref().filter(|marker| !marker.is_empty()) {
            sql = format!("{sql} AND {column} {comparison} ?");
            values.push(marker);
        }
    }
    (format!("{sql} ORDER BY {column}"), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::sqlite::schema;
    use crate::domain::{ProjectId, UserId};

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
        for order in [Order::AccessKey, Order::Id] {
            for user_id in [None, Some(UserId::from_stored("u"))] {
                for project_id in [None, Some(ProjectId::from_stored("p"))] {
                    for (after, before) in marker().into_iter().zip(marker().into_iter().rev()) {
                        let (user_id, project_id) = (user_id.clone(), project_id.clone());
                        let selective = user_id.is_some() || project_id.is_some();
                        let mut query = ListQuery::new(order);
                        (query.user_id, query.project_id) = (user_id, project_id);
                        (query.after, query.before) = (after, before);
                        let (sql, _) = list_sql(&query);
                        let steps = plan(&connection, &sql);
                        assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
                        // Only the list of all records may walk a whole index, in order.
                        let walks = steps[0].contains(" USING INDEX by_");
                        let searches = steps[0].starts_with("SEARCH");
                        assert!(walks && (searches || !selective), "{sql}: {steps:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_lookup_searches_an_index() {
        let connection = schema::in_memory();
        let lookups = [
            (&BY_ACCESS_KEY, "by_access_key (access_key=?)"),
            (&BY_ID, "by_id (id=?)"),
            (&BY_SLOT, "by_user_and_slot (user_id=? AND slot=?)"),
        ];
        for (sql, index) in lookups {
            let expected = format!("SEARCH credentials USING INDEX {index}");
            assert_eq!(plan(&connection, sql), [expected]);
        }
        let expected = "SEARCH credentials USING INDEX by_id (id=?)";
        assert_eq!(plan(&connection, LAST_USED), [expected]);
    }
}
