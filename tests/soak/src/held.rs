//! The keys that were made, and what a server must do with each at the moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::dice::Dice;

/// How many keys are remembered that work no longer.
const RETIRED: usize = 300;

/// How much of a secret is looked for.
const PREFIX: usize = 16;

/// What must become of a request that is signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Admitted,
    /// The key is disabled, replaced or deleted.
    Revoked,
    /// The owner or its place is gone.
    OwnerGone,
    /// It is changing.
    Either,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) owner: usize,
    /// What is due, and how often that has changed.
    due: Mutex<(u64, Due)>,
}

impl Held {
    pub(crate) fn unlisted(access: &str, secret: &str, owner: usize) -> Self {
        let (access, secret) = (access.to_owned(), secret.to_owned());
        Self { access, secret, owner, due: Mutex::new((0, Due::Either)) }
    }

    pub(crate) fn due(&self) -> (u64, Due) {
        *self.due.lock().unwrap()
    }

    /// From now on.
    pub(crate) fn set(&self, due: Due) {
        let mut current = self.due.lock().unwrap();
        *current = (current.0 + 1, due);
    }
}

/// All keys of one server, shared by everything that sends it requests.
#[derive(Default)]
pub(crate) struct Keys {
    held: Mutex<Vec<Arc<Held>>>,
    /// Owners of all secrets ever, by how the secrets begin.
    secrets: Mutex<HashMap<[u8; PREFIX], usize>>,
}

impl Keys {
    /// A key that was made or is about to be; until more is known, either may become of it.
    pub(crate) fn add(&self, access: &str, secret: &str, owner: usize) -> Arc<Held> {
        let new = Arc::new(Held::unlisted(access, secret, owner));
        self.note_secret(&new.secret, owner);
        let mut held = self.held.lock().unwrap();
        held.push(Arc::clone(&new));
        let retired = |held: &Arc<Held>| held.due().1 == Due::Revoked;
        if held.iter().filter(|held| retired(held)).count() > RETIRED {
            let oldest = held.iter().position(retired).unwrap();
            held.remove(oldest);
        }
        new
    }

    /// A secret to look for in what others are shown.
    pub(crate) fn note_secret(&self, secret: &str, owner: usize) {
        let prefix = secret.as_bytes()[..PREFIX].try_into().unwrap();
        self.secrets.lock().unwrap().insert(prefix, owner);
    }

    pub(crate) fn any(&self, dice: &mut Dice) -> Option<Arc<Held>> {
        let held = self.held.lock().unwrap();
        (!held.is_empty()).then(|| Arc::clone(&held[dice.below(held.len())]))
    }

    pub(crate) fn secrets(&self) -> usize {
        self.secrets.lock().unwrap().len()
    }

    /// Owners of the secrets that this contains.
    pub(crate) fn owners_in(&self, text: &[u8]) -> Vec<usize> {
        let secrets = self.secrets.lock().unwrap();
        let windows = text.windows(PREFIX).map(|window| <[u8; PREFIX]>::try_from(window).unwrap());
        windows.filter_map(|window| secrets.get(&window).copied()).collect()
    }
}
