//! `PATCH /v3/credentials/{id}`: changing the blob of a credential.

use serde_json::{Value, json};
use tower_credentials::{
    clock::Clock,
    domain::{Material, Status},
};

use crate::{
    keystone_v2_json::{bobs, ec2 as granted, s3},
    world::{
        ALICE, Answer, BOB, DEMO, OTHER, START, World,
        v3::{
            CREDENTIALS, SECOND, accesses, assert_framed, assert_refused, blob_of, change, create,
            credential_path, ec2, ec2_path, id_of, opaque, pair_of, world,
        },
    },
};

async fn patch(world: &World, token: &str, id: &str, body: &Value) -> Answer {
    world.patch(&credential_path(id)).token(token).json(body).send().await
}

#[tokio::test]
async fn c4_changes_the_blob_and_returns_the_whole_credential() {
    let world = world();
    let mut body = opaque(BOB, "totp", "old");
    body["credential"]["note"] = json!({"a": 1});
    let mut made = create(&world, &body).await;
    let id = made["id"].as_str().unwrap().to_owned();
    world.clock.advance(SECOND);
    for token in ["dev-bob", "dev-admin", "unscoped-bob", "domain-admin"] {
        let blob = format!("blob of {token}");
        let answer = patch(&world, token, &id, &change(&blob)).await;
        assert_eq!(answer.status, 200, "{token}");
        assert_framed(&answer);
        made["blob"] = blob.into();
        assert_eq!(answer.json()["credential"], made);
        let shown = world.get(&credential_path(&id)).token("dev-bob").send().await.json();
        assert_eq!(shown["credential"], made);
    }
    for token in ["dev-alice", "system-reader", "dev-service", "domain-reader"] {
        assert_refused(&patch(&world, token, &id, &change("evil")).await, 403);
    }
    let shown = world.get(&credential_path(&id)).token("dev-bob").send().await.json();
    assert_eq!(shown["credential"]["blob"], "blob of domain-admin");
}

#[tokio::test]
async fn c4_needs_a_blob_that_is_a_string() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    for body in [
        json!({"credential": {}}),
        json!({"credential": {"type": "ec2"}}),
        json!({"credential": {"project_id": DEMO}}),
        json!({"credential": {"blob": null}}),
        json!({"credential": {"blob": ""}}),
        json!({"credential": {"blob": {"access": "k", "secret": "s"}}}),
        json!({"credential": {"blob": ["k"]}}),
        json!({"credential": {"blob": 7}}),
        json!({"credential": "blob"}),
        json!({"blob": blob_of("k", "s")}),
        json!({}),
        json!([]),
    ] {
        let answer = patch(&world, "dev-bob", &id_of("k"), &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_refused(&answer, 400);
    }
    assert_refused(&world.patch(&credential_path(&id_of("k"))).token("dev-bob").send().await, 400);
    let stored = world.stored("k").await.unwrap();
    assert_eq!(stored.secret_key().unwrap().expose(), "secret-of-k");
}

