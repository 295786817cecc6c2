//! The commands `list` and `show`.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::SystemTime,
};

use serde_json::Value;
use tower_credentials::{
    backend::{ListQuery, OpenMode, Order, expires_before, redact_url},
    clock::{Clock, SystemClock},
    domain::{AccessKey, Credential, CredentialId, ProjectId, UserId},
    secret_files::SecretFiles,
};

use crate::{
    description::{details, status, summary},
    key_options::{List, Show},
    report::{Exit, Failure, Report, printable},
    scan::{DamagedRecords, Records, Scan, Scanned, unavailable},
    store::{open, retry},
    times::show,
};

/// Prints the records as a table, or returns them in the report.
pub(crate) async fn list(
    options: List,
    files: SecretFiles,
    as_json: bool,
) -> Result<Report, Failure> {
    let List { store: args, user, project, name, name_contains, expires_before: end } = options;
    let now = SystemClock.now();
    let mut query = match end {
        Some(end) => {
            let end = end.time(now, "--expires-before")?;
            let mut query = ListQuery::new(Order::ExpiresAt);
            query.before = Some(expires_before(end));
            query
        }
        None => ListQuery::new(Order::Key),
    };
    query.user_id = user.map(UserId::from_stored);
    query.project_id = project.map(ProjectId::from_stored);
    let is_named = |record: &Credential| {
        let known = record.terms.name();
        name.as_deref().is_none_or(|name| known == Some(name))
            && name_contains.as_deref().is_none_or(|part| known.is_some_and(|it| it.contains(part)))
    };

    let store = open(&args, files, OpenMode::Existing).await?;
    let (mut count, mut damaged) = (0_u64, DamagedRecords::default());
    let (mut table, mut objects) = (Table::default(), Vec::new());
    let scan = Scan::of(store.backend(), query).with_last_used(store.usage_log());
    let mut scan = scan.read_ahead();
    while let Some(scanned) = scan.next().await? {
        let Records { records, last_used } = match scanned {
            Scanned::Records(records) => records,
            Scanned::Damaged(record) => {
                damaged.add(record);
                continue;
            }
        };
        let used = |record: &Credential| last_used.get(&record.id).copied();
        let found: Vec<_> = records.iter().filter(|record| is_named(record)).collect();
        count += found.len() as u64;
        if as_json {
            let object = |record: &&Arc<Credential>| {
                let members = summary(record, used(record), now).into_iter();
                members.map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
            };
            objects.extend(found.iter().map(object));
        } else {
            let rows = found.iter().map(|record| row(record, used(record), now)).collect();
            match table.print(rows) {
                // A reader such as `head` has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                printed => printed?,
            }
        }
    }
    let report = Report::default().with("store", redact_url(&args.url)).with("records", count);
    Ok(damaged.add_to(if as_json { report.with("keys", objects) } else { report }))
}

/// Reports a record by its access key or id.
pub(crate) async fn show_one(options: Show, files: SecretFiles) -> Result<Report, Failure> {
    let Show { store: args, key } = options;
    let store = open(&args, files, OpenMode::Existing).await?;
    let backend = store.backend();
    let access_key = AccessKey::from_stored(key.as_str());
    let mut found = retry(|| backend.find_by_access_key(&access_key)).await?;
    if found.is_none() {
        let id = CredentialId::from_stored(key.as_str());
        found = retry(|| backend.get(&id)).await?;
    }
    let Some(record) = found else {
        let message = format!("access key or id not found: {key}");
        return Err(Failure::new(Exit::Problem, message));
    };
    let mut last_used = None;
    if let Some(usage) = store.usage_log() {
        let ids = [record.id.clone()];
        let lookup = retry(|| async { usage.last_used(&ids).await.map_err(unavailable) });
        last_used = lookup.await?.remove(&record.id);
    }
    let members = details(&record, last_used, SystemClock.now());
    Ok(members
        .into_iter()
        .fold(Report::default(), |report, (name, value)| report.with(name, value)))
}

type Row = [String; 9];

const HEADER: [&str; 9] =
    ["KEY", "USER", "PROJECT", "NAME", "STATUS", "CREATED", "EXPIRES", "BOUNDARY", "LAST USED"];

fn row(record: &Credential, last_used: Option<SystemTime>, now: SystemTime) -> Row {
    let text = |text: Option<&str>| text.map_or_else(|| "-".into(), printable);
    let time = |time: Option<SystemTime>| time.map_or_else(|| "-".into(), whole_seconds);
    let access_key = record.access_key.as_ref().map(AccessKey::as_str);
    [
        text(access_key.or(Some(record.id.as_str()))),
        text(Some(record.user_id.as_str())),
        text(record.project_id.as_ref().map(ProjectId::as_str)),
        text(record.terms.name()),
        status(record, now).into(),
        time(Some(record.created_at)),
        time(record.terms.expires_at()),
        if record.terms.boundary().is_some() { "yes" } else { "no" }.into(),
        time(last_used),
    ]
}

/// A time without its fraction.
fn whole_seconds(time: SystemTime) -> String {
    let text = show(time);
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A table that is printed in parts, whose columns become wider as needed.
#[derive(Default)]
struct Table {
    widths: [usize; 9],
    has_header: bool,
}

impl Table {
    fn print(&mut self, mut rows: Vec<Row>) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if !self.has_header {
            rows.insert(0, HEADER.map(Into::into));
            self.has_header = true;
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(self.widths);
            let line: Vec<_> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}
