//! IBM's dialect and v2 share records.

use serde_json::{Value, json};
use tower_credentials::{
    Dialect,
    clock::Clock,
    domain::{
        AccessKey, Blob, Credential, CredentialId, Kind, Material, ProjectId, Quota, UserId,
        Version,
    },
};

use crate::{
    keystone_v2_json::{bobs, ec2, password, s3},
    world::{ALICE, BOB, DEMO, OTHER, World, pair},
};

async fn names(world: &World) -> Vec<Value> {
    let page = world.get(&bobs("")).token("dev-admin").send().await.json();
    let members = |credential: &Value| credential.as_object().unwrap().values().next().cloned();
    let list = page["credentials"].as_array().unwrap();
    list.iter().map(|credential| members(credential).unwrap()["username"].clone()).collect()
}

#[tokio::test]
async fn ibm_key_is_visible_and_usable_in_v2_until_it_is_disabled_or_deleted() {
    let world = World::new();
    let body = pair(BOB, DEMO, "minted");
    let minted = world.post("/credentials").token("dev-bob").json(&body).send().await;
    assert_eq!(minted.status, 201);
    assert_eq!(names(&world).await, ["minted"]);
    assert!(world.is_usable("minted").await);

    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    world.patch("/credentials/minted").token("dev-bob").json(&disable).send().await;
    assert!(!world.is_usable("minted").await);
    assert_eq!(names(&world).await, ["minted"], "v2 has no status and shows the disabled key");

    world.delete("/credentials/minted").token("dev-bob").send().await;
    assert!(names(&world).await.is_empty());
}

#[tokio::test]
async fn v2_key_can_be_shown_disabled_and_deleted_in_the_ibm_dialect() {
    let world = World::new();
    for body in [ec2(), s3()] {
        let granted = world.post(&bobs("")).token("dev-admin").json(&body).send().await;
        assert_eq!(granted.status, 201);
    }
    let list = world.get("/credentials").token("dev-bob").send().await;
    assert_eq!(list.ids(), ["test_user", "test_user-s3"]);
    let shown = world.get("/credentials/test_user").token("dev-bob").send().await;
    assert_eq!(
        shown.json(),
        json!({"credential": {
            "user_id": BOB, "project_id": DEMO, "type": "ec2", "id": "test_user",
            "blob": {"access": "test_user", "secret": "secretsecret", "status": "Active"},
            "created_at": "2016-03-18T00:56:04Z",
        }})
    );

    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let call = world.patch("/credentials/test_user").token("dev-bob").json(&disable);
    assert_eq!(call.send().await.status, 200);
    assert!(!world.is_usable("test_user").await && world.is_usable("test_user-s3").await);

    let gone = world.delete("/credentials/test_user").token("dev-bob").send().await;
    assert_eq!(gone.status, 204);
    let member = world.get(&bobs("/ec2Credentials")).token("dev-admin").send().await;
    assert_eq!(member.status, 404);
    let again = world.post(&bobs("")).token("dev-admin").json(&ec2()).send().await;
    assert_eq!(again.status, 201, "the slot is free");
}

#[tokio::test]
async fn key_deleted_in_v2_is_404_in_the_ibm_dialect() {
    let world = World::new();
    world.post(&bobs("")).token("dev-admin").json(&ec2()).send().await;
    world.delete(&bobs("/ec2Credentials")).token("dev-admin").send().await;
    let shown = world.get("/credentials/test_user").token("dev-bob").send().await;
    assert_eq!(shown.status, 404);
    assert!(!world.is_usable("test_user").await);
    world.mint(ALICE, DEMO, "test_user").await;
}

#[tokio::test]
async fn secret_changed_in_v2_is_the_secret_in_the_ibm_dialect() {
    let world = World::new();
    world.post(&bobs("")).token("dev-admin").json(&ec2()).send().await;
    let mut changed = ec2();
    changed["OS-KSEC2-ec2Credentials"]["secret"] = "changed".into();
    world.post(&bobs("/ec2Credentials")).token("dev-admin").json(&changed).send().await;
    let shown = world.get("/credentials/test_user").token("dev-bob").send().await;
    assert_eq!(shown.json()["credential"]["blob"]["secret"], "changed");
}

