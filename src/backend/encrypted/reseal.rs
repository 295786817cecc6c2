//! Re-seals every record with the newest key.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::backend::{Encrypted, Inner};
use super::error::{Unconfirmed, Unopened};
use super::register::{self, Register};
use super::sealer::is_newest;
use crate::backend::{
    BackendError, CredentialBackend, ListQuery, Order,
    contract::{Damaged, ListStep, list_skipping_damaged},
};
use crate::domain::{Credential, CredentialId};

/// How many records are written at the same time.
const AT_ONCE: usize = 64;

/// How often to try a record that others keep writing.
const TRIES: usize = 16;

/// How many passes to make while others still write with older keys.
const PASSES: u32 = 5;

/// The result of re-sealing one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResealedPage {
    /// The number of records on the page.
    pub examined: u64,
    /// The number of records that were re-sealed with the newest key.
    pub resealed: u64,
    /// Records that were left unchanged: they cannot be read or opened, or are too long for
    /// the store when they are sealed.
    pub unreadable: Vec<CredentialId>,
    /// The marker after which the next page starts; `None` after the last page.
    pub next: Option<String>,
}

/// The progress of [`Encrypted::reseal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResealProgress {
    /// The number of the pass through the store, from 1.
    pub pass: u32,
    /// The number of records that this pass examined.
    pub examined: u64,
    /// The number of records that this pass re-sealed.
    pub resealed: u64,
    /// The number of records that this pass could not read, open or store.
    pub unreadable: u64,
    /// The number of records that all passes re-sealed.
    pub resealed_in_all: u64,
}

/// The result of [`Encrypted::reseal`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resealed {
    /// Every record is sealed with the newest key, and no other key is in use.
    Done(ResealProgress),
    /// A process still writes with an older key, or without a key: find the process, and
    /// reseal again.
    StillWritten(ResealProgress),
    /// Some records cannot be read or opened, or are too long for the store when they are
    /// sealed; the first of them are listed. All other records are sealed with the newest key.
    /// Older keys stay in use.
    Unreadable(ResealProgress, Vec<CredentialId>),
}

impl<B: CredentialBackend> Encrypted<B> {
    /// Re-seals every record with the newest key of the ring, and retires the other keys when
    /// no record needs them. Afterwards a ring without them opens the store. Plain records of
    /// an [adopted](Self::adopt) store are sealed too, and are no longer accepted afterwards.
    ///
    /// Reads and writes continue meanwhile. `progress` is called after each page. If the call
    /// is canceled, re-sealed records stay re-sealed: call it again.
    ///
    /// A re-sealed record gets its next version and keeps its times.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    pub async fn reseal(
        &self,
        mut progress: impl FnMut(&ResealProgress) + Send,
    ) -> Result<Resealed, BackendError> {
        let mut so_far = ResealProgress::default();
        for pass in 1..=PASSES {
            so_far = ResealProgress {
                pass,
                resealed_in_all: so_far.resealed_in_all,
                ..ResealProgress::default()
            };
            let register = self.retire().await?;
            let (mut after, mut unreadable) = (None, Vec::new());
            loop {
                let page = self.reseal_page(after.as_deref()).await?;
                so_far.examined += page.examined;
                so_far.resealed += page.resealed;
                so_far.resealed_in_all += page.resealed;
                so_far.unreadable += page.unreadable.len() as u64;
                let room = ListQuery::MAX_LIMIT.saturating_sub(unreadable.len());
                unreadable.extend(page.unreadable.into_iter().take(room));
                progress(&so_far);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if so_far.resealed > 0 {
                continue;
            }
            if so_far.unreadable > 0 {
                return Ok(Resealed::Unreadable(so_far, unreadable));
            }
            if self.finish(register).await? {
                return Ok(Resealed::Done(so_far));
            }
        }
        Ok(Resealed::StillWritten(so_far))
    }

    /// Re-seals the records of one page, with the newest key. For
    /// callers that walk the store themselves. Retires no key.
    ///
    /// # Errors
    ///
    /// Only the errors common to every method; see [`BackendError`].
    pub async fn reseal_page(&self, after: Option<&str>) -> Result<ResealedPage, BackendError> {
        self.0.witness.before(&self.0.backend, &self.0.sealer).await?;
        let mut query = ListQuery::new(Order::Key);
        query.after = after.map(Into::into);
        let page = match list_skipping_damaged(&self.0.backend, &query).await? {
            ListStep::Records(page) => page,
            ListStep::Damaged(Damaged { marker, id, next, .. }) => {
                let id = id.unwrap_or_else(|| CredentialId::from_stored(marker));
                return Ok(ResealedPage {
                    examined: 1,
                    unreadable: vec![id],
                    next,
                    ..ResealedPage::default()
                });
            }
        };
        let mut resealed = ResealedPage { next: page.next, ..ResealedPage::default() };
        let mut running = JoinSet::new();
        for record in page.credentials {
            if record.id.as_str() == register::ID {
                continue;
            }
            resealed.examined += 1;
            if is_newest(&self.0.sealer, &record) {
                continue;
            }
            if running.len() == AT_ONCE {
                resealed.add(running.join_next().await)?;
            }
            running.spawn(reseal_record(Arc::clone(&self.0), record));
        }
        while let Some(done) = running.join_next().await {
            resealed.add(Some(done))?;
        }
        resealed.unreadable.sort_unstable();
        if resealed.resealed > 0 {
            self.0.witness.look(&self.0.backend, &self.0.sealer).await?;
        }
        Ok(resealed)
    }

    /// Returns the ids of the keys that records may be sealed with.
    ///
    /// # Errors
    ///
    /// [`BackendError::Corrupt`] if the register of keys in use cannot be read.
    pub async fn keys_in_use(&self) -> Result<Vec<String>, BackendError> {
        let register = self.register().await?;
        Ok(register.state.key_ids().map(Into::into).collect())
    }

    async fn register(&self) -> Result<Register, BackendError> {
        let record = self.0.backend.get_latest(&register::id()).await?;
        let gone = Unconfirmed { what: "the register of keys in use is missing", source: None };
        let record = record.ok_or_else(|| BackendError::Corrupt(Box::new(gone)))?;
        Register::of_ring(&record, &self.0.sealer)
            .map_err(|error| BackendError::Corrupt(Box::new(error)))
    }

    /// Marks all keys but the newest as retiring.
    async fn retire(&self) -> Result<Register, BackendError> {
        loop {
            let register = self.register().await?;
            let mut state = register.state.clone();
            state.retire_all_but(self.0.sealer.newest());
            if state == register.state {
                return Ok(register);
            }
            let Inner { backend, sealer, .. } = &*self.0;
            if let Some(marked) = register::change(backend, sealer, state, register.version).await?
            {
                return Ok(marked);
            }
        }
    }

    /// Removes the marked keys, if the register has not changed.
    async fn finish(&self, register: Register) -> Result<bool, BackendError> {
        let Inner { backend, sealer, witness } = &*self.0;
        let state = register::State::new(sealer.newest(), false);
        if state == register.state {
            let current = self.register().await?;
            return Ok(current.version == register.version);
        }
        let done = register::change(backend, sealer, state, register.version).await?;
        if let Some(register) = &done {
            witness.saw(register).await;
        }
        Ok(done.is_some())
    }
}

