//! `--mirror` and keys with limits: a copy in Keystone never has more rights.

use std::{sync::Arc, time::UNIX_EPOCH};

use http::Method;
use keystone_front::{copies::Coverage, limits::Limited, mirror::Mirrored};
use serde_json::{Value, json};
use test_support::process::Running;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, memory::MemoryBackend},
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Quota,
        SecretKey, Status, UserId, Version,
    },
    keystone::{KeystoneClient, ServiceLogin},
};

use crate::{
    http::Answer,
    keystone::{ADMIN, ALICE, Keystone, id_of_pair},
    process::Front,
};

/// A token of a login method that Keystone does not have.
const BY_CARD: &str = "token-by-card";

const OS_EC2: &str = "/v3/users/alice/credentials/OS-EC2";

async fn start(arguments: &[&str]) -> (Keystone, Running) {
    let keystone = Keystone::start().await;
    keystone.add_token(BY_CARD, &json!({"methods": ["smartcard"]}));
    let front = Front::of(&keystone.url);
    let front = front.arguments(&["--delegated-callers", "within-project"]).arguments(arguments);
    (keystone, front.start().await)
}

fn pair(access: &str) -> Value {
    let blob = json!({"access": access, "secret": "s"}).to_string();
    json!({"credential": {"type": "ec2", "blob": blob, "user_id": "alice", "project_id": "demo"}})
}

fn count(listed: &Answer) -> usize {
    listed.json()["credentials"].as_array().unwrap().len()
}

#[tokio::test]
async fn key_pair_of_an_unknown_login_is_409_and_stored_nowhere() {
    let (keystone, front) = start(&["--mirror"]).await;
    let client = front.client();
    for answer in [
        client.post("/v3/credentials", BY_CARD, &pair("key")).await,
        client.post(OS_EC2, BY_CARD, &json!({"tenant_id": "demo"})).await,
    ] {
        let answer = answer.expect(409);
        assert_eq!(answer.headers["content-type"], "application/json");
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["title"]), (&json!(409), &json!("Conflict")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("cannot be mirrored to Keystone"), "{message}");
    }
    assert_eq!(count(&client.get("/v3/credentials", ADMIN).await.expect(200)), 0);
    assert_eq!(keystone.count(&Method::POST, "/v3/credentials"), 0);
    front.logged("key pair rejected", 1).await;
    // The access key can still be used.
    client.post("/v3/credentials", ALICE, &pair("key")).await.expect(201);
}

#[tokio::test]
async fn key_pair_of_an_unknown_login_is_created_without_a_mirror() {
    let (keystone, front) = start(&[]).await;
    front.client().post("/v3/credentials", BY_CARD, &pair("key")).await.expect(201);
    assert!(keystone.credentials().is_empty());
}

#[tokio::test]
async fn key_pairs_of_delegations_that_keystone_names_are_mirrored_with_them() {
    let (keystone, front) = start(&["--mirror"]).await;
    let application = json!({"id": "a1", "name": "app", "restricted": false});
    for (number, (member, value, named)) in [
        ("OS-TRUST:trust", json!({"id": "t1"}), ("trust_id", "t1")),
        ("application_credential", application, ("app_cred_id", "a1")),
        ("OS-OAUTH1", json!({"access_token_id": "o1"}), ("access_token_id", "o1")),
    ]
    .into_iter()
    .enumerate()
    {
        let (token, access) = (format!("token-{number}"), format!("key-{number}"));
        keystone.add_token(&token, &json!({ member: value }));
        front.client().post("/v3/credentials", &token, &pair(&access)).await.expect(201);
        let made = front.client().post(OS_EC2, &token, &json!({"tenant_id": "demo"})).await;
        let made = made.expect(201).json()["credential"]["access"].as_str().unwrap().to_owned();
        for access in [&access, &made] {
            let copy = &keystone.credentials()[&id_of_pair(access)];
            let blob: Value = serde_json::from_str(copy["blob"].as_str().unwrap()).unwrap();
            assert_eq!(blob[named.0], named.1, "{blob}");
        }
    }
}

#[tokio::test]
async fn root_key_is_not_mirrored() {
    let (keystone, front) = start(&["--mirror"]).await;
    let client = front.client();
    let root = json!({"credential": {"type": "ec2", "user_id": "demo", "project_id": "demo",
        "blob": {"access": "root", "secret": "s"}}});
    client.post("/credentials", ADMIN, &root).await.expect(201);
    client.get("/credentials/root", ADMIN).await.expect(200);
    assert!(keystone.credentials().is_empty());
    let inactive = json!({"credential": {"blob": {"status": "Inactive"}}});
    client.call(Method::PATCH, "/credentials/root", ADMIN, Some(&inactive)).await.expect(200);
    let active = json!({"credential": {"blob": {"status": "Active"}}});
    client.call(Method::PATCH, "/credentials/root", ADMIN, Some(&active)).await.expect(200);
    assert!(keystone.credentials().is_empty());
    client.call(Method::DELETE, "/credentials/root", ADMIN, None).await.expect(204);
    assert_eq!(keystone.count(&Method::POST, "/v3/credentials"), 0);
}

