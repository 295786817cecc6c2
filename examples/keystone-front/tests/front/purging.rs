//! Deletions of users and projects through the front purge their keys.

use http::Method;
use rusqlite::Connection;
use serde_json::json;
use test_support::audit_file::AuditFile;
use tokio::time::{Duration, sleep};

use crate::{
    http::{Client, Raw},
    keystone::{ADMIN, Keystone},
    process::Front,
    waiting::Waiting,
};

/// Creates a key; returns its path.
async fn key_of(client: &Client, user: &str, project: &str) -> String {
    let path = format!("/v3/users/{user}/credentials/OS-EC2");
    let made = client.post(&path, ADMIN, &json!({"tenant_id": project})).await.expect(201).json();
    format!("{path}/{}", made["credential"]["access"].as_str().unwrap())
}

#[tokio::test]
async fn confirmed_deletion_purges_keys_before_the_response() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    for (path, user, project) in [
        ("/v3/users/amy", "amy", "demo"),
        ("/v3/users/bob/", "bob", "demo"),
        ("/v3/projects/p1", "cid", "p1"),
    ] {
        let key = key_of(&client, user, project).await;
        let other = key_of(&client, "dan", "p2").await;
        client.call(Method::DELETE, path, ADMIN, None).await.expect(204);
        client.get(&key, ADMIN).await.expect(404);
        client.get(&other, ADMIN).await.expect(200);
        assert_eq!(keystone.last(path).method, Method::DELETE);
    }
}

#[tokio::test]
async fn purge_has_an_audit_event_with_the_request_that_deletes_the_user() {
    let keystone = Keystone::start().await;
    let folder = tempfile::tempdir().unwrap();
    let audit = AuditFile::new(folder.path());
    let options = audit.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let mut front = Front::of(&keystone.url).arguments(&options).start().await;
    let client = front.client();
    key_of(&client, "amy", "demo").await;
    key_of(&client, "amy", "p1").await;
    let deleted = client.call(Method::DELETE, "/v3/users/amy", ADMIN, None).await.expect(204);
    // A user without keys: nothing is changed.
    client.call(Method::DELETE, "/v3/users/bob", ADMIN, None).await.expect(204);
    front.stop().await;

    let mut purges = audit.lines();
    purges.retain(|line| line["action"] == "purge");
    let [purge] = &purges[..] else { panic!("{purges:?}") };
    assert_eq!((&purge["type"], &purge["outcome"]), (&json!("event"), &json!("done")));
    assert_eq!(purge["count"], 2);
    assert_eq!(purge["target"], json!({"user_id": "amy"}));
    let actor = &purge["actor"];
    assert_eq!(
        (&actor["user_id"], &actor["source"]),
        (&json!("keystone-front"), &json!("127.0.0.1"))
    );
    assert_eq!(actor["request_id"], deleted.header("x-request-id"));
}

#[tokio::test]
async fn unconfirmed_deletion_purges_no_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    let protected = key_of(&client, "protected", "demo").await;
    let amy = key_of(&client, "amy", "demo").await;
    client.call(Method::DELETE, "/v3/users/protected", ADMIN, None).await.expect(403);
    keystone.fail(&Method::DELETE, "/v3/users/amy", 0);
    client.call(Method::DELETE, "/v3/users/amy", ADMIN, None).await.expect(502);
    // Other paths of a user, and an id that is encoded twice.
    client.call(Method::DELETE, "/v3/users/amy%252F", ADMIN, None).await;
    client.call(Method::DELETE, "/v3/users/amy/other", ADMIN, None).await;
    client.get("/v3/users/amy", ADMIN).await;
    client.get(&protected, ADMIN).await.expect(200);
    client.get(&amy, ADMIN).await.expect(200);
}

#[tokio::test]
async fn keys_are_purged_even_if_the_client_disconnects() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    let key = key_of(&client, "slow", "demo").await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send("DELETE /v3/users/slow HTTP/1.1\r\nHost: front\r\n\r\n").await;
    keystone.arrived().await;
    drop(raw);
    // Time for the front to notice.
    sleep(Duration::from_millis(200)).await;
    keystone.proceed();
    front.logged("purged the keys of a deleted owner", 1).await;
    client.get(&key, ADMIN).await.expect(404);
}

