//! A store of linear scans, correct except for one bug.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, UNIX_EPOCH},
};

use tokio::task::yield_now;
use tower_credentials::{
    backend::{ListQuery, Order},
    domain::{
        AccessKey, Attributes, Blob, Credential, CredentialId, Delegation, Material, Quota, Status,
        Terms, UserId,
    },
};

use crate::Bug;

#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) bug: Option<Bug>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// In the order of insertion.
    pub(crate) records: Vec<Arc<Credential>>,
    /// Access keys that stay taken although no record has them.
    pub(crate) taken: Vec<AccessKey>,
    /// Access keys that still find a record which has another one.
    pub(crate) aliases: Vec<(AccessKey, CredentialId)>,
    /// The first results of lookups by access key.
    pub(crate) seen: Vec<(AccessKey, Option<Arc<Credential>>)>,
    /// Quota that was taken and never freed.
    pub(crate) ledger: Vec<UserId>,
}

impl Mutant {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        Self { bug, state: Mutex::default() }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Pauses between two steps that should be one.
    pub(crate) async fn pause(&self, bug: Bug) -> bool {
        if self.has(bug) {
            yield_now().await;
        }
        self.has(bug)
    }

    pub(crate) fn check_quota(&self, state: &State, new: &Credential, quota: Quota) -> bool {
        let counts = |old: &Credential| match self.bug {
            Some(Bug::QuotaCountsActiveOnly) => old.status == Status::Active,
            Some(Bug::QuotaCountsPairsOnly) => old.kind.is_ec2(),
            Some(Bug::QuotaCountsPerProject) => old.project_id == new.project_id,
            _ => true,
        };
        let is_theirs = |old: &Credential| {
            self.same_user(&old.user_id, &new.user_id)
                || self.has(Bug::QuotaCountsOtherUsers)
                    && old.project_id.is_some()
                    && old.project_id == new.project_id
        };
        let held = state.records.iter().filter(|old| is_theirs(old) && counts(old)).count();
        let noted = state.ledger.iter().filter(|user| **user == new.user_id).count();
        let held = match self.bug {
            Some(Bug::QuotaIsNeverFreed) => noted,
            Some(Bug::UpdateTakesQuota) => held + noted,
            _ => held,
        };
        match quota {
            Quota::AtMost(0) if self.has(Bug::QuotaOfZeroIsNone) => true,
            quota => quota.admits(held as u64),
        }
    }

    pub(crate) fn same_key(&self, a: &AccessKey, b: &AccessKey) -> bool {
        a == b || self.has(Bug::AccessKeysFoldCase) && a.as_str().eq_ignore_ascii_case(b.as_str())
    }

    pub(crate) fn same_user(&self, a: &UserId, b: &UserId) -> bool {
        a == b || self.has(Bug::OwnersFoldCase) && a.as_str().eq_ignore_ascii_case(b.as_str())
    }

    /// Returns whether another record has the new one's id, access key or slot.
    pub(crate) fn clashes(&self, state: &State, new: &Credential, is_update: bool) -> bool {
        let skip_key = self.has(if is_update {
            Bug::UpdateIgnoresTakenKeys
        } else {
            Bug::InsertIgnoresTakenKeys
        });
        let skip_slot = self.has(if is_update {
            Bug::UpdateIgnoresTakenSlots
        } else {
            Bug::InsertIgnoresTakenSlots
        });
        let key = new.access_key.as_ref().filter(|_| !skip_key);
        let others = state.records.iter().filter(|old| !is_update || old.id != new.id);
        let clash = |old: &Arc<Credential>| {
            let same_key =
                key.zip(old.access_key.as_ref()).is_some_and(|(a, b)| self.same_key(a, b));
            let same_owner =
                self.same_user(&old.user_id, &new.user_id) || self.has(Bug::SlotsAreGlobal);
            let same_slot = new.slot.is_some() && new.slot == old.slot && same_owner;
            old.id == new.id || same_key || (same_slot && !skip_slot)
        };
        let is_alias = |key| state.aliases.iter().any(|(alias, id)| alias == key && *id != new.id);
        others.into_iter().any(clash)
            || key.is_some_and(|key| state.taken.contains(key) || is_alias(key))
    }

