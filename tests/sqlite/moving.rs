//! The migration that moves the records of a file to another table: interrupted, while an earlier
//! release writes, on a full disk, and with damaged records.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rusqlite::{Connection, params};
use test_support::records;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, OpenErrorKind, Order,
        contract::{BulkLoad as _, Loaded},
        sqlite::SqliteBackend,
    },
    domain::{AccessKey, Credential, CredentialId, ProjectId},
    usage::UsageLog as _,
};

use crate::child_process::{ROLE, command_line, role};
use crate::{folder, is_stored, pair};
use test_support::small_disk::SmallDisk;

const MIGRATIONS: [&str; 4] = [
    include_str!("../../src/backend/sqlite/migrations/0001_credentials.sql"),
    include_str!("../../src/backend/sqlite/migrations/0002_last_used.sql"),
    include_str!("../../src/backend/sqlite/migrations/0003_root_key.sql"),
    include_str!("../../src/backend/sqlite/migrations/0004_terms.sql"),
];

/// Makes a file of the version before with these records.
async fn earlier(path: &Path, records: &[Credential]) -> Connection {
    let (_folder, newer) = folder();
    let backend = SqliteBackend::open(&newer).unwrap();
    let loaded: Vec<_> = records.iter().cloned().map(Arc::new).collect();
    assert!(backend.load(&loaded).await.unwrap().iter().all(|it| *it == Loaded::Stored));
    drop(backend);
    let old = Connection::open(path).unwrap();
    old.execute_batch("PRAGMA journal_mode = wal").unwrap();
    for migration in MIGRATIONS {
        old.execute_batch(migration).unwrap();
    }
    old.execute("ATTACH ? AS newer", [newer.to_str().unwrap()]).unwrap();
    let columns = "kind, user_id, project_id, slot, access_key, material, status, delegation,
        attributes, created_at, updated_at, version, last_used, root_key, terms, expires_at";
    let copy = format!(
        "INSERT INTO credentials (id, {columns}) SELECT name, {columns} FROM newer.records;
        DETACH newer; PRAGMA application_id = {}; PRAGMA user_version = 4",
        0x7443_7264
    );
    old.execute_batch(&copy).unwrap();
    old
}

fn many(count: usize) -> Vec<Credential> {
    (0..count).map(|n| pair("bob", &format!("key-{n:05}"))).collect()
}

/// All records of a store, by id.
async fn all(backend: &SqliteBackend) -> BTreeMap<CredentialId, Credential> {
    let found = records::list_all(backend, ListQuery::new(Order::Key)).await;
    by_id(found.iter().map(|record| (**record).clone()))
}

fn by_id(records: impl IntoIterator<Item = Credential>) -> BTreeMap<CredentialId, Credential> {
    records.into_iter().map(|record| (record.id.clone(), record)).collect()
}

/// What an earlier release does. Each call is one transaction.
struct EarlierRelease {
    file: Connection,
    stored: BTreeMap<CredentialId, Credential>,
    turn: usize,
}

impl EarlierRelease {
    fn new(mut file: Connection, records: &[Credential]) -> Self {
        let wait = |_| {
            thread::sleep(Duration::from_millis(1));
            true
        };
        file.busy_handler(Some(wait)).unwrap();
        Self { file, stored: by_id(records.iter().cloned()), turn: 0 }
    }

