//! `--import`: what Keystone has, taken over.

use http::Method;
use serde_json::{Value, json};

use crate::{
    keystone::{ADMIN, ALICE, Keystone, secret_of},
    process::Front,
};

fn opaque(kind: &str, blob: &str) -> Value {
    json!({"type": kind, "blob": blob, "user_id": "alice", "project_id": null, "note": [1.50]})
}

#[tokio::test]
async fn everything_is_taken_over_to_the_letter_and_only_once() {
    let keystone = Keystone::start().await;
    let pair = keystone.put_pair("alices-key", "alice");
    keystone.put("t1", &opaque("totp", "  not JSON \u{1F511}"));
    keystone.put("c1", &opaque("cert", r#"{ "access" :  "x", "secret":"y" }"#));
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(said, "3 read, 3 new, 0 unchanged, 0 updated, 0 odd, 0 failed\n");
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(said, "3 read, 0 new, 3 unchanged, 0 updated, 0 odd, 0 failed\n");
    for secret in [&secret_of("alices-key"), "token-of-front", "not JSON"] {
        assert!(!log.contains(secret), "{log}");
    }

    let running = front.start().await;
    let client = running.client();
    for (id, theirs) in keystone.credentials() {
        let path = format!("/v3/credentials/{id}");
        let ours = client.get(&path, ADMIN).await.expect(200).json()["credential"].clone();
        for member in ["id", "type", "blob", "user_id", "project_id", "note"] {
            assert_eq!(ours.get(member), theirs.get(member), "{member} of {ours}");
        }
    }
    let path = "/v3/users/alice/credentials/OS-EC2/alices-key";
    let shown = client.get(path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], secret_of("alices-key"));
    let listed = client.get("/credentials/alices-key", ADMIN).await.expect(200).json();
    assert_eq!(listed["credential"]["blob"]["access"], "alices-key");
    assert_eq!(pair.len(), 64);
}

#[tokio::test]
async fn what_changed_in_keystone_is_brought_up_to_date() {
    let keystone = Keystone::start().await;
    let id = keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let blob = r#"{"access": "key", "secret": "another"}"#;
    keystone
        .put(&id, &json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}));
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(said, "1 read, 0 new, 0 unchanged, 1 updated, 0 odd, 0 failed\n");
    assert!(log.contains("changed in Keystone, updated"), "{log}");
    let running = front.start().await;
    let shown = running.client().get(&format!("/v3/credentials/{id}"), ADMIN).await.expect(200);
    assert_eq!(shown.json()["credential"]["blob"], blob);
}

#[tokio::test]
async fn a_key_that_is_disabled_here_stays_so() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let front = Front::before(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let inactive = json!({"credential": {"blob": {"status": "Inactive"}}});
    let client = running.client();
    client.call(Method::PATCH, "/credentials/key", ALICE, Some(&inactive)).await.expect(200);
    let (_, said, _) = front.import().await;
    assert_eq!(said, "1 read, 0 new, 1 unchanged, 0 updated, 0 odd, 0 failed\n");
    let shown = client.get("/credentials/key", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["status"], "Inactive");
}

#[tokio::test]
async fn what_is_odd_is_kept_without_an_access_key_and_told() {
    let keystone = Keystone::start().await;
    let ec2 =
        |blob: &str| json!({"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"});
    keystone.put("o1", &opaque("EC2", r#"{"access": "upper", "secret": "s"}"#));
    keystone.put("o2", &ec2("no JSON"));
    keystone.put("o3", &ec2(r#"{"secret": "s"}"#));
    keystone.put("o4", &ec2(r#"{"access": "a/b", "secret": "s"}"#));
    keystone.put(
        "o5",
        &ec2(r#"{"access": "two", "secret": "s", "trust_id": "t", "app_cred_id": "a"}"#),
    );
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(said, "5 read, 5 new, 0 unchanged, 0 updated, 5 odd, 0 failed\n");
    assert_eq!(log.matches("odd: ").count(), 5, "{log}");
    let running = front.start().await;
    let client = running.client();
    for access in ["upper", "two"] {
        let path = format!("/v3/users/alice/credentials/OS-EC2/{access}");
        client.get(&path, ADMIN).await.expect(404);
    }
    client.get("/v3/credentials/o1", ADMIN).await.expect(200);
}

#[tokio::test]
async fn an_access_key_goes_to_whom_keystone_finds_by_it() {
    let keystone = Keystone::start().await;
    // Its owner changed the access key to another's: Keystone does not find it by that.
    let blob = json!({"access": "contested", "secret": "thief"}).to_string();
    let thief = json!({"type": "ec2", "blob": blob, "user_id": "mallory", "project_id": "demo"});
    keystone.put("0000", &thief);
    keystone.put_pair("contested", "alice");
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(!fine);
    assert_eq!(said, "2 read, 1 new, 0 unchanged, 0 updated, 1 odd, 1 failed\n");
    assert!(log.contains("its access key belongs to another record"), "{log}");
    let running = front.start().await;
    let path = "/v3/users/alice/credentials/OS-EC2/contested";
    let shown = running.client().get(path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], secret_of("contested"));
}

#[tokio::test]
async fn a_list_that_is_cut_short_is_read_user_by_user() {
    let keystone = Keystone::start().await;
    for number in 0..6 {
        keystone.put_pair(&format!("a{number}"), "alice");
        keystone.put_pair(&format!("b{number}"), "bob");
    }
    keystone.limit(6);
    let front = Front::before(&keystone.url);
    let (fine, said, log) = front.import().await;
    assert!(fine, "{log}");
    assert_eq!(said, "12 read, 12 new, 0 unchanged, 0 updated, 0 odd, 0 failed\n");

    keystone.limit(5);
    let (fine, _, log) = front.import().await;
    assert!(!fine && log.contains("Keystone lists only some credentials of this user"), "{log}");
}

#[tokio::test]
async fn an_import_that_may_not_read_says_what_it_lacks() {
    let keystone = Keystone::start().await;
    keystone.fail(&Method::GET, "/v3/credentials", 403);
    let (fine, _, log) = Front::before(&keystone.url).import().await;
    assert!(!fine && log.contains("the service user needs the role admin"), "{log}");
    let (fine, _, log) = Front::before("http://127.0.0.1:1").import().await;
    assert!(!fine && log.contains("error: "), "{log}");
}
