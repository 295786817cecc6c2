//! Finds records that cannot be opened.

use super::backend::Encrypted;
use super::register;
use super::sealer::{self, is_newest};
use crate::backend::{
    BackendError, CredentialBackend, ListQuery, Order,
    contract::{Damaged, ListStep, list_skipping_damaged},
};
use crate::domain::CredentialId;

/// The result of verifying one page.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifiedPage {
    /// The number of records on the page.
    pub examined: u64,
    /// The number of records that are sealed with an older key.
    pub outdated: u64,
    /// The number of records that are not sealed, and accepted because the store was adopted.
    pub plain: u64,
    /// The records that cannot be read or opened, and why.
    pub unreadable: Vec<(CredentialId, BackendError)>,
    /// The record after which the next page starts; `None` after the last page.
    pub next: Option<CredentialId>,
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Opens the records of one page, in the order of their ids, and reports those that cannot
    /// be read or opened. Writes nothing.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`]. A record that cannot be
    /// opened is not an error.
    pub async fn verify_page(
        &self,
        after: Option<&CredentialId>,
    ) -> Result<VerifiedPage, BackendError> {
        let mut query = ListQuery::new(Order::Id);
        query.after = after.map(|id| id.as_str().into());
        let page = match list_skipping_damaged(&self.0.backend, &query).await? {
            ListStep::Records(page) => page,
            ListStep::Damaged(Damaged { marker, error, next }) => {
                return Ok(VerifiedPage {
                    examined: 1,
                    unreadable: vec![(CredentialId::from_stored(marker), error)],
                    next: next.map(CredentialId::from_stored),
                    ..VerifiedPage::default()
                });
            }
        };
        let next = page.next.map(CredentialId::from_stored);
        let mut verified = VerifiedPage { next, ..VerifiedPage::default() };
        for record in page.credentials {
            if record.id.as_str() == register::ID {
                continue;
            }
            let (id, is_sealed) = (record.id.clone(), sealer::is_sealed(&record));
            let is_newest = is_newest(&self.0.sealer, &record);
            verified.examined += 1;
            match self.0.opened(record) {
                Ok(_) if !is_sealed => verified.plain += 1,
                Ok(_) => verified.outdated += u64::from(!is_newest),
                Err(error) => verified.unreadable.push((id, error)),
            }
        }
        Ok(verified)
    }
}