    /// Inserts, updates or deletes a record; fails if the table has moved.
    fn write(&mut self) -> rusqlite::Result<()> {
        self.turn += 1;
        let nth = self.turn.wrapping_mul(7_919) % self.stored.len();
        let mut record = self.stored.values().nth(nth).unwrap().clone();
        match self.turn % 4 {
            0 => {
                let delete = "DELETE FROM credentials WHERE id = ?";
                self.file.execute(delete, [record.id.as_str()])?;
                self.stored.remove(&record.id);
            }
            1 => {
                // Its former access key is taken by a new record.
                let freed =
                    record.access_key.replace(AccessKey::from_stored(format!("new-{}", self.turn)));
                self.update(&record)?;
                self.stored.insert(record.id.clone(), record.clone());
                let mut heir = record;
                heir.id = CredentialId::from_stored(format!("heir-{}", self.turn));
                heir.access_key = freed;
                self.insert(&heir)?;
                self.stored.insert(heir.id.clone(), heir);
            }
            2 => {
                record.project_id = Some(ProjectId::from_stored("p".repeat(self.turn % 40)));
                record.version = record.version.next();
                self.update(&record)?;
                self.stored.insert(record.id.clone(), record);
            }
            _ => {
                let record = pair("amy", &format!("amys-{}", self.turn));
                self.insert(&record)?;
                self.stored.insert(record.id.clone(), record);
            }
        }
        Ok(())
    }

    fn update(&self, record: &Credential) -> rusqlite::Result<()> {
        let sql =
            "UPDATE credentials SET access_key = ?2, project_id = ?3, version = ?4 WHERE id = ?1";
        let values = params![
            record.id.as_str(),
            record.access_key.as_ref().map(AccessKey::as_str),
            record.project_id.as_ref().map(ProjectId::as_str),
            record.version.get().cast_signed(),
        ];
        self.file.execute(sql, values).map(drop)
    }

    fn insert(&self, record: &Credential) -> rusqlite::Result<()> {
        let micros = |time: std::time::SystemTime| {
            i64::try_from(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap()
        };
        let sql = "INSERT INTO credentials (id, kind, user_id, project_id, access_key, material,
            status, attributes, created_at, updated_at, version)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '{}', ?8, ?9, ?10)";
        let material = record.material.encode();
        let values = params![
            record.id.as_str(),
            record.kind.as_str(),
            record.user_id.as_str(),
            record.project_id.as_ref().map(ProjectId::as_str),
            record.access_key.as_ref().map(AccessKey::as_str),
            material.expose(),
            record.status.as_str(),
            micros(record.created_at),
            micros(record.updated_at),
            record.version.get().cast_signed(),
        ];
        self.file.execute(sql, values).map(drop)
    }
}

#[tokio::test]
async fn move_that_is_killed_twenty_times_continues_and_loses_nothing() {
    const TEST: &str = "moving::move_that_is_killed_twenty_times_continues_and_loses_nothing";
    const FILE: &str = "credentials.db";
    if role().is_some() {
        println!("moving");
        drop(SqliteBackend::open(FILE).unwrap());
        return;
    }
    let (folder, path) = folder();
    let records = many(40_000);
    let mut release = EarlierRelease::new(earlier(&path, &records).await, &records);
    let last = |file: &Connection| {
        let sql = "SELECT last FROM moving";
        file.query_row(sql, [], |row| row.get::<_, i64>(0)).ok()
    };
    let mut steps = vec![None];
    for round in 0..20_u64 {
        let mut moving = Command::new("env")
            .args(command_line(TEST))
            .current_dir(folder.path())
            .env(ROLE, "moves")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(moving.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("moving")));
        // Killed during one of the next steps.
        while last(&release.file) == steps[steps.len() - 1] && moving.try_wait().unwrap().is_none()
        {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(round * 7 % 20));
        moving.kill().unwrap();
        moving.wait().unwrap();
        // The earlier release works as long as the records have not moved.
        if release.write().is_err() {
            break;
        }
        steps.push(last(&release.file));
    }
    let stored = release.stored;
    drop(release.file);
    let backend = SqliteBackend::open(&path).unwrap();
    assert!(all(&backend).await == stored, "killed after {steps:?}");
    steps.dedup();
    assert!(steps.len() > 2, "no kill was during the move: {steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_an_earlier_release_during_the_move_are_kept() {
    let (_folder, path) = folder();
    let records = many(12_000);
    let mut release = EarlierRelease::new(earlier(&path, &records).await, &records);
    let writing = thread::spawn(move || {
        let mut writes = 0;
        loop {
            // A write of two statements may be half done, and its first half counts.
            match release.write() {
                Ok(()) => writes += 1,
                Err(error) => return (release.stored, writes, error.to_string()),
            }
        }
    });
    let backend = tokio::task::block_in_place(|| SqliteBackend::open(&path).unwrap());
    let (stored, writes, error) = writing.join().unwrap();
    assert!(error.contains("no such table: credentials"), "{error}");
    assert!(writes > 2, "{writes} writes during the move");
    assert!(all(&backend).await == stored, "after {writes} writes");
    for record in stored.values().step_by(97) {
        assert!(is_stored(&backend, record).await);
        let found = backend.find_by_access_key(record.access_key.as_ref().unwrap()).await.unwrap();
        assert_eq!(found.as_deref(), Some(record));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_move_the_records_together_move_each_once() {
    let (_folder, path) = folder();
    let records = many(9_000);
    drop(earlier(&path, &records).await);
    let opening: Vec<_> = (0..3)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || SqliteBackend::open(path).unwrap())
        })
        .collect();
    for opened in opening {
        assert!(all(&opened.join().unwrap()).await == by_id(records.clone()));
    }
}

