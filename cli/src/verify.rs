//! What is wrong in a store.

use std::sync::Arc;

use crate::{
    open::open,
    options::StoreArgs,
    outcome::{Exit, Failure, Outcome, told},
    patience::patiently,
    progress::Progress,
    walk::{Damages, Met, Records, Walk},
};
use tokio::task::JoinSet;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, Damaged, ListQuery, OpenMode, Order, Recount, Store,
        StoreBackend, encrypted::Encrypted, redact_url,
    },
    domain::{AccessKey, Credential, CredentialId},
    secret_files::SecretFiles,
};

type Backend = Arc<dyn CredentialBackend>;

/// How many records are looked up at once.
const AT_ONCE: usize = 32;

/// How many findings are told.
const TOLD: usize = 100;

/// How often a record is looked at anew that changes while it is looked at.
const ATTEMPTS: usize = 10;

pub(crate) async fn run(
    args: &StoreArgs,
    repair: bool,
    files: SecretFiles,
) -> Result<Outcome, Failure> {
    let store = open(args, files, OpenMode::Existing).await?;
    let mut found = Found::default();
    let backend: Backend = store.backend();
    by_id(&backend, &mut found).await?;
    by_access_key(&backend, &mut found).await?;
    let outcome = Outcome::default().with("store", redact_url(&args.url));
    let outcome = found.tell(outcome.with("records", found.records));
    // What was found is told, whatever comes of the rest.
    let outcome = match counters(&store, repair).await {
        Ok(Some(count)) => tell_counters(&count, repair, outcome),
        Ok(None) => outcome,
        Err(error) => outcome.failing(Failure::from(error)),
    };
    let Some(seal) = store.encrypted() else { return Ok(outcome) };
    Ok(match seals(seal).await {
        Ok(seals) => outcome
            .with("keys_in_use", seals.keys)
            .with("sealed_with_older_keys", seals.outdated)
            .with("not_sealed", seals.plain),
        Err(error) => outcome.failing(Failure::from(error)),
    })
}

/// Whether the counters are right that quotas go by, in a store that keeps some.
async fn counters(store: &Store, repair: bool) -> Result<Option<Recount>, BackendError> {
    let store = store.maintenance();
    patiently(|| if repair { store.recount() } else { store.check_counters() }).await
}

fn tell_counters(count: &Recount, repair: bool, outcome: Outcome) -> Outcome {
    let Recount { users, wrong, .. } = *count;
    let is_wrong = wrong > 0 && !repair;
    let failure = is_wrong.then(|| {
        Failure::new(Exit::Problem, format!("{wrong} counters are wrong: --repair sets them right"))
    });
    outcome
        .with("users_with_a_counter", users)
        .with("wrong_counters", wrong)
        .with("repaired_counters", if repair { wrong } else { 0 })
        .failing(failure)
}

/// How much is not sealed with the newest key: no fault, but to be known.
struct Seals {
    keys: Vec<String>,
    outdated: u64,
    plain: u64,
}

