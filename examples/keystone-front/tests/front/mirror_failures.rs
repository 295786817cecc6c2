//! `--mirror` with a Keystone that fails, or whose responses are lost.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use test_support::process::Running;
use tokio::time::sleep;
use tower_credentials::{
    backend::CredentialBackend,
    domain::{AccessKey, Blob, Credential, CredentialId, Kind, Material, Quota, UserId, Version},
    keystone::{KeystoneClient, ServiceLogin},
};

use crate::{
    keystone::{ADMIN, ALICE, Keystone, id_of_pair},
    mirroring::{create, delete, id_of, mirrored_to, pair, set_status, start, totp},
    process::Front,
    waiting::Waiting,
};

/// Waits until alice's blobs in Keystone are as expected.
async fn wait_for_blobs(
    keystone: &Keystone,
    front: &Running,
    expected: impl Fn(&[String]) -> bool,
) {
    for () in Waiting::start() {
        if expected(&keystone.blobs("alice")) {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("{:?}\n{}", keystone.blobs("alice"), front.stderr());
}

#[tokio::test]
async fn failed_create_in_keystone_undoes_the_insert() {
    let (keystone, front, client) = start().await;
    for status in [400, 403, 500, 503] {
        keystone.fail(&Method::POST, "/v3/credentials", status);
        let answer = create(&client, "key").await.expect(503);
        assert!(answer.headers.contains_key("retry-after"));
        client.get("/credentials/key", ALICE).await.expect(404);
        keystone.clear_faults();
    }
    // Keystone creates the copy, but its response is lost.
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
    keystone.clear_faults();
    create(&client, "key").await.expect(201);
}

#[tokio::test]
async fn key_of_another_user_in_keystone_returns_409_and_is_unchanged() {
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
async fn failed_update_in_keystone_undoes_the_update() {
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
        keystone.clear_faults();
    }
    client.call(Method::PATCH, &path, ALICE, Some(&body)).await.expect(200);
    assert_eq!(keystone.blobs("alice"), [r#"{"access":"key","secret":"new"}"#]);
}

#[tokio::test]
async fn key_is_disabled_only_after_its_copy_is_deleted() {
    let (keystone, _front, client) = start().await;
    create(&client, "key").await.expect(201);
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    set_status(&client, "key", "Inactive").await.expect(503);
    let shown = client.get("/credentials/key", ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"]["status"], "Active");
    keystone.clear_faults();
    set_status(&client, "key", "Inactive").await.expect(200);
    assert!(keystone.credentials().is_empty());
}

#[tokio::test]
async fn key_is_deleted_only_after_its_copy_is_deleted() {
    let (keystone, _front, client) = start().await;
    let made = create(&client, "key").await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    delete(&client, &path).await.expect(503);
    client.get(&path, ALICE).await.expect(200);
    keystone.clear_faults();
    // A copy that does not exist does not prevent the deletion.
    let copy = format!("{}/v3/credentials/{}", keystone.url, id_of(&made));
    let gone = http::Request::delete(copy).body(http_body_util::Full::default()).unwrap();
    client.try_send(gone).await.unwrap();
    delete(&client, &path).await.expect(204);
    client.get(&path, ADMIN).await.expect(404);
}

#[tokio::test]
async fn copy_keeps_the_old_access_key_until_the_new_one_is_created() {
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
        keystone.clear_faults();
    }
    // A credential of another user.
    let mut theirs = pair("new", "s")["credential"].clone();
    theirs["user_id"] = "bob".into();
    keystone.put(&id_of_pair("new"), &theirs);
    change().await.expect(409);
    assert_eq!(keystone.blobs("alice").len(), 1);
    assert!(keystone.credentials().contains_key(&id_of_pair("old")));
    client.get("/credentials/old", ALICE).await.expect(200);
    let delete = format!("{}/v3/credentials/{}", keystone.url, id_of_pair("new"));
    let delete = http::Request::delete(delete);
    client.try_send(delete.body(http_body_util::Full::default()).unwrap()).await.unwrap();
    // The old copy cannot be deleted, so the new one is deleted again.
    keystone.fail(&Method::DELETE, "/v3/credentials", 500);
    change().await.expect(503);
    client.get("/credentials/old", ALICE).await.expect(200);
    keystone.clear_faults();
    wait_for_blobs(&keystone, &front, |blobs| blobs.len() == 1 && blobs[0].contains("old")).await;
    change().await.expect(200);
    assert_eq!(keystone.credentials().keys().collect::<Vec<_>>(), [&id_of_pair("new")]);
}

#[tokio::test]
async fn failed_change_of_owner_restores_the_copy() {
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
    keystone.clear_faults();
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
async fn deletion_finds_a_copy_changed_by_an_unconfirmed_update() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--mirror"]);
    let running = front.start().await;
    let client = running.client();
    client.post("/v3/credentials", ALICE, &totp("other")).await.expect(201);
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.hang_up_after(&Method::PATCH, "/v3/credentials");
    client.call(Method::PATCH, &path, ALICE, Some(&totp("second"))).await.expect(503);
    let shown = client.get(&path, ALICE).await.expect(200).json();
    assert_eq!(shown["credential"]["blob"], "first");
    // The front stops, and Keystone completes the update later.
    drop(running);
    keystone.clear_faults();
    let (id, mut copy) =
        keystone.credentials().into_iter().find(|(_, copy)| copy["blob"] != "other").unwrap();
    copy.insert("blob".into(), "second".into());
    keystone.put(&id, &copy.into());
    let running = front.start().await;
    delete(&running.client(), &path).await.expect(204);
    assert_eq!(keystone.blobs("alice"), ["other"]);
}

#[tokio::test]
async fn unconfirmed_update_is_undone_in_keystone() {
    let (keystone, front, client) = start().await;
    let made = client.post("/v3/credentials", ALICE, &totp("first")).await.expect(201);
    let path = format!("/v3/credentials/{}", id_of(&made));
    keystone.hang_up_after(&Method::PATCH, "/v3/credentials");
    client.call(Method::PATCH, &path, ALICE, Some(&totp("second"))).await.expect(503);
    keystone.clear_faults();
    wait_for_blobs(&keystone, &front, |blobs| *blobs == ["first"]).await;
}

#[tokio::test]
async fn copy_missing_from_a_truncated_list_does_not_count_as_deleted() {
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
