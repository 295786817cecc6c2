//! Lists: the one loop that fills a page.

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

/// The longest page, and the length of a page when the client does not say.
pub(super) const MAX_PAGE: usize = ListQuery::MAX_LIMIT;

/// How many pages of the store one list reads at most. Most records that a list passes
/// over belong to the same user, who would wait for it.
const MAX_READS: usize = 64;

/// Whether the dialect can say that more follows after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It cannot: to its clients, a page that is shorter than they asked for is the last.
    Short,
    /// It sends the marker of the next page.
    Marked,
}

impl Authority {
    /// Fills a page with the views of the records that the query finds. `view` returns
    /// `None` for records that are passed over.
    ///
    /// A page ends after `limit` records, and once its records hold
    /// [`ListQuery::MAX_BYTES`]: clients choose how long a record is.
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
        // One more than fits shows whether anything follows.
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
            // Some records were passed over, so there may be many of them.
            query = query.with_limit(MAX_PAGE);
        }
        // The end, or as far as one list reads: the next one goes on from there.
        Ok(Listing { views, next: query.after })
    }

    /// Lets a query in order of ids start after the record that a marker names.
    ///
    /// # Errors
    ///
    /// Not found, if the query has no such record.
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