#[tokio::test]
async fn duplicate_in_an_earlier_file_is_reported_and_nothing_is_lost() {
    let (_folder, path) = folder();
    let records = many(3_000);
    let old = earlier(&path, &records).await;
    // As damage to the file can.
    old.execute_batch("DROP INDEX by_access_key").unwrap();
    let harm = "UPDATE credentials SET access_key = 'key-00007' WHERE access_key = 'key-02345'";
    assert_eq!(old.execute(harm, []).unwrap(), 1);
    let error = SqliteBackend::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Corrupt);
    let named = [7, 2_345].map(|nth| error.to_string().contains(records[nth].id.as_str()));
    assert!(named.contains(&true), "{error}");
    assert!(!crate::full_text(&error).contains("secret of"), "{error:?}");
    let count = |table| format!("SELECT count(*) FROM {table}");
    let left: i64 = old.query_row(&count("credentials"), [], |row| row.get(0)).unwrap();
    assert_eq!(left, 3_000);

    let repair = "UPDATE credentials SET access_key = 'key-02345' WHERE id = ?";
    assert_eq!(old.execute(repair, [records[2_345].id.as_str()]).unwrap(), 1);
    let backend = SqliteBackend::open(&path).unwrap();
    assert!(all(&backend).await == by_id(records));
}

#[tokio::test]
async fn full_disk_stops_the_move_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let path = disk.path().join("credentials.db");
    let records = many(3_000);
    let (_folder, elsewhere) = folder();
    drop(earlier(&elsewhere, &records).await);
    Connection::open(&elsewhere).unwrap().execute_batch("PRAGMA journal_mode = delete").unwrap();
    fs::copy(&elsewhere, &path).unwrap();
    let error = SqliteBackend::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unavailable, "{error:?}");
    disk.resize("64m");
    let backend = SqliteBackend::open(&path).unwrap();
    assert!(all(&backend).await == by_id(records));
}

#[tokio::test]
async fn damaged_records_and_last_uses_are_moved_too() {
    let (_folder, path) = folder();
    let records = many(10);
    let old = earlier(&path, &records).await;
    let harm = "UPDATE credentials SET material = CAST(x'ff' AS TEXT) WHERE id = ?";
    assert_eq!(old.execute(harm, [records[3].id.as_str()]).unwrap(), 1);
    old.execute("UPDATE credentials SET last_used = 7 WHERE id = ?", [records[4].id.as_str()])
        .unwrap();
    drop(old);
    let backend = SqliteBackend::open(&path).unwrap();
    let error = backend.get(&records[3].id).await.unwrap_err();
    assert!(matches!(error, BackendError::Corrupt(_)), "{error:?}");
    assert!(is_stored(&backend, &records[5]).await);
    let used = backend.last_used(&[records[4].id.clone(), records[5].id.clone()]).await.unwrap();
    assert_eq!(used.len(), 1);
}
