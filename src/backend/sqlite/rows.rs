//! Records as rows of this engine.

use std::borrow::Cow;

use rusqlite::{ToSql, types::ValueRef};

use crate::backend::row::{COLUMNS, Columns, ID, KIND, PROJECT_ID, Row, USER_ID, columns};
use crate::backend::{BackendError, ListQuery, Order, contract::Change};
use crate::domain::{AccessKey, Credential, CredentialId, Kind, ProjectId, UserId};

use super::error::CorruptRow;

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

/// Returns the values of all columns.
pub(super) fn values(row: &Row) -> [&dyn ToSql; COLUMNS.len()] {
    columns!(row)
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
        wanted.is_none_or(|wanted| given.raw(column).map_or(true, |it| it == Some(wanted)))
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

    fn number(&self, column: usize) -> Result<i64, &'static str> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Ok(number),
            _ => Err(COLUMNS[column]),
        }
    }

    /// Texts are stored unchanged.
    fn original<'a>(&self, stored: &'a str) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(stored))
    }
}
