use std::{sync::Arc, time::SystemTime};

use crate::domain::{AccessKey, Credential, CredentialId, Kind, ProjectId, UserId, to_micros};

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

/// The order of a list. The records of a list are in the bytewise order of their markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// By expiry, then by id. Records without an expiry are left out. Markers start with
    /// [`expires_before`]: as `before` it lists what expires before a time.
    ///
    /// Filters select among the records of all owners: a page may be short.
    ExpiresAt,
    /// Records with an access key by access key, followed by the other records by id. See
    /// [`access_key_marker`] and [`id_marker`].
    Key,
}

/// Returns the marker of a record with this access key in [`Order::Key`].
#[must_use]
pub fn access_key_marker(access_key: &str) -> String {
    format!("{ACCESS_KEY}{access_key}")
}

/// Returns the marker of a record with this id and without an access key in [`Order::Key`].
#[must_use]
pub fn id_marker(id: &str) -> String {
    format!("{ID}{id}")
}

/// The marker of [`Order::Key`] between the records with an access key and the others.
pub const ACCESS_KEYS_END: &str = "b";

/// The first characters of the markers of [`Order::Key`].
const ACCESS_KEY: char = 'a';
const ID: char = 'i';

/// Returns the marker of [`Order::ExpiresAt`] that is before all records that expire at this time
/// or later, and after all others.
#[must_use]
pub fn expires_before(time: SystemTime) -> String {
    expiry_marker(to_micros(time).max(0), "")
}

/// The number of digits of an expiry in a marker: as many as the greatest one has.
const EXPIRY_DIGITS: usize = 19;

/// Returns the marker of a record that expires at this time: of fixed width, so that texts are in
/// the order of times.
pub(super) fn expiry_marker(micros: i64, id: &str) -> String {
    format!("{micros:0EXPIRY_DIGITS$}.{id}")
}

/// Returns expiry and id in a marker of [`Order::ExpiresAt`]. For any other text, returns the
/// pair that is between the same markers.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn parse_expiry_marker(marker: &str) -> (i64, &str) {
    let digits = marker.bytes().take(EXPIRY_DIGITS).take_while(u8::is_ascii_digit).count();
    let (micros, rest) = marker.split_at(digits);
    let (least, width) = if digits == EXPIRY_DIGITS {
        if let Some(id) = rest.strip_prefix('.') {
            return (micros.parse().unwrap_or(i64::MAX), id);
        }
        (".", 1)
    } else {
        ("0", 10_u128.pow(u32::try_from(EXPIRY_DIGITS - digits).unwrap_or_default()))
    };
    // Before or after all markers that begin with these digits.
    let beginning: u128 = micros.parse().unwrap_or_default();
    let place = (beginning + u128::from(rest >= least)) * width;
    (place.try_into().unwrap_or(i64::MAX), "")
}

impl Order {
    /// Returns a record's marker in this order; `None` if the order leaves the record out.
    #[must_use]
    pub fn marker(self, credential: &Credential) -> Option<String> {
        match self {
            Self::ExpiresAt => {
                let expires_at = to_micros(credential.terms.expires_at()?);
                Some(expiry_marker(expires_at, credential.id.as_str()))
            }
            Self::Key => Some(match &credential.access_key {
                Some(access_key) => access_key_marker(access_key.as_str()),
                None => id_marker(credential.id.as_str()),
            }),
        }
    }

    /// Returns what a marker of this order names; `None` if it is not the marker of a record.
    #[must_use]
    pub fn place(self, marker: &str) -> Option<Place<'_>> {
        match self {
            Self::ExpiresAt => marker.split_once('.').map(|(_, id)| Place::Id(id)),
            Self::Key => {
                let access_key = marker.strip_prefix(ACCESS_KEY).map(Place::AccessKey);
                access_key.or_else(|| marker.strip_prefix(ID).map(Place::Id))
            }
        }
    }
}

/// What a marker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The record with this access key.
    AccessKey(&'a str),
    /// The record with this id.
    Id(&'a str),
}

impl Place<'_> {
    /// Returns the id of the record. For an access key, returns the id of the record that was
    /// created with it: another record may have it now.
    #[must_use]
    pub fn id(self) -> CredentialId {
        match self {
            Self::AccessKey(access_key) => CredentialId::of(&AccessKey::from_stored(access_key)),
            Self::Id(id) => CredentialId::from_stored(id),
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

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_between_the_same_markers_as_its_pair() {
        let times = [0, 1, 9, 10, 99, 1_700_000_000_000_000, 1_799_999_999_999_999, i64::MAX - 1];
        let ids = ["!", "0", "a", "a.b", "z\u{1}"];
        let pairs: Vec<_> = times.into_iter().flat_map(|time| ids.map(|id| (time, id))).collect();
        let mut texts: Vec<String> = ["!", "+5.x", "12.x", "5", ":", "a", "\u{7f}", "\u{10ffff}"]
            .map(Into::into)
            .into_iter()
            .chain([expires_before(SystemTime::UNIX_EPOCH), "9".repeat(19), "9".repeat(30)])
            .collect();
        for (time, id) in &pairs {
            let marker = expiry_marker(*time, id);
            assert_eq!(parse_expiry_marker(&marker), (*time, *id));
            for (end, _) in marker.char_indices() {
                for next in ["", "\u{1}", "-", ".", "/", "0", "5", "9", ":", "\u{10ffff}"] {
                    texts.push(format!("{}{next}", &marker[..end]));
                }
            }
        }
        for text in &texts {
            let place = parse_expiry_marker(text);
            for pair in &pairs {
                let marker = expiry_marker(pair.0, pair.1);
                assert_eq!((*pair).cmp(&place), marker.as_str().cmp(text), "{marker} and {text}");
            }
        }
    }
}
