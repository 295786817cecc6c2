//! Records as rows of this engine.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use crate::backend::row::{COLUMNS, Columns, ID, MATERIAL, Row};
use crate::backend::{BackendError, Order};
use crate::domain::Credential;

use super::error::CorruptRow;
use super::statements::TEXTS;
use super::text::{original, stored};
use super::told;

/// The row of a record.
pub(super) fn row_of(credential: &Credential) -> Row {
    Row::of(credential, |text| stored(text).into_owned())
}

/// That a row was written, ready to be told.
pub(super) fn told(row: &Row) -> String {
    told::record(&row.id, row.access_key.as_deref())
}

/// About how many bytes a row takes on its way.
pub(super) fn size(row: &Row) -> usize {
    row.material.len() + row.attributes.len() + 512
}

/// One row for a copy.
pub(super) fn values(row: &Row) -> [&(dyn ToSql + Sync); COLUMNS.len()] {
    [
        &row.id,
        &row.kind,
        &row.user_id,
        &row.project_id,
        &row.slot,
        &row.access_key,
        // The driver takes a copy that nobody wipes.
        &*row.material,
        &row.status,
        &row.delegation,
        &row.attributes,
        &row.root_key,
        &row.created_at,
        &row.updated_at,
        &row.version,
    ]
}

/// Rows on their way into a statement: one array for each column.
pub(super) struct Arrays<'a> {
    texts: [Vec<Option<&'a str>>; TEXTS],
    numbers: [Vec<i64>; COLUMNS.len() - TEXTS],
}

impl<'a> Arrays<'a> {
    pub(super) fn of(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut arrays = Self { texts: Default::default(), numbers: Default::default() };
        for row in rows {
            let texts = [
                Some(&*row.id),
                Some(&*row.kind),
                Some(&*row.user_id),
                row.project_id.as_deref(),
                row.slot,
                row.access_key.as_deref(),
                Some(&**row.material),
                Some(row.status),
                row.delegation.as_deref(),
                Some(&*row.attributes),
                row.root_key,
            ];
            let numbers = [row.created_at, row.updated_at, row.version];
            arrays.texts.iter_mut().zip(texts).for_each(|(array, text)| array.push(text));
            arrays.numbers.iter_mut().zip(numbers).for_each(|(array, number)| array.push(number));
        }
        arrays
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let texts = self.texts.iter().map(|array| array as &(dyn ToSql + Sync));
        texts.chain(self.numbers.iter().map(|array| array as _)).collect()
    }
}

/// Reads a row of all columns.
pub(super) fn read(row: &tokio_postgres::Row) -> Result<Credential, BackendError> {
    Given(row).credential().map_err(|column| corrupt(row, column))
}

/// Whether a row came with all that it has.
pub(super) fn is_whole(row: &tokio_postgres::Row) -> bool {
    !matches!(row.try_get::<_, Option<&str>>(MATERIAL), Ok(None))
}

/// The marker of a row of all columns in this order, in which it has one.
pub(super) fn marker(row: &tokio_postgres::Row, order: Order) -> Result<String, BackendError> {
    Given(row).marker(order).map_err(|column| corrupt(row, column))
}

fn corrupt(row: &tokio_postgres::Row, column: &'static str) -> BackendError {
    let id = Given(row).name(ID).unwrap_or_default().into_owned();
    BackendError::Corrupt(Box::new(CorruptRow { id, column }))
}

struct Given<'a>(&'a tokio_postgres::Row);

impl Columns for Given<'_> {
    fn raw(&self, column: usize) -> Result<Option<&str>, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn number(&self, column: usize) -> Result<i64, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn original<'a>(&self, spelt: &'a str) -> Option<Cow<'a, str>> {
        original(spelt)
    }
}