async fn seals(seal: &Encrypted<Arc<dyn StoreBackend>>) -> Result<Seals, BackendError> {
    let (mut plain, mut outdated, mut after) = (0, 0, None);
    loop {
        let page = patiently(|| seal.verify_page(after.as_ref())).await?;
        plain += page.plain;
        outdated += page.outdated;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let keys = patiently(|| seal.keys_in_use()).await?;
    Ok(Seals { keys, outdated, plain })
}

#[derive(Default)]
struct Found {
    records: u64,
    damages: Damages,
    count: u64,
    findings: Vec<String>,
    unmarked: Unmarked,
}

/// Records of earlier releases whose user has the id of their project: whether they are
/// root keys is concluded from their form. No fault, but for an operator to check.
#[derive(Default)]
struct Unmarked {
    count: u64,
    names: Vec<String>,
}

impl Unmarked {
    fn look_at(&mut self, records: &[Arc<Credential>]) {
        for record in records {
            if record.root_key.is_some() || !record.has_equal_ids() {
                continue;
            }
            self.count += 1;
            if self.names.len() < TOLD {
                let taken_for = if record.is_root_key() { "a root key" } else { "a user's" };
                self.names.push(format!("{}: taken for {taken_for}", record.id.as_str()));
            }
        }
    }
}

impl Found {
    fn add(&mut self, findings: Vec<String>) {
        self.count += findings.len() as u64;
        self.findings.extend(findings);
        self.findings.truncate(TOLD);
    }

    fn tell(&self, outcome: Outcome) -> Outcome {
        let failure = (self.count > 0).then(|| {
            Failure::new(Exit::Problem, format!("{} things are wrong in the store", self.count))
        });
        let outcome = self.damages.tell(outcome);
        let outcome = outcome.with("wrong", self.count).with("findings", self.findings.clone());
        let Unmarked { count, names } = &self.unmarked;
        let outcome = outcome.with("unmarked_root_keys", *count);
        outcome.with("unmarked_records", names.clone()).failing(failure)
    }
}

/// Every record that is listed must be found, by its id, its access key and its slot.
async fn by_id(backend: &Backend, found: &mut Found) -> Result<(), Failure> {
    let progress = Progress::of_records("looking up");
    let mut walk = Walk::new(Arc::clone(backend), Order::Id).ahead();
    // Behind which record the next ones were listed.
    let mut before = String::new();
    while let Some(met) = walk.next().await? {
        let records = match met {
            Met::Damaged(damaged) => {
                before.clone_from(&damaged.marker);
                found.damages.add(damaged);
                continue;
            }
            Met::Records(Records { records, .. }) => records,
        };
        let mut looking = JoinSet::new();
        for part in records.chunks(records.len().div_ceil(AT_ONCE)) {
            let last = part.last().map_or_else(String::new, |last| last.id.as_str().to_owned());
            let part = part.to_vec();
            let (backend, mut before) = (Arc::clone(backend), std::mem::replace(&mut before, last));
            looking.spawn(async move {
                let mut findings = Vec::new();
                for record in part {
                    let id = record.id.as_str().to_owned();
                    findings.extend(settled(&backend, record, &before).await?);
                    before = id;
                }
                Ok::<_, BackendError>(findings)
            });
        }
        while let Some(findings) = looking.join_next().await {
            found.add(findings.map_err(|error| Failure::of(Exit::Problem, &error))??);
        }
        found.unmarked.look_at(&records);
        found.records += records.len() as u64;
        progress.add(records.len() as u64);
    }
    Ok(())
}

/// What is listed by access key must be what its id finds.
async fn by_access_key(backend: &Backend, found: &mut Found) -> Result<(), Failure> {
    let progress = Progress::of_records("listing access keys");
    let mut walk = Walk::new(Arc::clone(backend), Order::AccessKey).ahead();
    while let Some(met) = walk.next().await? {
        let records = match met {
            Met::Damaged(Damaged { marker, error, .. }) => {
                // Told already, if its id is still the one that its key had first.
                let id = CredentialId::of(&AccessKey::from_stored(marker.as_str()));
                if !found.damages.contains(id.as_str()) {
                    let what = format!("what the access key {marker:?} leads to cannot be read");
                    found.add(vec![format!("{what}: {}", told(&error))]);
                }
                continue;
            }
            Met::Records(Records { records, .. }) => records,
        };
        let mut looking = JoinSet::new();
        for part in records.chunks(records.len().div_ceil(AT_ONCE)) {
            let (backend, part) = (Arc::clone(backend), part.to_vec());
            looking.spawn(async move {
                let mut findings = Vec::new();
                for record in part {
                    if is_lost(&backend, &record).await? {
                        let id = record.id.as_str();
                        findings
                            .push(format!("{id}: its access key finds it, and its id does not"));
                    }
                }
                Ok::<_, BackendError>(findings)
            });
        }
        while let Some(findings) = looking.join_next().await {
            found.add(findings.map_err(|error| Failure::of(Exit::Problem, &error))??);
        }
        progress.add(records.len() as u64);
    }
    Ok(())
}

/// What is wrong with a record that was listed behind this id, and is not just changing.
async fn settled(
    backend: &Backend,
    mut record: Arc<Credential>,
    before: &str,
) -> Result<Vec<String>, BackendError> {
    for _ in 0..ATTEMPTS {
        let findings = look_up(backend, &record).await?;
        if findings.is_empty() {
            return Ok(findings);
        }
        match listed(backend, &record.id, before).await? {
            // Deleted meanwhile.
            None => return Ok(Vec::new()),
            Some(now) if now.version == record.version => return Ok(findings),
            Some(now) => record = now,
        }
    }
    Ok(Vec::new())
}

/// What is wrong with a record, as it was listed.
async fn look_up(backend: &Backend, record: &Credential) -> Result<Vec<String>, BackendError> {
    let id = &record.id;
    let mut findings = Vec::new();
    let held = patiently(|| backend.get(id)).await;
    findings.extend(wrong(record, "id", held)?);
    if let Some(access_key) = &record.access_key {
        let held = patiently(|| backend.find_by_access_key(access_key)).await;
        findings.extend(wrong(record, "access key", held)?);
    }
    if let Some(slot) = record.slot {
        let held = patiently(|| backend.find_by_slot(&record.user_id, slot)).await;
        findings.extend(wrong(record, "slot", held)?);
    }
    Ok(findings)
}

/// What is wrong with what a record's name finds.
fn wrong(
    record: &Credential,
    name: &str,
    held: Result<Option<Arc<Credential>>, BackendError>,
) -> Result<Option<String>, BackendError> {
    let what = match held {
        Ok(Some(held)) if *held == *record => return Ok(None),
        Ok(Some(held)) if held.id == record.id => "finds another state of it".into(),
        Ok(Some(held)) => format!("finds another record, {:?}", held.id.as_str()),
        Ok(None) => "does not find it".into(),
        Err(error @ BackendError::Corrupt(_)) => format!("finds no record: {}", told(&error)),
        Err(error) => return Err(error),
    };
    Ok(Some(format!("{}: its {name} {what}", record.id.as_str())))
}

/// A record as it is listed now, behind this id.
async fn listed(
    backend: &Backend,
    id: &CredentialId,
    behind: &str,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let mut query = ListQuery::new(Order::Id);
    query.after = Some(behind.to_owned());
    // Nothing lies between a text and this one.
    query.before = Some(format!("{}\u{1}", id.as_str()));
    loop {
        let page = patiently(|| backend.list(&query)).await?;
        if let Some(record) = page.credentials.iter().find(|record| record.id == *id) {
            return Ok(Some(Arc::clone(record)));
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok(None);
        }
    }
}

/// Whether a record that was listed by its access key is not found by its id.
async fn is_lost(backend: &Backend, record: &Credential) -> Result<bool, BackendError> {
    let held = patiently(|| backend.get(&record.id)).await;
    match (held, &record.access_key) {
        // Told with the records themselves.
        (Err(BackendError::Corrupt(_)), _) | (Ok(_), None) => Ok(false),
        (Err(error), _) => Err(error),
        (Ok(Some(held)), Some(_)) if held.access_key == record.access_key => Ok(false),
        // Deleted meanwhile, or given another key, unless this one still leads to it.
        (Ok(_), Some(access_key)) => {
            let found = patiently(|| backend.find_by_access_key(access_key)).await?;
            Ok(found.is_some_and(|found| *found == *record))
        }
    }
}
