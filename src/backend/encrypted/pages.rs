//! Pages of a store below, as they are above it.

use super::Inner;
use super::register::{ID, OWNER};
use crate::backend::{BackendError, CredentialBackend, ListQuery, Order, Page};

impl<B: CredentialBackend> Inner<B> {
    /// A page of opened records, without the register.
    pub(super) async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        if query.user_id.as_ref().is_some_and(|user| user.as_str() == OWNER) {
            return Ok(Page::default());
        }
        if !may_show_register(query) {
            return self.page(query).await;
        }
        // The register lies within: what is before it, then what is behind it.
        let mut before = query.clone();
        before.before = Some(ID.into());
        let mut page = self.page(&before).await?;
        if page.next.is_some() {
            return Ok(page);
        }
        let mut behind = query.clone();
        behind.after = Some(ID.into());
        let Some(last) = page.credentials.last() else { return self.page(&behind).await };
        let following = self.backend.list(&behind.with_limit(1)).await?;
        if !following.credentials.is_empty() || following.next.is_some() {
            page.next = query.order.marker(last).map(Into::into);
        }
        Ok(page)
    }

    /// A page that the register is not on. Sealed texts are longer than what is in them:
    /// a page that is short for that is filled up.
    async fn page(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let mut page = Page::default();
        let (mut rest, mut bytes) = (query.clone(), 0);
        loop {
            let more = self.backend.list(&rest).await?;
            page.next = more.next;
            let mut sealed = 0;
            for record in more.credentials {
                if query.is_full(page.credentials.len(), bytes) {
                    let last = page.credentials.last();
                    page.next = last.and_then(|last| query.order.marker(last)).map(Into::into);
                    return Ok(page);
                }
                sealed += record.size();
                let record = self.opened(record)?;
                bytes += record.size();
                page.credentials.push(record);
            }
            let is_short =
                sealed >= ListQuery::MAX_BYTES && !query.is_full(page.credentials.len(), bytes);
            if !is_short || page.next.is_none() {
                return Ok(page);
            }
            rest.after = page.next.take();
            rest = rest.with_limit(query.limit() - page.credentials.len());
        }
    }
}

/// Whether the register could be among what a query asks for. It has no access key and
/// is in no project.
fn may_show_register(query: &ListQuery) -> bool {
    let ListQuery { user_id, project_id, kind, order, after, before, .. } = query;
    let none_or = |marker: &Option<String>, holds: fn(&str) -> bool| {
        marker.as_deref().is_none_or(|marker| marker.is_empty() || holds(marker))
    };
    *order == Order::Id
        && user_id.is_none()
        && project_id.is_none()
        && kind.as_ref().is_none_or(|kind| kind.as_str() == OWNER)
        && none_or(after, |after| after < ID)
        && none_or(before, |before| before > ID)
}
