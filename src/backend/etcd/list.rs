//! Pages.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::backend::{BackendError, ListQuery, Order, Page};

use super::Store;
use super::error::{CorruptKey, Trouble, TroubleKind};
use super::keys::{behind, next_to};
use super::read::{self, A_TRIP};
use super::record;
use super::walk;
use super::wire::KeyValue;

/// How many records are read before it is known how long they are.
const FIRST: usize = 12;

/// How many trips for records are under way at once.
const TRIPS: usize = 5;

/// Reads one page, all of it as it was when it began, as long as etcd has not forgotten.
pub(super) async fn list(store: &Arc<Store>, query: &ListQuery) -> Result<Page, BackendError> {
    let walked = store.keys.walked(query);
    let marker = |marker: &Option<String>| {
        let marker = marker.as_deref().filter(|marker| !marker.is_empty())?;
        Some([&*walked, marker.as_bytes()].concat())
    };
    let start = marker(&query.after).map_or_else(|| walked.clone(), |after| next_to(&after));
    let end = marker(&query.before).unwrap_or_else(|| behind(&walked));
    if start >= end {
        return Ok(Page::default());
    }
    // Whatever the entries alone select needs no more of them than the page has room for.
    let is_selected =
        query.kind.is_none() && (query.user_id.is_none() || query.project_id.is_none());
    let examined = if is_selected { query.limit() } else { ListQuery::MAX_EXAMINED };
    let walk = walk::keys(store, &walked, start, end, examined + 1).await?;

    let mut places = Vec::with_capacity(walk.entries.len());
    for entry in &walk.entries {
        places.push(Place::of(entry, walked.len(), query.order)?);
    }
    // None when what was then is forgotten: what is now is as good, but may be elsewhere.
    let mut revision = walk.is_one_state.then_some(walk.revision);
    let (mut page, mut bytes) = (Page::default(), 0);
    let (mut read, mut bytes_read) = (0, 0);
    while read < places.len() {
        let some = &places[read..places.len().min(read + at_once(read, bytes_read))];
        let mut found = records(store, some, revision).await;
        if found.as_ref().is_err_and(|trouble| trouble.is(TroubleKind::Compacted)) {
            revision = None;
            found = records(store, some, revision).await;
        }
        let first = read;
        read += some.len();
        for (index, (place, found)) in some.iter().zip(found?).enumerate() {
            if first + index == ListQuery::MAX_EXAMINED {
                page.next = Some(places[first + index - 1].marker.clone());
                return Ok(page);
            }
            bytes_read += found.as_ref().map_or(0, |found| found.value.0.len());
            let Some(found) = found else {
                if revision.is_none() {
                    continue;
                }
                return Err(CorruptKey::new(place.marker.as_bytes(), "the record").into());
            };
            let Some(credential) = record::admitted(&found, query)? else { continue };
            if query.order.marker(&credential) != Some(&place.marker) {
                continue;
            }
            if query.is_full(page.credentials.len(), bytes) {
                let last = page.credentials.last();
                page.next = last.and_then(|last| query.order.marker(last)).map(Into::into);
                return Ok(page);
            }
            bytes += credential.size();
            page.credentials.push(credential);
        }
    }
    if places.len() > examined {
        // There is more, and records that are gone by now made the page short.
        page.next = places.last().map(|last| last.marker.clone());
    }
    Ok(page)
}

/// How many records are read next, after so many of so many bytes: some at first, and then
/// as many as are likely to hold twice what a page may.
fn at_once(read: usize, bytes: usize) -> usize {
    match read {
        0 => FIRST,
        _ => (2 * ListQuery::MAX_BYTES / (bytes / read).max(1)).clamp(1, A_TRIP * TRIPS),
    }
}

/// An entry of a list.
struct Place {
    marker: String,
    id: String,
}

impl Place {
    fn of(entry: &KeyValue, walked: usize, order: Order) -> Result<Self, BackendError> {
        let marker = read::text_after(entry, walked)?;
        let id = match order {
            Order::AccessKey => read::id_in(entry)?,
            Order::Id => marker.clone(),
        };
        Ok(Self { marker, id })
    }
}

/// The records of these places as they were at this revision or are now, several trips at
/// once.
async fn records(
    store: &Arc<Store>,
    places: &[Place],
    revision: Option<i64>,
) -> Result<Vec<Option<KeyValue>>, Trouble> {
    let mut trips = JoinSet::new();
    for (nth, some) in places.chunks(A_TRIP).enumerate() {
        let revision = revision.unwrap_or_default();
        let ids: Vec<_> = some.iter().map(|place| place.id.clone()).collect();
        let store = Arc::clone(store);
        trips.spawn(async move { (nth, read::records(&store, &ids, revision).await) });
    }
    let mut parts = Vec::new();
    while let Some(trip) = trips.join_next().await {
        let (nth, part) = trip.map_err(|_| Trouble::unexpected("a read was given up"))?;
        parts.push((nth, part?));
    }
    parts.sort_unstable_by_key(|(nth, _)| *nth);
    Ok(parts.into_iter().flat_map(|(_, part)| part).collect())
}
