//! Bulk loads.

use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryBackend, State, shelf::Entry};
use crate::{
    backend::{
        BackendError,
        contract::{BulkLoad, Change, Loaded},
    },
    domain::Credential,
};

/// The maximum number of records of a load that are reported one by one.
const MOST_REPORTED: usize = 256;

#[async_trait]
impl BulkLoad for MemoryBackend {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        let entries: Vec<_> = records.iter().map(Entry::new).collect();
        let mut state = self.write();
        let loaded: Vec<_> = entries.iter().map(|entry| state.load(entry)).collect();
        state.hub.report(|| match records.len() {
            0..=MOST_REPORTED => records.iter().map(|record| Change::written(record)).collect(),
            _ => vec![Change::Everything],
        });
        Ok(loaded)
    }
}

impl State {
    fn load(&mut self, entry: &Entry) -> Loaded {
        if self.put_new(entry) {
            return Loaded::Stored;
        }
        match self.all.get(&entry.id) {
            Some(held) if *held == entry.credential => Loaded::AlreadyThere,
            _ => Loaded::Refused,
        }
    }
}
