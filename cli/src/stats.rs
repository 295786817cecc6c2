//! The command `stats`: counts the records of a store.

use std::{
    collections::{BTreeMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::{
    options::StoreArgs,
    report::{Failure, Progress, Report},
    scan::{DamagedRecords, Records, Scan, Scanned},
    store::open,
};
use serde_json::{Map, Value};
use tower_credentials::{
    backend::{OpenMode, Order, redact_url},
    domain::{Credential, Kind, Status},
    secret_files::SecretFiles,
};

pub(crate) async fn run(args: &StoreArgs, files: SecretFiles) -> Result<Report, Failure> {
    let store = open(args, files, OpenMode::Existing).await?;
    let (mut counts, mut damaged) = (Counts::default(), DamagedRecords::default());
    let progress = Progress::of_records("counting");
    let mut scan = Scan::new(store.backend(), Order::Id).read_ahead();
    while let Some(scanned) = scan.next().await? {
        match scanned {
            Scanned::Damaged(record) => damaged.add(record),
            Scanned::Records(Records { records, .. }) => {
                for record in &records {
                    counts.add(record);
                }
                progress.add(records.len() as u64);
            }
        }
    }
    drop(progress);
    let report =
        Report::default().with("store", redact_url(&args.url)).with("engine", store.engine());
    let report = counts.add_to(report);
    Ok(damaged.add_to(report.with("disk_bytes", store.maintenance().disk_bytes().await?)))
}

#[derive(Default)]
struct Counts {
    records: u64,
    active: u64,
    usable: u64,
    access_keys: u64,
    slots: u64,
    delegated: u64,
    bytes: u64,
    kinds: BTreeMap<Kind, u64>,
    users: Distinct,
    projects: Distinct,
}

impl Counts {
    fn add(&mut self, record: &Credential) {
        self.records += 1;
        self.active += u64::from(record.status == Status::Active);
        self.usable += u64::from(record.is_usable());
        self.access_keys += u64::from(record.access_key.is_some());
        self.slots += u64::from(record.slot.is_some());
        self.delegated += u64::from(record.delegation.is_some());
        self.bytes += record.size() as u64;
        *self.kinds.entry(record.kind.clone()).or_default() += 1;
        self.users.add(record.user_id.as_str());
        if let Some(project) = &record.project_id {
            self.projects.add(project.as_str());
        }
    }

    fn add_to(self, report: Report) -> Report {
        let kinds = self.kinds.iter().map(|(kind, count)| (kind.as_str().into(), (*count).into()));
        report
            .with("records", self.records)
            .with("active", self.active)
            .with("inactive", self.records - self.active)
            .with("usable_keys", self.usable)
            .with("access_keys", self.access_keys)
            .with("kinds", kinds.collect::<Map<String, Value>>())
            .with("slots", self.slots)
            .with("delegated", self.delegated)
            .with("users", self.users.count())
            .with("projects", self.projects.count())
            .with("secret_and_attribute_bytes", self.bytes)
    }
}

/// Counts distinct strings. It keeps only a hash of each, because there may be millions.
#[derive(Default)]
struct Distinct {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Distinct {
    fn add(&mut self, text: &str) {
        self.seen.insert(self.hasher.hash_one(text));
    }

    fn count(&self) -> usize {
        self.seen.len()
    }
}
