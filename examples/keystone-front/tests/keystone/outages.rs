//! Outages of Keystone, and invalidated tokens.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    front::Front,
    http::{Answer, Client},
    lab,
    people::project,
    waiting::Waiting,
};

/// Repeats a request until it succeeds.
async fn recovers(client: &Client, path: &str, token: &str) -> Answer {
    for () in Waiting::start() {
        let answer = client.get(path, token).await;
        if answer.status == 200 {
            return answer;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("{path} did not recover");
}

#[tokio::test]
async fn cached_callers_are_served_during_an_outage_and_everything_recovers() {
    let Some(turn) = lab::alone().await else { return };
    let admin = turn.lab.admin().await;
    let home = admin.project("home").await;
    let (ann, member) = admin.member(&home).await;
    let (_, unknown) = admin.member(&home).await;
    let front = Front::of(turn.lab).start(&[]).await;
    let path = format!("/v3/users/{}/credentials/OS-EC2", ann.id);

    // Clients that create until a request fails.
    let create = async |client: Client, until_killed: bool| {
        let mut made = Vec::new();
        for _ in 0.. {
            let answer = client.post(&path, &member, &json!({"tenant_id": home})).await;
            match answer.status.as_u16() {
                201 => {
                    let key = answer.json()["credential"]["access"].as_str().unwrap().to_owned();
                    made.push(key);
                }
                503 => assert!(answer.headers.contains_key("Retry-After"), "{answer:?}"),
                _ => panic!("{answer:?}"),
            }
            if !until_killed || made.len() >= 200 {
                break;
            }
        }
        made
    };
    create(front.client(), false).await;
    let (one, two, ()) =
        tokio::join!(create(front.client(), true), create(front.client(), true), turn.lab.kill(),);
    let acknowledged: BTreeSet<String> = one.into_iter().chain(two).collect();
    assert_eq!(acknowledged.len(), 400);
    assert!(!turn.lab.answers().await);

    // Known callers are served from the cache.
    let client = front.client();
    client.get(&path, &member).await.expect(200);
    let refused = client.get("/v3/credentials", &unknown).await.expect(503);
    assert!(refused.headers.contains_key("Retry-After"), "{refused:?}");
    let refused = client.get("/v3/users", &member).await.expect(502);
    assert!(refused.headers.contains_key("Retry-After"), "{refused:?}");

    turn.lab.start_again().await;
    recovers(&client, "/v3/credentials", &unknown).await;
    client.get("/v3/projects?user_id=me", &member).await.expect(403);
    client.get("/v3/auth/projects", &member).await.expect(200);
    let mut listed = BTreeSet::new();
    let mut next = Some(path.clone());
    while let Some(path) = next.take() {
        let page = client.get(&path, &member).await.expect(200).json();
        let found = page["credentials"].as_array().unwrap().iter();
        listed.extend(found.map(|found| found["access"].as_str().unwrap().to_owned()));
        let link = page["links"]["next"].as_str();
        next = link.map(|link| link.strip_prefix(&front.url).unwrap().to_owned());
    }
    assert!(listed.is_superset(&acknowledged), "acknowledged keys were lost");
}

#[tokio::test]
async fn invalid_service_token_is_replaced() {
    let Some(turn) = lab::alone().await else { return };
    let admin = turn.lab.admin().await;
    let home = admin.project("home").await;
    let (ann, member) = admin.member(&home).await;
    let front = Front::of(turn.lab).start(&["--cache-seconds", "0"]).await;
    let client = front.client();
    client.get("/v3/credentials", &member).await.expect(200);

    turn.lab.invalidate_tokens().await;
    let renewed = ann.token(&admin.client, &project(&home)).await;
    recovers(&client, "/v3/credentials", &renewed).await;
    client.get("/v3/credentials", &member).await.expect(401);
    client.get("/v3/credentials", &renewed).await.expect(200);
}
