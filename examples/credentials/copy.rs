//! From one store to another.

use tower_credentials::backend::Order;

use crate::{
    load::Loader,
    open::open,
    options::StoreArgs,
    outcome::{Failure, Outcome},
    progress::Progress,
    store::{Expected, redacted},
    walk::{Damages, Met, Walk},
};

pub(crate) async fn run(from: &StoreArgs, to: &StoreArgs) -> Result<Outcome, Failure> {
    let source = open(from, Expected::Existing).await.map_err(reading)?;
    let target = open(to, Expected::Any).await.map_err(writing)?;

    let (mut loader, mut damages) = (Loader::new(target.keys), Damages::default());
    let walk = Walk::new(&source.backend(), Order::Id);
    let copied = copy(walk, &mut loader, &mut damages).await;
    let outcome =
        Outcome::default().with("from", redacted(&from.url)).with("to", redacted(&to.url));
    Ok(damages.tell(loader.tally().tell(outcome).failing(copied.err())))
}

/// Loads what a walk meets; the next pages are read meanwhile.
async fn copy(walk: Walk, loader: &mut Loader, damages: &mut Damages) -> Result<(), Failure> {
    let progress = Progress::of_records("copying");
    let mut walk = walk.ahead();
    while let Some(met) = walk.next().await.map_err(reading)? {
        match met {
            Met::Damaged(damaged) => damages.add(damaged),
            Met::Records(records) => {
                progress.add(records.len() as u64);
                loader.push(records).await.map_err(writing)?;
            }
        }
    }
    loader.finish().await.map_err(writing)
}

fn reading(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to read")
}

fn writing(error: impl Into<Failure>) -> Failure {
    error.into().when("the store to write")
}
