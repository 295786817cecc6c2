//! `SqliteBackend` as a file: who may read it, what is refused, what survives.

use std::{
    error::Error as _,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::Connection;
use tempfile::TempDir;
use tower_credentials::{
    backend::{
        BackendError, CredentialBackend, ListQuery, Order,
        sqlite::{OpenErrorKind, SqliteBackend},
    },
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, PasswordHash,
        ProjectId, Quota, SecretKey, SecretText, Slot, Status, UserId, Version,
    },
    usage::UsageLog as _,
};

#[path = "sqlite/damaged.rs"]
mod damaged;
#[path = "sqlite/exposed.rs"]
mod exposed;
#[path = "sqlite/replaced.rs"]
mod replaced;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    (folder, path)
}

/// A key pair of this user.
fn pair(user: &str, key: &str) -> Credential {
    let key = AccessKey::new(key).unwrap();
    let secret = Some(SecretKey::new(format!("secret of {key}")).unwrap());
    let mut credential = Credential::new(
        CredentialId::of(&key),
        Kind::ec2(),
        UserId::new(user).unwrap(),
        Material::KeyPair { secret },
        UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456),
        Version::fresh(),
    );
    credential.access_key = Some(key);
    credential
}

async fn insert(backend: &SqliteBackend, credential: &Credential) -> Result<(), BackendError> {
    backend.insert(&credential.clone().into(), Quota::Unlimited).await
}

async fn is_stored(backend: &SqliteBackend, credential: &Credential) -> bool {
    backend.get(&credential.id).await.unwrap().is_some_and(|found| *found == *credential)
}

/// All that an error says, its sources included.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, " {error} {error:?}");
        source = error.source();
    }
    text
}

// === what a record keeps ===

#[tokio::test]
async fn every_field_of_every_form_survives_a_reopened_file() {
    let (_folder, path) = folder();
    let materials = [
        Material::Blob(Blob::new("{ \"access\" : \"a\",  \"secret\":\"b\" } \u{1F511}\0")),
        Material::Grant {
            username: "amy".into(),
            secret: SecretKey::new("s").unwrap(),
            signature: SecretText::new(""),
        },
        Material::KeyPair { secret: None },
        Material::KeyPair { secret: Some(SecretKey::new("it's \"s\"").unwrap()) },
        Material::Password {
            username: "amy".into(),
            hash: PasswordHash::derive(&SecretText::new("pw")).unwrap(),
        },
    ];
    let id = || "d".to_owned();
    let delegations = [
        None,
        Some(Delegation::AccessToken { id: id() }),
        Some(Delegation::ApplicationCredential { id: id(), restricted: true }),
        Some(Delegation::ApplicationCredential { id: id(), restricted: false }),
        Some(Delegation::Ec2Credential),
        Some(Delegation::Other),
        Some(Delegation::Trust { id: id() }),
    ];
    let slots = [None, Some(Slot::Ec2), Some(Slot::Password), Some(Slot::S3)];

    let mut records = Vec::new();
    for (n, delegation) in delegations.into_iter().enumerate() {
        let mut record = pair("bob", &format!("key-{n}"));
        record.kind = Kind::new(["ec2", "totp"][n % 2]).unwrap();
        record.material = materials[n % materials.len()].clone();
        record.delegation = delegation;
        record.slot = slots.get(n).copied().flatten();
        record.project_id = (n > 2).then(|| ProjectId::new("pröject").unwrap());
        record.status = [Status::Active, Status::Inactive][n % 2];
        record.updated_at = record.created_at + Duration::from_micros(1);
        record.attributes.insert("x".into(), serde_json::json!({ "y": [1.5, null, "'"] }));
        if n == 6 {
            record.access_key = None;
            record.created_at = UNIX_EPOCH - Duration::from_micros(1);
            record.version = Version::from_stored(u64::MAX);
        }
        records.push(record);
    }

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    drop(backend);

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &records {
        assert_eq!(*backend.get(&record.id).await.unwrap().unwrap(), *record);
        if let Some(slot) = record.slot {
            let found = backend.find_by_slot(&record.user_id, slot).await.unwrap().unwrap();
            assert_eq!(*found, *record);
        }
    }
}

