//! The command `purge`: deletes the keys that expired long ago.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenMode, Order, StoreBackend, expires_before,
        redact_url,
    },
    clock::{Clock, SystemClock},
    domain::{AccessKey, Credential, Kind},
    secret_files::SecretFiles,
};

use crate::{
    key_options::Purge,
    progress::Progress,
    report::{Failure, MAX_LISTED, Report},
    scan::{DamagedRecords, Records, Scan, Scanned},
    store::{open, retry},
    times::show,
};

/// How often to try to delete a record that others change meanwhile.
const ATTEMPTS: usize = 10;

pub(crate) async fn run(options: Purge, files: SecretFiles) -> Result<Report, Failure> {
    let Purge { store: args, expired_for, dry_run } = options;
    // The last expiry to delete, cut to microseconds as those in stores are.
    let end = SystemClock.now().checked_sub(expired_for).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut query = ListQuery::new(Order::ExpiresAt);
    query.kind = Some(Kind::ec2());
    query.before = Some(expires_before(end + Duration::from_micros(1)));

    let store = open(&args, files, OpenMode::Existing).await?;
    let backend = store.backend();
    let (mut expired, mut deleted, mut kept) = (0_u64, 0_u64, 0_u64);
    let (mut listed, mut damaged) = (Vec::new(), DamagedRecords::default());
    let progress = Progress::of_records(if dry_run { "listing" } else { "counting" }, None);
    if !dry_run && progress.is_shown() {
        // Deleting takes much longer.
        let total = count(Scan::of(backend.clone(), query.clone()), &progress).await?;
        progress.restart("deleting", total);
    }
    let mut scan = Scan::of(backend.clone(), query).read_ahead();
    let mut failure = None;
    'scan: while let Some(scanned) = scan.next().await? {
        let Records { records, .. } = match scanned {
            Scanned::Records(records) => records,
            Scanned::Damaged(record) => {
                damaged.add(record);
                continue;
            }
        };
        for record in records {
            expired += 1;
            if listed.len() < MAX_LISTED {
                let access_key = record.access_key.as_ref().map(AccessKey::as_str);
                listed.push(access_key.unwrap_or(record.id.as_str()).to_owned());
            }
            if !dry_run {
                match delete(&backend, &record, end).await {
                    Ok(true) => deleted += 1,
                    Ok(false) => kept += 1,
                    // The report has what was deleted before.
                    Err(error) => {
                        failure = Some(error.into());
                        break 'scan;
                    }
                }
            }
            progress.add(1);
        }
    }
    drop(progress);
    let report = Report::default()
        .with("store", redact_url(&args.url))
        .with("expired_before", show(end))
        .with("dry_run", dry_run)
        .with("expired", expired)
        .with("deleted", deleted)
        .with("changed_meanwhile", kept)
        .with("keys", listed)
        .failing(failure);
    Ok(damaged.add_to(report))
}

/// Returns the number of records of a scan.
async fn count(mut scan: Scan, progress: &Progress) -> Result<u64, BackendError> {
    let mut total = 0;
    while let Some(scanned) = scan.next().await? {
        if let Scanned::Records(Records { records, .. }) = scanned {
            total += records.len() as u64;
            progress.add(records.len() as u64);
        }
    }
    Ok(total)
}

/// Deletes a record if it still expired at this time or before. Returns whether it is deleted.
async fn delete(
    backend: &Arc<dyn StoreBackend>,
    record: &Arc<Credential>,
    end: SystemTime,
) -> Result<bool, BackendError> {
    let mut record = Arc::clone(record);
    for _ in 0..ATTEMPTS {
        if retry(|| backend.delete(&record.id, record.version)).await? {
            return Ok(true);
        }
        match retry(|| backend.get(&record.id)).await? {
            Some(now) if now.is_expired(end) => record = now,
            Some(_) => return Ok(false),
            // A retried delete returns `false` if the first one succeeded.
            None => return Ok(true),
        }
    }
    Ok(false)
}
