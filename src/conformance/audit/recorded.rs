//! [`Recorded`]: reads the events that a sink recorded.

use async_trait::async_trait;

use crate::audit::{AuditId, AuditOutcome};

/// Reads the events that a sink recorded.
#[async_trait]
pub trait Recorded: Send + Sync + 'static {
    /// Waits until everything is written, and returns the outcomes in their order, without
    /// intents.
    async fn recorded(&self) -> Vec<(AuditId, AuditOutcome)>;
}
