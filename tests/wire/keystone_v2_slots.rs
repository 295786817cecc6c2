//! v2 grants: one record per user and type, and its access key.

use serde_json::{Value, json};
use tower_credentials::domain::{Material, SecretText, Slot, UserId};

use crate::{
    keystone_v2_json::{ec2, password},
    world::{ALICE, Answer, BOB, CAROL, DAVE, DEMO, FRANK, OTHER, World},
};

fn key(root: &str, username: &str) -> Value {
    json!({root: {"username": username, "secret": "s3cr3t", "signature": ""}})
}

async fn grant_as(world: &World, token: &str, user: &str, body: &Value) -> Answer {
    let uri = format!("/v2.0/users/{user}/OS-KSADM/credentials");
    world.post(&uri).token(token).json(body).send().await
}

async fn grant(world: &World, user: &str, body: &Value) -> Answer {
    grant_as(world, "dev-admin", user, body).await
}

#[tokio::test]
async fn taken_slot_is_a_conflict_under_any_name() {
    let world = World::new();
    assert_eq!(grant(&world, BOB, &key("ec2Credentials", "one")).await.status, 201);
    for name in ["one", "two"] {
        let answer = grant(&world, BOB, &key("ec2Credentials", name)).await;
        assert_eq!(answer.status, 409, "{name}");
        assert_eq!(answer.json()["conflict"]["code"], 409);
    }
    assert!(world.stored("two").await.is_none());
    assert_eq!(grant(&world, ALICE, &key("ec2Credentials", "two")).await.status, 201);
}

#[tokio::test]
async fn name_is_the_access_key_and_a_second_grant_with_it_has_no_access_key() {
    let world = World::new();
    assert_eq!(grant(&world, BOB, &key("ec2Credentials", "same")).await.status, 201);
    let answer = grant(&world, BOB, &key("s3Credentials", "same")).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["OS-KSS3:s3Credentials"]["username"], "same");

    assert_eq!(world.stored("same").await.unwrap().slot, Some(Slot::Ec2));
    let bob = UserId::new(BOB).unwrap();
    let second = world.backend.find_by_slot(&bob, Slot::S3).await.unwrap().unwrap();
    assert!(second.access_key.is_none() && !second.is_usable(std::time::UNIX_EPOCH));

    let list = world.get(&format!("/credentials?user_id={BOB}")).token("dev-admin").send().await;
    assert_eq!(list.ids(), ["same"]);
}

#[tokio::test]
async fn name_of_the_same_users_minted_key_is_granted_without_an_access_key() {
    let world = World::new();
    world.mint(BOB, DEMO, "minted").await;
    assert_eq!(grant(&world, BOB, &key("ec2Credentials", "minted")).await.status, 201);
    let stored = world.stored("minted").await.unwrap();
    assert_eq!(stored.secret_key().unwrap().expose(), "secret-of-minted");
}

#[tokio::test]
async fn name_of_another_users_key_is_a_conflict() {
    let world = World::new();
    grant(&world, BOB, &key("ec2Credentials", "bobs")).await;
    world.mint(ALICE, DEMO, "alices").await;
    for name in ["bobs", "alices"] {
        for root in ["ec2Credentials", "s3Credentials"] {
            assert_eq!(grant(&world, CAROL, &key(root, name)).await.status, 409, "{root} {name}");
        }
    }
    // The name of a password is not an access key.
    assert_eq!(grant(&world, CAROL, &password()).await.status, 201);
    assert_eq!(grant(&world, BOB, &password()).await.status, 201);
}