#[tokio::test]
async fn an_update_replaces_every_field_but_the_id() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let before = pair("bob", "before");
    insert(&backend, &before).await.unwrap();

    let mut after = pair("amy", "after");
    after.id = before.id.clone();
    after.kind = Kind::new("totp").unwrap();
    after.project_id = Some(ProjectId::new("p").unwrap());
    after.slot = Some(Slot::S3);
    after.status = Status::Inactive;
    after.delegation = Some(Delegation::Other);
    after.attributes.insert("a".into(), 1.into());
    after.created_at += Duration::from_secs(1);
    after.updated_at += Duration::from_secs(2);
    assert!(backend.update(&after.clone().into(), before.version).await.unwrap());
    assert_eq!(*backend.get(&before.id).await.unwrap().unwrap(), after);
}

#[tokio::test]
async fn a_row_that_is_no_credential_is_corrupt_and_its_text_is_not_told() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    let other = Connection::open(&path).unwrap();

    let columns = ["material", "status", "slot", "delegation", "attributes"];
    for column in columns {
        let garbage = format!("UPDATE credentials SET {column} = '[\"hush\"'");
        other.execute_batch(&garbage).unwrap();

        let error = backend.get(&record.id).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_)), "{column}: {error:?}");
        assert!(told(&error).contains(column) && !told(&error).contains("hush"), "{error:?}");
        let error = backend.list(&ListQuery::new(Order::Id)).await.unwrap_err();
        assert!(matches!(error, BackendError::Corrupt(_)), "{column}: {error:?}");

        assert!(backend.update(&record.clone().into(), record.version).await.unwrap());
        assert!(is_stored(&backend, &record).await);
    }
}

#[tokio::test]
async fn a_page_examines_a_bounded_number_of_rows_and_tells_where_to_go_on() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let wanted = ProjectId::new("wanted").unwrap();
    let mut last = pair("bob", "zzz-last");
    last.project_id = Some(wanted.clone());
    insert(&backend, &last).await.unwrap();
    let fill = async |range: std::ops::Range<usize>| {
        let records: Vec<_> = range.map(|n| pair("bob", &format!("key-{n:04}"))).collect();
        let inserts = records.into_iter().map(|record| {
            let backend = backend.clone();
            tokio::spawn(async move { insert(&backend, &record).await.unwrap() })
        });
        for insert in inserts.collect::<Vec<_>>() {
            insert.await.unwrap();
        }
    };
    let mut query = ListQuery::new(Order::AccessKey);
    query.user_id = Some(last.user_id.clone());
    query.project_id = Some(wanted);

    // The bound is reached with the last row: nothing follows.
    fill(1..ListQuery::MAX_EXAMINED).await;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next), (1, None));

    // One row more, and the last one is beyond the bound.
    fill(0..1).await;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next.as_deref()), (0, Some("key-1999")));
    query.after = page.next;
    let page = backend.list(&query).await.unwrap();
    assert_eq!((page.credentials.len(), page.next), (1, None));

    // A full page has a next one only if something follows that is admitted.
    let mut query = ListQuery::new(Order::AccessKey).with_limit(2);
    query.before = Some("key-0003".into());
    let page = backend.list(&query).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("key-0001"));
    query.before = Some("key-0002".into());
    assert_eq!(backend.list(&query).await.unwrap().next, None);
}

// === the file ===

#[tokio::test]
async fn all_files_are_readable_by_their_owner_only() {
    let (folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    insert(&backend, &pair("bob", "key")).await.unwrap();

    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["credentials.db", "credentials.db-shm", "credentials.db-wal"]);
}

