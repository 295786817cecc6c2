//! Records on their way from store to store: read ahead on one side, while the other one
//! writes.

use std::sync::Arc;

use tower_credentials::{
    backend::{BackendError, BulkLoad, CredentialBackend, Order},
    usage::UsageLog,
};

use crate::{
    load::Loader,
    walk::{Ahead, Damages, Met, Walk},
};

/// A copy, and how far it is.
#[derive(Debug)]
pub(crate) struct Copying {
    walk: Ahead,
    pub(crate) loader: Loader,
    pub(crate) damages: Damages,
}

/// A store, and its log of uses if it has one.
pub(crate) struct Side<K: ?Sized> {
    pub(crate) keys: Arc<K>,
    pub(crate) usage: Option<Arc<dyn UsageLog>>,
}

/// Which side failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Reading(BackendError),
    Writing(BackendError),
}

impl Copying {
    /// Starts to read; must be called within a runtime.
    pub(crate) fn new(from: &Side<dyn CredentialBackend>, to: Side<dyn BulkLoad>) -> Self {
        let uses = from.usage.clone().filter(|_| to.usage.is_some());
        let walk = Walk::new(Arc::clone(&from.keys), Order::Id).with_uses(uses).ahead();
        Self { walk, loader: Loader::new(to.keys, to.usage), damages: Damages::default() }
    }

    /// Copies all records; tells of each part how many they were.
    pub(crate) async fn run(&mut self, mut told: impl FnMut(u64)) -> Result<(), Failed> {
        while let Some(met) = self.walk.next().await.map_err(Failed::Reading)? {
            match met {
                Met::Damaged(damaged) => self.damages.add(damaged),
                Met::Records(records) => {
                    told(records.records.len() as u64);
                    self.loader.push(records).await.map_err(Failed::Writing)?;
                }
            }
        }
        self.loader.finish().await.map_err(Failed::Writing)
    }
}
