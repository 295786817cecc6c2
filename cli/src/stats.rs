//! The command `stats`: counts the records of a store.

use std::{
    collections::{BTreeMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    time::{Duration, SystemTime},
};

use crate::{
    key_options::Stats,
    key_times::KeyTimes,
    progress::Progress,
    report::{Failure, Report},
    scan::{DamagedRecords, Records, Scan, Scanned},
    store::open,
    times::DAY,
};
use serde_json::{Map, Value};
use tower_credentials::{
    backend::{OpenMode, Order, redact_url},
    clock::{Clock, SystemClock},
    domain::{Credential, Kind, Status},
    secret_files::SecretFiles,
};

pub(crate) async fn run(options: Stats, files: SecretFiles) -> Result<Report, Failure> {
    let Stats { store: args, max_key_life } = options;
    let store = open(&args, files, OpenMode::Existing).await?;
    let now = SystemClock.now();
    let (mut counts, mut damaged) = (Counts::new(now, max_key_life), DamagedRecords::default());
    let usage = store.usage_log();
    let mut times = KeyTimes::new(now, usage.is_some());
    let progress = Progress::of_records("counting", None);
    let mut scan = Scan::new(store.backend(), Order::Key).with_last_used(usage).read_ahead();
    while let Some(scanned) = scan.next().await? {
        match scanned {
            Scanned::Damaged(record) => damaged.add(record),
            Scanned::Records(Records { records, last_used }) => {
                for record in &records {
                    counts.add(record);
                    times.add(record, last_used.get(&record.id).copied());
                }
                progress.add(records.len() as u64);
            }
        }
    }
    drop(progress);
    let report =
        Report::default().with("store", redact_url(&args.url)).with("engine", store.engine());
    let report = counts.add_to(report);
    let report = report.with("disk_bytes", store.maintenance().disk_bytes().await?);
    Ok(times.add_to(damaged.add_to(report)))
}

struct Counts {
    now: SystemTime,
    max_key_life: Option<Duration>,
    records: u64,
    active: u64,
    usable: u64,
    access_keys: u64,
    slots: u64,
    delegated: u64,
    expired: u64,
    expiring: u64,
    bounded: u64,
    above_max_life: u64,
    bytes: u64,
    kinds: BTreeMap<Kind, u64>,
    users: Distinct,
    projects: Distinct,
}

impl Counts {
    fn new(now: SystemTime, max_key_life: Option<Duration>) -> Self {
        Self {
            now,
            max_key_life,
            records: 0,
            active: 0,
            usable: 0,
            access_keys: 0,
            slots: 0,
            delegated: 0,
            expired: 0,
            expiring: 0,
            bounded: 0,
            above_max_life: 0,
            bytes: 0,
            kinds: BTreeMap::new(),
            users: Distinct::default(),
            projects: Distinct::default(),
        }
    }

    fn add(&mut self, record: &Credential) {
        self.records += 1;
        self.active += u64::from(record.status == Status::Active);
        self.usable += u64::from(record.is_usable(self.now));
        self.access_keys += u64::from(record.access_key.is_some());
        self.slots += u64::from(record.slot.is_some());
        self.delegated += u64::from(record.delegation.is_some());
        let is_expired = record.is_expired(self.now);
        let end = record.terms.expires_at().filter(|_| !is_expired);
        let is_soon = end.is_some_and(|end| end <= self.now + 30 * DAY);
        self.expired += u64::from(is_expired);
        self.expiring += u64::from(is_soon);
        self.bounded += u64::from(record.terms.boundary().is_some());
        self.above_max_life += u64::from(self.is_above_max_life(record));
        self.bytes += record.size() as u64;
        *self.kinds.entry(record.kind.clone()).or_default() += 1;
        self.users.add(record.user_id.as_str());
        if let Some(project) = &record.project_id {
            self.projects.add(project.as_str());
        }
    }

    /// Whether a usable key is older than the maximum, or does not expire within it.
    fn is_above_max_life(&self, record: &Credential) -> bool {
        let Some(max) = self.max_key_life.filter(|_| record.is_usable(self.now)) else {
            return false;
        };
        let is_longer =
            |time: SystemTime| time.duration_since(record.created_at).is_ok_and(|life| life > max);
        is_longer(self.now) || record.terms.expires_at().is_none_or(is_longer)
    }

    fn add_to(self, report: Report) -> Report {
        let kinds = self.kinds.iter().map(|(kind, count)| (kind.as_str().into(), (*count).into()));
        let above = self.max_key_life.map(|_| self.above_max_life);
        let warning = above.filter(|count| *count > 0).map(|count| {
            format!("{count} usable keys are older than the maximum life, or valid for longer")
        });
        report
            .with("records", self.records)
            .with("active", self.active)
            .with("inactive", self.records - self.active)
            .with("usable_keys", self.usable)
            .with("access_keys", self.access_keys)
            .with("kinds", kinds.collect::<Map<String, Value>>())
            .with("slots", self.slots)
            .with("delegated", self.delegated)
            .with("expired", self.expired)
            .with("expiring_within_30_days", self.expiring)
            .with("with_boundary", self.bounded)
            .with("above_max_key_life", above)
            .with("warning", warning)
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
