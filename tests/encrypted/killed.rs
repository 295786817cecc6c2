//! A process that reseals is killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tower_credentials::backend::{
    CredentialBackend as _,
    encrypted::{Encrypted, KeyRing},
    sqlite::SqliteBackend,
};

use crate::{by_id, get, ids, insert, pair, reseal};

const RECORDS: usize = 4_000;
const FILE: &str = "credentials.db";

/// This program again, to run [`the_process_that_is_killed`] in a folder.
fn resealing(folder: &Path, ring: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "killed::the_process_that_is_killed", "--ignored", "--nocapture"])
        .current_dir(folder)
        .env("RING_OF_THE_PROCESS", ring)
        .stdout(Stdio::piped());
    command
}

#[tokio::test]
#[ignore = "run by other tests"]
async fn the_process_that_is_killed() {
    let Ok(ring) = KeyRing::from_env("RING_OF_THE_PROCESS") else { return };
    let encrypted = Encrypted::open(SqliteBackend::open(FILE).unwrap(), ring).await.unwrap();
    println!("started");
    encrypted.reseal(|progress| println!("resealed {}", progress.resealed)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_when_it_was_killed_is_sealed_and_the_rest_follows() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["one", "two"].map(|id| KeyRing::generate_key(id).unwrap());
    let ring = format!("{};{}", keys[0].expose(), keys[1].expose());
    let open = || SqliteBackend::open(folder.path().join(FILE)).unwrap();
    let first = Encrypted::open(open(), KeyRing::parse(keys[0].expose()).unwrap()).await.unwrap();
    let writes: Vec<_> = (0..RECORDS)
        .map(|index| {
            let encrypted = first.clone();
            tokio::spawn(async move {
                insert(&encrypted, &pair("alice", &format!("key-{index}"))).await;
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    drop(first);

    let mut rounds = 0;
    for pages in 1..3 {
        let mut killed = resealing(folder.path(), &ring).spawn().unwrap();
        let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = lines.by_ref().filter(|line| line.starts_with("resealed")).nth(pages - 1);
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(told.is_some(), "it was done before it could be killed");
        rounds += 1;
        let store = open();
        let mut left = 0;
        for id in ids(&store, by_id()).await {
            let id = tower_credentials::domain::CredentialId::from_stored(id);
            let record = store.get(&id).await.unwrap().unwrap();
            let text = crate::text(&store, &record).await;
            left += usize::from(text.starts_with("tower-sealed:1:one:"));
        }
        eprintln!("killed after {told:?}: {left} of {RECORDS} records left");
        assert!(left > 0 && left < RECORDS);
        // Its key stays in use, so that nobody takes it away too soon.
        let alone = KeyRing::parse(keys[1].expose()).unwrap();
        assert!(Encrypted::open(store, alone).await.is_err());
    }
    assert_eq!(rounds, 2);

    let both = Encrypted::open(open(), KeyRing::parse(&ring).unwrap()).await.unwrap();
    assert!(reseal(&both).await > 0);
    let alone = KeyRing::parse(keys[1].expose()).unwrap();
    let alone = Encrypted::open(open(), alone).await.unwrap();
    assert_eq!(ids(&alone, by_id()).await.len(), RECORDS);
    let record = pair("alice", "key-17");
    assert_eq!(get(&alone, &record).await.unwrap().secret_key(), record.secret_key(),);
}
