//! The changes of a store in memory.

use async_trait::async_trait;

use super::MemoryBackend;
use crate::backend::{
    BackendError,
    contract::{ChangeFeed, Changes, Notice},
    hub::Listener,
};

/// Each write reports its changes as part of the write. A subscription ends when the last
/// handle of the store is dropped.
#[async_trait]
impl ChangeFeed for MemoryBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        // Writes report under the lock, so none is in progress and unreported.
        let state = self.read();
        Ok(Box::new(MemoryChanges(state.hub.listen())))
    }
}

#[derive(Debug)]
struct MemoryChanges(Listener);

#[async_trait]
impl Changes for MemoryChanges {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        self.0.next().await
    }
}
