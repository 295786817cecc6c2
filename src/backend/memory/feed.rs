//! The changes of a store in memory.

use async_trait::async_trait;

use super::MemoryBackend;
use crate::backend::{BackendError, ChangeFeed, Changes, Notice, hub::Listener};

/// Every change is told by whoever makes it, as part of it. A subscription outlives no
/// store: it ends with the last handle.
#[async_trait]
impl ChangeFeed for MemoryBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        // Changes are told under the lock, so none is under way and not told.
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
