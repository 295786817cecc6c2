//! v3 credentials: create, show and delete.

use serde_json::{Value, json};
use tower_credentials::{
    CredentialLayer, backend::memory::MemoryBackend, clock::Clock, domain::Quota,
};

use crate::world::{
    ALICE, BOB, DEMO, World,
    v3::{
        ACCESS, CREDENTIALS, assert_framed, assert_refused, create, credential_path, ec2, ec2_path,
        opaque, pair_of, tokens, world, world_with,
    },
};

/// The published id of [`ACCESS`].
const ID: &str = "ff25d2389ab7917a77cc0c3546331401054d53cb7b2edeedb7b4e7742bb5286d";

#[tokio::test]
async fn c2_key_pair_is_returned_as_sent_with_the_hash_of_its_access_key_as_id() {
    let world = world();
    let blob = format!("{{ \"secret\" : \"s\",\"access\":\"{ACCESS}\", \"x\": [1.50] }}");
    let body = pair_of(BOB, DEMO, &blob);
    let answer = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
    assert_eq!(answer.status, 201);
    let own = format!("/v3/credentials/{ID}");
    let expected = json!({"credential": {
        "id": ID, "user_id": BOB, "project_id": DEMO, "type": "ec2", "blob": blob,
        "links": {"self": own},
    }});
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.text().ends_with("}\n"));
    assert_framed(&answer);

    let stored = world.stored(ACCESS).await.unwrap();
    assert!(stored.is_usable(std::time::UNIX_EPOCH));
    assert_eq!(stored.secret_key().unwrap().expose(), "s");
    assert_eq!(stored.created_at, world.clock.now());
    assert_eq!(world.get(&own).token("dev-bob").send().await.json(), expected);
}

