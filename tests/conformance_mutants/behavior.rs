//! The calls of the store, with its bug.

use std::sync::Arc;

use tower_credentials::{
    async_trait,
    backend::{BackendError, CredentialBackend, ListQuery, Order, Page},
    domain::{AccessKey, Credential, CredentialId, Kind, ProjectId, Quota, Slot, UserId, Version},
};

use crate::{Bug, mutant::Mutant};

fn with_key(credential: &Credential, access_key: Option<AccessKey>) -> Credential {
    let mut credential = credential.clone();
    credential.access_key = access_key;
    credential
}

fn lost() -> BackendError {
    BackendError::Unavailable("no such record".into())
}

#[async_trait]
impl CredentialBackend for Mutant {
    async fn insert(&self, credential: &Arc<Credential>, quota: Quota) -> Result<(), BackendError> {
        if self.has(Bug::TooLongIsAnOutage) && credential.size() > 1 << 20 {
            return Err(lost());
        }
        let new = self.keep(credential);
        let early = [Bug::InsertChecksEarly, Bug::InsertReportsDuplicateFirst];
        let duplicate =
            early.into_iter().any(|bug| self.has(bug)) && self.clashes(&self.state(), &new, false);
        if duplicate && self.has(Bug::InsertReportsDuplicateFirst) {
            return Err(BackendError::AlreadyExists);
        }
        let admitted = self.check_quota(&self.state(), &new, quota);
        let counted_early = self.pause(Bug::QuotaIsCountedEarly).await;
        let checked_early = self.pause(Bug::InsertChecksEarly).await;
        let halves = self.has(Bug::InsertWritesInHalves);
        {
            let state = &mut *self.state();
            if !(if counted_early { admitted } else { self.check_quota(state, &new, quota) }) {
                return Err(BackendError::QuotaExceeded);
            }
            if self.has(Bug::InsertOverwrites) {
                state.records.retain(|old| old.id != new.id);
            }
            if if checked_early { duplicate } else { self.clashes(state, &new, false) } {
                let leave = self.has(Bug::RefusedInsertLeavesTheRecord)
                    && state.records.iter().all(|old| old.id != new.id);
                if leave {
                    let mut left = new;
                    (left.access_key, left.slot) = (None, None);
                    state.records.push(Arc::new(left));
                }
                return Err(BackendError::AlreadyExists);
            }
            state.ledger.push(new.user_id.clone());
            let access_key = new.access_key.clone().filter(|_| !halves);
            state.records.push(Arc::new(with_key(&new, access_key)));
        }
        if self.pause(Bug::InsertWritesInHalves).await {
            let state = &mut *self.state();
            for record in state.records.iter_mut().filter(|record| record.id == new.id) {
                *record = Arc::new(new.clone());
            }
        }
        Ok(())
    }

    async fn get(&self, id: &CredentialId) -> Result<Option<Arc<Credential>>, BackendError> {
        let found = self.state().records.iter().find(|record| record.id == *id).cloned();
        if found.is_none() && self.has(Bug::UnknownIsAnError) { Err(lost()) } else { Ok(found) }
    }

    async fn find_by_access_key(
        &self,
        access_key: &AccessKey,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let state = &mut *self.state();
        if let Some((_, seen)) = state.seen.iter().find(|(key, _)| key == access_key) {
            return Ok(seen.clone());
        }
        let alias = state.aliases.iter().find(|(key, _)| key == access_key);
        let has_key = |record: &&Arc<Credential>| {
            record.access_key.as_ref().is_some_and(|key| self.same_key(key, access_key))
                || alias.is_some_and(|(_, id)| *id == record.id)
        };
        let found = state.records.iter().find(has_key).cloned();
        if self.has(Bug::LookupsAreCachedForever) {
            state.seen.push((access_key.clone(), found.clone()));
        }
        Ok(found)
    }

