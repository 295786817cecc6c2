//! Records in both orders.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use crate::{
    backend::{ListQuery, Order, Page},
    domain::Credential,
};

/// Some of the records, in both orders.
#[derive(Default)]
pub(super) struct Shelf {
    by_id: BTreeMap<Marker, Arc<Credential>>,
    by_access_key: BTreeMap<Marker, Arc<Credential>>,
}

/// A record on its way into the indexes, which share its keys.
pub(super) struct Entry {
    pub(super) id: Marker,
    pub(super) access_key: Option<Marker>,
    pub(super) credential: Arc<Credential>,
}

impl Entry {
    pub(super) fn new(credential: &Arc<Credential>) -> Self {
        Self {
            id: Marker::new(credential.id.as_str()),
            access_key: credential.access_key.as_ref().map(|key| Marker::new(key.as_str())),
            credential: Arc::clone(credential),
        }
    }
}

impl Shelf {
    pub(super) fn put(&mut self, entry: &Entry) {
        self.by_id.insert(entry.id.clone(), Arc::clone(&entry.credential));
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.insert(access_key.clone(), Arc::clone(&entry.credential));
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.by_id.remove(&entry.id);
        if let Some(access_key) = &entry.access_key {
            self.by_access_key.remove(access_key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn records(&self) -> Vec<Arc<Credential>> {
        self.by_id.values().cloned().collect()
    }

    pub(super) fn page(&self, query: &ListQuery) -> Page {
        let index = match query.order {
            Order::AccessKey => &self.by_access_key,
            Order::Id => &self.by_id,
        };
        let after = Marker::new(query.after.as_deref().unwrap_or_default());
        let before = query.before.as_deref().filter(|marker| !marker.is_empty());
        let mut page = Page::default();
        // The last record that was looked at: the next page starts behind it.
        let mut last: Option<&Marker> = None;
        let following = index.range((Bound::Excluded(after), Bound::Unbounded));
        for (examined, (marker, credential)) in following.enumerate() {
            if before.is_some_and(|before| *marker.text >= *before) {
                break;
            }
            let admitted = query.admits(credential);
            let full = admitted && page.credentials.len() == query.limit();
            if full || examined == ListQuery::MAX_EXAMINED {
                page.next = last.map(|last| last.text.to_string());
                break;
            }
            if admitted {
                page.credentials.push(Arc::clone(credential));
            }
            last = Some(marker);
        }
        page
    }
}

/// A key of an index; ordered bytewise, as its text.
///
/// The text's start lies in the index itself, so that a search through many
/// records reads few of their texts: each would be a trip to memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Marker {
    /// The first bytes, big-endian, filled up with zeros.
    start: u128,
    text: Arc<str>,
}

impl Marker {
    fn new(text: &str) -> Self {
        let mut start = [0; 16];
        let length = text.len().min(start.len());
        start[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { start: u128::from_be_bytes(start), text: text.into() }
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn markers_are_ordered_as_their_texts(a in "[ab\\x00\u{7f}ä]{0,20}", b in "[ab\\x00\u{7f}ä]{0,20}") {
            prop_assert_eq!(Marker::new(&a).cmp(&Marker::new(&b)), a.as_bytes().cmp(b.as_bytes()));
            let longer = format!("{a}{b}");
            prop_assert_eq!(
                Marker::new(&a).cmp(&Marker::new(&longer)), a.as_bytes().cmp(longer.as_bytes()));
        }
    }
}
