use super::credential_backend::CredentialBackend;
use super::error::BackendError;
use super::list::{ListQuery, Page, Place};
use crate::domain::{AccessKey, CredentialId};

/// The longest marker that is searched for, in characters.
const MAX_MARKER: usize = 4_096;

/// How often to start again if the damage is repaired meanwhile.
const TRIES: usize = 8;

/// A step through a list: a page, or one damaged record.
#[derive(Debug)]
pub enum ListStep {
    /// A record that cannot be read.
    Damaged(Damaged),
    /// A page of records.
    Records(Page),
}

/// A record that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damaged {
    /// The record's marker. If the marker is not UTF-8: its valid beginning and U+FFFD. Of
    /// several such records with the same beginning only one is reported, and the list
    /// continues after all of them.
    pub marker: String,
    /// The record's id, as far as it is known from the marker.
    pub id: Option<CredentialId>,
    /// Why the record cannot be read: a [`Corrupt`](BackendError::Corrupt).
    pub error: BackendError,
    /// The marker for [`ListQuery::after`] that continues the list; `None` at its end.
    pub next: Option<String>,
}

/// Reads a page as [`list`](CredentialBackend::list) does, but stops before a record that
/// cannot be read. If that is the first record, returns it as [`ListStep::Damaged`].
///
/// To find the damaged record takes some hundred short lists. Works with every backend.
///
/// # Errors
///
/// Only the errors common to every method; see [`BackendError`].
/// [`BackendError::Corrupt`] means that not even an empty page can be read.
pub async fn list_skipping_damaged<B: CredentialBackend + ?Sized>(
    backend: &B,
    query: &ListQuery,
) -> Result<ListStep, BackendError> {
    let mut tries = 1;
    loop {
        let error = match backend.list(query).await {
            Ok(page) => return Ok(ListStep::Records(page)),
            Err(error @ BackendError::Corrupt(_)) => error,
            Err(error) => return Err(error),
        };
        if let Some(part) = (Search { backend, query }).part().await? {
            return Ok(part);
        }
        if tries == TRIES {
            return Err(error);
        }
        tries += 1;
    }
}

/// A search in a list whose page cannot be read completely.
struct Search<'a, B: ?Sized> {
    backend: &'a B,
    query: &'a ListQuery,
}

/// Where a record is.
struct Position {
    marker: String,
    next: Option<String>,
    /// The marker before which all preceding records are.
    before: Option<String>,
}

