//! What the store below can do besides keeping credentials.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::{Encrypted, register};
use crate::backend::{BackendError, BulkLoad, ChangeFeed, Changes, CredentialBackend, Loaded};
use crate::domain::{Credential, CredentialId};
use crate::usage::{UsageError, UsageLog};

/// Sealing changes nothing about what changes, nor about when.
#[async_trait]
impl<B: ChangeFeed> ChangeFeed for Encrypted<B> {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        self.0.backend.subscribe().await
    }
}

/// When keys were used is not sealed.
#[async_trait]
impl<B: UsageLog> UsageLog for Encrypted<B> {
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        self.0.backend.note(uses).await
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        self.0.backend.last_used(ids).await
    }
}

#[async_trait]
impl<B: BulkLoad + CredentialBackend> BulkLoad for Encrypted<B> {
    async fn load(&self, records: &[Arc<Credential>]) -> Result<Vec<Loaded>, BackendError> {
        let inner = &*self.0;
        inner.witness.before(&inner.backend, &inner.sealer).await?;
        let free = || records.iter().filter(|record| !register::is_reserved(record));
        // Repeatably, so that most of what is loaded again is the same to the store below.
        let sealed: Vec<_> = free().map(|it| inner.sealer.seal_repeatably(it)).collect();
        let loaded = inner.backend.load(&sealed).await?;
        if loaded.contains(&Loaded::Stored) {
            inner.witness.look(&inner.backend, &inner.sealer).await?;
        }
        let mut loaded = loaded.into_iter();
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let outcome = if register::is_reserved(record) { None } else { loaded.next() };
            outcomes.push(match outcome {
                // It may be there, sealed with another key or another nonce.
                Some(Loaded::Refused) if self.is_there(record).await? => Loaded::AlreadyThere,
                outcome => outcome.unwrap_or(Loaded::Refused),
            });
        }
        Ok(outcomes)
    }
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Whether this very record is in the store. One that cannot be opened is another.
    async fn is_there(&self, record: &Arc<Credential>) -> Result<bool, BackendError> {
        match self.get(&record.id).await {
            Ok(found) => Ok(found.is_some_and(|found| found == *record)),
            Err(BackendError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
