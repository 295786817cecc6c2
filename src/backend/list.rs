use std::sync::Arc;

use crate::domain::{AccessKey, Credential, Kind, ProjectId, UserId};

/// Which credentials to list, in which order and from where.
///
/// A record is listed if it passes all filters. A store examines at most
/// [`MAX_EXAMINED`](Self::MAX_EXAMINED) records for one page, so a page may be short, even
/// empty, and still have a `next`. It examines only the records of the query's user between
/// the markers, or of its project if the query names no user: records of others never make a
/// page short.
///
/// A page takes no further record once its records have [`MAX_BYTES`](Self::MAX_BYTES), which
/// limits the memory that long records can take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListQuery {
    /// Lists only the records of this user.
    pub user_id: Option<UserId>,
    /// Lists only the records of this project.
    pub project_id: Option<ProjectId>,
    /// Lists only the records of this type.
    pub kind: Option<Kind>,
    /// The order of the page, which also says what its markers are.
    pub order: Order,
    /// Lists only records with a greater marker. An empty marker means none.
    pub after: Option<String>,
    /// Lists only records with a smaller marker. An empty marker means none.
    pub before: Option<String>,
    /// The maximum number of records on the page: from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    limit: usize,
}

impl ListQuery {
    /// The maximum number of records that a page can have.
    pub const MAX_LIMIT: usize = 1_000;

    /// The bytes, by [`Credential::size`], after which a page takes no further record.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The maximum number of records that a store examines for one page.
    pub const MAX_EXAMINED: usize = 2_000;

    /// Lists all records in this order, [`MAX_LIMIT`](Self::MAX_LIMIT) on a page.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self {
            user_id: None,
            project_id: None,
            kind: None,
            order,
            after: None,
            before: None,
            limit: Self::MAX_LIMIT,
        }
    }

    /// Sets the maximum number of records on the page, clamped to 1 to
    /// [`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, Self::MAX_LIMIT);
        self
    }

    /// Returns the maximum number of records on the page.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether a page with this many records and bytes takes no further record.
    #[must_use]
    pub fn is_full(&self, records: usize, bytes: usize) -> bool {
        records >= self.limit || bytes >= Self::MAX_BYTES
    }

    /// Returns how many of these records, from the first one, make a page.
    #[must_use]
    pub fn fitting(&self, records: &[Arc<Credential>]) -> usize {
        let mut bytes = 0;
        let fits = |(index, record): &(usize, &Arc<Credential>)| {
            let full = self.is_full(*index, bytes);
            bytes += record.size();
            !full
        };
        records.iter().enumerate().take_while(fits).count()
    }

    /// Returns whether a record passes the filters. Markers are not compared.
    #[must_use]
    pub fn admits(&self, credential: &Credential) -> bool {
        let Self { user_id, project_id, kind, .. } = self;
        user_id.as_ref().is_none_or(|id| *id == credential.user_id)
            && project_id.as_ref().is_none_or(|id| Some(id) == credential.project_id.as_ref())
            && kind.as_ref().is_none_or(|kind| *kind == credential.kind)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// By access key. Records without one are left out. Markers are access keys.
    AccessKey,
    /// By id. Markers are ids.
    Id,
}

impl Order {
    /// Returns a record's marker in this order; `None` if the order leaves the record out.
    #[must_use]
    pub fn marker(self, credential: &Credential) -> Option<&str> {
        match self {
            Self::AccessKey => credential.access_key.as_ref().map(AccessKey::as_str),
            Self::Id => Some(credential.id.as_str()),
        }
    }
}

/// A page of credentials.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records, in the order of the query.
    pub credentials: Vec<Arc<Credential>>,
    /// The marker for [`ListQuery::after`] that continues the list. `None` if and only if no
    /// further record passes the query.
    pub next: Option<String>,
}

impl Page {
    /// Creates a page.
    #[must_use]
    pub fn new(credentials: Vec<Arc<Credential>>, next: Option<String>) -> Self {
        Self { credentials, next }
    }
}
