//! The changes of a file.

use std::sync::{Arc, Weak};

use async_trait::async_trait;

use super::SqliteBackend;
use super::write::Write;
use super::writer::Writer;
use crate::backend::{
    BackendError, Change, ChangeFeed, Changes, Notice,
    hub::{self, Listener},
};

/// What is written through this backend and its clones is told one by one. That another
/// process wrote to the file, or put another in its place, is noticed within a
/// [`PULSE`](crate::backend::PULSE) or so and told as [`Change::Everything`]: the engine
/// does not say what. A subscription ends with the last handle.
#[async_trait]
impl ChangeFeed for SqliteBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        let listener = self.writer.hub().listen();
        let last = self.writer.write(Write::Look).await?.rows;
        Ok(Box::new(SqliteChanges { listener, writer: Arc::downgrade(&self.writer), last }))
    }
}

#[derive(Debug)]
struct SqliteChanges {
    listener: Listener,
    writer: Weak<Writer>,
    /// What the last look gave.
    last: u64,
}

#[async_trait]
impl Changes for SqliteChanges {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        let mut notice = self.listener.next().await?;
        let writer = self.writer.upgrade().ok_or_else(hub::over)?;
        let look = writer.write(Write::Look).await?.rows;
        if look != self.last {
            self.last = look;
            notice.changes.push(Change::Everything);
        }
        Ok(notice)
    }
}
