//! Keys in order.

use super::Store;
use super::error::Trouble;
use super::wire::{KeyValue, Range};

/// Keys that follow each other, with their values but for records.
pub(super) struct Walk {
    pub(super) entries: Vec<KeyValue>,
    /// When they were so.
    pub(super) revision: i64,
}

/// The first keys, at most `limit`, from `start` up to `end`, which is left out.
pub(super) async fn keys(
    store: &Store,
    walked: &[u8],
    start: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
) -> Result<Walk, Trouble> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut range = Range { limit, ..Range::between(start, end) };
    range.keys_only = walked == store.keys.record("");
    let answer = store.client.range(&range).await?;
    Ok(Walk { entries: answer.kvs, revision: answer.header.revision })
}
