//! When keys were last used, kept with them.

use std::{collections::HashMap, time::SystemTime};

use async_trait::async_trait;

use super::MemoryBackend;
use crate::{
    domain::CredentialId,
    usage::{UsageError, UsageLog},
};

/// Uses of keys that are not there are ignored, and those of deleted keys are gone
/// with them.
#[async_trait]
impl UsageLog for MemoryBackend {
    async fn note(&self, uses: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        let mut state = self.write();
        for (id, time) in uses {
            state.note(id, *time);
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
