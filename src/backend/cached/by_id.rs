//! Answers by id.
//!
//! A record is in memory once, under its access key, and its id leads there. A record without an
//! access key is under its id. So lookups by id and by access key get the same answers, of the same
//! age. The absence of an id is not kept.

use std::time::SystemTime;

use super::memory::{Entry, Kept, Memory, Recalled, nanos};
use super::name::Name;
use crate::domain::{AccessKey, CredentialId};

impl Memory {
    /// Returns the record with this id, if it can be served now.
    pub(super) fn recall_by_id(&self, id: &CredentialId, now: SystemTime) -> Option<Recalled> {
        let (now, kept) = (nanos(now)?, self.kept_by_id(id)?);
        let is_due = self.state(&kept.answered, now)?;
        Some(Recalled::Present { credential: kept.credential, is_due })
    }

    /// Returns the entry itself, if it can be served now.
    pub(super) fn recall_entry_by_id(&self, id: &CredentialId, now: SystemTime) -> Option<Entry> {
        let entry = self.kept_by_id(id).map(Entry::Present);
        entry.filter(|entry| self.is_servable(entry, now))
    }

    /// Stores the answer to a call by id.
    pub(super) fn keep_by_id(&self, id: &CredentialId, entry: Entry, now: SystemTime) {
        let name = Name::of_id(id.as_str());
        match entry {
            Entry::Absent(absence) => {
                let name = self.access_keys.get(&name).unwrap_or(name);
                let is_older = |kept: &Kept| {
                    kept.credential.id == *id && kept.answered.asked.at <= absence.asked.at
                };
                if self.present.remove_if(&name, is_older).is_some() {
                    self.local.count_replaced();
                }
            }
            Entry::Present(kept) => {
                if let Some(access_key) = kept.credential.access_key.clone() {
                    self.present.remove(&name);
                    self.access_keys.insert(name, Name::new(access_key.as_str()));
                    self.keep(&access_key, Entry::Present(kept), now);
                } else {
                    self.access_keys.remove(&name);
                    self.present.insert(name, kept);
                }
            }
        }
    }

    /// Returns whether a later answer about this access key is in memory. Calls by id and by
    /// access key run side by side, so the last answer to arrive need not be the latest.
    pub(super) fn has_later(&self, access_key: &AccessKey, entry: &Entry, now: SystemTime) -> bool {
        let known = self.recall_entry(access_key.as_str(), now);
        known.is_some_and(|known| known.asked().at > entry.asked().at)
    }

    fn kept_by_id(&self, id: &CredentialId) -> Option<Kept> {
        let name = Name::of_id(id.as_str());
        let name = self.access_keys.get(&name).unwrap_or(name);
        // The access key may be another record's by now.
        self.present.get(&name).filter(|kept| kept.credential.id == *id)
    }
}
