//! The command `verify`: checks a store.

use std::sync::Arc;

use crate::{
    options::StoreArgs,
    progress::Progress,
    remarks::Remarks,
    report::{Exit, Failure, MAX_LISTED, Report, with_causes},
    scan::{DamagedRecords, Records, Scan, Scanned},
    store::{open, retry},
};
use tokio::task::JoinSet;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenMode, Order, Store, StoreBackend,
        contract::Recount, encrypted::Encrypted, redact_url,
    },
    domain::Credential,
    secret_files::SecretFiles,
};

type Backend = Arc<dyn CredentialBackend>;

/// How many tasks look up records.
const TASKS: usize = 32;

/// How often a record is checked again that changes meanwhile.
const ATTEMPTS: usize = 10;

pub(crate) async fn run(
    args: &StoreArgs,
    repair: bool,
    files: SecretFiles,
) -> Result<Report, Failure> {
    let store = open(args, files, OpenMode::Existing).await?;
    let mut found = Findings::default();
    let backend: Backend = store.backend();
    check_records(&backend, &mut found).await?;
    let maintenance = store.maintenance();
    if repair {
        retry(|| maintenance.repair_indexes()).await?;
    }
    found.add(retry(|| maintenance.check_indexes()).await?);
    let report = Report::default().with("store", redact_url(&args.url));
    let report = found.add_to(report.with("records", found.records));
    // Further errors must not hide these findings.
    let report = match counters(&store, repair).await {
        Ok(Some(count)) => add_counters(&count, repair, report),
        Ok(None) => report,
        Err(error) => report.failing(Failure::from(error)),
    };
    let Some(encrypted) = store.encrypted() else { return Ok(report) };
    Ok(match seal_counts(encrypted, found.records).await {
        Ok(counts) => report
            .with("keys_in_use", counts.keys)
            .with("sealed_with_older_keys", counts.outdated)
            .with("not_sealed", counts.plain),
        Err(error) => report.failing(Failure::from(error)),
    })
}

/// Checks or repairs the quota counters, if the store has any.
async fn counters(store: &Store, repair: bool) -> Result<Option<Recount>, BackendError> {
    let store = store.maintenance();
    retry(|| if repair { store.recount() } else { store.check_counters() }).await
}

fn add_counters(count: &Recount, repair: bool, report: Report) -> Report {
    let Recount { users, wrong, .. } = *count;
    let is_wrong = wrong > 0 && !repair;
    let failure = is_wrong.then(|| {
        Failure::new(
            Exit::Problem,
            format!("{wrong} quota counters are wrong: run verify with --repair"),
        )
    });
    report
        .with("users_with_a_counter", users)
        .with("wrong_counters", wrong)
        .with("repaired_counters", if repair { wrong } else { 0 })
        .failing(failure)
}

/// How many records are not sealed with the newest key. This is not an error.
struct SealCounts {
    keys: Vec<String>,
    outdated: u64,
    plain: u64,
}

