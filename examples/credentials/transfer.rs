//! Records on their way from store to store: read ahead on one side, while the other one
//! writes.

use std::sync::Arc;

use tower_credentials::backend::{BackendError, BulkLoad, CredentialBackend, Order};

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

/// Which side failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Reading(BackendError),
    Writing(BackendError),
}

impl Copying {
    /// Starts to read; must be called within a runtime.
    pub(crate) fn new(from: &Arc<dyn CredentialBackend>, to: Arc<dyn BulkLoad>) -> Self {
        let walk = Walk::new(from, Order::Id).ahead();
        Self { walk, loader: Loader::new(to), damages: Damages::default() }
    }

    /// Copies all records; tells of each part how many they were.
    pub(crate) async fn run(&mut self, mut told: impl FnMut(u64)) -> Result<(), Failed> {
        while let Some(met) = self.walk.next().await.map_err(Failed::Reading)? {
            match met {
                Met::Damaged(damaged) => self.damages.add(damaged),
                Met::Records(records) => {
                    told(records.len() as u64);
                    self.loader.push(records).await.map_err(Failed::Writing)?;
                }
            }
        }
        self.loader.finish().await.map_err(Failed::Writing)
    }
}