#[tokio::test]
async fn password_grants_are_invisible_in_the_ibm_dialect() {
    let world = World::new();
    let granted = world.post(&bobs("")).token("dev-admin").json(&password()).send().await;
    assert_eq!(granted.status, 201);
    for token in ["dev-bob", "dev-admin"] {
        let list = world.get(&format!("/credentials?user_id={BOB}")).token(token).send().await;
        assert!(list.ids().is_empty(), "{token}");
        for method in ["GET", "DELETE"] {
            let one = world.call(method, "/credentials/amy").token(token).send().await;
            assert_eq!(one.status, 404, "{method} {token}");
        }
    }
    // The name is not an access key, so any user may mint it.
    world.mint(ALICE, DEMO, "amy").await;
}

#[tokio::test]
async fn root_key_belongs_to_no_user_in_v2() {
    let world = World::new();
    world.mint(DEMO, DEMO, "root").await;
    assert!(names(&world).await.is_empty());
    let uri = format!("/v2.0/users/{DEMO}/OS-KSADM/credentials");
    assert_eq!(world.get(&uri).token("dev-admin").send().await.status, 404);
}

#[tokio::test]
async fn dialects_that_are_not_served_pass_through() {
    let world = World::with(|builder| builder.dialects([Dialect::KeystoneV2]));
    assert_eq!(world.get("/credentials").token("dev-bob").send().await.status, 418);
    assert_eq!(world.get(&bobs("")).token("dev-admin").send().await.status, 200);

    let world = World::with(|builder| {
        builder.dialects([Dialect::IbmCos]).prefix(Dialect::IbmCos, "/api/keys")
    });
    assert_eq!(world.get(&bobs("")).token("dev-admin").send().await.status, 418);
    for (uri, status) in
        [("/credentials", 418), ("/api", 418), ("/api/keysx", 418), ("/api/keys/", 200)]
    {
        assert_eq!(world.get(uri).token("dev-bob").send().await.status, status, "{uri}");
    }
    let body = pair(BOB, DEMO, "k");
    let call = world.post("/api/keys").token("dev-bob").json(&body);
    assert_eq!(call.send().await.status, 201);
    assert_eq!(world.get("/api/keys/k").token("dev-bob").send().await.status, 200);
}

#[tokio::test]
async fn signed_s3_requests_for_a_bucket_named_credentials_pass_through() {
    let world = World::new();
    let scope = "AWS4-HMAC-SHA256 Credential=k/20260102/us-east-1/s3/aws4_request";
    for uri in ["/credentials", "/credentials/", "/credentials/object", "/credentials/a/b"] {
        for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
            for authorization in [scope, "AWS key:signature"] {
                let call = world.call(method, uri).header("authorization", authorization);
                assert_eq!(call.send().await.status, 418, "{method} {uri} {authorization}");
            }
            for query in ["X-Amz-Signature=1", "AWSAccessKeyId=k&Expires=1&Signature=s"] {
                let call = world.call(method, &format!("{uri}?{query}"));
                assert_eq!(call.send().await.status, 418, "{method} {uri} {query}");
            }
        }
    }
    // The layer responds to a signed request with a token.
    let call = world.get("/credentials").token("dev-bob").header("authorization", scope);
    assert_eq!(call.send().await.status, 200);
    let unsigned = world.get(&format!("/credentials?Signature={OTHER}")).send().await;
    assert_eq!(unsigned.status, 401);
}

#[tokio::test]
async fn records_of_other_types_are_invisible_in_both_dialects_even_with_an_access_key() {
    let world = World::new();
    let key = AccessKey::new("opaque").unwrap();
    let (id, user) = (CredentialId::of(&key), UserId::new(BOB).unwrap());
    let (blob, version) = (Material::Blob(Blob::new("{}")), Version::fresh());
    let kind = Kind::new("totp").unwrap();
    let mut totp = Credential::new(id, kind, user, blob, world.clock.now(), version);
    totp.project_id = Some(ProjectId::new(DEMO).unwrap());
    totp.access_key = Some(key);
    world.backend.insert(&totp.into(), Quota::Unlimited).await.unwrap();

    for method in ["GET", "DELETE"] {
        let answer = world.call(method, "/credentials/opaque").token("dev-bob").send().await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert!(world.get("/credentials").token("dev-bob").send().await.ids().is_empty());
    assert!(names(&world).await.is_empty());
    assert!(world.stored("opaque").await.is_some());
}
