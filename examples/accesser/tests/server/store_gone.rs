//! Failures of the store file: locked, on a full disk, missing, or truncated.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use http::Method;
use rusqlite::Connection;
use test_support::{
    clients::rusty_s3::Store,
    keys::{self, create, exists_unchanged},
    process::Server,
    tools::has,
};

use crate::ACCESSER;

#[tokio::test]
async fn locked_store_returns_503_for_writes_only() {
    let accesser = Server::new(ACCESSER);
    let running = accesser.start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    let key = keys::Key { access: "before".into(), secret: keys::secret_of("before") };
    let store = Store::new(&client, &running.url, "demo", &key);
    store.create().await.expect(200);

    let other = Connection::open(accesser.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let answer = create(&client, "during").await.expect(503);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    let delete = client.call(Method::DELETE, "/credentials/before", "dev-alice", None).await;
    assert!(delete.expect(503).headers.contains_key("retry-after"));
    assert_eq!(client.get("/healthz", "").await.expect(200).text(), "ok\n");
    client.get("/credentials", "dev-alice").await.expect(200);
    assert!(exists_unchanged(&client, "before").await);
    store.list().await.expect(200);

    other.execute_batch("ROLLBACK").unwrap();
    create(&client, "after").await.expect(201);
    // The rejected create was not stored.
    assert!(!exists_unchanged(&client, "during").await);
    create(&client, "during").await.expect(201);
}

#[tokio::test]
async fn missing_store_file_returns_503_and_a_restored_one_is_used_at_once() {
    let accesser = Server::new(ACCESSER);
    let running = accesser.start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    assert!(exists_unchanged(&client, "before").await);
    let database = accesser.database();
    let backup = accesser.home().join("backup.db");
    let other = Connection::open(&database).unwrap();
    other.execute("VACUUM INTO ?", [backup.to_str().unwrap()]).unwrap();
    drop(other);
    create(&client, "after-the-backup").await.expect(201);

    let beside = |ending: &str| database.with_extension(format!("db{ending}"));
    let moved = |ending: &str| accesser.home().join(format!("away{ending}"));
    for ending in ["", "-wal", "-shm"] {
        fs::rename(beside(ending), moved(ending)).unwrap();
    }
    let answers = [
        create(&client, "during").await,
        client.get("/credentials", "dev-alice").await,
        client.call(Method::DELETE, "/credentials/before", "dev-alice", None).await,
    ];
    for answer in answers {
        assert!(answer.expect(503).headers.contains_key("retry-after"));
    }
    assert!(!database.exists());
    for ending in ["", "-wal", "-shm"] {
        fs::rename(moved(ending), beside(ending)).unwrap();
    }
    assert!(
        exists_unchanged(&client, "after-the-backup").await
            && !exists_unchanged(&client, "during").await
    );
    create(&client, "back").await.expect(201);

    fs::rename(&backup, &database).unwrap();
    assert!(exists_unchanged(&client, "before").await && !exists_unchanged(&client, "back").await);
    create(&client, "restored").await.expect(201);
    drop(running);
    let running = accesser.start().await;
    let client = running.client();
    assert!(
        exists_unchanged(&client, "restored").await && exists_unchanged(&client, "before").await
    );
}

#[tokio::test]
async fn truncated_store_file_returns_5xx_and_the_server_continues() {
    let accesser = Server::new(ACCESSER);
    let mut running = accesser.start().await;
    let client = running.client();
    for n in 0..60 {
        create(&client, &format!("key-{n}")).await.expect(201);
    }
    let other = Connection::open(accesser.database()).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(exists_unchanged(&client, "key-0").await);
    let file = fs::OpenOptions::new().write(true).open(accesser.database()).unwrap();
    file.set_len(4096).unwrap();
    for _ in 0..5 {
        let answer = client.get("/credentials", "dev-alice").await;
        assert!(answer.status.is_server_error(), "{answer:?}");
    }
    assert_eq!(client.get("/healthz", "").await.expect(200).text(), "ok\n");
    running.stop().await;
}

/// A small disk. Dropping it unmounts it.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(folder: &'a Path) -> Self {
        fs::create_dir(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder);
        assert!(mount.status().unwrap().success());
        Self(folder)
    }

    /// Fills the disk with a file, except for this many bytes.
    fn fill(&self, room: usize) {
        let statistics = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.0).output();
        let statistics = String::from_utf8(statistics.unwrap().stdout).unwrap();
        let (free, block) = statistics.trim().split_once(' ').unwrap();
        let free = free.parse::<usize>().unwrap() * block.parse::<usize>().unwrap();
        fs::write(self.0.join("ballast"), vec![b'x'; free - room]).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Whether the test has permission to mount.
fn may_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=4k", "tmpfs"]).arg(folder.path());
    let may = has("right to mount a disk", &mut mount);
    let mut umount = Command::new("umount");
    let _ = umount.arg(folder.path()).stderr(Stdio::null()).status();
    may
}

#[tokio::test]
async fn full_disk_returns_503_for_writes_and_recovers() {
    if !may_mount() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("disk");
    let disk = Disk::mount(&folder);
    let accesser = Server::new(ACCESSER).data_in(&folder);
    let mut running = accesser.start().await;
    let client = running.client();
    create(&client, "key").await.expect(201);
    let key = keys::Key { access: "key".into(), secret: keys::secret_of("key") };
    let store = Store::new(&client, &running.url, "demo", &key);
    store.create().await.expect(200);
    store.put("object", "whole").await.expect(200);

    disk.fill(200_000);
    let mut acknowledged = vec!["key".to_owned()];
    let refused = loop {
        let access = format!("key-{}", acknowledged.len());
        let answer = create(&client, &access).await;
        if answer.status.as_u16() == 503 {
            break answer;
        }
        answer.expect(201);
        acknowledged.push(access);
        assert!(acknowledged.len() < 1_000, "the disk did not become full");
    };
    assert!(acknowledged.len() > 5, "the disk was full from the start");
    assert!(refused.headers.contains_key("retry-after"));

    // While the disk is full, reads continue, also those of objects.
    create(&client, "refused").await.expect(503);
    client.get("/healthz", "").await.expect(200);
    client.get("/credentials", "dev-alice").await.expect(200);
    for access in &acknowledged {
        assert!(exists_unchanged(&client, access).await, "{access}");
    }
    assert_eq!(store.get("object").await.expect(200).text(), "whole");
    assert!(!store.put("large", vec![b'x'; 1 << 20]).await.status.is_success());

    disk.make_room();
    for n in 0..20 {
        let access = format!("later-{n}");
        create(&client, &access).await.expect(201);
        acknowledged.push(access);
    }
    store.put("object", "again").await.expect(200);

    running.kill();
    let running = accesser.start().await;
    let client = running.client();
    for access in &acknowledged {
        assert!(exists_unchanged(&client, access).await, "{access}");
    }
    assert!(!exists_unchanged(&client, "refused").await);
    let store = Store::new(&client, &running.url, "demo", &key);
    assert_eq!(store.get("object").await.expect(200).text(), "again");
    let database = Connection::open(accesser.database()).unwrap();
    let verdict: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