#[tokio::test]
async fn failed_purge_is_retried_after_the_response() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url);
    let running = front.start().await;
    let client = running.client();
    let key = key_of(&client, "amy", "demo").await;
    let other = Connection::open(front.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    client.call(Method::DELETE, "/v3/users/amy", ADMIN, None).await.expect(204);
    running.logged("cannot purge keys, retrying", 1).await;
    client.get(&key, ADMIN).await.expect(200);
    other.execute_batch("ROLLBACK").unwrap();
    running.logged("purged the keys of a deleted owner", 1).await;
    // The failed attempt may have deleted keys, so the event has no count.
    let log = running.stderr();
    let event = log.lines().find(|line| line.contains("::audit: credentials purged ")).expect(&log);
    assert!(event.contains("user_id=\"amy\"") && !event.contains("count="), "{event}");
    for () in Waiting::start() {
        if client.get(&key, ADMIN).await.status == 404 {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("the key was not purged");
}

/// How many keys a user has.
async fn count_of(client: &Client, user: &str) -> usize {
    let path = format!("/v3/credentials?user_id={user}");
    client.get(&path, ADMIN).await.expect(200).json()["credentials"].as_array().unwrap().len()
}

#[tokio::test]
async fn keys_created_after_the_deletion_are_purged_later() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--cache-seconds", "2"]).start().await;
    let client = front.client();
    key_of(&client, "amy", "demo").await;
    key_of(&client, "bob", "p1").await;
    for path in ["/v3/users/amy", "/v3/projects/p1", "/v3/users/cid"] {
        client.call(Method::DELETE, path, ADMIN, None).await.expect(204);
    }
    // The front still has cached data about them.
    let late = [("amy", "demo"), ("amy", "demo"), ("bob", "p1")];
    for (user, project) in late {
        key_of(&client, user, project).await;
    }
    assert_eq!((count_of(&client, "amy").await, count_of(&client, "bob").await), (2, 1));
    for counted in ["owner=user \"amy\" purged=2", "owner=project \"p1\" purged=1"] {
        front
            .logged(&format!("purged keys that were created after the deletion {counted}"), 1)
            .await;
    }
    front.logged("no keys were created after the deletion", 1).await;
    assert_eq!((count_of(&client, "amy").await, count_of(&client, "bob").await), (0, 0));
}

#[tokio::test]
async fn deletion_without_a_response_purges_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    for (path, user, project) in [
        ("/v3/users/amy", "amy", "demo"),
        ("/v3/projects/p1", "bob", "p1"),
        ("/v3/users/a%2Bb%20c%C3%A4", "a%2Bb%20c%C3%A4", "demo"),
        // A bidirectional control character.
        ("/v3/users/a%E2%80%AEb", "a%E2%80%AEb", "demo"),
    ] {
        key_of(&client, user, project).await;
        keystone.hang_up_after(&Method::DELETE, path);
        client.call(Method::DELETE, path, ADMIN, None).await.expect(502);
        keystone.fail(&Method::GET, path, 404);
    }
    for owner in ["user \"amy\"", "project \"p1\"", "user \"a+b cä\"", "user \"a\\u{202e}b\""] {
        front
            .logged(&format!("purged the keys of a deleted owner owner={owner} purged=1"), 1)
            .await;
    }
    assert_eq!(keystone.last("/v3/users/a%2B").uri, "/v3/users/a%2Bb%20c%C3%A4");
}

#[tokio::test]
async fn deletion_that_times_out_purges_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--timeout", "1"]).start().await;
    let client = front.client();
    key_of(&client, "slow", "demo").await;
    client.call(Method::DELETE, "/v3/users/slow", ADMIN, None).await.expect(504);
    // The user still exists at the first check.
    wait_for_requests(&keystone, "/v3/users/slow", 2).await;
    assert_eq!(count_of(&client, "slow").await, 1);
    keystone.fail(&Method::GET, "/v3/users/slow", 404);
    front.logged("purged the keys of a deleted owner owner=user \"slow\" purged=1", 1).await;
}

#[tokio::test]
async fn deletion_of_a_missing_owner_purges_remaining_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    key_of(&client, "amy", "demo").await;
    keystone.fail(&Method::DELETE, "/v3/users/amy", 404);
    keystone.fail(&Method::GET, "/v3/users/amy", 404);
    client.call(Method::DELETE, "/v3/users/amy", ADMIN, None).await.expect(404);
    front.logged("purged the keys of a deleted owner owner=user \"amy\" purged=1", 1).await;
    assert_eq!(count_of(&client, "amy").await, 0);
}

#[tokio::test]
async fn only_keystones_own_404_purges_keys() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    key_of(&client, "amy", "demo").await;
    key_of(&client, "bob", "demo").await;
    for path in ["/v3/users/amy", "/v3/users/bob"] {
        keystone.fail(&Method::DELETE, path, 503);
    }
    // A page of a proxy, and a rejection of the service user.
    keystone.fail_as_proxy(&Method::GET, "/v3/users/amy", 404);
    keystone.fail(&Method::GET, "/v3/users/bob", 403);
    for path in ["/v3/users/amy", "/v3/users/bob"] {
        client.call(Method::DELETE, path, ADMIN, None).await.expect(503);
        // The first request was made when the key was created.
        wait_for_requests(&keystone, path, 3).await;
    }
    assert_eq!((count_of(&client, "amy").await, count_of(&client, "bob").await), (1, 1));
    assert!(!front.stderr().contains("purged the keys"), "{}", front.stderr());
}

#[tokio::test]
async fn checks_of_owners_are_limited_and_not_repeated() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    keystone.fail(&Method::DELETE, "/v3/users/", 404);
    for _ in 0..300 {
        client.call(Method::DELETE, "/v3/users/amy", ADMIN, None).await.expect(404);
    }
    for number in 0..256 {
        let path = format!("/v3/users/nobody-{number}");
        client.call(Method::DELETE, &path, ADMIN, None).await.expect(404);
    }
    let log = front.stderr();
    assert_eq!(log.matches("cannot check whether the owner was deleted").count(), 1, "{log}");
    wait_for_requests(&keystone, "/v3/users/amy", 1).await;
    assert_eq!(keystone.count(&Method::GET, "/v3/users/amy"), 1);
}

/// Waits until Keystone got this many requests.
async fn wait_for_requests(keystone: &Keystone, path: &str, times: usize) {
    for () in Waiting::start() {
        if keystone.count(&Method::GET, path) >= times {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("too few requests for {path}");
}
