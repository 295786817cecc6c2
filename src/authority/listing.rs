//! Fills the pages of all lists.

use std::sync::Arc;

use super::{
    checks::Authority,
    outcome::{Listing, View},
};
use crate::{
    backend::{ListQuery, Order},
    domain::{Credential, CredentialId},
    error::{Error, ErrorKind},
};

/// The maximum and default length of a page.
pub(super) const MAX_PAGE: usize = ListQuery::MAX_LIMIT;

/// The maximum number of pages of the store that one list reads. Most records that a list skips
/// belong to its caller, who would wait for it.
const MAX_READS: usize = 64;

/// How a dialect marks the end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Not at all: to its clients, a page that is shorter than they asked for is the last.
    Short,
    /// With the marker of the next page.
    Marked,
}

impl Authority {
    /// Fills a page with the views of the records that the query finds. `view` returns
    /// `None` for records to skip.
    ///
    /// A page ends after `limit` records, or when its records reach [`ListQuery::MAX_BYTES`]:
    /// clients choose the length of a record.
    pub(super) async fn page(
        &self,
        query: ListQuery,
        limit: Option<usize>,
        end: End,
        view: impl Fn(Arc<Credential>) -> Option<View> + Send,
    ) -> Result<Listing, Error> {
        let limit = limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        if limit == 0 {
            return Ok(Listing::default());
        }
        // One more record than fits shows whether more follow.
        let (order, ahead) = (query.order, usize::from(end == End::Marked));
        let mut query = query.with_limit(limit + ahead);
        let (mut views, mut bytes): (Vec<View>, _) = (Vec::new(), 0);
        for _ in 0..MAX_READS {
            let page = self.backend().list(&query).await?;
            query.after = page.next;
            for view in page.credentials.into_iter().filter_map(&view) {
                if views.len() == limit || bytes >= ListQuery::MAX_BYTES {
                    let last = views.last().and_then(|last| order.marker(&last.credential));
                    let next = last.map(str::to_owned);
                    return Ok(Listing { views, next });
                }
                bytes += view.credential.size();
                views.push(view);
            }
            if query.after.is_none() || views.len() == limit && end == End::Short {
                break;
            }
            // Some records were skipped, so there may be many of them.
            query = query.with_limit(MAX_PAGE);
        }
        // The end of the list, or the maximum of reads: the next page continues there.
        Ok(Listing { views, next: query.after })
    }

    /// Sets the start of a query in order of ids to the record after a marker.
    ///
    /// # Errors
    ///
    /// Not found, if no record of the query has this id.
    pub(super) async fn start_after(
        &self,
        query: &mut ListQuery,
        marker: Option<String>,
    ) -> Result<(), Error> {
        debug_assert_eq!(query.order, Order::Id, "markers are ids");
        if let Some(marker) = &marker {
            let record = self.backend().get(&CredentialId::from_stored(&**marker)).await?;
            if !record.is_some_and(|record| query.admits(&record)) {
                return Err(Error::new(ErrorKind::NotFound, "No such marker."));
            }
        }
        query.after = marker;
        Ok(())
    }
}
