//! From one store to another.

use tower_credentials::backend::Order;

use crate::{
    store::{Expected, Store, redacted},
    load::Loader,
    outcome::{Failure, Outcome},
    progress::Progress,
    walk::{Damages, Met, Walk},
};

pub(crate) async fn run(from: &str, to: &str) -> Result<Outcome, Failure> {
    let source = Store::open(from, Expected::Existing).await.map_err(Failure::from);
    let source = source.map_err(|failure| failure.when("the store to read"))?;
    let target = Store::open(to, Expected::Any).await.map_err(Failure::from);
    let target = target.map_err(|failure| failure.when("the store to write"))?;

    let (mut loader, mut damages) = (Loader::new(target.keys), Damages::default());
    let walk = Walk::new(&source.backend(), Order::Id);
    let copied = copy(walk, &mut loader, &mut damages).await;
    let outcome = Outcome::default().with("from", redacted(from)).with("to", redacted(to));
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