#[tokio::test]
async fn the_mode_of_a_file_that_exists_is_left_alone() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let backend = SqliteBackend::open(&path).unwrap();
    insert(&backend, &pair("bob", "key")).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let (folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    assert!(is_stored(&backend.clone(), &record).await);
    drop(backend);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_folder_is_told() {
    let (_folder, path) = folder();
    let error = SqliteBackend::open(path.join("deeper.db")).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Inaccessible);
    assert!(error.to_string().contains("folder does not exist"), "{error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    insert(&backend, &record).await.unwrap();
    assert!(is_stored(&backend, &record).await);
    let other = Connection::open(&path).unwrap();
    let version: u32 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_migrated_and_keeps_its_records() {
    let (folder, path) = folder();
    let newer = folder.path().join("newer.db");
    let mut records: Vec<_> = (0..100).map(|n| pair("bob", &format!("key-{n}"))).collect();
    records[7].slot = Some(Slot::S3);
    records[7].delegation = Some(Delegation::Other);
    let backend = SqliteBackend::open(&newer).unwrap();
    for record in &records {
        insert(&backend, record).await.unwrap();
    }
    drop(backend);
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/backend/sqlite/migrations/0001_credentials.sql"))
        .unwrap();
    let columns = "id, kind, user_id, project_id, slot, access_key, material, status, \
        delegation, attributes, created_at, updated_at, version";
    old.execute("ATTACH ? AS newer", [newer.to_str().unwrap()]).unwrap();
    let copy = format!(
        "INSERT INTO credentials ({columns}) SELECT {columns} FROM newer.credentials; \
         PRAGMA application_id = {}; PRAGMA user_version = 1",
        0x7443_7264
    );
    old.execute_batch(&copy).unwrap();
    drop(old);

    let backend = SqliteBackend::open(&path).unwrap();
    let version = || {
        let other = Connection::open(&path).unwrap();
        other.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(version(), 2);
    let all = backend.list(&ListQuery::new(Order::Id)).await.unwrap();
    assert_eq!(all.credentials.len(), records.len());
    for record in &records {
        assert!(is_stored(&backend, record).await);
    }
    // Its keys can be used, changed and deleted as any others.
    let used = (records[7].id.clone(), UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    backend.note(std::slice::from_ref(&used)).await.unwrap();
    let changed = records[7].clone().touched(used.1);
    assert!(backend.update(&changed.clone().into(), records[7].version).await.unwrap());
    drop(backend);
    let backend = SqliteBackend::open(&path).unwrap();
    assert_eq!(version(), 2);
    let told = backend.last_used(&[used.0.clone(), records[8].id.clone()]).await.unwrap();
    assert_eq!(told, [used.clone()].into());
    assert!(backend.delete(&used.0, changed.version).await.unwrap());
    assert_eq!(backend.purge_user(&changed.user_id).await.unwrap(), 99);
}

#[test]
fn a_file_of_a_later_release_is_refused_and_not_touched() {
    let (_folder, path) = folder();
    drop(SqliteBackend::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 97).unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();

    let error = SqliteBackend::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Newer);
    let text = error.to_string();
    assert!(text.contains("version 97,") && text.contains("none above 2"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_another_application_is_refused_and_not_touched() {
    let (folder, _) = folder();
    fs::write(folder.path().join("text"), "my diary is no database ".repeat(99)).unwrap();
    for (name, sql) in [
        ("tables", "CREATE TABLE credentials (id)"),
        ("application", "PRAGMA application_id = 7; PRAGMA user_version = 1"),
        ("version", "PRAGMA user_version = 1"),
    ] {
        Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap();
    }
    for name in ["text", "tables", "application", "version"] {
        let path = folder.path().join(name);
        let before = fs::read(&path).unwrap();
        let error = SqliteBackend::open(&path).unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::Foreign, "{name}: {error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{name}");
    }
}

#[test]
fn a_new_file_that_is_locked_is_waited_for_and_then_reported() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(SqliteBackend::open(&path).unwrap_err().kind(), OpenErrorKind::Busy);

    let opener = thread::spawn(move || SqliteBackend::open(path));
    // Lets the opener run into the lock; if it comes too late it finds none.
    thread::sleep(Duration::from_millis(200));
    drop(other);
    opener.join().unwrap().unwrap();
}

#[tokio::test]
async fn many_threads_may_open_the_same_new_file_at_once() {
    for _ in 0..5 {
        let (_folder, path) = folder();
        let openers: Vec<_> = (0..16)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || SqliteBackend::open(path).unwrap())
            })
            .collect();
        let backends: Vec<_> = openers.into_iter().map(|o| o.join().unwrap()).collect();
        let record = pair("bob", "key");
        insert(&backends[0], &record).await.unwrap();
        for backend in &backends {
            assert!(is_stored(backend, &record).await);
        }
    }
}

#[tokio::test]
async fn two_handles_on_one_file_see_each_others_writes() {
    let (_folder, path) = folder();
    let [a, b] = [(); 2].map(|()| SqliteBackend::open(&path).unwrap());
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let record = pair("bob", &format!("key-{n}"));
        insert(writer, &record).await.unwrap();
        assert!(is_stored(reader, &record).await);
        let again = insert(reader, &record).await.unwrap_err();
        assert!(matches!(again, BackendError::AlreadyExists));
    }
}

