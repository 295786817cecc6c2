//! Sealing everything with the newest key.

use crate::{
    open::{adopt, open},
    options::StoreArgs,
    outcome::{Exit, Failure, Outcome},
    progress::Progress,
};
use tower_credentials::{
    backend::{
        OpenMode,
        encrypted::{ResealProgress, Resealed},
        redact_url,
    },
    domain::CredentialId,
    secret_files::SecretFiles,
};

/// How many records that cannot be opened are told one by one.
const TOLD: usize = 100;

pub(crate) async fn run(
    args: &StoreArgs,
    is_adopted: bool,
    files: SecretFiles,
) -> Result<Outcome, Failure> {
    let Some(key_ring) = &args.key_ring else {
        return Err(Failure::new(Exit::Usage, "sealing takes --key-ring"));
    };
    let store = if is_adopted {
        adopt(args, files, key_ring).await
    } else {
        open(args, files, OpenMode::Existing).await
    }?;
    let outcome = Outcome::default().with("store", redact_url(&args.url));
    let Some(seal) = store.encrypted() else { return Ok(outcome) };

    let progress = Progress::of_records("resealing");
    let mut shown = 0;
    let resealed = seal.reseal(|so_far| {
        // Each pass counts anew.
        progress.add(so_far.examined.saturating_sub(shown));
        shown = so_far.examined;
    });
    let resealed = resealed.await?;
    drop(progress);

    let (ResealProgress { examined, resealed_in_all, .. }, unreadable, failure) = match resealed {
        Resealed::Done(so_far) => (so_far, Vec::new(), None),
        Resealed::StillWritten(so_far) => {
            let what = "some process still writes with an older key, or with none: find it, and \
                reseal again";
            (so_far, Vec::new(), Some(what.to_owned()))
        }
        Resealed::Unreadable(so_far, ids) => {
            let what = format!("{} records cannot be read, opened or sealed", so_far.unreadable);
            (so_far, ids, Some(what))
        }
        // What a later release adds is no success that is known of here.
        _ => return Err(Failure::new(Exit::Problem, "the outcome is not known")),
    };
    let unreadable = unreadable.iter().take(TOLD).map(CredentialId::as_str);
    Ok(outcome
        .with("records", examined)
        .with("resealed", resealed_in_all)
        .with("unreadable_ids", unreadable.collect::<Vec<_>>())
        .with("keys_in_use", seal.keys_in_use().await?)
        .failing(failure.map(|what| Failure::new(Exit::Problem, what))))
}
