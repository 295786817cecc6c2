//! Reads of a known key by a known caller call neither the store nor Keystone.

use serde_json::json;
use test_support::{process::Running, signer};
use time::{OffsetDateTime, macros::format_description};

use crate::{
    keystone::{ADMIN, ALICE, Keystone},
    process::Front,
    waiting::Waiting,
};

const OS_EC2: &str = "/v3/users/alice/credentials/OS-EC2";

/// The number of times that a busy machine may delay the store's change feed so much that all
/// keys are looked up again.
const TRIES: u64 = 5;

/// Waits until the log has this number of lookups in the key cache; returns how many of them
/// called the store.
async fn misses_of(front: &Running, lookups: u64) -> u64 {
    let logged = || {
        let log = front.stderr();
        let line = log.lines().rfind(|line| line.contains("key cache"))?;
        let number = |name: &str| -> Option<u64> {
            let (_, value) = line.split_once(&format!(" {name}="))?;
            value.split(' ').next()?.parse().ok()
        };
        Some((number("hits")?, number("misses")?))
    };
    for () in Waiting::start() {
        match logged() {
            Some((hits, misses)) if hits + misses == lookups => return misses,
            _ => tokio::time::sleep(Waiting::STEP).await,
        }
    }
    panic!("no {lookups} lookups in {}", front.stderr());
}

#[tokio::test]
async fn known_key_is_shown_and_verified_without_the_store_and_keystone() {
    let keystone = Keystone::start().await;
    let arguments = ["--metrics-every", "1", "--key-ttl", "3600"];
    let front = Front::of(&keystone.url).arguments(&arguments).start().await;
    let client = front.client();
    let made = client.post(OS_EC2, ALICE, &json!({"tenant_id": "demo"})).await.expect(201).json();
    let text = |name: &str| made["credential"][name].as_str().unwrap();
    let (access, secret) = (text("access"), text("secret"));
    let list = client.get("/v3/credentials", ALICE).await.expect(200).json();
    let id = list["credentials"][0]["id"].as_str().unwrap();
    let paths = [format!("/v3/credentials/{id}"), format!("{OS_EC2}/{access}")];
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = OffsetDateTime::now_utc().format(format).unwrap();
    let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
    let signed = signer::s3_v4(access, secret, &time, &scope);
    let read_all = async || {
        for path in &paths {
            client.get(path, ALICE).await.expect(200);
        }
        client.post("/v3/s3tokens", ADMIN, &signed).await.expect(200);
    };

    let (mut known, mut lookups) = (u64::MAX, 0);
    for _ in 0..TRIES {
        keystone.clear_requests();
        for _ in 0..2 {
            read_all().await;
        }
        lookups += 6;
        let misses = misses_of(&front, lookups).await;
        if misses == known && keystone.requests().is_empty() {
            return;
        }
        known = misses;
    }
    panic!("{known} of {lookups} lookups called the store; {:?}", keystone.requests());
}