/// A file in the current folder, under a name that the engine would give a meaning.
const URI: &str = "file:credentials.db?mode=memory";

/// This program again, to run [`the_other_process`] in a folder.
fn other_process(folder: &Path, umask: &str, task: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask $0 && exec \"$1\" --exact the_other_process --ignored --nocapture"])
        .arg(umask)
        .arg(std::env::current_exe().unwrap())
        .current_dir(folder)
        .env("OTHER_PROCESS", task);
    command
}

fn greet(folder: &Path, umask: &str) {
    let output = other_process(folder, umask, "greet").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
#[ignore = "run by other tests"]
async fn the_other_process() {
    let Ok(task) = std::env::var("OTHER_PROCESS") else { return };
    let backend = SqliteBackend::open(URI).unwrap();
    if task == "greet" {
        let key = AccessKey::new("first").unwrap();
        let found = backend.find_by_access_key(&key).await.unwrap();
        let name = if found.is_some() { "second" } else { "first" };
        insert(&backend, &pair("bob", name)).await.unwrap();
        return;
    }
    for n in 0.. {
        let key = format!("key-{n}");
        insert(&backend, &pair("bob", &key)).await.unwrap();
        println!("stored {key}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    const ENOUGH: usize = 200;
    let (folder, _) = folder();
    let mut killed =
        other_process(folder.path(), "022", "fill").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut keys = lines.filter_map(|line| line.strip_prefix("stored ").map(str::to_owned));
    let mut acknowledged: Vec<_> = keys.by_ref().take(ENOUGH).collect();
    killed.kill().unwrap();
    killed.wait().unwrap();
    acknowledged.extend(keys);
    assert!(acknowledged.len() >= ENOUGH);

    let backend = SqliteBackend::open(folder.path().join(URI)).unwrap();
    for key in acknowledged {
        let key = AccessKey::new(key).unwrap();
        let found = backend.find_by_access_key(&key).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{key} was lost"));
        assert_eq!(found.secret_key().unwrap().expose(), format!("secret of {key}"));
    }
}

#[tokio::test]
async fn two_processes_on_one_file_see_each_others_writes() {
    let (folder, _) = folder();
    let backend = SqliteBackend::open(folder.path().join(URI)).unwrap();
    insert(&backend, &pair("bob", "first")).await.unwrap();
    greet(folder.path(), "022");
    let key = AccessKey::new("second").unwrap();
    assert!(backend.find_by_access_key(&key).await.unwrap().is_some());
}

#[test]
fn a_new_file_is_its_owners_to_read_and_write_under_any_umask() {
    for umask in ["0", "777"] {
        let (folder, _) = folder();
        greet(folder.path(), umask);
        let mode = fs::metadata(folder.path().join(URI)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "umask {umask}");
    }
}

// === locks and batches ===

/// Another program that holds the lock for writing.
fn lock(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

/// How many transactions the write-ahead log holds: frames that carry the size
/// of the file after a commit (<https://sqlite.org/walformat.html>).
fn commits(path: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let log = fs::read(path.with_extension("db-wal")).unwrap();
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page = word(8) as usize;
    let salts = log[16..24].to_vec();
    let frames = log[HEADER..].chunks_exact(FRAME_HEADER + page);
    let current = frames.take_while(|frame| frame[8..16] == salts);
    current.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn a_lock_makes_writes_unavailable_until_it_goes_and_reads_go_on() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (first, second) = (pair("bob", "first"), pair("bob", "second"));
    insert(&backend, &first).await.unwrap();

    let other = lock(&path);
    let error = insert(&backend, &second).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(is_stored(&backend, &first).await);
    assert!(!told(&error).contains("secret of"), "{error:?}");

    drop(other);
    assert!(!is_stored(&backend, &second).await);
    insert(&backend, &second).await.unwrap();
    assert!(is_stored(&backend, &second).await);
}

#[tokio::test]
async fn a_store_that_breaks_and_is_mended_serves_again() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let (first, second) = (pair("bob", "first"), pair("bob", "second"));
    insert(&backend, &first).await.unwrap();

    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE credentials RENAME TO away").unwrap();
    let error = insert(&backend, &second).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(!told(&error).contains("secret of"), "{error:?}");
    let error = backend.get(&first.id).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");

    other.execute_batch("ALTER TABLE away RENAME TO credentials").unwrap();
    insert(&backend, &second).await.unwrap();
    assert!(is_stored(&backend, &first).await && is_stored(&backend, &second).await);
}

#[tokio::test]
async fn writes_that_wait_together_are_committed_together() {
    const WRITES: usize = 64;
    let (_folder, path) = folder();
    let backend = Arc::new(SqliteBackend::open(&path).unwrap());
    let other = lock(&path);
    let before = commits(&path);
    let writes: Vec<_> = (0..WRITES)
        .map(|n| {
            let backend = Arc::clone(&backend);
            let record = pair("bob", &format!("key-{n}"));
            tokio::spawn(async move { insert(&backend, &record).await })
        })
        .collect();
    // On this one thread every task has queued its write after this.
    tokio::task::yield_now().await;
    drop(other);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let commits = commits(&path) - before;
    assert!((1..=2).contains(&commits), "{WRITES} writes took {commits} commits");
}

#[tokio::test]
async fn a_refused_write_does_not_undo_its_neighbours() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let taken = pair("amy", "taken");
    insert(&backend, &taken).await.unwrap();
    let (good, late) = (pair("bob", "good"), pair("bob", "late"));
    let mut duplicate = pair("bob", "duplicate");
    duplicate.access_key.clone_from(&taken.access_key);
    let over = pair("bob", "over").into();
    let stale = taken.clone().touched(UNIX_EPOCH).into();
    let wrong = Version::from_stored(taken.version.get() ^ 1);

    let other = lock(&path);
    let before = commits(&path);
    let results = async {
        tokio::join!(
            insert(&backend, &good),
            insert(&backend, &duplicate),
            backend.insert(&over, Quota::AtMost(1)),
            backend.update(&stale, wrong),
            backend.delete(&taken.id, wrong),
            insert(&backend, &late),
        )
    };
    let unlock = async move { drop(other) };
    let ((first, taken_key, full, update, delete, last), ()) = tokio::join!(results, unlock);

    assert!(first.is_ok() && last.is_ok());
    assert!(matches!(taken_key, Err(BackendError::AlreadyExists)), "{taken_key:?}");
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
    assert!(matches!((update, delete), (Ok(false), Ok(false))));
    assert!(commits(&path) - before <= 2);
    for record in [&taken, &good, &late] {
        assert!(is_stored(&backend, record).await);
    }
    let all = backend.list(&ListQuery::new(Order::Id)).await.unwrap();
    assert_eq!(all.credentials.len(), 3);
}

#[tokio::test]
async fn a_write_whose_caller_left_is_whole_and_closing_waits_for_it() {
    let (_folder, path) = folder();
    let backend = SqliteBackend::open(&path).unwrap();
    let record = pair("bob", "key");
    let other = lock(&path);
    {
        let mut write = Box::pin(insert(&backend, &record));
        let queued = tokio::time::timeout(Duration::ZERO, &mut write).await;
        assert!(queued.is_err(), "the lock was not respected");
    }
    drop(other);
    drop(backend);
    assert!(is_stored(&SqliteBackend::open(&path).unwrap(), &record).await);
}

// === a full disk ===

/// A small file system of its own; `None` where it cannot be had.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .output();
        if mount.as_ref().is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        let required = std::env::var("REQUIRE_LIVE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "cannot mount a small disk: {mount:?}");
        eprintln!("SKIPPED: a full disk is not tested, for mounting one needs root: {mount:?}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_writes_loses_nothing_and_heals() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.0.path().join("credentials.db");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let backend = SqliteBackend::open(&path).unwrap();

    let mut acknowledged = Vec::new();
    let error = loop {
        let record = pair("bob", &format!("before-{}", acknowledged.len()));
        match insert(&backend, &record).await {
            Ok(()) => acknowledged.push(record),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100_000, "the disk is never full");
    };
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(!acknowledged.is_empty());
    assert!(!told(&error).contains("secret of"), "{error:?}");
    for record in &acknowledged {
        assert!(is_stored(&backend, record).await);
    }

    fs::remove_file(ballast).unwrap();
    for n in 0..20 {
        let record = pair("bob", &format!("after-{n}"));
        insert(&backend, &record).await.unwrap();
        acknowledged.push(record);
    }
    drop(backend);

    let backend = SqliteBackend::open(&path).unwrap();
    for record in &acknowledged {
        assert!(is_stored(&backend, record).await);
    }
    drop(backend);
    let other = Connection::open(&path).unwrap();
    let check: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
