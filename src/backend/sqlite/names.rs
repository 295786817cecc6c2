//! Ids as they are stored: those of hexadecimal digits take half the space.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use sha2::{Digest, Sha256};

/// The numbers of digits of ids that are stored as bytes: those of users and projects, and those
/// of key pairs.
const DIGITS: [usize; 2] = [32, 64];

/// Returns the stored form of an id.
pub(super) fn pack(id: &[u8]) -> ToSqlOutput<'_> {
    match bytes_of(id) {
        Some(bytes) => ToSqlOutput::Owned(Value::Blob(bytes)),
        None => ToSqlOutput::Borrowed(ValueRef::Text(id)),
    }
}

/// Returns an id from its stored form; `None` if it is not one.
pub(super) fn unpack(stored: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match stored {
        ValueRef::Blob(bytes) => Some(HEXLOWER.encode(bytes).into()),
        ValueRef::Text(text) => str::from_utf8(text).ok().map(Cow::Borrowed),
        _ => None,
    }
}

/// Returns the number of the record with this id in the table. Most ids are digests already, but
/// an id of as many digits need not be one.
pub(super) fn hash(id: &[u8]) -> i64 {
    let digest = Sha256::digest(id);
    digest.first_chunk().copied().map(i64::from_be_bytes).unwrap_or_default()
}

fn bytes_of(id: &[u8]) -> Option<Vec<u8>> {
    DIGITS.contains(&id.len()).then(|| HEXLOWER.decode(id).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored_size(id: &str) -> usize {
        match pack(id.as_bytes()) {
            ToSqlOutput::Owned(Value::Blob(bytes)) => bytes.len(),
            _ => id.len(),
        }
    }

    proptest! {
        #[test]
        fn ids_are_read_as_they_were_written(id in "[0-9a-f]{32}|[0-9a-f]{64}|[0-9A-F]{32}|\\PC{0,70}") {
            let packed = pack(id.as_bytes());
            let stored = match &packed {
                ToSqlOutput::Owned(value) => value.into(),
                ToSqlOutput::Borrowed(value) => *value,
                other => panic!("{other:?}"),
            };
            let read = unpack(stored);
            prop_assert_eq!(read.as_deref(), Some(&*id));
        }
    }

    #[test]
    fn lowercase_digits_take_half_the_space() {
        let digits = "0123456789abcdef";
        assert_eq!(stored_size(&digits.repeat(2)), 16);
        assert_eq!(stored_size(&digits.repeat(4)), 32);
        for other in [digits.to_owned(), digits.repeat(3), digits.repeat(2).to_uppercase()] {
            assert_eq!(stored_size(&other), other.len());
        }
    }

    #[test]
    fn hashes_of_similar_ids_differ() {
        let (mut hashes, mut ids) = (std::collections::HashSet::new(), 0);
        for length in [1, 16, 32, 33, 64, 65] {
            for place in 0..length {
                for digit in "123456789abcdef".chars() {
                    let mut id = vec![b'0'; length];
                    id[place] = digit as u8;
                    hashes.insert(hash(&id));
                    ids += 1;
                }
            }
        }
        assert_eq!(hashes.len(), ids);
    }
}
