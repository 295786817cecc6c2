//! `--mirror`: every change in Keystone too.

use std::sync::Arc;

use http::Method;
use keystone_front::{copies::Covering, mirror::Mirrored};
use serde_json::{Value, json};
use test_support::process::Running;
use tokio::time::{Duration, sleep};
use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::{AccessKey, Blob, Credential, CredentialId, Kind, Material, Quota, UserId, Version},
    keystone::{KeystoneClient, ServiceLogin},
};

use crate::{
    http::{Answer, Client},
    keystone::{ADMIN, ALICE, Keystone, id_of_pair},
    process::Front,
    waiting::Waiting,
};

/// The suite for backends: Keystone's copies must change nothing about the store.
async fn mirrored() -> Mirrored<MemoryBackend> {
    let keystone = Keystone::start().await;
    let login = ServiceLogin::password("front", "password", "service");
    let client =
        KeystoneClient::builder(&*keystone.url).login(login).timeout(Duration::from_mins(1));
    mirrored_to(client.build().unwrap())
}

fn mirrored_to(client: KeystoneClient) -> Mirrored<MemoryBackend> {
    Mirrored::new(MemoryBackend::default(), client, Covering::All)
}

mod as_a_backend {
    use super::mirrored;

    tower_credentials::backend_conformance_tests!(mirrored);
}

async fn start() -> (Keystone, Running, Client) {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--mirror"]).start().await;
    let client = front.client();
    (keystone, front, client)
}

