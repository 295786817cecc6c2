//! The last uses of keys, stored with the keys.

use std::{collections::HashMap, time::SystemTime};

use async_trait::async_trait;

use super::MemoryBackend;
use crate::{
    domain::CredentialId,
    usage::{UsageError, UsageLog},
};

/// Uses of unknown keys are ignored. Deleting a key deletes its last use.
#[async_trait]
impl UsageLog for MemoryBackend {
    async fn record(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let mut state = self.write();
        for (id, time) in uses {
            state.record_use(id, *time);
        }
        Ok(())
    }

    async fn last_used(
        &self,
        ids: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        let state = self.read();
        let found = ids.iter().filter_map(|id| Some((id.clone(), *state.last_used.get(id)?)));
        Ok(found.collect())
    }
}
