//! v3 and the other dialects share records.

use serde_json::{Value, json};
use tower_credentials::{
    backend::{ListQuery, Order},
    domain::{CredentialId, Kind},
};

use crate::{
    keystone_v2_json::{bobs, ec2 as granted, password, s3},
    world::{
        ALICE, BOB, DEMO, World,
        v3::{
            CREDENTIALS, accesses, assert_refused, blob_of, change, create, credential_path, ec2,
            ec2_path, id_of, ids, opaque, pair_of, world,
        },
    },
};

async fn grant(world: &World, body: &Value) {
    let answer = world.post(&bobs("")).token("dev-admin").json(body).send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The credential with this id in the response to Bob.
async fn shown(world: &World, id: &str) -> Value {
    let answer = world.get(&credential_path(id)).token("dev-bob").send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["credential"].take()
}

fn blob(credential: &Value) -> Value {
    serde_json::from_str(credential["blob"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn ibm_key_is_a_v3_credential_and_can_be_deleted_in_v3() {
    let world = world();
    let mut body = crate::world::pair(BOB, DEMO, "minted");
    body["credential"]["subject_ibm_id"] = "IBMid-1".into();
    let minted = world.post("/credentials").token("dev-bob").json(&body).send().await;
    assert_eq!(minted.status, 201);
    let credential = shown(&world, &id_of("minted")).await;
    assert_eq!((&credential["type"], &credential["user_id"]), (&json!("ec2"), &json!(BOB)));
    assert_eq!(
        (&credential["project_id"], &credential["id"]),
        (&json!(DEMO), &json!(id_of("minted")))
    );
    let expected = json!({"access": "minted", "secret": "secret-of-minted", "trust_id": null});
    assert_eq!(blob(&credential), expected);
    let list = world.get(CREDENTIALS).token("dev-bob").send().await;
    assert_eq!(ids(&list), [id_of("minted")]);
    assert_eq!(accesses(&world.get(&ec2_path(BOB, "")).token("dev-bob").send().await), ["minted"]);

    let deleted = world.delete(&credential_path(&id_of("minted"))).token("dev-bob").send().await;
    assert_eq!(deleted.status, 204);
    assert_eq!(world.get("/credentials/minted").token("dev-bob").send().await.status, 404);
}

#[tokio::test]
async fn v3_key_pair_can_be_shown_disabled_and_deleted_in_the_ibm_dialect() {
    let world = world();
    let text = r#"{ "secret": "s",  "access": "k", "note": 1 }"#;
    create(&world, &pair_of(BOB, DEMO, text)).await;
    let ibm = world.get("/credentials/k").token("dev-bob").send().await;
    assert_eq!(
        ibm.json(),
        json!({"credential": {
            "user_id": BOB, "project_id": DEMO, "type": "ec2", "id": "k",
            "blob": {"access": "k", "secret": "s", "status": "Active"},
            "created_at": "2016-03-18T00:56:04Z",
        }})
    );
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let disabled = world.patch("/credentials/k").token("dev-bob").json(&disable).send().await;
    assert_eq!(disabled.status, 200);
    assert!(!world.is_usable("k").await);
    assert_eq!(shown(&world, &id_of("k")).await["blob"], text, "v3 has no status");
    let changed = world
        .patch(&credential_path(&id_of("k")))
        .token("dev-bob")
        .json(&change(text))
        .send()
        .await;
    assert_eq!(changed.status, 200);
    assert!(!world.is_usable("k").await, "a change in v3 does not enable the key");
    assert_eq!(world.delete("/credentials/k").token("dev-bob").send().await.status, 204);
    assert_eq!(
        world.get(&credential_path(&id_of("k"))).token("dev-admin").send().await.status,
        404
    );
}

#[tokio::test]
async fn key_pairs_of_v3_and_os_ec2_are_listed_in_v2() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    create(&world, &opaque(BOB, "totp", "seed")).await;
    create(&world, &opaque(BOB, "password", "no grant")).await;
    let body = json!({"tenant_id": DEMO});
    let made = world.post(&ec2_path(BOB, "")).token("dev-bob").json(&body).send().await.json();
    let access = made["credential"]["access"].as_str().unwrap();
    let page = world.get(&bobs("")).token("dev-admin").send().await.json();
    let list = page["credentials"].as_array().unwrap();
    assert_eq!(list.len(), 2, "{page}");
    for (name, secret) in
        [("k", "secret-of-k"), (access, made["credential"]["secret"].as_str().unwrap())]
    {
        let expected = json!({"OS-KSEC2-ec2Credentials": {
            "username": name, "secret": secret, "signature": "",
        }});
        assert!(list.contains(&expected), "{page}");
    }
    let slot = world.get(&bobs("/passwordCredentials")).token("dev-admin").send().await;
    assert_eq!(slot.status, 404);
}

#[tokio::test]
async fn v2_grants_are_v3_key_pairs_even_if_two_share_a_name() {
    let world = world();
    grant(&world, &granted()).await;
    let mut same = s3();
    same["OS-KSS3:s3Credentials"]["username"] = "test_user".into();
    grant(&world, &same).await;
    let list = world.get(&format!("{CREDENTIALS}?type=ec2")).token("dev-bob").send().await;
    let found = ids(&list);
    assert_eq!(found.len(), 2);
    for id in &found {
        let credential = shown(&world, id).await;
        assert_eq!(blob(&credential)["access"], "test_user", "{credential}");
        assert_eq!(credential["project_id"], DEMO);
        assert_eq!(credential["links"]["self"], credential_path(id));
    }
    assert!(found.contains(&id_of("test_user")));
    let pairs = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
    assert_eq!(accesses(&pairs), ["test_user"], "only one grant has the access key");

    let nameless = found.iter().find(|id| **id != id_of("test_user")).unwrap();
    let call = world.patch(&credential_path(nameless)).token("dev-bob");
    let changed = call.json(&change(&blob_of("test_user", "changed"))).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    same["OS-KSS3:s3Credentials"]["secret"] = "changed".into();
    let slot = world.get(&bobs("/s3credentials")).token("dev-admin").send().await;
    assert_eq!(slot.json(), same);
    assert_eq!(world.delete(&credential_path(nameless)).token("dev-bob").send().await.status, 204);
    let slot = world.get(&bobs("/s3credentials")).token("dev-admin").send().await;
    assert_eq!(slot.status, 404);
    assert!(world.is_usable("test_user").await);
}

#[tokio::test]
async fn password_grants_are_invisible_in_v3_to_all_callers() {
    let world = world();
    grant(&world, &password()).await;
    let query = ListQuery::new(Order::Key);
    let page = world.backend.list(&query).await.unwrap();
    let record = page.credentials.first().unwrap();
    assert_eq!(record.kind, Kind::password());
    let id: &CredentialId = &record.id;
    for (token, status) in [("dev-bob", 403), ("dev-admin", 404), ("system-admin", 404)] {
        for query in ["", "?type=password", "?type__contains=pass"] {
            let list = world.get(&format!("{CREDENTIALS}{query}")).token(token).send().await;
            assert!(ids(&list).is_empty(), "{token} {query}");
        }
        for method in ["GET", "PATCH", "DELETE"] {
            let call =
                world.call(method, &credential_path(id.as_str())).token(token).json(&change("x"));
            assert_refused(&call.send().await, status);
        }
        let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
        assert!(accesses(&list).is_empty());
    }
    let slot = world.get(&bobs("/passwordCredentials")).token("dev-admin").send().await;
    assert_eq!(slot.status, 200, "the grant still exists");
}

#[tokio::test]
async fn ibm_and_os_ec2_ignore_other_types() {
    let world = world();
    let cert = create(&world, &opaque(ALICE, "cert", &blob_of("c", "s"))).await;
    let id = cert["id"].as_str().unwrap();
    for uri in ["/credentials/c".into(), format!("/credentials/{id}"), ec2_path(ALICE, "/c")] {
        assert_eq!(world.get(&uri).token("dev-admin").send().await.status, 404, "{uri}");
    }
    world.mint(BOB, DEMO, "c").await;
}