#[tokio::test]
async fn c4_accepts_other_members_only_as_they_are_stored() {
    let world = world();
    let mut body = ec2(BOB, DEMO, "k");
    body["credential"]["note-of"] = json!([1, 2.5]);
    let made = create(&world, &body).await;
    let id = id_of("k");
    let with = |name: &str, value: Value| {
        let mut body = change(&blob_of("k", "changed"));
        body["credential"][name] = value;
        body
    };
    for (name, value) in [
        ("id", "x".into()),
        ("id", Value::Null),
        ("type", "totp".into()),
        ("type", "EC2".into()),
        ("type", Value::Null),
        ("user_id", ALICE.into()),
        ("user_id", Value::Null),
        ("project_id", OTHER.into()),
        ("project_id", Value::Null),
        ("project_id", false.into()),
        ("note_of", json!([1, 2])),
        ("note-of", json!([1, 2.5])),
        ("status", "Disabled".into()),
        ("slot", "ec2".into()),
        ("unknown", Value::Null),
    ] {
        for token in ["dev-bob", "dev-admin"] {
            let answer = patch(&world, token, &id, &with(name, value.clone())).await;
            assert_eq!(answer.status, 400, "{token} {name} {value}");
            assert_refused(&answer, 400);
        }
    }
    let stored = world.stored("k").await.unwrap();
    assert_eq!(stored.secret_key().unwrap().expose(), "secret-of-k");

    for name in ["id", "type", "user_id", "project_id", "note_of"] {
        let answer = patch(&world, "dev-bob", &id, &with(name, made[name].clone())).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let mut totp = create(&world, &opaque(BOB, "totp", "x")).await;
    let id = totp["id"].as_str().unwrap().to_owned();
    totp.as_object_mut().unwrap().remove("links");
    totp["blob"] = "y".into();
    let whole = patch(&world, "dev-bob", &id, &json!({ "credential": totp })).await;
    assert_eq!(whole.status, 200, "null matches a missing project");
}

#[tokio::test]
async fn c4_changed_access_key_keeps_the_id_and_lookups_follow_it() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "old")).await;
    let id = id_of("old");
    let answer = patch(&world, "dev-bob", &id, &change(&blob_of("new", "fresh"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["credential"]["id"], id);

    assert!(world.stored("old").await.is_none());
    assert_eq!(world.stored("new").await.unwrap().secret_key().unwrap().expose(), "fresh");
    let get = async |uri: &str| world.get(uri).token("dev-bob").send().await.status.as_u16();
    assert_eq!(get(&credential_path(&id)).await, 200);
    assert_eq!(get(&credential_path(&id_of("new"))).await, 403, "no record has this id");
    assert_eq!(get(&ec2_path(BOB, "/new")).await, 200);
    assert_eq!(get(&ec2_path(BOB, "/old")).await, 404);
    assert_eq!(get("/credentials/new").await, 200);
    assert_eq!(get("/credentials/old").await, 404);
    let list = world.get(&ec2_path(BOB, "")).token("dev-bob").send().await;
    assert_eq!(accesses(&list), ["new"]);
    let deleted = world.delete(&ec2_path(BOB, "/new")).token("dev-bob").send().await;
    assert_eq!(deleted.status, 204);
    create(&world, &ec2(ALICE, DEMO, "old")).await;
}

#[tokio::test]
async fn c4_taken_access_key_is_409_and_changes_nothing() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    let taken = patch(&world, "dev-bob", &id_of("b"), &change(&blob_of("a", "s"))).await;
    assert_refused(&taken, 409);
    for access in ["a", "b"] {
        let stored = world.stored(access).await.unwrap();
        assert_eq!(stored.secret_key().unwrap().expose(), format!("secret-of-{access}"));
    }
    // The id of access key `b` belongs to a record that now has another access key.
    assert_eq!(
        patch(&world, "dev-bob", &id_of("b"), &change(&blob_of("c", "s"))).await.status,
        200
    );
    let reused = world.post(CREDENTIALS).token("dev-alice").json(&ec2(ALICE, DEMO, "b"));
    assert_refused(&reused.send().await, 409);
    assert!(world.stored("c").await.is_some() && world.stored("b").await.is_none());
}

