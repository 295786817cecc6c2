//! The commands that change records in place: `reseal` and `remove`.

use crate::{
    options::StoreArgs,
    progress::Progress,
    report::{Exit, Failure, MAX_LISTED, Report},
    store::{adopt, open, retry},
};
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, OpenMode, Store,
        encrypted::{ResealProgress, Resealed},
        redact_url,
    },
    domain::CredentialId,
    secret_files::SecretFiles,
};

/// Seals all records with the newest key.
pub(crate) async fn reseal(
    args: &StoreArgs,
    accept_plain: bool,
    files: SecretFiles,
) -> Result<Report, Failure> {
    let Some(key_ring) = &args.key_ring else {
        return Err(Failure::new(Exit::Usage, "reseal requires --key-ring"));
    };
    let store = if accept_plain {
        adopt(args, files, key_ring).await
    } else {
        open(args, files, OpenMode::Existing).await
    }?;
    let report = Report::default().with("store", redact_url(&args.url));
    let Some(encrypted) = store.encrypted() else { return Ok(report) };

    let progress = Progress::of_records("resealing", None);
    let (mut pass, mut shown) = (1, 0);
    let resealed = encrypted.reseal(|so_far| {
        if so_far.pass != pass {
            // The next pass looks for records that were written during this one.
            progress.restart("checking", shown);
            (pass, shown) = (so_far.pass, 0);
        }
        progress.add(so_far.examined - shown);
        shown = so_far.examined;
    });
    let resealed = resealed.await?;
    drop(progress);

    let (ResealProgress { examined, resealed_in_all, .. }, unreadable, failure) = match resealed {
        Resealed::Done(so_far) => (so_far, Vec::new(), None),
        Resealed::StillWritten(so_far) => {
            let message = "a process still writes with an older key or without a key: restart it \
                with this key ring, then reseal again";
            (so_far, Vec::new(), Some(message.to_owned()))
        }
        Resealed::Unreadable(so_far, ids) => {
            let message = format!("{} records cannot be read, opened or sealed", so_far.unreadable);
            (so_far, ids, Some(message))
        }
        // The enum is non-exhaustive.
        _ => return Err(Failure::new(Exit::Problem, "unknown result of resealing")),
    };
    let unreadable = unreadable.iter().take(MAX_LISTED).map(CredentialId::as_str);
    Ok(report
        .with("records", examined)
        .with("resealed", resealed_in_all)
        .with("unreadable_ids", unreadable.collect::<Vec<_>>())
        .with("keys_in_use", encrypted.keys_in_use().await?)
        .failing(failure.map(|message| Failure::new(Exit::Problem, message))))
}

/// Deletes records by id, also those that cannot be opened or read. Needs no key ring.
pub(crate) async fn remove(url: &str, ids: &[String]) -> Result<Report, Failure> {
    let store = Store::builder(url).mode(OpenMode::Existing).accept_sealed(true).build().await?;
    let (backend, maintenance) = (store.backend(), store.maintenance());
    let (mut removed, mut missing) = (0_u64, Vec::new());
    for id in ids {
        let id = CredentialId::from_stored(id.as_str());
        let is_removed = match retry(|| backend.get(&id)).await {
            Ok(Some(record)) => retry(|| backend.delete(&id, record.version)).await?,
            Ok(None) => false,
            Err(BackendError::Corrupt(_)) => retry(|| maintenance.discard(&id)).await?,
            Err(error) => return Err(error.into()),
        };
        if is_removed {
            removed += 1;
        } else {
            missing.push(id.as_str().to_owned());
        }
    }
    let failure = (!missing.is_empty())
        .then(|| Failure::new(Exit::Problem, format!("{} records not found", missing.len())));
    let report = Report::default().with("store", redact_url(url)).with("removed", removed);
    Ok(report.with("not_there", missing).failing(failure))
}
