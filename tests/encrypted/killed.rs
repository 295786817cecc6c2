//! A process is killed while it reseals.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tower_credentials::{
    backend::{
        CredentialBackend as _,
        encrypted::{Encrypted, KeyRing, ResealProgress},
        sqlite::SqliteBackend,
    },
    domain::CredentialId,
};

use crate::child_process::{ROLE, command_line, role};
use crate::{by_id, get, ids, insert, pair, reseal, text};

/// More than two processes reseal with two pages each.
const RECORDS: usize = 4_500;
const FILE: &str = "credentials.db";

/// Runs this program again, to reseal with this ring in a folder.
fn resealing(folder: &Path, ring: &str) -> Command {
    let [program, arguments @ ..] =
        command_line("killed::killed_reseal_keeps_its_progress_and_can_continue");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env(ROLE, ring)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

async fn reseal_page_by_page() {
    let ring = KeyRing::from_env(ROLE).unwrap();
    let encrypted = Encrypted::open(SqliteBackend::open(FILE).unwrap(), ring).await.unwrap();
    // After each page it waits for a line, so that it never finishes too early.
    let go_on = |progress: &ResealProgress| {
        println!("resealed {}", progress.resealed);
        io::stdin().read_line(&mut String::new()).unwrap();
    };
    encrypted.reseal(go_on).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_reseal_keeps_its_progress_and_can_continue() {
    if role().is_some() {
        return reseal_page_by_page().await;
    }
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

    for round in 0..2 {
        let mut killed = resealing(folder.path(), &ring).spawn().unwrap();
        let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines().map(Result::unwrap);
        let reported = lines.find(|line| line.starts_with("resealed"));
        // Into the next page, and not further.
        killed.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        std::thread::sleep(Duration::from_millis(10 * round));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let store = open();
        let mut left = 0;
        for id in ids(&store, by_id()).await {
            let record = store.get(&CredentialId::from_stored(id)).await.unwrap().unwrap();
            left += usize::from(text(&store, &record).await.starts_with("tower-sealed:1:one:"));
        }
        eprintln!("killed after {reported:?}: {left} of {RECORDS} records left");
        assert!(left > 0 && left < RECORDS);
        // Its key stays in use, so that no ring without it opens the store.
        let alone = KeyRing::parse(keys[1].expose()).unwrap();
        assert!(Encrypted::open(store, alone).await.is_err());
    }

    let both = Encrypted::open(open(), KeyRing::parse(&ring).unwrap()).await.unwrap();
    assert!(reseal(&both).await > 0);
    let alone = KeyRing::parse(keys[1].expose()).unwrap();
    let alone = Encrypted::open(open(), alone).await.unwrap();
    assert_eq!(ids(&alone, by_id()).await.len(), RECORDS);
    let record = pair("alice", "key-17");
    assert_eq!(get(&alone, &record).await.unwrap().secret_key(), record.secret_key(),);
}
