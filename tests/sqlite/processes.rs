//! Other processes with the same file, and processes that are killed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use test_support::records::{assert_whole_rotations, list_all, rotation};

use tower_credentials::{
    backend::{CredentialBackend, ListQuery, Order, sqlite::SqliteBackend},
    domain::{AccessKey, Quota},
};

use crate::child_process::{ROLE, command_line, role};
use crate::{folder, insert, pair};

/// A file in the current folder, with a name that is special for the engine.
const URI: &str = "file:credentials.db?mode=memory";

/// Runs this program again in the folder, with this role in the test.
fn other_process(folder: &Path, umask: &str, test: &str, role: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask $0 && exec \"$@\"", umask])
        .args(command_line(test))
        .current_dir(folder)
        .env(ROLE, role);
    command
}

fn greet(folder: &Path, umask: &str) {
    let test = "processes::two_processes_with_one_file_see_each_others_writes";
    let output = other_process(folder, umask, test, "greets").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn acknowledged_writes_survive_a_killed_process() {
    const TEST: &str = "processes::acknowledged_writes_survive_a_killed_process";
    const ENOUGH: usize = 200;
    if role().is_some() {
        let backend = SqliteBackend::open(URI).unwrap();
        for n in 0.. {
            let key = format!("key-{n}");
            insert(&backend, &pair("bob", &key)).await.unwrap();
            println!("stored {key}");
        }
    }
    let (folder, _) = folder();
    let mut killed = other_process(folder.path(), "022", TEST, "fills");
    let mut killed = killed.stdout(Stdio::piped()).spawn().unwrap();
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
async fn rotation_of_a_killed_process_is_stored_as_a_whole_or_not_at_all() {
    const TEST: &str = "processes::rotation_of_a_killed_process_is_stored_as_a_whole_or_not_at_all";
    if role().is_some() {
        let backend = SqliteBackend::open(URI).unwrap();
        let mut old = pair("bob", "first");
        insert(&backend, &old).await.unwrap();
        loop {
            let (new, retired) = rotation(&old);
            let (credential, retired) = (Arc::new(new.clone()), Arc::new(retired));
            let quota = Quota::AtMost(100_000);
            assert!(backend.rotate(&credential, quota, &retired, old.version).await.unwrap());
            println!("stored {}", new.id);
            old = new;
        }
    }
    for round in 0..5 {
        let (folder, _) = folder();
        let mut killed = other_process(folder.path(), "022", TEST, "rotates");
        let mut killed = killed.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(killed.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut ids = lines.filter_map(|line| line.strip_prefix("stored ").map(str::to_owned));
        let mut acknowledged: Vec<_> = ids.by_ref().take(50 + 7 * round).collect();
        killed.kill().unwrap();
        killed.wait().unwrap();
        acknowledged.extend(ids);

        let backend = SqliteBackend::open(folder.path().join(URI)).unwrap();
        let records = list_all(&backend, ListQuery::new(Order::Key)).await;
        assert_whole_rotations(&records);
        for id in &acknowledged {
            assert!(records.iter().any(|record| record.id.as_str() == id), "{id} was lost");
        }
        // The first record, and at most one rotation that was not acknowledged.
        assert!((1..=2).contains(&(records.len() - acknowledged.len())));
    }
}

#[tokio::test]
async fn two_processes_with_one_file_see_each_others_writes() {
    if role().is_some() {
        let backend = SqliteBackend::open(URI).unwrap();
        let key = AccessKey::new("first").unwrap();
        let found = backend.find_by_access_key(&key).await.unwrap();
        let name = if found.is_some() { "second" } else { "first" };
        insert(&backend, &pair("bob", name)).await.unwrap();
        return;
    }
    let (folder, _) = folder();
    let backend = SqliteBackend::open(folder.path().join(URI)).unwrap();
    insert(&backend, &pair("bob", "first")).await.unwrap();
    greet(folder.path(), "022");
    let key = AccessKey::new("second").unwrap();
    assert!(backend.find_by_access_key(&key).await.unwrap().is_some());
}

#[test]
fn new_file_is_private_under_any_umask() {
    for umask in ["0", "777"] {
        let (folder, _) = folder();
        greet(folder.path(), umask);
        let mode = fs::metadata(folder.path().join(URI)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "umask {umask}");
    }
}
