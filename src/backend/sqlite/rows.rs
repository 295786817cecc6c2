//! Records as rows of this engine.

use std::borrow::Cow;

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};

use crate::backend::row::{COLUMNS, Columns, ID, KIND, PROJECT_ID, Row, USER_ID, columns};
use crate::backend::{BackendError, ListQuery, Order, contract::Change};
use crate::domain::{AccessKey, Credential, CredentialId, Kind, ProjectId, UserId};

use super::{error::CorruptRow, names};

/// Returns the row of a record.
pub(super) fn row_of(credential: &Credential) -> Row {
    Row::of(credential, ToOwned::to_owned)
}

/// Returns the change to report for a written row.
pub(super) fn change(row: &Row) -> Change {
    Change::Record {
        id: CredentialId::from_stored(row.id.as_str()),
        access_key: row.access_key.as_deref().map(AccessKey::from_stored),
    }
}

/// Returns the number of the row, followed by the values of all columns.
pub(super) fn values(row: &Row) -> rusqlite::Result<[ToSqlOutput<'_>; COLUMNS.len() + 1]> {
    let mut values = [const { ToSqlOutput::Borrowed(ValueRef::Null) }; COLUMNS.len() + 1];
    let (number, columns) = values.split_at_mut(1);
    number[0] = names::hash(row.id.as_bytes()).into();
    let given: [&dyn ToSql; COLUMNS.len()] = columns!(row);
    for (value, given) in columns.iter_mut().zip(given) {
        *value = given.to_sql()?;
    }
    columns[ID] = names::pack(row.id.as_bytes());
    columns[USER_ID] = names::pack(row.user_id.as_bytes());
    if let Some(project_id) = &row.project_id {
        columns[PROJECT_ID] = names::pack(project_id.as_bytes());
    }
    Ok(values)
}

/// Reads a row of all columns.
pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Credential, BackendError> {
    Given(row).credential().map_err(|column| corrupt(row, column))
}

/// Returns whether a row of all columns passes the filters of a query.
///
/// Reads only the columns of the filters, so that other columns of filtered rows may be
/// damaged. If a filter's column cannot be read, the row's owner is unknown: the row is
/// admitted, and reported when it is read.
pub(super) fn is_admitted(row: &rusqlite::Row<'_>, query: &ListQuery) -> bool {
    let given = Given(row);
    let passes = |column, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| {
            given.optional_name(column).map_or(true, |it| it.as_deref() == Some(wanted))
        })
    };
    passes(KIND, query.kind.as_ref().map(Kind::as_str))
        && passes(USER_ID, query.user_id.as_ref().map(UserId::as_str))
        && passes(PROJECT_ID, query.project_id.as_ref().map(ProjectId::as_str))
}

/// Returns the marker of a row of all columns in this order; the row must have one.
pub(super) fn marker(row: &rusqlite::Row<'_>, order: Order) -> Result<String, BackendError> {
    Given(row).marker(order).map_err(|column| corrupt(row, column))
}

fn corrupt(row: &rusqlite::Row<'_>, column: &'static str) -> BackendError {
    let id = Given(row).name(ID).unwrap_or_default().into_owned();
    BackendError::Corrupt(Box::new(CorruptRow { id, column }))
}

struct Given<'a>(&'a rusqlite::Row<'a>);

impl Columns for Given<'_> {
    fn raw(&self, column: usize) -> Result<Option<&str>, &'static str> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Text(text)) => str::from_utf8(text).map(Some).map_err(|_| COLUMNS[column]),
            _ => Err(COLUMNS[column]),
        }
    }

    fn number(&self, column: usize) -> Result<Option<i64>, &'static str> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Integer(number)) => Ok(Some(number)),
            _ => Err(COLUMNS[column]),
        }
    }

    fn optional_name(&self, column: usize) -> Result<Option<Cow<'_, str>>, &'static str> {
        if ![ID, USER_ID, PROJECT_ID].contains(&column) {
            return self.raw(column).map(|text| text.map(Cow::Borrowed));
        }
        match self.0.get_ref(column) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(stored) => names::unpack(stored).map(Some).ok_or(COLUMNS[column]),
            Err(_) => Err(COLUMNS[column]),
        }
    }
}
