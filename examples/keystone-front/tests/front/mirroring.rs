//! `--mirror` copies every change to Keystone.

use http::Method;
use keystone_front::{copies::Coverage, mirror::Mirrored};
use serde_json::{Value, json};
use test_support::process::Running;
use tokio::time::{Duration, sleep};
use tower_credentials::{
    backend::memory::MemoryBackend,
    keystone::{KeystoneClient, ServiceLogin},
};

use crate::{
    http::{Answer, Client},
    keystone::{ADMIN, ALICE, Keystone, id_of_pair},
    process::Front,
};

/// For the conformance suite: the copies must not change the behavior of the store.
async fn mirrored() -> Mirrored<MemoryBackend> {
    let keystone = Keystone::start().await;
    let login = ServiceLogin::password("front", "password", "service");
    let client =
        KeystoneClient::builder(&*keystone.url).login(login).timeout(Duration::from_mins(1));
    mirrored_to(client.build().unwrap())
}

pub(crate) fn mirrored_to(client: KeystoneClient) -> Mirrored<MemoryBackend> {
    Mirrored::new(MemoryBackend::default(), client, Coverage::All)
}

mod as_a_backend {
    use super::mirrored;

    tower_credentials::backend_conformance_tests!(mirrored);
}

pub(crate) async fn start() -> (Keystone, Running, Client) {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--mirror"]).start().await;
    let client = front.client();
    (keystone, front, client)
}