    /// Returns the record as this store stores it.
    pub(crate) fn keep(&self, credential: &Credential) -> Credential {
        let mut kept = credential.clone();
        match self.bug {
            Some(Bug::AttributesKeepOnlyTexts) => kept.attributes.retain(|_, v| v.is_string()),
            Some(Bug::AttributesKeepNumbersAsFloats) => {
                let text = serde_json::to_string(&kept.attributes).unwrap();
                let text = text.replace("18446744073709551615", "18446744073709551616");
                kept.attributes = serde_json::from_str::<Attributes>(&text).unwrap();
            }
            Some(Bug::DelegationIsDropped) => kept.delegation = None,
            Some(Bug::RootKeyIsDropped) => kept.root_key = None,
            Some(Bug::DelegationLosesRestriction) => {
                if let Some(Delegation::ApplicationCredential { restricted, .. }) =
                    &mut kept.delegation
                {
                    *restricted = false;
                }
            }
            Some(Bug::MaterialIsReformatted) => {
                if let Material::Blob(blob) = &kept.material
                    && let Ok(json) = serde_json::from_str::<serde_json::Value>(blob.expose())
                {
                    kept.material = Material::Blob(Blob::new(json.to_string()));
                }
            }
            Some(Bug::ExpiryIsInSeconds) => {
                let end = kept.terms.expires_at();
                let end = end.map(|end| end.duration_since(UNIX_EPOCH).unwrap().as_secs());
                kept.terms.set_expires_at(end.map(|end| UNIX_EPOCH + Duration::from_secs(end)));
            }
            Some(Bug::TermsAreDropped) => kept.terms = Terms::default(),
            Some(Bug::StatusIsDropped) => kept.status = Status::Active,
            Some(Bug::TimesAreWholeSeconds) => {
                let since = kept.created_at.duration_since(UNIX_EPOCH).unwrap();
                kept.created_at = UNIX_EPOCH + Duration::from_secs(since.as_secs());
            }
            _ => {}
        }
        kept
    }

    /// Returns the text that lists are sorted by.
    pub(crate) fn marker(&self, query: &ListQuery, credential: &Credential) -> Option<String> {
        let shows_all = self.has(Bug::ListShowsRecordsWithoutExpiry);
        match query.order.marker(credential) {
            None => shows_all.then(|| credential.id.to_string()),
            Some(_)
                if query.order == Order::Key
                    && credential.access_key.is_none()
                    && self.has(Bug::ListLeavesOutRecordsWithoutKey) =>
            {
                None
            }
            Some(marker) => Some(marker),
        }
    }

    pub(crate) fn admits(&self, query: &ListQuery, credential: &Credential) -> bool {
        let mut query = query.clone();
        match self.bug {
            Some(Bug::ListByExpiryIgnoresFilters) if query.order == Order::ExpiresAt => {
                (query.user_id, query.project_id, query.kind) = (None, None, None);
            }
            Some(Bug::ListIgnoresKind) => query.kind = None,
            Some(Bug::ListIgnoresProject) => query.project_id = None,
            Some(Bug::ListIgnoresUser) => query.user_id = None,
            Some(Bug::ListTakesFirstFilterOnly) if query.user_id.is_some() => {
                (query.project_id, query.kind) = (None, None);
            }
            Some(Bug::OwnersFoldCase) => {
                if let Some(user) = query.user_id.take()
                    && !self.same_user(&user, &credential.user_id)
                {
                    return false;
                }
            }
            _ => {}
        }
        query.admits(credential)
    }

    pub(crate) fn purge(
        &self,
        state: &mut State,
        mut is_theirs: impl FnMut(&Credential) -> bool,
    ) -> u64 {
        let (mut purged, before) = (0, state.records.len());
        let State { records, taken, .. } = state;
        records.retain(|record| {
            let keep = self.has(Bug::PurgeTakesOnePage) && purged == ListQuery::MAX_LIMIT;
            let doomed = !keep && is_theirs(record);
            if doomed {
                purged += 1;
                if self.has(Bug::PurgeKeepsAccessKeys) {
                    taken.extend(record.access_key.clone());
                }
            }
            !doomed
        });
        (before - records.len()) as u64
    }
}
