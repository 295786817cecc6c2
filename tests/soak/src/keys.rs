//! The created keys, and whether the server must accept or reject each of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::dice::Dice;

/// How many revoked keys are kept.
const RETIRED: usize = 300;

/// How many bytes of a secret are searched for.
const PREFIX: usize = 16;

/// The expected result of a request that is signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Accepted,
    /// The key is disabled, replaced or deleted.
    Revoked,
    /// The owner or its membership was removed.
    OwnerGone,
    /// The key is being changed.
    Either,
}

/// A key.
#[derive(Debug)]
pub(crate) struct TrackedKey {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) owner: usize,
    /// The expected result, and how often it has changed.
    due: Mutex<(u64, Due)>,
}

impl TrackedKey {
    pub(crate) fn unlisted(access: &str, secret: &str, owner: usize) -> Self {
        let (access, secret) = (access.to_owned(), secret.to_owned());
        Self { access, secret, owner, due: Mutex::new((0, Due::Either)) }
    }

    pub(crate) fn due(&self) -> (u64, Due) {
        *self.due.lock().unwrap()
    }

    /// Sets the expected result.
    pub(crate) fn set(&self, due: Due) {
        let mut current = self.due.lock().unwrap();
        *current = (current.0 + 1, due);
    }
}

/// All keys of one server, shared by all senders.
#[derive(Default)]
pub(crate) struct Keys {
    tracked: Mutex<Vec<Arc<TrackedKey>>>,
    /// The owners of all secrets, by the first bytes of the secret.
    secrets: Mutex<HashMap<[u8; PREFIX], usize>>,
}

impl Keys {
    /// Adds a key that was or will be created. Until it is set, either result is accepted.
    pub(crate) fn add(&self, access: &str, secret: &str, owner: usize) -> Arc<TrackedKey> {
        let new = Arc::new(TrackedKey::unlisted(access, secret, owner));
        self.note_secret(&new.secret, owner);
        let mut tracked = self.tracked.lock().unwrap();
        tracked.push(Arc::clone(&new));
        let retired = |tracked: &Arc<TrackedKey>| tracked.due().1 == Due::Revoked;
        if tracked.iter().filter(|tracked| retired(tracked)).count() > RETIRED {
            let oldest = tracked.iter().position(retired).unwrap();
            tracked.remove(oldest);
        }
        new
    }

    /// Adds a secret to search for in responses to others.
    pub(crate) fn note_secret(&self, secret: &str, owner: usize) {
        let prefix = secret.as_bytes()[..PREFIX].try_into().unwrap();
        self.secrets.lock().unwrap().insert(prefix, owner);
    }

    pub(crate) fn any(&self, dice: &mut Dice) -> Option<Arc<TrackedKey>> {
        let tracked = self.tracked.lock().unwrap();
        (!tracked.is_empty()).then(|| Arc::clone(&tracked[dice.below(tracked.len())]))
    }

    pub(crate) fn secrets(&self) -> usize {
        self.secrets.lock().unwrap().len()
    }

    /// The owners of the secrets in a text.
    pub(crate) fn owners_in(&self, text: &[u8]) -> Vec<usize> {
        let secrets = self.secrets.lock().unwrap();
        let windows = text.windows(PREFIX).map(|window| <[u8; PREFIX]>::try_from(window).unwrap());
        windows.filter_map(|window| secrets.get(&window).copied()).collect()
    }
}