    async fn find_by_slot(
        &self,
        user_id: &UserId,
        slot: Slot,
    ) -> Result<Option<Arc<Credential>>, BackendError> {
        let is_it = |record: &&Arc<Credential>| {
            record.slot == Some(slot)
                && (self.has(Bug::FindBySlotIgnoresUser)
                    || self.same_user(&record.user_id, user_id))
        };
        Ok(self.state().records.iter().find(is_it).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page, BackendError> {
        let records = self.state().records.clone();
        let after = query.after.clone().unwrap_or_default();
        let keep_empty = self.has(Bug::EmptyBeforeIsAMarker);
        let before = query.before.clone().filter(|before| keep_empty || !before.is_empty());
        // Markers are page numbers: `#` and the number of earlier records.
        let skip = after.strip_prefix('#').map_or(0, |number| number.parse().unwrap());
        let is_next = |text: &str| {
            let inclusive = self.has(Bug::MarkersAreInclusive) && text == after;
            (text > &*after || inclusive || after.starts_with('#'))
                && before.as_deref().is_none_or(|before| text < before)
        };
        let mut rows: Vec<(String, Arc<Credential>)> = records
            .into_iter()
            .filter_map(|record| self.marker(query, &record).map(|text| (text, record)))
            .filter(|(text, _)| is_next(text))
            .collect();
        match self.bug {
            Some(Bug::ListIsInOrderOfInsertion) => {}
            Some(Bug::ListByExpiryIgnoresId) if query.order == Order::ExpiresAt => {
                rows.sort_by_key(|(_, record)| record.terms.expires_at());
            }
            Some(Bug::ListMixesRecordsWithoutKey) if query.order == Order::Key => {
                rows.sort_by(|(a, _), (b, _)| a[1..].cmp(&b[1..]));
            }
            Some(Bug::ListOrderFoldsCase) => rows.sort_by_key(|(text, _)| text.to_lowercase()),
            _ => rows.sort_by(|(a, _), (b, _)| a.cmp(b)),
        }
        if self.has(Bug::ListEndsAtItsBound) {
            rows.truncate(ListQuery::MAX_EXAMINED);
        }
        rows.retain(|(_, record)| self.admits(query, record));
        rows.drain(..skip.min(rows.len()));
        if rows.is_empty() && self.has(Bug::UnknownOwnerIsAnError) {
            return Err(lost());
        }
        let found: Vec<_> = rows.iter().map(|(_, record)| Arc::clone(record)).collect();
        let limit = match self.bug {
            Some(Bug::LimitIsIgnored) => usize::MAX,
            Some(Bug::LengthIsIgnored) => query.limit(),
            _ => query.fitting(&found),
        };
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut next = rows.last().filter(|_| more).map(|(text, _)| text.clone());
        match self.bug {
            Some(Bug::NextIsNeverThere) => next = None,
            Some(Bug::NextIsThereWhenFull) => {
                next = rows.last().filter(|_| rows.len() == limit).map(|(text, _)| text.clone());
            }
            Some(Bug::PagesAreNumbered) => {
                next = next.map(|_| format!("#{}", skip + rows.len()));
            }
            _ => {}
        }
        let mut credentials: Vec<_> = rows.into_iter().map(|(_, record)| record).collect();
        if self.has(Bug::ListLeavesOutDelegation) {
            for record in &mut credentials {
                Arc::make_mut(record).delegation = None;
            }
        }
        Ok(Page::new(credentials, next))
    }

    async fn update(
        &self,
        credential: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let mut new = self.keep(credential);
        let is_current =
            |old: &Credential| old.version == expected || self.has(Bug::UpdateIgnoresVersion);
        let seen = self.state().records.iter().find(|old| old.id == new.id).cloned();
        let was_current = seen.as_ref().is_some_and(|old| is_current(old));
        let clashed = self.clashes(&self.state(), &new, true);
        let checked_early = self.pause(Bug::UpdateChecksVersionEarly).await && was_current;
        let clashed_early = self.pause(Bug::UpdateChecksKeysEarly).await;
        {
            let state = &mut *self.state();
            let Some(index) = state.records.iter().position(|old| old.id == new.id) else {
                if self.has(Bug::UpdateInserts) {
                    state.records.push(Arc::new(new));
                }
                return Ok(false);
            };
            let old = Arc::clone(&state.records[index]);
            let clash = if clashed_early { clashed } else { self.clashes(state, &new, true) };
            if clash && self.has(Bug::UpdateReportsDuplicateFirst) {
                return Err(BackendError::AlreadyExists);
            }
            if !checked_early && !is_current(&old) {
                return Ok(false);
            }
            if clash {
                return Err(BackendError::AlreadyExists);
            }
            match self.bug {
                Some(Bug::UpdateKeepsAccessKey) => new.access_key.clone_from(&old.access_key),
                Some(Bug::UpdateKeepsOwner) => new.user_id.clone_from(&old.user_id),
                Some(Bug::UpdateMergesAttributes) => {
                    let mut merged = old.attributes.clone();
                    merged.extend(new.attributes);
                    new.attributes = merged;
                }
                Some(Bug::UpdateLeavesOldAccessKey) if old.access_key != new.access_key => {
                    let alias = old.access_key.clone().map(|key| (key, old.id.clone()));
                    state.aliases.extend(alias);
                }
                Some(Bug::UpdateTakesQuota) => state.ledger.push(new.user_id.clone()),
                _ => {}
            }
            let access_key = match self.bug {
                Some(Bug::UpdateWritesInHalves) => old.access_key.clone(),
                _ => new.access_key.clone(),
            };
            state.records[index] = Arc::new(with_key(&new, access_key));
        }
        if self.pause(Bug::UpdateWritesInHalves).await {
            let state = &mut *self.state();
            for record in state.records.iter_mut().filter(|record| record.id == new.id) {
                *record = Arc::new(new.clone());
            }
        }
        Ok(true)
    }

    async fn rotate(
        &self,
        credential: &Arc<Credential>,
        quota: Quota,
        retired: &Arc<Credential>,
        expected: Version,
    ) -> Result<bool, BackendError> {
        let (new, mut retired) = (self.keep(credential), self.keep(retired));
        let is_current = |old: &Credential| {
            old.id == retired.id && (old.version == expected || self.has(Bug::RotateIgnoresVersion))
        };
        let was_current = self.state().records.iter().any(|old| is_current(old));
        let checked_early = self.pause(Bug::RotateChecksVersionEarly).await && was_current;
        let state = &mut *self.state();
        let is_it =
            |old: &Arc<Credential>| is_current(old) || checked_early && old.id == retired.id;
        let Some(index) = state.records.iter().position(is_it) else { return Ok(false) };
        let old = Arc::clone(&state.records[index]);
        let is_admitted = self.has(Bug::RotateTakesNoQuota) || self.check_quota(state, &new, quota);
        if !is_admitted && !self.has(Bug::RotateReportsDuplicateFirst) {
            return Err(BackendError::QuotaExceeded);
        }
        if self.clashes(state, &retired, true) {
            return Err(BackendError::AlreadyExists);
        }
        if self.has(Bug::RotateKeepsAccessKey) {
            retired.access_key.clone_from(&old.access_key);
        }
        if !self.has(Bug::RotateKeepsTheOldRecord) {
            state.records[index] = Arc::new(retired);
        }
        if !self.has(Bug::RotateIgnoresTakenNames) && self.clashes(state, &new, false) {
            if !self.has(Bug::RefusedRotationRetires) {
                state.records[index] = old;
            }
            return Err(BackendError::AlreadyExists);
        }
        if !is_admitted {
            state.records[index] = old;
            return Err(BackendError::QuotaExceeded);
        }
        state.ledger.push(new.user_id.clone());
        state.records.push(Arc::new(new));
        Ok(true)
    }

    async fn delete(&self, id: &CredentialId, expected: Version) -> Result<bool, BackendError> {
        let is_it = |old: &Credential| {
            old.id == *id && (old.version == expected || self.has(Bug::DeleteIgnoresVersion))
        };
        let was_it = self.state().records.iter().any(|old| is_it(old));
        let checked_early = self.pause(Bug::DeleteChecksEarly).await && was_it;
        let freed = {
            let state = &mut *self.state();
            let by_id = |old: &Arc<Credential>| old.id == *id && (checked_early || is_it(old));
            let Some(index) = state.records.iter().position(by_id) else {
                return Ok(checked_early || self.has(Bug::DeleteIsAlwaysTrue));
            };
            let gone = state.records.remove(index);
            if self.has(Bug::DeleteTakesTheUsersOthers) {
                state.records.retain(|old| old.user_id != gone.user_id);
            }
            if self.has(Bug::DeleteKeepsAccessKey) || self.has(Bug::DeleteWritesInHalves) {
                state.taken.extend(gone.access_key.clone());
            }
            gone.access_key.clone()
        };
        if self.pause(Bug::DeleteWritesInHalves).await {
            self.state().taken.retain(|key| Some(key) != freed.as_ref());
        }
        Ok(true)
    }

    async fn purge_user(&self, user_id: &UserId) -> Result<u64, BackendError> {
        let is_theirs = |record: &Credential| {
            let namesake =
                record.project_id.as_ref().is_some_and(|id| id.as_str() == user_id.as_str());
            self.same_user(&record.user_id, user_id)
                && !(self.has(Bug::PurgeKeepsProjectKeys) && record.project_id.is_some())
                || (self.has(Bug::PurgeTakesNamesakes) && namesake)
        };
        let count = self.state().records.iter().filter(|record| is_theirs(record)).count();
        if count == 0 && self.has(Bug::UnknownOwnerIsAnError) {
            return Err(lost());
        }
        let counted_early = self.pause(Bug::PurgeCountsEarly).await;
        let purged = self.purge(&mut self.state(), is_theirs);
        Ok(if counted_early { count as u64 } else { purged })
    }

    async fn purge_project(&self, project_id: &ProjectId) -> Result<u64, BackendError> {
        let is_theirs = |record: &Credential| {
            let namesake = record.user_id.as_str() == project_id.as_str();
            record.project_id.as_ref() == Some(project_id)
                && !(self.has(Bug::PurgeKeepsOpaqueRecords) && record.kind != Kind::ec2())
                || (self.has(Bug::PurgeTakesNamesakes) && namesake)
        };
        Ok(self.purge(&mut self.state(), is_theirs))
    }
}
