//! Fills the pages of all lists.

use std::sync::Arc;

use super::{
    checks::Authority,
    outcome::{Listing, View},
};
use crate::{
    backend::{ListQuery, Order, Place},
    domain::{AccessKey, Credential, CredentialId},
    error::{Error, ErrorKind},
};

/// The maximum and default length of a page.
pub(super) const MAX_PAGE: usize = ListQuery::MAX_LIMIT;

/// The maximum number of pages of the store that one list reads. Most records that a list skips
/// belong to its caller, who would wait for it.
const MAX_READS: usize = 64;

/// How a dialect marks the end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Not at all: to its clients, a page that is shorter than they asked for is the last.
    Short,
    /// With the id of a record, after which the next page starts.
    Marked,
    /// With an access key, after which the next page starts. Its record need not exist any more.
    MarkedByKey,
}

impl Authority {
    /// Fills a page with the views of the records that the query finds. `view` returns
    /// `None` for records to skip.
    ///
    /// A page ends after `limit` records, or when their sizes reach [`ListQuery::MAX_BYTES`]:
    /// clients choose the length of a record.
    pub(super) async fn page(
        &self,
        query: ListQuery,
        limit: Option<usize>,
        end: End,
        view: impl Fn(Arc<Credential>) -> Option<View> + Send,
        size: fn(&Credential) -> usize,
    ) -> Result<Listing, Error> {
        let limit = limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        if limit == 0 {
            return Ok(Listing::default());
        }
        // One more record than fits shows whether more follow.
        let mut query = query.with_limit(limit + usize::from(end != End::Short));
        let (mut views, mut bytes): (Vec<View>, _) = (Vec::new(), 0);
        for _ in 0..MAX_READS {
            let page = self.backend().list(&query).await?;
            query.after = page.next;
            for view in page.credentials.into_iter().filter_map(&view) {
                if views.len() == limit || bytes >= ListQuery::MAX_BYTES {
                    let next = views.last().and_then(|last| match end {
                        End::MarkedByKey => Some(last.credential.access_key.as_ref()?.as_str()),
                        End::Marked | End::Short => Some(last.credential.id.as_str()),
                    });
                    let next = next.map(str::to_owned);
                    return Ok(Listing { views, next });
                }
                bytes += size(&view.credential);
                views.push(view);
            }
            if query.after.is_none() || views.len() == limit && end == End::Short {
                break;
            }
            // Some records were skipped, so there may be many of them.
            query = query.with_limit(MAX_PAGE);
        }
        // The end of the list, or the maximum of reads: the next page continues there.
        let next = match &query.after {
            Some(marker) if end == End::Marked => Some(self.id_at(query.order, marker).await?),
            Some(marker) if end == End::MarkedByKey => match query.order.place(marker) {
                Some(Place::AccessKey(access_key)) => Some(access_key.into()),
                // Key pairs come first, so that none is left.
                _ => None,
            },
            _ => None,
        };
        Ok(Listing { views, next })
    }

    /// Sets the start of a query to the record after the one with this id.
    ///
    /// # Errors
    ///
    /// Not found, if no record of the query's owners has this id.
    pub(super) async fn start_after(
        &self,
        query: &mut ListQuery,
        marker: Option<String>,
    ) -> Result<(), Error> {
        let Some(id) = marker else { return Ok(()) };
        // As the list will read it: a cache may know another access key.
        let record = self.backend().get_latest(&CredentialId::from_stored(id)).await?;
        // A list that skips many records of other types ends a page at one of them.
        let mut any_kind = query.clone();
        any_kind.kind = None;
        let record = record.filter(|record| any_kind.admits(record));
        let marker = record.as_ref().and_then(|record| query.order.marker(record));
        query.after =
            Some(marker.ok_or_else(|| Error::new(ErrorKind::NotFound, "No such marker."))?);
        Ok(())
    }

    /// Returns the id of the record with this marker: dialects know no other markers.
    async fn id_at(&self, order: Order, marker: &str) -> Result<String, Error> {
        let Some(place) = order.place(marker) else { return Ok(marker.to_owned()) };
        if let Place::AccessKey(access_key) = place {
            let access_key = AccessKey::from_stored(access_key);
            if let Some(record) = self.backend().find_latest_by_access_key(&access_key).await? {
                return Ok(record.id.as_str().into());
            }
        }
        Ok(place.id().as_str().into())
    }
}