async fn seal_counts(
    encrypted: &Encrypted<Arc<dyn StoreBackend>>,
    records: u64,
) -> Result<SealCounts, BackendError> {
    let progress = Progress::of_records("checking seals", Some(records));
    let (mut plain, mut outdated, mut after) = (0, 0, None);
    loop {
        let page = retry(|| encrypted.verify_page(after.as_deref())).await?;
        plain += page.plain;
        outdated += page.outdated;
        progress.add(page.examined);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let keys = retry(|| encrypted.keys_in_use()).await?;
    Ok(SealCounts { keys, outdated, plain })
}

#[derive(Default)]
struct Findings {
    records: u64,
    damaged: DamagedRecords,
    count: u64,
    /// At most [`MAX_LISTED`].
    lines: Vec<String>,
    remarks: Remarks,
}

impl Findings {
    fn add(&mut self, findings: Vec<String>) {
        self.count += findings.len() as u64;
        self.lines.extend(findings);
        self.lines.truncate(MAX_LISTED);
    }

    fn add_to(&self, report: Report) -> Report {
        let failure = (self.count > 0).then(|| {
            Failure::new(Exit::Problem, format!("{} lookups are inconsistent", self.count))
        });
        let report = self.damaged.add_to(report);
        let report = report.with("wrong", self.count).with("findings", self.lines.clone());
        self.remarks.add_to(report.failing(failure))
    }
}

/// Lists all records, and checks that lookups by id, access key and slot return them.
async fn check_records(backend: &Backend, found: &mut Findings) -> Result<(), Failure> {
    let progress = Progress::of_records("looking up", None);
    let mut scan = Scan::new(Arc::clone(backend), Order::Key).read_ahead();
    // The marker before the next record.
    let mut before = String::new();
    while let Some(scanned) = scan.next().await? {
        let records = match scanned {
            Scanned::Damaged(damaged) => {
                before.clone_from(&damaged.marker);
                found.damaged.add(damaged);
                continue;
            }
            Scanned::Records(Records { records, .. }) => records,
        };
        let mut tasks = JoinSet::new();
        for part in records.chunks(records.len().div_ceil(TASKS)) {
            let last = part.last().and_then(|last| Order::Key.marker(last)).unwrap_or_default();
            let part = part.to_vec();
            let (backend, mut before) = (Arc::clone(backend), std::mem::replace(&mut before, last));
            tasks.spawn(async move {
                let mut findings = Vec::new();
                for record in part {
                    let marker = Order::Key.marker(&record).unwrap_or_default();
                    findings.extend(check_record(&backend, record, &before).await?);
                    before = marker;
                }
                Ok::<_, BackendError>(findings)
            });
        }
        while let Some(findings) = tasks.join_next().await {
            found.add(findings.map_err(|error| Failure::of(Exit::Problem, &error))??);
        }
        found.remarks.add(&records);
        found.records += records.len() as u64;
        progress.add(records.len() as u64);
    }
    Ok(())
}

/// Checks a record that was listed after the marker `before`. Checks it again if it changed meanwhile.
async fn check_record(
    backend: &Backend,
    mut record: Arc<Credential>,
    before: &str,
) -> Result<Vec<String>, BackendError> {
    for _ in 0..ATTEMPTS {
        let findings = lookup_findings(backend, &record).await?;
        if findings.is_empty() {
            return Ok(findings);
        }
        match list_one(backend, &record, before).await? {
            // Deleted.
            None => return Ok(Vec::new()),
            Some(now) if now.version == record.version => return Ok(findings),
            Some(now) => record = now,
        }
    }
    Ok(Vec::new())
}

/// Compares a listed record with what lookups return.
async fn lookup_findings(
    backend: &Backend,
    record: &Credential,
) -> Result<Vec<String>, BackendError> {
    let id = &record.id;
    let mut findings = Vec::new();
    let found = retry(|| backend.get(id)).await;
    findings.extend(mismatch(record, "id", found)?);
    if let Some(access_key) = &record.access_key {
        let found = retry(|| backend.find_by_access_key(access_key)).await;
        findings.extend(mismatch(record, "access key", found)?);
    }
    if let Some(slot) = record.slot {
        let found = retry(|| backend.find_by_slot(&record.user_id, slot)).await;
        findings.extend(mismatch(record, "slot", found)?);
    }
    Ok(findings)
}

/// Describes how the result of a lookup differs from the record.
fn mismatch(
    record: &Credential,
    name: &str,
    found: Result<Option<Arc<Credential>>, BackendError>,
) -> Result<Option<String>, BackendError> {
    let what = match found {
        Ok(Some(found)) if *found == *record => return Ok(None),
        Ok(Some(found)) if found.id == record.id => "returns another version".into(),
        Ok(Some(found)) => format!("returns another record, {:?}", found.id.as_str()),
        Ok(None) => "returns no record".into(),
        Err(error @ BackendError::Corrupt(_)) => format!("fails: {}", with_causes(&error)),
        Err(error) => return Err(error),
    };
    Ok(Some(format!("{}: lookup by {name} {what}", record.id.as_str())))
}

/// Lists one record again, starting after the marker `after`.
async fn list_one(
    backend: &Backend,
    record: &Credential,
    after: &str,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let mut query = ListQuery::new(Order::Key);
    let marker = query.order.marker(record).unwrap_or_default();
    // In a damaged store, the record before may have the same marker.
    let after = if after < &*marker { after } else { shortened(&marker) };
    query.after = Some(after.to_owned());
    // No string is between the marker and this one.
    query.before = Some(format!("{marker}\u{1}"));
    loop {
        let page = retry(|| backend.list(&query)).await?;
        if let Some(found) = page.credentials.iter().find(|found| found.id == record.id) {
            return Ok(Some(Arc::clone(found)));
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok(None);
        }
    }
}

/// Returns the text without its last character, which is before the text in any list.
fn shortened(text: &str) -> &str {
    text.char_indices().next_back().map_or("", |(last, _)| &text[..last])
}
