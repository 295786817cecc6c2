//! Records as rows, and texts as columns.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use crate::backend::row::{COLUMNS, Columns, ID, MATERIAL, Row, columns};
use crate::backend::{BackendError, Order};
use crate::domain::Credential;

use super::error::CorruptRow;
use super::statements::TEXTS;

/// Encodes a record as a row.
pub(super) fn row_of(credential: &Credential) -> Row {
    Row::of(credential, |text| escape(text).into_owned())
}

/// Approximate size of a row on the wire, in bytes.
pub(super) fn size(row: &Row) -> usize {
    let terms = row.terms.as_ref().map_or(0, String::len);
    row.material.len() + row.attributes.len() + terms + 512
}

/// The columns of a row, for `COPY`.
pub(super) fn values(row: &Row) -> [&(dyn ToSql + Sync); COLUMNS.len()] {
    columns!(row)
}

/// Rows as parameters of a statement: one array for each column.
pub(super) struct Arrays<'a> {
    texts: [Vec<Option<&'a str>>; TEXTS],
    numbers: [Vec<Option<i64>>; COLUMNS.len() - TEXTS],
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
                row.terms.as_deref(),
            ];
            let numbers =
                [Some(row.created_at), Some(row.updated_at), Some(row.version), row.expires_at];
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

/// Decodes a row of all columns.
pub(super) fn read(row: &tokio_postgres::Row) -> Result<Credential, BackendError> {
    RowColumns(row).credential().map_err(|column| corrupt(row, column))
}

/// Returns whether a row includes its material.
pub(super) fn is_whole(row: &tokio_postgres::Row) -> bool {
    !matches!(row.try_get::<_, Option<&str>>(MATERIAL), Ok(None))
}

/// The marker of a row of all columns. The row must have one in this order.
pub(super) fn marker(row: &tokio_postgres::Row, order: Order) -> Result<String, BackendError> {
    RowColumns(row).marker(order).map_err(|column| corrupt(row, column))
}

fn corrupt(row: &tokio_postgres::Row, column: &'static str) -> BackendError {
    let id = RowColumns(row).name(ID).unwrap_or_default().into_owned();
    BackendError::Corrupt(Box::new(CorruptRow { id, column }))
}

struct RowColumns<'a>(&'a tokio_postgres::Row);

impl Columns for RowColumns<'_> {
    fn raw(&self, column: usize) -> Result<Option<&str>, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn number(&self, column: usize) -> Result<Option<i64>, &'static str> {
        self.0.try_get(column).map_err(|_| COLUMNS[column])
    }

    fn optional_name(&self, column: usize) -> Result<Option<Cow<'_, str>>, &'static str> {
        let text = self.raw(column)?;
        text.map(|text| unescape(text).ok_or(COLUMNS[column])).transpose()
    }
}

// Columns cannot hold NUL. A NUL is stored as two characters that begin with U+0001, and so is
// U+0001 itself. The encoding is unambiguous, keeps the order of texts, and leaves all other
// characters unchanged.

const ESCAPED_NUL: &str = "\u{1}\u{1}";
const ESCAPED_ONE: &str = "\u{1}\u{2}";

/// Returns a text in the form that is stored.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte <= 1) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => stored.push_str(ESCAPED_NUL),
            '\u{1}' => stored.push_str(ESCAPED_ONE),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// Reverses [`escape`]; `None` if the text is not in its form.
pub(super) fn unescape(stored: &str) -> Option<Cow<'_, str>> {
    if !stored.contains('\u{1}') {
        return Some(Cow::Borrowed(stored));
    }
    let mut original = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        original.push(match character {
            '\u{1}' => match characters.next()? {
                '\u{1}' => '\0',
                '\u{2}' => '\u{1}',
                _ => return None,
            },
            other => other,
        });
    }
    Some(Cow::Owned(original))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_texts_round_trip_and_keep_their_order() {
        let texts = [
            "",
            "\0",
            "\0\0",
            "\0\u{1}",
            "\0a",
            "\u{1}",
            "\u{1}\0",
            "\u{1}\u{1}",
            "\u{1}\u{2}",
            "\u{1}b",
            "\u{2}",
            "a",
            "a\0",
            "a\0b",
            "a\u{1}",
            "ab",
            "\u{e4}",
            "\u{1F511}",
        ];
        for pair in texts.windows(2) {
            assert!(pair[0] < pair[1] && escape(pair[0]) < escape(pair[1]), "{pair:?}");
        }
        for text in texts {
            assert!(!escape(text).contains('\0'), "{text:?}");
            assert_eq!(unescape(&escape(text)).as_deref(), Some(text));
        }
        assert_eq!(unescape("\u{1}"), None);
        assert_eq!(unescape("\u{1}x"), None);
    }
}