#[tokio::test]
async fn c2_other_types_get_a_random_id_and_any_blob() {
    let world = world();
    for (kind, blob) in [
        ("totp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
        ("cert", "not json {"),
        ("\u{1F511} of a door", "\u{0} \u{1F511}\n"),
        ("password", "hunter2"),
    ] {
        let body = opaque(BOB, kind, blob);
        let [first, second] = [create(&world, &body).await, create(&world, &body).await]
            .map(|made| made["id"].clone());
        assert_ne!(first, second, "{kind}");
        let id = first.as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{id}");
        let shown = world.get(&credential_path(id)).token("dev-bob").send().await.json();
        assert_eq!(shown["credential"]["blob"], blob);
        assert_eq!(shown["credential"]["type"], kind);
        assert_eq!(shown["credential"]["project_id"], Value::Null);
    }
}

#[tokio::test]
async fn c2_missing_members_and_members_of_another_type_are_400() {
    let world = world();
    let good = ec2(BOB, DEMO, "k")["credential"].clone();
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let long = "t".repeat(256);
    for bad in [
        without("type"),
        without("user_id"),
        without("blob"),
        without("project_id"),
        with("type", Value::Null),
        with("type", "".into()),
        with("type", 7.into()),
        with("type", long.into()),
        with("type", "EC2".into()),
        with("type", "Ec2".into()),
        with("type", "a\u{1}".into()),
        with("user_id", Value::Null),
        with("user_id", "".into()),
        with("user_id", json!([BOB])),
        with("user_id", "a/b".into()),
        with("project_id", "".into()),
        with("project_id", false.into()),
        with("blob", "".into()),
        with("blob", Value::Null),
        with("blob", json!({"access": "k", "secret": "s"})),
        json!({}),
        json!([]),
        Value::Null,
    ] {
        let body = json!({ "credential": bad });
        let answer = world.post(CREDENTIALS).token("dev-admin").json(&body).send().await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_refused(&answer, 400);
    }
    for body in [json!({}), json!({"credentials": good}), json!([good]), json!("x")] {
        let answer = world.post(CREDENTIALS).token("dev-admin").json(&body).send().await;
        assert_refused(&answer, 400);
    }
    let empty = world.post(CREDENTIALS).token("dev-admin").send().await;
    assert_refused(&empty, 400);
    assert!(world.stored("k").await.is_none());
    create(&world, &json!({"credential": good, "other": [1]})).await;
}

#[tokio::test]
async fn c2_unknown_users_and_projects_are_404_only_with_a_directory() {
    let builder = CredentialLayer::builder(tokens(), MemoryBackend::default());
    let open = World { layer: builder.build().unwrap(), ..world() };
    for (world, status) in [(world(), 404), (open, 201)] {
        for body in [
            ec2("no-such-user", DEMO, "a"),
            ec2(BOB, "nowhere", "b"),
            opaque("no-such-user", "totp", "x"),
            json!({"credential": {
                "type": "totp", "user_id": BOB, "project_id": "nowhere", "blob": "x",
            }}),
        ] {
            let answer = world.post(CREDENTIALS).token("dev-admin").json(&body).send().await;
            assert_eq!(answer.status, status, "{body}");
            if status == 404 {
                assert_refused(&answer, 404);
            }
        }
    }
}

#[tokio::test]
async fn c2_key_pair_may_have_a_null_project() {
    let world = world();
    let mut body = ec2(BOB, DEMO, "k");
    body["credential"]["project_id"] = Value::Null;
    assert_eq!(create(&world, &body).await["project_id"], Value::Null);
    assert!(world.stored("k").await.unwrap().project_id.is_none());
}

#[tokio::test]
async fn c2_taken_access_key_is_409_and_a_full_quota_403() {
    let world = world_with(|builder| builder.quota(Quota::AtMost(2)));
    create(&world, &ec2(BOB, DEMO, "k")).await;
    let again = world.post(CREDENTIALS).token("dev-alice").json(&ec2(ALICE, DEMO, "k"));
    assert_refused(&again.send().await, 409);

    create(&world, &opaque(BOB, "totp", "x")).await;
    for body in [opaque(BOB, "totp", "x"), ec2(BOB, DEMO, "k"), ec2(BOB, DEMO, "l")] {
        let full = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
        assert_refused(&full, 403);
        let message = full.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("maximum"), "{message}");
    }
    create(&world, &ec2(ALICE, DEMO, "l")).await;
}

#[tokio::test]
async fn c2_additional_members_are_kept_and_returned_with_underscores_in_their_names() {
    let world = world();
    let mut body = opaque(BOB, "totp", "x");
    let odd = json!({"deep": [1, 2.5, null, {"a-b": "c:d"}], "n": 18_446_744_073_709_551_615_u64});
    for (name, value) in [("a:b-c", odd.clone()), ("name", "N".into()), ("nothing", Value::Null)] {
        body["credential"][name] = value;
    }
    body["credential"]["id"] = "chosen".into();
    body["credential"]["links"] = json!({"self": "http://evil.example"});
    let made = create(&world, &body).await;
    assert_eq!(made["a_b_c"], odd);
    assert_eq!((&made["name"], made.get("nothing")), (&"N".into(), Some(&Value::Null)));
    assert_ne!(made["id"], "chosen");
    let own = credential_path(made["id"].as_str().unwrap());
    assert_eq!(made["links"]["self"], own);
    let shown = world.get(&own).token("dev-bob").send().await.json();
    assert_eq!(shown["credential"], made);
}

#[tokio::test]
async fn c2_secret_is_optional_and_a_pair_without_it_is_not_usable() {
    let world = world();
    for (access, blob) in [("a", r#"{"access":"a"}"#), ("b", r#"{"access":"b","secret":null}"#)] {
        let made = create(&world, &pair_of(BOB, DEMO, blob)).await;
        assert_eq!(made["blob"], blob);
        assert!(!world.is_usable(access).await);
        let shown = world.get(&ec2_path(BOB, &format!("/{access}"))).token("dev-bob").send().await;
        assert_eq!(shown.json()["credential"]["secret"], Value::Null);
    }
}
