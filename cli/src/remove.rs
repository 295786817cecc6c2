//! Deleting records that cannot be opened, or not even be read.

use crate::{
    outcome::{Exit, Failure, Outcome},
    patience::patiently,
};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, OpenMode, Store, redact_url},
    domain::CredentialId,
};

/// Deletes these records as the store below the seal has them, whatever is in them.
pub(crate) async fn run(url: &str, ids: &[String]) -> Result<Outcome, Failure> {
    let store = Store::builder(url).mode(OpenMode::Existing).accept_sealed(true).build().await?;
    let (backend, maintenance) = (store.backend(), store.maintenance());
    let (mut removed, mut missing) = (0_u64, Vec::new());
    for id in ids {
        let id = CredentialId::from_stored(id.as_str());
        let is_gone = match patiently(|| backend.get(&id)).await {
            Ok(Some(record)) => patiently(|| backend.delete(&id, record.version)).await?,
            Ok(None) => false,
            Err(BackendError::Corrupt(_)) => patiently(|| maintenance.discard(&id)).await?,
            Err(error) => return Err(error.into()),
        };
        if is_gone {
            removed += 1;
        } else {
            missing.push(id.as_str().to_owned());
        }
    }
    let failure = (!missing.is_empty())
        .then(|| Failure::new(Exit::Problem, format!("{} are not there", missing.len())));
    let outcome = Outcome::default().with("store", redact_url(url)).with("removed", removed);
    Ok(outcome.with("not_there", missing).failing(failure))
}
