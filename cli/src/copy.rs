//! From one store to another.
use crate::{
    open::open,
    options::StoreArgs,
    outcome::{Failure, Outcome},
    progress::Progress,
    transfer::{Copying, Failed, Side},
};
use example_support::store::{Expected, SecretFiles, redacted};

pub(crate) async fn run(
    from: &StoreArgs,
    to: &StoreArgs,
    files: SecretFiles,
) -> Result<Outcome, Failure> {
    let source = open(from, files, Expected::Existing).await.map_err(reading)?;
    let target = open(to, files, Expected::Any).await.map_err(writing)?;

    let progress = Progress::of_records("copying");
    let source = Side { keys: source.backend(), usage: source.usage };
    let target = Side { keys: target.keys as _, usage: target.usage };
    let mut copying = Copying::new(&source, target);
    let copied = copying.run(|records| progress.add(records)).await;
    drop(progress);
    let failure = copied.err().map(|failed| match failed {
        Failed::Reading(error) => reading(error),
        Failed::Writing(error) => writing(error),
    });
    let Copying { loader, damages, .. } = copying;
    let outcome =
        Outcome::default().with("from", redacted(&from.url)).with("to", redacted(&to.url));
    Ok(damages.tell(loader.tally().tell(outcome).failing(failure)))
}

fn reading(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to read")
}

fn writing(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to write")
}