fn pair(access: &str, secret: &str) -> Value {
    let blob = json!({"access": access, "secret": secret}).to_string();
    json!({"credential": {"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}})
}

async fn create(client: &Client, access: &str) -> Answer {
    client.post("/v3/credentials", ALICE, &pair(access, "s")).await
}

async fn set_status(client: &Client, access: &str, status: &str) -> Answer {
    let body = json!({"credential": {"blob": {"status": status}}});
    client.call(Method::PATCH, &format!("/credentials/{access}"), ALICE, Some(&body)).await
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.call(Method::DELETE, path, ALICE, None).await
}

fn id_of(answer: &Answer) -> String {
    answer.json()["credential"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keystone_has_each_key_pair_under_the_same_id_with_the_same_blob() {
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
async fn keys_of_every_dialect_are_there_for_ec2tokens_and_passwords_are_not() {
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
async fn an_opaque_credential_is_found_under_the_id_that_keystone_gave_it() {
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
async fn keystone_has_a_disabled_key_only_once_it_is_enabled_again() {
    let (keystone, _front, client) = start().await;
    create(&client, "key").await.expect(201);
    let before = keystone.blobs("alice");
    set_status(&client, "key", "Inactive").await.expect(200);
    assert!(keystone.credentials().is_empty());
    set_status(&client, "key", "Active").await.expect(200);
    assert_eq!(keystone.blobs("alice"), before);
}

#[tokio::test]
async fn a_key_whose_access_key_changes_is_found_in_keystone_by_the_new_one() {
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
async fn a_key_that_keystone_refuses_or_may_have_made_is_not_there() {
    let (keystone, front, client) = start().await;
    for status in [400, 403, 500, 503] {
        keystone.fail(&Method::POST, "/v3/credentials", status);
        let answer = create(&client, "key").await.expect(503);
        assert!(answer.headers.contains_key("retry-after"));
        client.get("/credentials/key", ALICE).await.expect(404);
        keystone.heal();
    }
    // Keystone has made it, and nobody has heard of it.
    keystone.hang_up_after(&Method::POST, "/v3/credentials");
    create(&client, "key").await.expect(503);
    client.get("/credentials/key", ALICE).await.expect(404);
    for () in Waiting::start() {
        if keystone.credentials().is_empty() {
            break;
        }
        sleep(Waiting::STEP).await;
    }
    assert!(keystone.credentials().is_empty(), "{}", front.stderr());
    keystone.heal();
    create(&client, "key").await.expect(201);
}

#[tokio::test]
async fn a_key_that_another_has_in_keystone_is_409_and_stays_anothers() {
    let (keystone, _front, client) = start().await;
    let mut theirs = pair("key", "s")["credential"].clone();
    theirs["user_id"] = "bob".into();
    keystone.put(&id_of_pair("key"), &theirs);
    let before = keystone.credentials();
    create(&client, "key").await.expect(409);
    client.get("/credentials/key", ADMIN).await.expect(404);
    assert_eq!(keystone.credentials(), before);
}

#[tokio::test]
async fn a_change_that_keystone_does_not_make_is_not_made() {
    let (keystone, _front, client) = start().await;
    let made = create(&client, "key").await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    let body =
        json!({"credential": {"blob": json!({"access": "key", "secret": "new"}).to_string()}});
    for status in [500, 0] {
        keystone.fail(&Method::PATCH, "/v3/credentials", status);
        client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(503);
        let shown = client.get(&path, ALICE).await.expect(200).json();
        assert_eq!(shown["credential"]["blob"], made.json()["credential"]["blob"]);
        keystone.heal();
    }
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    assert_eq!(keystone.blobs("alice"), [r#"{"access":"key","secret":"new"}"#]);
}

#[tokio::test]
async fn a_key_that_cannot_be_disabled_in_keystone_is_not_disabled_until_it_can() {
    let (keystone, _front, client) = start().await;
    create(&client, "key").await.expect(201);
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    set_status(&client, "key", "Inactive").await.expect(503);
    let shown = client.get("/credentials/key", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["status"], "Active");
    keystone.heal();
    set_status(&client, "key", "Inactive").await.expect(200);
    assert!(keystone.credentials().is_empty());
}

#[tokio::test]
async fn a_key_that_keystone_does_not_delete_stays() {
    let (keystone, _front, client) = start().await;
    let made = create(&client, "key").await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    delete(&client, &path).await.expect(503);
    client.get(&path, ALICE).await.expect(200);
    keystone.heal();
    // One that is gone there already is no hindrance.
    let copy = format!("{}/v3/credentials/{}", keystone.url, id_of(&made));
    let gone = http::Request::delete(copy).body(http_body_util::Full::default()).unwrap();
    client.try_send(gone).await.unwrap();
    delete(&client, &path).await.expect(204);
    client.get(&path, ADMIN).await.expect(404);
}

#[tokio::test]
async fn an_import_of_what_was_mirrored_changes_nothing() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--mirror"]);
    let running = front.start().await;
    let client = running.client();
    create(&client, "key").await.expect(201);
    let totp = json!({"credential": {"type": "totp", "blob": "b", "user_id": "alice"}});
    client.post("/v3/credentials", ALICE, &totp).await.expect(201);
    let grant = json!({"username": "granted", "secret": "g", "signature": "x"});
    let grant = json!({"OS-KSEC2-ec2Credentials": grant});
    client.post("/v2.0/users/alice/OS-KSADM/credentials", ADMIN, &grant).await.expect(201);
    let (fine, said, log) = front.without_arguments().import().await;
    assert!(fine, "{log}");
    assert_eq!(
        said,
        "3 read, 0 new, 3 unchanged, 0 updated, 0 kept, 0 deleted here, 0 odd, 0 failed\n"
    );
}

/// Waits until this holds of Keystone's credentials.
async fn in_keystone(keystone: &Keystone, front: &Running, wanted: impl Fn(&[String]) -> bool) {
    for () in Waiting::start() {
        if wanted(&keystone.blobs("alice")) {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("{:?}\n{}", keystone.blobs("alice"), front.stderr());
}

fn totp(blob: &str) -> Value {
    json!({"credential": {"type": "totp", "blob": blob, "user_id": "alice"}})
}

#[tokio::test]
async fn a_key_keeps_its_access_key_in_keystone_until_that_has_the_new_one() {
    let (keystone, front, client) = start().await;
    let made = create(&client, "old").await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    let before = keystone.credentials();
    let blob = json!({"access": "new", "secret": "s"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    let change = || client.call(Method::PATCH, &path, ALICE, Some(&body));
    for status in [500, 0] {
        keystone.fail(&Method::POST, "/v3/credentials", status);
        change().await.expect(503);
        assert_eq!(keystone.credentials(), before, "{status}");
        keystone.heal();
    }
    // Another's.
    let mut theirs = pair("new", "s")["credential"].clone();
    theirs["user_id"] = "bob".into();
    keystone.put(&id_of_pair("new"), &theirs);
    change().await.expect(409);
    assert_eq!(keystone.blobs("alice").len(), 1);
    assert!(keystone.credentials().contains_key(&id_of_pair("old")));
    client.get("/credentials/old", ALICE).await.expect(200);
    let taken_away = format!("{}/v3/credentials/{}", keystone.url, id_of_pair("new"));
    let taken_away = http::Request::delete(taken_away);
    client.try_send(taken_away.body(http_body_util::Full::default()).unwrap()).await.unwrap();
    // The old one cannot be deleted, so the new one goes again.
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    change().await.expect(503);
    client.get("/credentials/old", ALICE).await.expect(200);
    keystone.heal();
    in_keystone(&keystone, &front, |blobs| blobs.len() == 1 && blobs[0].contains("old")).await;
    change().await.expect(200);
    assert_eq!(keystone.credentials().keys().collect::<Vec<_>>(), [&id_of_pair("new")]);
}

#[tokio::test]
async fn a_key_that_changes_hands_is_keystones_again_if_that_fails() {
    let keystone = Keystone::start().await;
    let login = ServiceLogin::password("front", "password", "service");
    let client = KeystoneClient::builder(&*keystone.url).login(login).build().unwrap();
    let store = mirrored_to(client);
    let mut made = Credential::new(
        CredentialId::of(&AccessKey::new("key").unwrap()),
        Kind::new("ec2").unwrap(),
        UserId::new("alice").unwrap(),
        Material::Blob(Blob::new(r#"{"access":"key","secret":"s"}"#)),
        std::time::UNIX_EPOCH,
        Version::fresh(),
    );
    made.access_key = Some(AccessKey::new("key").unwrap());
    store.insert(&Arc::new(made.clone()), Quota::Unlimited).await.unwrap();
    assert_eq!(keystone.blobs("alice").len(), 1);
    let mut changed = made.clone().touched(std::time::UNIX_EPOCH);
    changed.user_id = UserId::new("bob").unwrap();
    let changed = Arc::new(changed);
    keystone.fail(&Method::POST, "/v3/credentials", 500);
    store.update(&changed, made.version).await.unwrap_err();
    keystone.heal();
    for () in Waiting::start() {
        if keystone.blobs("alice").len() == 1 {
            break;
        }
        sleep(Waiting::STEP).await;
    }
    assert_eq!((keystone.blobs("alice").len(), keystone.blobs("bob").len()), (1, 0));
    let now = store.get(&made.id).await.unwrap().unwrap();
    let mut changed = (*now).clone().touched(std::time::UNIX_EPOCH);
    changed.user_id = UserId::new("bob").unwrap();
    assert!(store.update(&Arc::new(changed), now.version).await.unwrap());
    assert_eq!((keystone.blobs("alice").len(), keystone.blobs("bob").len()), (0, 1));
}

#[tokio::test]
async fn a_secret_that_keystone_took_unheard_dies_with_its_record() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--mirror"]);
    let running = front.start().await;
    let client = running.client();
    client.post("/v3/credentials", ALICE, &totp("other")).await.expect(201);
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.hang_up_after(&Method::PATCH, "/v3/credentials");
    client.call(Method::PATCH, &path, ALICE, Some(&totp("second"))).await.expect(503);
    let shown = client.get(&path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"], "first");
    // The front ends, and Keystone has the new one at last.
    drop(running);
    keystone.heal();
    let (id, mut copy) =
        keystone.credentials().into_iter().find(|(_, copy)| copy["blob"] != "other").unwrap();
    copy.insert("blob".into(), "second".into());
    keystone.put(&id, &copy.into());
    let running = front.start().await;
    delete(&running.client(), &path).await.expect(204);
    assert_eq!(keystone.blobs("alice"), ["other"]);
}

#[tokio::test]
async fn a_change_that_keystone_made_unheard_is_undone_there_too() {
    let (keystone, front, client) = start().await;
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.hang_up_after(&Method::PATCH, "/v3/credentials");
    client.call(Method::PATCH, &path, ALICE, Some(&totp("second"))).await.expect(503);
    keystone.heal();
    in_keystone(&keystone, &front, |blobs| *blobs == ["first"]).await;
}

#[tokio::test]
async fn a_secret_that_no_list_shows_whole_is_not_taken_for_deleted() {
    let (keystone, _front, client) = start().await;
    client.post("/v3/credentials", ALICE, &totp("another")).await.expect(201);
    let made = client.post("/v3/credentials", ALICE, &totp("this")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.limit(1);
    delete(&client, &path).await.expect(503);
    client.get(&path, ALICE).await.expect(200);
    keystone.limit(2);
    delete(&client, &path).await.expect(204);
    assert_eq!(keystone.blobs("alice"), ["another"]);
}

#[tokio::test]
async fn what_keystone_logs_in_with_is_written_through_without_being_asked() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).start().await;
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
async fn keys_that_keystone_had_stay_there_unless_one_mirrors() {
    let keystone = Keystone::start().await;
    keystone.put_pair("key", "alice");
    let secret = json!({"type": "totp", "blob": "b", "user_id": "alice", "project_id": null});
    keystone.put("t1", &secret);
    let front = Front::before(&keystone.url);
    front.import().await;
    let running = front.start().await;
    let client = running.client();
    for id in ["t1", &id_of_pair("key")] {
        delete(&client, &format!("/v3/credentials/{id}")).await.expect(204);
    }
    assert_eq!(keystone.credentials().into_keys().collect::<Vec<_>>(), [id_of_pair("key")]);
}

#[tokio::test]
async fn a_key_that_its_owner_made_in_keystone_alone_is_left_alone() {
    let (keystone, front, client) = start().await;
    keystone.put_pair("theirs", "alice");
    let before = keystone.credentials();
    create(&client, "theirs").await.expect(409);
    keystone.fail(&Method::POST, "/v3/credentials", 500);
    create(&client, "theirs").await.expect(503);
    keystone.heal();
    let made = create(&client, "old").await.expect(201);
    let both = keystone.credentials();
    let blob = json!({"access": "theirs", "secret": "s"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    let path = format!("/v3/credentials/{}", id_of(&made));
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(409);
    // By now everything in the background has asked for what is there.
    sleep(Duration::from_millis(300)).await;
    assert_eq!(keystone.credentials(), both, "{}", front.stderr());
    delete(&client, &path).await.expect(204);
    assert_eq!(keystone.credentials(), before);
}
