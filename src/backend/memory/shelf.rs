//! Records by id, and sorted in the orders of a list.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::{
    backend::{ListQuery, Order, Page},
    domain::Credential,
};

/// Some of the records: by id, and after the first list also in the orders of a list.
///
/// Sorted indexes cost a write more than everything else, and most records are looked up but
/// never listed.
#[derive(Default)]
pub(super) struct Shelf {
    records: HashMap<Arc<str>, Arc<Credential>>,
    orders: Option<Orders>,
}

/// The records in the orders of a list.
#[derive(Default)]
struct Orders {
    keys: BTreeMap<Marker, Arc<Credential>>,
    expiries: BTreeMap<Marker, Arc<Credential>>,
}

/// A record to be indexed; the indexes share its keys.
pub(super) struct Entry {
    pub(super) id: Arc<str>,
    pub(super) access_key: Option<Arc<str>>,
    pub(super) credential: Arc<Credential>,
}

impl Entry {
    pub(super) fn new(credential: &Arc<Credential>) -> Self {
        Self {
            id: credential.id.as_str().into(),
            access_key: credential.access_key.as_ref().map(|key| key.as_str().into()),
            credential: Arc::clone(credential),
        }
    }

    fn marker(&self, order: Order) -> Option<Marker> {
        order.marker(&self.credential).map(|marker| Marker::new(&marker))
    }
}

impl Shelf {
    pub(super) fn put(&mut self, entry: &Entry) {
        self.records.insert(Arc::clone(&entry.id), Arc::clone(&entry.credential));
        if let Some(orders) = &mut self.orders {
            orders.put(entry);
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.records.remove(&entry.id);
        if let Some(orders) = &mut self.orders {
            orders.remove(entry);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Credential>> {
        self.records.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> Vec<Arc<Credential>> {
        self.records.values().cloned().collect()
    }

    /// Returns a page; `None` if the records are not sorted yet.
    pub(super) fn page(&self, query: &ListQuery) -> Option<Page> {
        self.orders.as_ref().map(|orders| orders.page(query))
    }

    /// Returns a page; sorts the records first if necessary.
    pub(super) fn sorted_page(&mut self, query: &ListQuery) -> Page {
        let sort = || {
            let mut orders = Orders::default();
            for credential in self.records.values() {
                orders.put(&Entry::new(credential));
            }
            orders
        };
        self.orders.get_or_insert_with(sort).page(query)
    }
}

impl Orders {
    fn put(&mut self, entry: &Entry) {
        for (order, index) in self.indexes() {
            if let Some(marker) = entry.marker(order) {
                index.insert(marker, Arc::clone(&entry.credential));
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        for (order, index) in self.indexes() {
            if let Some(marker) = entry.marker(order) {
                index.remove(&marker);
            }
        }
    }

    fn indexes(&mut self) -> [(Order, &mut BTreeMap<Marker, Arc<Credential>>); 2] {
        [(Order::Key, &mut self.keys), (Order::ExpiresAt, &mut self.expiries)]
    }

    fn page(&self, query: &ListQuery) -> Page {
        let index = match query.order {
            Order::ExpiresAt => &self.expiries,
            Order::Key => &self.keys,
        };
        let after = Marker::new(query.after.as_deref().unwrap_or_default());
        let before = query.before.as_deref().filter(|marker| !marker.is_empty());
        let (mut page, mut bytes) = (Page::default(), 0);
        // The last record that was examined: the next page starts after it.
        let mut last: Option<&Marker> = None;
        let following = index.range((Bound::Excluded(after), Bound::Unbounded));
        for (examined, (marker, credential)) in following.enumerate() {
            if before.is_some_and(|before| *marker.text >= *before) {
                break;
            }
            let admitted = query.admits(credential);
            let full = admitted && query.is_full(page.credentials.len(), bytes);
            if full || examined == ListQuery::MAX_EXAMINED {
                page.next = last.map(|last| last.text.to_string());
                break;
            }
            if admitted {
                bytes += credential.size();
                page.credentials.push(Arc::clone(credential));
            }
            last = Some(marker);
        }
        page
    }
}

/// A key of an index, ordered bytewise by its text.
///
/// The start of the text is stored in the index itself, so that a search among many records
/// reads few of their texts: each read would be a cache miss.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Marker {
    /// The first bytes, big-endian, padded with zeros.
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
