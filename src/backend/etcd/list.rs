//! Pages.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::backend::{BackendError, ListQuery, Order, Page};

use super::Store;
use super::error::{CorruptKey, Trouble, TroubleKind};
use super::keys::{behind, next_to};
use super::read::{self, A_TRIP, RESTARTS};
use super::record;
use super::walk;
use super::wire::KeyValue;

/// How many trips for records are under way at once.
const TRIPS: usize = 5;

/// Reads one page, all of it as it was when it began.
pub(super) async fn list(store: &Arc<Store>, query: &ListQuery) -> Result<Page, BackendError> {
    let mut last = None;
    for _ in 0..RESTARTS {
        match at_one_revision(store, query).await {
            Err(Failed::Trouble(trouble)) if trouble.is(TroubleKind::Compacted) => {
                last = Some(trouble);
            }
            Err(Failed::Trouble(trouble)) => return Err(trouble.into()),
            Err(Failed::Backend(error)) => return Err(error),
            Ok(page) => return Ok(page),
        }
    }
    Err(last.unwrap_or_else(Trouble::contended).into())
}

enum Failed {
    Backend(BackendError),
    Trouble(Trouble),
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

async fn at_one_revision(store: &Arc<Store>, query: &ListQuery) -> Result<Page, Failed> {
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
    let (mut page, mut bytes) = (Page::default(), 0);
    for (nth, some) in places.chunks(A_TRIP * TRIPS).enumerate() {
        let records = records(store, some, walk.revision).await?;
        for (index, (place, found)) in some.iter().zip(records).enumerate() {
            let index = nth * A_TRIP * TRIPS + index;
            if index == ListQuery::MAX_EXAMINED {
                page.next = Some(places[index - 1].marker.clone());
                return Ok(page);
            }
            let found = found.ok_or_else(|| {
                BackendError::from(CorruptKey::new(place.marker.as_bytes(), "the record"))
            })?;
            let Some(credential) = record::admitted(&found, query)? else { continue };
            if query.is_full(page.credentials.len(), bytes) {
                let last = page.credentials.last();
                page.next = last.and_then(|last| query.order.marker(last)).map(Into::into);
                return Ok(page);
            }
            bytes += credential.size();
            page.credentials.push(credential);
        }
    }
    Ok(page)
}

/// An entry of a list.
struct Place {
    marker: String,
    id: String,
}

impl Place {
    fn of(entry: &KeyValue, walked: usize, order: Order) -> Result<Self, BackendError> {
        let marker = entry.key.0.get(walked..).and_then(|marker| str::from_utf8(marker).ok());
        let marker = marker.ok_or_else(|| CorruptKey::new(&entry.key.0, "the marker"))?;
        let id = match order {
            Order::AccessKey => read::id_in(entry)?,
            Order::Id => marker.into(),
        };
        Ok(Self { marker: marker.into(), id })
    }
}

/// The records of these places, several trips at once.
async fn records(
    store: &Arc<Store>,
    places: &[Place],
    revision: i64,
) -> Result<Vec<Option<KeyValue>>, Trouble> {
    let mut trips = JoinSet::new();
    for (nth, some) in places.chunks(A_TRIP).enumerate() {
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
