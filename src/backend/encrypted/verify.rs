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
    /// The marker after which the next page starts; `None` after the last page.
    pub next: Option<String>,
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Opens the records of one page, and reports those that cannot
    /// be read or opened. Writes nothing.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`]. A record that cannot be
    /// opened is not an error.
    pub async fn verify_page(&self, after: Option<&str>) -> Result<VerifiedPage, BackendError> {
        let mut query = ListQuery::new(Order::Key);
        query.after = after.map(Into::into);
        let page = match list_skipping_damaged(&self.0.backend, &query).await? {
            ListStep::Records(page) => page,
            ListStep::Damaged(Damaged { marker, id, error, next }) => {
                let id = id.unwrap_or_else(|| CredentialId::from_stored(marker));
                return Ok(VerifiedPage {
                    examined: 1,
                    unreadable: vec![(id, error)],
                    next,
                    ..VerifiedPage::default()
                });
            }
        };
        let mut verified = VerifiedPage { next: page.next, ..VerifiedPage::default() };
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