/// A mirror, and the store behind it.
fn mirrored(keystone: &Keystone) -> (Limited<Mirrored<MemoryBackend>>, MemoryBackend) {
    let login = ServiceLogin::password("front", "password", "service");
    let client = KeystoneClient::builder(&*keystone.url).login(login).build().unwrap();
    let store = MemoryBackend::default();
    (Limited::new(Mirrored::new(store.clone(), client, Coverage::All)), store)
}

fn record(material: Material, delegation: Option<Delegation>) -> Credential {
    let access = AccessKey::new("key").unwrap();
    let (id, kind) = (CredentialId::of(&access), Kind::new("ec2").unwrap());
    let user = UserId::new("alice").unwrap();
    let mut record = Credential::new(id, kind, user, material, UNIX_EPOCH, Version::fresh());
    record.project_id = Some(ProjectId::new("demo").unwrap());
    record.access_key = Some(access);
    record.delegation = delegation;
    record
}

fn blob(members: &str) -> Material {
    Material::Blob(Blob::new(format!(r#"{{"access":"key","secret":"s"{members}}}"#)))
}

fn key_pair() -> Material {
    Material::KeyPair { secret: Some(SecretKey::new("s").unwrap()) }
}

fn trust(id: &str) -> Delegation {
    Delegation::Trust { id: id.into() }
}

fn application(restricted: bool) -> Delegation {
    Delegation::ApplicationCredential { id: "a1".into(), restricted }
}

#[tokio::test]
async fn record_whose_blob_names_other_limits_is_rejected() {
    let keystone = Keystone::start().await;
    for (material, delegation) in [
        (blob(""), Some(trust("t1"))),
        (blob(r#","trust_id":null"#), Some(trust("t1"))),
        (blob(r#","trust_id":"t2""#), Some(trust("t1"))),
        (blob(r#","app_cred_id":"t1""#), Some(trust("t1"))),
        (blob(r#","trust_id":"t1","app_cred_id":"a1""#), Some(trust("t1"))),
        (blob(r#","trust_id":7"#), Some(trust("t1"))),
        (blob(r#","trust_id":"t1""#), None),
        (blob(""), Some(application(false))),
        (blob(""), Some(application(true))),
        (blob(""), Some(Delegation::AccessToken { id: "o1".into() })),
        (blob(""), Some(Delegation::Other)),
        (blob(""), Some(Delegation::Ec2Credential)),
        (key_pair(), Some(Delegation::Other)),
        (key_pair(), Some(Delegation::Ec2Credential)),
    ] {
        let (mirror, store) = mirrored(&keystone);
        let new = Arc::new(record(material, delegation));
        let refused = mirror.insert(&new, Quota::Unlimited).await;
        assert!(matches!(refused, Err(BackendError::Rejected(_))), "{new:?}: {refused:?}");
        assert!(store.get(&new.id).await.unwrap().is_none(), "{new:?}");
        assert!(keystone.requests().is_empty(), "{new:?}");
    }
}

#[tokio::test]
async fn record_whose_blob_names_its_limits_is_mirrored() {
    for (material, delegation) in [
        (blob(""), None),
        (blob(r#","trust_id":"t1""#), Some(trust("t1"))),
        (blob(r#","app_cred_id":"a1""#), Some(application(false))),
        (blob(r#","app_cred_id":"a1""#), Some(application(true))),
        (key_pair(), Some(trust("t1"))),
        (key_pair(), Some(application(true))),
    ] {
        let keystone = Keystone::start().await;
        let (mirror, _) = mirrored(&keystone);
        let new = Arc::new(record(material, delegation));
        mirror.insert(&new, Quota::Unlimited).await.unwrap();
        assert_eq!(keystone.blobs("alice"), [new.blob().unwrap().expose()]);
    }
}

#[tokio::test]
async fn older_record_without_its_limits_can_only_be_disabled_or_deleted() {
    let keystone = Keystone::start().await;
    let (mirror, store) = mirrored(&keystone);
    let old = Arc::new(record(blob(""), Some(Delegation::Other)));
    store.insert(&old, Quota::Unlimited).await.unwrap();
    // A copy with too many rights.
    keystone.put_pair("key", "alice");

    let mut changed = (*old).clone().touched(UNIX_EPOCH);
    changed.material = Material::Blob(Blob::new(r#"{"access":"key","secret":"other"}"#));
    let refused = mirror.update(&Arc::new(changed), old.version).await;
    assert!(matches!(refused, Err(BackendError::Rejected(_))), "{refused:?}");
    assert_eq!(store.get(&old.id).await.unwrap(), Some(Arc::clone(&old)));

    let mut disabled = (*old).clone().touched(UNIX_EPOCH);
    disabled.status = Status::Inactive;
    let disabled = Arc::new(disabled);
    assert!(mirror.update(&disabled, old.version).await.unwrap());
    assert!(keystone.credentials().is_empty());
    let mut enabled = (*disabled).clone().touched(UNIX_EPOCH);
    enabled.status = Status::Active;
    let refused = mirror.update(&Arc::new(enabled), disabled.version).await;
    assert!(matches!(refused, Err(BackendError::Rejected(_))), "{refused:?}");
    assert!(mirror.delete(&old.id, disabled.version).await.unwrap());
    assert!(store.get(&old.id).await.unwrap().is_none());
}
