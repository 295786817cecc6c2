//! Disks that are full, and files that are gone.

use std::{fs, path::Path, time::Duration};

use test_support::{
    small_disk::SmallDisk,
    world::{BOB, DEMO, World, pair},
};
use tower_credentials::audit::file::AuditFile;

use crate::{
    LONG, builder, events,
    files::{check, world},
    summary,
};

/// Fills a disk.
fn fill(disk: &SmallDisk) {
    let ballast = disk.path().join("ballast");
    let mut size = 64 << 10;
    while size > 0 && fs::write(&ballast, vec![1; size]).is_err() {
        size -= 256;
    }
}

async fn create(world: &World, access: &str) -> u16 {
    let call = world.post("/credentials").token("dev-admin").json(&pair(BOB, DEMO, access));
    call.send().await.status.as_u16()
}

/// Creates keys until one is refused. Returns how many were created.
async fn fill_log(world: &World) -> usize {
    for number in 0..10_000 {
        match create(world, &format!("k{number}")).await {
            201 => {}
            503 => return number,
            status => panic!("{status}"),
        }
    }
    panic!("the disk never became full");
}

/// Waits until all outcomes are in the file.
async fn written(audit: &AuditFile) {
    while audit.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn done(audit: &AuditFile, path: &Path) -> Vec<String> {
    let done = events(audit, path).into_iter().filter(|event| summary(event) == "create done -");
    done.map(|event| event["target"]["access_key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn full_disk_refuses_changes_in_the_synced_mode_and_stores_nothing() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let path = disk.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    let created = fill_log(&world).await;
    assert!(created > 0);
    let refused = format!("k{created}");
    assert!(world.stored(&refused).await.is_none());
    assert!(audit.health().unwrap_err().contains("No space left"), "{:?}", audit.health());
    // Reads are served.
    assert_eq!(world.get("/credentials/k0").token("dev-admin").send().await.status, 200);

    disk.resize("8m");
    assert_eq!(create(&world, "after").await, 201);
    assert_eq!(audit.health(), Ok(()));
    let done = done(&audit, &path);
    assert_eq!(done.len(), created + 1);
    assert_eq!(done.last().unwrap(), "after");
    let report = check(&[path]);
    assert!(report.findings.is_empty(), "{report:?}");
}

#[tokio::test]
async fn full_disk_delays_events_without_the_synced_mode_and_loses_none() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let path = disk.path().join("audit.log");
    let audit = builder(&path).open().unwrap();
    let world = world(&audit);
    fill(&disk);
    let mut created = 0;
    while audit.health().is_ok() {
        assert_eq!(create(&world, &format!("k{created}")).await, 201);
        created += 1;
        tokio::task::yield_now().await;
        assert!(created < 10_000, "the disk never became full");
    }
    assert_eq!(create(&world, "during").await, 201);
    assert!(audit.stats().waiting > 0);
    disk.resize("8m");
    written(&audit).await;
    assert_eq!(audit.stats().lost, 0);
    assert_eq!(done(&audit, &path).len(), created + 1);
    assert!(check(&[path]).findings.is_empty());
}

#[tokio::test]
async fn folder_in_place_of_the_file_refuses_changes_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    assert_eq!(create(&world, "before").await, 201);
    written(&audit).await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(create(&world, "during").await, 503);
    assert!(world.stored("during").await.is_none());
    assert!(audit.health().is_err());
    fs::remove_dir(&path).unwrap();
    assert_eq!(create(&world, "after").await, 201);
    assert_eq!(done(&audit, &path), ["after"]);
}

#[tokio::test]
async fn folder_that_is_gone_refuses_changes_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    assert_eq!(create(&world, "before").await, 201);
    written(&audit).await;
    fs::remove_dir_all(&logs).unwrap();
    assert_eq!(create(&world, "during").await, 503);
    assert!(audit.health().unwrap_err().contains("No such file"), "{:?}", audit.health());
    fs::create_dir(&logs).unwrap();
    assert_eq!(create(&world, "after").await, 201);
    assert_eq!(audit.health(), Ok(()));
    assert_eq!(done(&audit, &path), ["after"]);
}

#[tokio::test]
async fn events_beyond_the_bound_are_counted_and_reported_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("audit.log");
    let audit = builder(&path).open().unwrap();
    let world = world(&audit);
    fs::remove_dir_all(&logs).unwrap();
    // A refusal is an event too, and cheap.
    let mut sent = 0_u64;
    while audit.stats().lost < 10 {
        let _ = world.delete("/credentials/unknown").token("dev-admin").send().await;
        sent += 1;
        assert!(sent < 100_000, "no event was lost");
    }
    assert!(sent > 10_000, "{sent}");
    fs::create_dir(&logs).unwrap();
    let _ = world.delete("/credentials/unknown").token("dev-admin").send().await;
    written(&audit).await;
    let lost = audit.stats().lost;
    assert!(audit.close(LONG));
    let reported: u64 = crate::lines(&path)
        .iter()
        .filter(|line| line["type"] == "lost")
        .map(|line| line["count"].as_u64().unwrap())
        .sum();
    assert_eq!(reported, lost);
}

#[tokio::test]
async fn intents_that_a_full_disk_refused_are_withdrawn_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let path = disk.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    fill_log(&world).await;
    for number in 0..5 {
        assert_eq!(create(&world, &format!("refused-{number}")).await, 503);
    }
    disk.resize("8m");
    written(&audit).await;
    assert!(audit.close(LONG));
    let audit = builder(&path).synced(true).open().unwrap();
    assert_eq!(audit.unresolved(), 0);
    drop(audit);
}

#[tokio::test]
async fn close_reports_events_that_could_not_be_written() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let path = disk.path().join("audit.log");
    let audit = builder(&path).synced(true).open().unwrap();
    let world = world(&audit);
    fill_log(&world).await;
    assert!(!audit.close(LONG));
    assert!(audit.stats().lost > 0);
}
