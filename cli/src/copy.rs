//! From one store to another.
use crate::{
    open::open,
    options::StoreArgs,
    outcome::{Failure, Outcome},
    progress::Progress,
    transfer::{Copying, Failed, Side},
};
use tower_credentials::{
    backend::{OpenMode, redact_url},
    secret_files::SecretFiles,
};

pub(crate) async fn run(
    from: &StoreArgs,
    to: &StoreArgs,
    files: SecretFiles,
) -> Result<Outcome, Failure> {
    let source = open(from, files, OpenMode::Existing).await.map_err(reading)?;
    let target = open(to, files, OpenMode::Create).await.map_err(writing)?;

    let progress = Progress::of_records("copying");
    let source = Side { keys: source.backend() as _, usage: source.usage_log() };
    let target = Side { keys: target.backend() as _, usage: target.usage_log() };
    let mut copying = Copying::new(&source, target);
    let copied = copying.run(|records| progress.add(records)).await;
    drop(progress);
    let failure = copied.err().map(|failed| match failed {
        Failed::Reading(error) => reading(error),
        Failed::Writing(error) => writing(error),
    });
    let Copying { loader, damages, .. } = copying;
    let outcome =
        Outcome::default().with("from", redact_url(&from.url)).with("to", redact_url(&to.url));
    Ok(damages.tell(loader.tally().tell(outcome).failing(failure)))
}

fn reading(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to read")
}

fn writing(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to write")
}