impl<B: CredentialBackend + ?Sized> Search<'_, B> {
    /// Returns the first step; `None` if the damage is gone.
    async fn part(&self) -> Result<Option<ListStep>, BackendError> {
        // The longest page that can be read.
        let (mut fine, mut bad) = (0, self.query.limit());
        while bad - fine > 1 {
            let limit = usize::midpoint(fine, bad);
            if self.is_damaged(None, limit).await? { bad = limit } else { fine = limit }
        }
        if fine > 0 {
            return self.records(None, fine).await;
        }
        let Some(Position { marker, next, before }) = self.find().await? else { return Ok(None) };
        // A store may examine more records than the page can have.
        let records = self.records(before.as_deref(), self.query.limit()).await?;
        if records.is_some() {
            return Ok(records);
        }
        let Err(error) = self.page(None, 1).await else { return Ok(None) };
        let id = self.id_of(&marker).await?;
        Ok(Some(ListStep::Damaged(Damaged { marker, id, error, next })))
    }

    /// Returns the id of the record with this marker, which cannot be read.
    async fn id_of(&self, marker: &str) -> Result<Option<CredentialId>, BackendError> {
        let Some(place) = self.query.order.place(marker) else { return Ok(None) };
        let id = place.id();
        if let Place::Id(_) = place {
            return Ok(Some(id));
        }
        // The record may have been created with another access key.
        match self.backend.get_latest(&id).await {
            Ok(_) => Ok(None),
            Err(BackendError::Corrupt(_)) => Ok(Some(id)),
            Err(error) => Err(error),
        }
    }

    /// Returns the records of this page; the list continues after the last of them.
    async fn records(
        &self,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Option<ListStep>, BackendError> {
        let mut page = self.page(before, limit).await?;
        let last = page.credentials.last().and_then(|last| self.query.order.marker(last));
        let Some(last) = last else { return Ok(None) };
        page.next = Some(last);
        Ok(Some(ListStep::Records(page)))
    }

    /// Finds the first record, which cannot be read, by listing the range up to different
    /// texts: only a page with the record fails.
    async fn find(&self) -> Result<Option<Position>, BackendError> {
        const LEAST: u32 = 1;
        let mut marker = String::new();
        for _ in 0..MAX_MARKER {
            // Whether the marker ends here: no text is between a text and this one.
            if self.is_damaged(Some(&format!("{marker}\u{1}")), 1).await? {
                if marker.is_empty() {
                    // Not even an empty page can be read.
                    return Err(BackendError::Corrupt("no record can be read".into()));
                }
                let (next, before) = (Some(marker.clone()), Some(marker.clone()));
                return Ok(Some(Position { marker, next, before }));
            }
            // The greatest character that is not greater than the marker's.
            let (mut fine, mut bad) = (LEAST, u32::from(char::MAX) + 1);
            let mut probe = 0x80;
            while bad - fine > 1 {
                // There are no characters in the range of the surrogates.
                let next = char::from_u32(probe).unwrap_or('\u{e000}');
                if self.is_damaged(Some(&format!("{marker}{next}")), 1).await? {
                    bad = probe;
                } else {
                    fine = u32::from(next);
                }
                probe = u32::midpoint(fine, bad);
            }
            let Some(next) = char::from_u32(fine).filter(|next| *next != char::MAX) else {
                break;
            };
            marker.push(next);
        }
        // Fixed or deleted meanwhile, unless the marker is not text.
        if self.is_damaged(None, 1).await? { self.beside(marker).await.map(Some) } else { Ok(None) }
    }

    /// Returns the position of a record whose marker is not text: it is greater than all texts
    /// with this beginning.
    async fn beside(&self, beginning: String) -> Result<Position, BackendError> {
        let next = behind(&beginning);
        if let Some(next) = &next {
            // A record with this marker would be skipped.
            let there = match self.query.order.place(next) {
                Some(Place::AccessKey(access_key)) => {
                    let key = AccessKey::from_stored(access_key);
                    self.backend.find_latest_by_access_key(&key).await?
                }
                Some(Place::Id(id)) => {
                    self.backend.get_latest(&CredentialId::from_stored(id)).await?
                }
                None => None,
            };
            if there.is_some() {
                let what = "a record's marker cannot be read, and the next one follows at once";
                return Err(BackendError::Corrupt(what.into()));
            }
        }
        let before = Some(format!("{beginning}{}", char::MAX));
        Ok(Position { marker: format!("{beginning}\u{fffd}"), next, before })
    }

    async fn is_damaged(&self, before: Option<&str>, limit: usize) -> Result<bool, BackendError> {
        match self.page(before, limit).await {
            Ok(_) => Ok(false),
            Err(BackendError::Corrupt(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn page(&self, before: Option<&str>, limit: usize) -> Result<Page, BackendError> {
        let mut query = self.query.clone().with_limit(limit);
        if let Some(before) = before {
            let end = query.before.take().filter(|end| !end.is_empty() && end.as_str() < before);
            query.before = Some(end.unwrap_or_else(|| before.into()));
        }
        self.backend.list(&query).await
    }
}

/// Returns the smallest text that is greater than all texts with this beginning.
fn behind(beginning: &str) -> Option<String> {
    let mut characters: Vec<char> = beginning.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            return Some(characters.into_iter().chain([next]).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_is_the_smallest_text_after_all_with_the_beginning() {
        let cases = [("a", "b"), ("ab\u{d7ff}", "ab\u{e000}"), ("a\u{10ffff}", "b")];
        for (text, next) in cases {
            assert_eq!(behind(text).as_deref(), Some(next));
        }
        assert_eq!(behind(""), None);
        assert_eq!(behind("\u{10ffff}"), None);
    }
}