pub(crate) fn pair(access: &str, secret: &str) -> Value {
    let blob = json!({"access": access, "secret": secret}).to_string();
    json!({"credential": {"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}})
}

pub(crate) async fn create(client: &Client, access: &str) -> Answer {
    client.post("/v3/credentials", ALICE, &pair(access, "s")).await
}

pub(crate) async fn set_status(client: &Client, access: &str, status: &str) -> Answer {
    let body = json!({"credential": {"blob": {"status": status}}});
    client.call(Method::PATCH, &format!("/credentials/{access}"), ALICE, Some(&body)).await
}

pub(crate) async fn delete(client: &Client, path: &str) -> Answer {
    client.call(Method::DELETE, path, ALICE, None).await
}

pub(crate) fn id_of(answer: &Answer) -> String {
    answer.json()["credential"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn copy_of_a_key_pair_has_the_same_id_and_blob() {
    let (keystone, _front, client) = start().await;
    let made = create(&client, "key").await.expect(201);
    let (ours, theirs) = (&made.json()["credential"], &keystone.credentials()[&id_of(&made)]);
    for member in ["id", "type", "blob", "user_id", "project_id"] {
        assert_eq!(ours[member], theirs[member], "{member}");
    }
    let path = format!("/v3/credentials/{}", id_of(&made));
    let blob = json!({"access": "key", "secret": "another"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    assert_eq!(keystone.blobs("alice"), [blob]);
    delete(&client, &path).await.expect(204);
    assert!(keystone.credentials().is_empty());
}

#[tokio::test]
async fn keys_of_every_dialect_are_copied_and_passwords_are_not() {
    let (keystone, _front, client) = start().await;
    let os_ec2 = json!({"tenant_id": "demo"});
    let made = client.post("/v3/users/alice/credentials/OS-EC2", ALICE, &os_ec2).await.expect(201);
    let ibm = json!({"credential": {"type": "ec2", "blob": {"access": "ibm", "secret": "i"}}});
    client.post("/credentials", ALICE, &ibm).await.expect(201);
    let grant = json!({"username": "granted", "secret": "g", "signature": "x"});
    let grant = json!({"OS-KSEC2-ec2Credentials": grant});
    let v2 = "/v2.0/users/alice/OS-KSADM/credentials";
    client.post(v2, ADMIN, &grant).await.expect(201);
    let password = json!({"passwordCredentials": {"username": "alice", "password": "hush"}});
    client.post(v2, ADMIN, &password).await.expect(201);

    let blobs = keystone.blobs("alice");
    assert_eq!(blobs.len(), 3, "{blobs:?}");
    let access = made.json()["credential"]["access"].as_str().unwrap().to_owned();
    for (access, secret) in [(&*access, None), ("ibm", Some("i")), ("granted", Some("g"))] {
        let blob = blobs.iter().find(|blob| blob.contains(access)).unwrap();
        let blob: Value = serde_json::from_str(blob).unwrap();
        assert_eq!(blob["trust_id"], Value::Null);
        assert!(secret.is_none_or(|secret| blob["secret"] == secret), "{blob}");
    }
}

#[tokio::test]
async fn copy_of_an_opaque_credential_is_found_by_keystones_id() {
    let (keystone, _front, client) = start().await;
    let totp =
        |blob: &str| json!({"credential": {"type": "totp", "blob": blob, "user_id": "alice"}});
    client.post("/v3/credentials", ALICE, &totp("other")).await.expect(201);
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    assert!(!keystone.credentials().contains_key(&id_of(&made)));
    let body = json!({"credential": {"blob": "second"}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    assert_eq!(keystone.blobs("alice"), ["other", "second"]);
    delete(&client, &path).await.expect(204);
    assert_eq!(keystone.blobs("alice"), ["other"]);
}

#[tokio::test]
async fn disabled_key_has_no_copy_until_it_is_enabled() {
    let (keystone, _front, client) = start().await;
    create(&client, "key").await.expect(201);
    let before = keystone.blobs("alice");
    set_status(&client, "key", "Inactive").await.expect(200);
    assert!(keystone.credentials().is_empty());
    set_status(&client, "key", "Active").await.expect(200);
    assert_eq!(keystone.blobs("alice"), before);
}

#[tokio::test]
async fn copy_follows_a_changed_access_key() {
    let (keystone, _front, client) = start().await;
    let made = create(&client, "old").await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    let blob = json!({"access": "new", "secret": "s"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    let id = id_of_pair("new");
    assert_eq!(keystone.credentials().keys().collect::<Vec<_>>(), [&id]);
    delete(&client, &path).await.expect(204);
    assert!(keystone.credentials().is_empty());
}

#[tokio::test]
async fn import_of_mirrored_records_changes_nothing() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--mirror"]);
    let running = front.start().await;
    let client = running.client();
    create(&client, "key").await.expect(201);
    let totp = json!({"credential": {"type": "totp", "blob": "b", "user_id": "alice"}});
    client.post("/v3/credentials", ALICE, &totp).await.expect(201);
    let grant = json!({"username": "granted", "secret": "g", "signature": "x"});
    let grant = json!({"OS-KSEC2-ec2Credentials": grant});
    client.post("/v2.0/users/alice/OS-KSADM/credentials", ADMIN, &grant).await.expect(201);
    let (success, output, log) = front.without_arguments().import().await;
    assert!(success, "{log}");
    assert_eq!(
        output,
        "3 read, 0 new, 3 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
}

pub(crate) fn totp(blob: &str) -> Value {
    json!({"credential": {"type": "totp", "blob": blob, "user_id": "alice"}})
}

#[tokio::test]
async fn opaque_credentials_are_copied_without_mirror() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).start().await;
    let client = front.client();
    create(&client, "key").await.expect(201);
    assert!(keystone.credentials().is_empty());
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    assert_eq!(keystone.blobs("alice"), ["first"]);
    let path = format!("/v3/credentials/{}", id_of(&made));
    client.call(Method::PATCH, &path, ALICE, Some(&totp("second"))).await.expect(200);
    assert_eq!(keystone.blobs("alice"), ["second"]);
    delete(&client, &path).await.expect(204);
    assert!(keystone.credentials().is_empty());

    keystone.fail(&Method::POST, "/v3/credentials", 403);
    client.post("/v3/credentials", ALICE, &totp("third")).await.expect(503);
    front.logged("the service user needs the role admin", 1).await;
    let listed = client.get("/v3/credentials?type=totp", ALICE).await.expect(200).json();
    assert_eq!(listed["credentials"], json!([]));
}

#[tokio::test]
async fn imported_key_pairs_stay_in_keystone_without_mirror() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let secret = json!({"type": "totp", "blob": "b", "user_id": "alice", "project_id": null});
    keystone.put("t1", &secret);
    let front = Front::of(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    for id in ["t1", &id_of_pair("key")] {
        delete(&client, &format!("/v3/credentials/{id}")).await.expect(204);
    }
    assert_eq!(keystone.credentials().into_keys().collect::<Vec<_>>(), [id_of_pair("key")]);
}

#[tokio::test]
async fn key_created_in_keystone_alone_is_unchanged() {
    let (keystone, front, client) = start().await;
    keystone.put_pair("theirs", "alice");
    let before = keystone.credentials();
    create(&client, "theirs").await.expect(409);
    keystone.fail(&Method::POST, "/v3/credentials", 500);
    create(&client, "theirs").await.expect(503);
    keystone.clear_faults();
    let made = create(&client, "old").await.expect(201);
    let both = keystone.credentials();
    let blob = json!({"access": "theirs", "secret": "s"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    let path = format!("/v3/credentials/{}", id_of(&made));
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(409);
    // Time for the background tasks.
    sleep(Duration::from_millis(300)).await;
    assert_eq!(keystone.credentials(), both, "{}", front.stderr());
    delete(&client, &path).await.expect(204);
    assert_eq!(keystone.credentials(), before);
}
