//! The limits of one list, in pages of the store and in bytes.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tower_credentials::{
    backend::{CredentialBackend, ListQuery},
    domain::{
        AccessKey, Blob, Credential, CredentialId, Kind, Material, ProjectId, Quota, SecretKey,
        UserId, Version,
    },
};

use crate::world::{ALICE, CAROL, DEMO, OTHER, START, World, failing::Flaky, tokens};

/// A world whose store has this many records of Alice in Carol's project, all before `z`, and
/// Alice's key `z` in her own project.
async fn world_with(records: usize, opaque: bool) -> (World, Arc<Flaky>) {
    let store = Arc::new(Flaky::default());
    let world = World::of(tokens(), store.clone(), |builder| builder);
    for number in 0..records {
        let key = AccessKey::new(format!("a{number:06}")).unwrap();
        let (kind, material) = if opaque {
            (Kind::new("totp").unwrap(), Material::Blob(Blob::new("{}")))
        } else {
            let secret = SecretKey::new("s").unwrap();
            (Kind::ec2(), Material::KeyPair { secret: Some(secret) })
        };
        let (id, owner) = (CredentialId::of(&key), UserId::new(ALICE).unwrap());
        let now = std::time::UNIX_EPOCH + START;
        let mut record = Credential::new(id, kind, owner, material, now, Version::fresh());
        record.project_id = Some(ProjectId::new(OTHER).unwrap());
        record.access_key = (!opaque).then_some(key);
        store.insert(&record.into(), Quota::Unlimited).await.unwrap();
    }
    world.mint(ALICE, DEMO, "z").await;
    store.take_pages();
    (world, store)
}

#[tokio::test]
async fn ibm_list_of_one_skips_many_keys_in_few_pages() {
    let (world, store) = world_with(5_000, false).await;
    let answer = world.get("/credentials?limit=1").token("dev-alice").send().await;
    assert_eq!(answer.ids(), ["z"]);
    assert!(store.take_pages() <= 7);
}

#[tokio::test]
async fn ibm_list_reads_a_bounded_number_of_pages() {
    let (world, store) = world_with(70_000, false).await;
    let answer = world.get("/credentials?limit=1").token("dev-alice").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(store.take_pages(), 64);
}

#[tokio::test]
async fn v2_list_that_reached_its_read_limit_continues_at_its_next_link() {
    let (world, store) = world_with(3_000, true).await;
    let path = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    let (mut link, mut found) = (format!("{path}?limit=1"), Vec::new());
    for _ in 0..1_000 {
        let answer = world.get(&link).token("dev-admin").send().await.json();
        assert!(store.take_pages() <= 64);
        found.extend(answer["credentials"].as_array().unwrap().clone());
        match answer["credentials_links"][0]["href"].as_str() {
            Some(href) => link = href.to_owned(),
            None => break,
        }
    }
    assert_eq!(found.len(), 1, "the key after all opaque records was not found");
}

#[tokio::test]
async fn v2_list_of_a_type_with_one_record_reads_no_page() {
    let (world, store) = world_with(10, false).await;
    let path = format!("/v2.0/users/{CAROL}/OS-KSS3/credentials");
    let grant = r#"{"s3Credentials": {"username": "c", "secret": "s", "signature": ""}}"#;
    let granted = world.post(&path).token("dev-admin").text("application/json", grant);
    assert_eq!(granted.send().await.status, 201);
    let listed = async |query: &str| {
        let answer = world.get(&format!("{path}{query}")).token("dev-admin").send().await.json();
        answer["credentials"].as_array().unwrap().len()
    };
    let id = CredentialId::of(&AccessKey::new("c").unwrap());
    assert_eq!(listed("").await, 1);
    assert_eq!(listed("?limit=0").await, 0);
    assert_eq!(listed(&format!("?marker={id}")).await, 0);
    assert_eq!(store.take_pages(), 0);
}

/// The least number of bytes in each record of [`large`].
const LARGE: usize = 100_000;

/// A world with thirty v3 key pairs of Alice, `a00` to `a29`, with a long text in the blob or
/// in an attribute.
async fn large(attribute: bool) -> World {
    let world = World::new();
    let text = "x".repeat(LARGE);
    for number in 0..30 {
        let key = AccessKey::new(format!("a{number:02}")).unwrap();
        let pad = if attribute { "" } else { &text };
        let blob = format!(r#"{{"access":"{}","secret":"s","pad":"{pad}"}}"#, key.as_str());
        let (id, owner) = (CredentialId::of(&key), UserId::new(ALICE).unwrap());
        let (now, material) = (std::time::UNIX_EPOCH + START, Material::Blob(Blob::new(blob)));
        let mut record = Credential::new(id, Kind::ec2(), owner, material, now, Version::fresh());
        record.project_id = Some(ProjectId::new(DEMO).unwrap());
        record.access_key = Some(key);
        if attribute {
            record.attributes.insert("subject_ibm_id".into(), text.clone().into());
        }
        world.backend.insert(&record.into(), Quota::Unlimited).await.unwrap();
    }
    world
}

/// Checks that each page of a list ends at the bound, and that the pages together contain all
/// thirty records. `next` returns the path of the next page.
async fn assert_pages(world: &World, path: &str, next: impl Fn(&Value) -> Option<String>) {
    // The record that reaches the bound is the last one.
    let most = ListQuery::MAX_BYTES / LARGE + 1;
    let (mut path, mut found, mut pages) = (path.to_owned(), BTreeSet::new(), 0);
    loop {
        let page = world.get(&path).token("dev-admin").send().await.json();
        let records = page["credentials"].as_array().unwrap();
        assert!(records.len() <= most, "{} records in a page of {path}", records.len());
        found.extend(records.iter().map(Value::to_string));
        pages += 1;
        match next(&page) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(found.len(), 30, "{path}");
    assert!(pages >= 3, "{pages} pages of {path}");
}

#[tokio::test]
async fn v3_list_of_large_records_ends_at_the_bound_and_continues_at_its_next_link() {
    let next = |page: &Value| page["links"]["next"].as_str().map(str::to_owned);
    assert_pages(&large(false).await, "/v3/credentials", next).await;
}

#[tokio::test]
async fn os_ec2_list_of_large_records_ends_at_the_bound_and_continues_at_its_next_link() {
    let next = |page: &Value| page["links"]["next"].as_str().map(str::to_owned);
    let path = format!("/v3/users/{ALICE}/credentials/OS-EC2");
    assert_pages(&large(false).await, &path, next).await;
}

#[tokio::test]
async fn v2_list_of_large_records_ends_at_the_bound_and_continues_at_its_next_link() {
    let next = |page: &Value| page["credentials_links"][0]["href"].as_str().map(str::to_owned);
    let path = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    assert_pages(&large(false).await, &path, next).await;
}

#[tokio::test]
async fn ibm_list_of_large_members_ends_at_the_bound_and_continues_after_its_last_id() {
    let next = |page: &Value| {
        let last = page["credentials"].as_array().unwrap().last()?;
        Some(format!("/credentials?marker={}", last["id"].as_str().unwrap()))
    };
    assert_pages(&large(true).await, "/credentials", next).await;
}

#[tokio::test]
async fn ibm_list_is_not_shortened_by_blobs_that_it_does_not_show() {
    let answer = large(false).await.get("/credentials").token("dev-admin").send().await;
    assert_eq!(answer.ids().len(), 30);
}
