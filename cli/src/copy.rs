//! The command `copy`: reads ahead from one store while it writes to the other.

use crate::{
    load::Loader,
    options::StoreArgs,
    progress::Progress,
    report::{Failure, Report},
    scan::{DamagedRecords, Scan, Scanned},
    store::open,
};
use tower_credentials::{
    backend::{OpenMode, Order, redact_url},
    secret_files::SecretFiles,
};

pub(crate) async fn run(
    from: &StoreArgs,
    to: &StoreArgs,
    files: SecretFiles,
) -> Result<Report, Failure> {
    let source = open(from, files, OpenMode::Existing).await.map_err(in_source)?;
    let target = open(to, files, OpenMode::Create).await.map_err(in_target)?;

    let last_used = source.usage_log().filter(|_| target.usage_log().is_some());
    let mut loader = Loader::new(target.backend(), target.usage_log());
    let mut damaged = DamagedRecords::default();
    let scan = Scan::new(source.backend(), Order::Key).with_last_used(last_used);
    let copied = copy(scan, &mut loader, &mut damaged).await;
    let report =
        Report::default().with("from", redact_url(&from.url)).with("to", redact_url(&to.url));
    Ok(damaged.add_to(loader.tally().add_to(report).failing(copied.err())))
}

async fn copy(
    scan: Scan,
    loader: &mut Loader,
    damaged: &mut DamagedRecords,
) -> Result<(), Failure> {
    let progress = Progress::of_records("copying", None);
    let mut scan = scan.read_ahead();
    while let Some(scanned) = scan.next().await.map_err(in_source)? {
        match scanned {
            Scanned::Damaged(record) => damaged.add(record),
            Scanned::Records(records) => {
                progress.add(records.records.len() as u64);
                loader.push(records).await.map_err(in_target)?;
            }
        }
    }
    loader.finish().await.map_err(in_target)
}

fn in_source<E: Into<Failure>>(error: E) -> Failure {
    error.into().context("source store")
}

fn in_target<E: Into<Failure>>(error: E) -> Failure {
    error.into().context("target store")
}