#[tokio::test]
async fn c4_members_that_name_the_origin_of_a_pair_cannot_be_changed() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    for name in ["trust_id", "app_cred_id", "access_token_id", "access_id"] {
        for (value, status) in [(json!("x"), 400), (json!(7), 400), (Value::Null, 200)] {
            let blob = json!({"access": "k", "secret": "s", name: value}).to_string();
            for token in ["dev-bob", "dev-admin"] {
                let answer = patch(&world, token, &id_of("k"), &change(&blob)).await;
                assert_eq!(answer.status, status, "{token} {blob}");
            }
        }
    }
    // Blobs of other types may have these members.
    let totp = create(&world, &opaque(BOB, "totp", "x")).await;
    let blob = r#"{"trust_id":"x"}"#;
    let answer = patch(&world, "dev-bob", totp["id"].as_str().unwrap(), &change(blob)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn c4_blob_of_a_key_pair_must_remain_the_blob_of_a_key_pair() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    for blob in [
        "nope",
        "{",
        "[]",
        "{}",
        r#"{"secret":"s"}"#,
        r#"{"access":null}"#,
        r#"{"access":7}"#,
        r#"{"access":""}"#,
        r#"{"access":"a:b"}"#,
        r#"{"access":"a b"}"#,
        r#"{"access":"a","access":"k"}"#,
        r#"{"access":"k","secret":""}"#,
        r#"{"access":"k","secret":["s"]}"#,
    ] {
        assert_refused(&patch(&world, "dev-bob", &id_of("k"), &change(blob)).await, 400);
    }
    assert!(world.is_usable("k").await);
    let secretless = change(r#"{"access":"k"}"#);
    assert_eq!(patch(&world, "dev-bob", &id_of("k"), &secretless).await.status, 200);
    assert!(!world.is_usable("k").await);
}

#[tokio::test]
async fn c4_ibm_key_keeps_its_status_and_its_time() {
    let world = world();
    world.mint(BOB, DEMO, "minted").await;
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    world.patch("/credentials/minted").token("dev-bob").json(&disable).send().await;
    world.clock.advance(SECOND);
    let answer = patch(&world, "dev-bob", &id_of("minted"), &change(&blob_of("m2", "s2"))).await;
    assert_eq!(answer.status, 200);
    let stored = world.stored("m2").await.unwrap();
    assert_eq!((stored.status, stored.is_usable(std::time::UNIX_EPOCH)), (Status::Inactive, false));
    assert_eq!(stored.updated_at, world.clock.now());
    assert_eq!(stored.created_at, std::time::UNIX_EPOCH + START);
    let shown = world.get("/credentials/m2").token("dev-bob").send().await.json();
    assert_eq!(shown["credential"]["blob"]["secret"], "s2");
}

#[tokio::test]
async fn c4_only_the_secret_of_a_grant_can_be_changed_and_v2_sees_it() {
    let world = world();
    for body in [granted(), s3()] {
        let call = world.post(&bobs("")).token("dev-admin").json(&body);
        assert_eq!(call.send().await.status, 201);
    }
    let id = id_of("test_user");
    for blob in [blob_of("renamed", "s"), r#"{"access":"test_user"}"#.into(), "x".into()] {
        assert_refused(&patch(&world, "dev-bob", &id, &change(&blob)).await, 400);
    }
    let changed = patch(&world, "dev-bob", &id, &change(&blob_of("test_user", "changed"))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let blob = changed.json()["credential"]["blob"].as_str().unwrap().to_owned();
    let blob: Value = serde_json::from_str(&blob).unwrap();
    assert_eq!((&blob["access"], &blob["secret"]), (&"test_user".into(), &"changed".into()));

    let mut expected = granted();
    expected["OS-KSEC2-ec2Credentials"]["secret"] = "changed".into();
    let shown = world.get(&bobs("/ec2Credentials")).token("dev-admin").send().await.json();
    assert_eq!(shown, expected, "the signature is kept");
    let stored = world.stored("test_user").await.unwrap();
    assert!(
        matches!(stored.material, Material::Grant { .. })
            && stored.is_usable(std::time::UNIX_EPOCH)
    );
    assert_eq!(
        world.stored("test_user-s3").await.unwrap().secret_key().unwrap().expose(),
        "s3cret"
    );
}

#[tokio::test]
async fn c4_pair_of_os_ec2_can_be_changed_by_its_id() {
    let world = world();
    let body = json!({"tenant_id": DEMO});
    let made = world.post(&ec2_path(BOB, "")).token("dev-bob").json(&body).send().await.json();
    let access = made["credential"]["access"].as_str().unwrap().to_owned();
    let answer =
        patch(&world, "dev-bob", &id_of(&access), &change(&blob_of(&access, "mine"))).await;
    assert_eq!(answer.status, 200);
    let uri = ec2_path(BOB, &format!("/{access}"));
    let shown = world.get(&uri).token("dev-bob").send().await.json();
    assert_eq!(shown["credential"]["secret"], "mine");
    let twice = pair_of(BOB, DEMO, &blob_of(&access, "again"));
    assert_refused(&world.post(CREDENTIALS).token("dev-bob").json(&twice).send().await, 409);
}