type Joined = Option<Result<Result<One, BackendError>, tokio::task::JoinError>>;

impl ResealedPage {
    fn add(&mut self, done: Joined) -> Result<(), BackendError> {
        match done {
            Some(Ok(Ok(One::Resealed))) => self.resealed += 1,
            Some(Ok(Ok(One::Unreadable(id)))) => self.unreadable.push(id),
            None | Some(Ok(Ok(One::Fine))) => {}
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(_)) => {
                let what = "re-sealing a record ended without a result";
                return Err(Unconfirmed { what, source: None }.into_backend_error());
            }
        }
        Ok(())
    }
}

/// The result of re-sealing one record.
enum One {
    /// Others sealed it with the newest key, or deleted it.
    Fine,
    Resealed,
    Unreadable(CredentialId),
}

impl One {
    /// Converts an error of the store; an error about this record does not stop the others.
    fn from_error(id: CredentialId, error: BackendError) -> Result<Self, BackendError> {
        match error {
            BackendError::Corrupt(_) | BackendError::Unstorable(_) => Ok(Self::Unreadable(id)),
            error => Err(error),
        }
    }
}

async fn reseal_record<B: CredentialBackend>(
    inner: Arc<Inner<B>>,
    mut record: Arc<Credential>,
) -> Result<One, BackendError> {
    let Inner { backend, sealer, witness } = &*inner;
    for _ in 0..TRIES {
        if is_newest(sealer, &record) {
            return Ok(One::Fine);
        }
        let version = record.version;
        let opened = match sealer.open(Arc::clone(&record)) {
            Ok(opened) => opened,
            Err(error) if error.why == Unopened::Plain && witness.admits_plain() => record,
            Err(_) => return Ok(One::Unreadable(record.id.clone())),
        };
        let mut next = Arc::unwrap_or_clone(opened);
        next.version = version.next();
        match backend.update(&sealer.seal(&next), version).await {
            Ok(true) => return Ok(One::Resealed),
            Ok(false) => {}
            Err(error) => return One::from_error(next.id, error),
        }
        match backend.get_latest(&next.id).await {
            Ok(Some(current)) => record = current,
            Ok(None) => return Ok(One::Fine),
            Err(error) => return One::from_error(next.id, error),
        }
    }
    // A process that keeps writing the record uses the newest key, or the next pass finds it:
    // that pass is made because this counts as re-sealed.
    Ok(One::Resealed)
}