#[tokio::test]
async fn grant_is_for_the_users_default_project_or_else_the_callers_project() {
    let world = World::new();
    for (user, project, access) in [(BOB, DEMO, "b"), (CAROL, OTHER, "c"), (FRANK, OTHER, "f")] {
        assert_eq!(grant(&world, user, &key("ec2Credentials", access)).await.status, 201);
        let stored = world.stored(access).await.unwrap();
        assert_eq!(stored.project_id.as_ref().unwrap().as_str(), project, "{access}");
    }
    // Dave has no default project, and no place in the caller's project.
    let answer = grant(&world, DAVE, &key("ec2Credentials", "d")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["forbidden"]["code"]), (403, &json!(403)));
    // If the caller has no project either, the grant has no project.
    let answer = grant_as(&world, "unscoped-admin", DAVE, &key("ec2Credentials", "d")).await;
    assert_eq!(answer.status, 201);
    assert_eq!(world.stored("d").await.unwrap().project_id, None);
}

#[tokio::test]
async fn password_is_hashed_and_never_returned() {
    let world = World::new();
    let answers = [
        grant(&world, BOB, &password()).await,
        world
            .get(&format!("/v2.0/users/{BOB}/OS-KSADM/credentials/password"))
            .token("dev-admin")
            .send()
            .await,
        world
            .get(&format!("/v2.0/users/{BOB}/OS-KSADM/credentials"))
            .token("dev-admin")
            .send()
            .await,
        world
            .get(&format!("/v2.0/users/{BOB}/OS-KSADM/credentials.xml"))
            .token("dev-admin")
            .send()
            .await,
    ];
    assert_eq!(answers[0].text(), "{\"passwordCredentials\":{\"username\":\"amy\"}}\n");
    let bob = UserId::new(BOB).unwrap();
    let stored = world.backend.find_by_slot(&bob, Slot::Password).await.unwrap().unwrap();
    for text in
        [format!("{answers:?}"), format!("{stored:?}"), stored.material.encode().expose().into()]
    {
        assert!(!text.contains("correct horse"), "{text}");
    }
    let Material::Password { username, hash } = &stored.material else { panic!("{stored:?}") };
    assert_eq!(username, "amy");
    assert!(hash.verify(&SecretText::new("correct horse")));
    assert!(!stored.is_usable(std::time::UNIX_EPOCH));
}

#[tokio::test]
async fn password_can_be_changed_with_its_name_and_deleted() {
    let world = World::new();
    grant(&world, BOB, &password()).await;
    let member = format!("/v2.0/users/{BOB}/OS-KSADM/credentials/passwordCredentials");
    let changed = json!({"passwordCredentials": {"username": "amy2", "password": "battery"}});
    let answer = world.post(&member).token("dev-admin").json(&changed).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "{\"passwordCredentials\":{\"username\":\"amy2\"}}\n");
    let bob = UserId::new(BOB).unwrap();
    let stored = world.backend.find_by_slot(&bob, Slot::Password).await.unwrap().unwrap();
    let Material::Password { hash, .. } = &stored.material else { panic!("{stored:?}") };
    assert!(hash.verify(&SecretText::new("battery")));

    assert_eq!(world.delete(&member).token("dev-admin").send().await.status, 204);
    assert!(world.backend.find_by_slot(&bob, Slot::Password).await.unwrap().is_none());
}

#[tokio::test]
async fn grants_are_for_admins_only_and_not_for_their_user() {
    let world = World::new();
    grant(&world, BOB, &ec2()).await;
    let collection = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    let member = format!("{collection}/ec2Credentials");
    let by_type = format!("{member}/ec2Credentials");
    for token in ["dev-bob", "key-admin", "impersonator", "dev-service", "no-role", "trust"] {
        for (method, uri) in [
            ("GET", &collection),
            ("POST", &collection),
            ("GET", &member),
            ("POST", &member),
            ("DELETE", &member),
            ("GET", &by_type),
        ] {
            let call = world.call(method, uri).token(token).json(&ec2());
            let answer = call.send().await;
            assert_eq!(answer.status, 403, "{method} {uri} as {token}");
            assert_eq!(answer.json()["forbidden"]["code"], 403);
        }
    }
    assert!(world.is_usable("test_user").await);
}
