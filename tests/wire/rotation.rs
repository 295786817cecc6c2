//! Rotation of key pairs, and secrets that are shown once.

use serde_json::{Value, json};
use tower_credentials::{domain::Quota, policy::RolePolicy};

use crate::{
    terms::{DAY, END},
    world::{
        ALICE, BOB, DEMO, World, pair,
        v3::{CREDENTIALS, create, credential_path, ec2, id_of, pair_of, world},
    },
};

/// The path of a rotation in each dialect.
fn paths(access: &str) -> [String; 3] {
    [
        format!("/credentials/{access}/rotate"),
        format!("{}/rotate", credential_path(&id_of(access))),
        format!("/v3/users/{BOB}/credentials/OS-EC2/{access}/rotate"),
    ]
}

fn overlap(seconds: u64) -> Value {
    json!({ "overlap_seconds": seconds })
}

/// Access key and secret of a credential in a response of any dialect.
fn pair_in(answer: &Value) -> (String, String) {
    let credential = &answer["credential"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match &credential["blob"] {
        Value::Null => (text(&credential["access"]), text(&credential["secret"])),
        Value::String(blob) => {
            let blob: Value = serde_json::from_str(blob).unwrap();
            (text(&blob["access"]), text(&blob["secret"]))
        }
        blob => (text(&blob["access"]), text(&blob["secret"])),
    }
}

#[tokio::test]
async fn i6_c6_e5_rotation_makes_a_new_key_and_ends_the_old_one_after_the_overlap() {
    for at in 0..3 {
        let world = world();
        let mut body = ec2(BOB, DEMO, "k");
        let boundary = json!({"permission": "read", "buckets": ["data"]});
        body["credential"]["name"] = "backup".into();
        body["credential"]["boundary"] = boundary.clone();
        body["credential"]["expires_at"] = END.into();
        body["credential"]["note"] = json!({"a": 1});
        create(&world, &body).await;
        world.clock.advance(DAY);
        let call = world.post(&paths("k")[at]).token("dev-admin").json(&overlap(3_600));
        let answer = call.send().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let answer = answer.json();
        let (access, secret) = pair_in(&answer);
        let new = &answer["credential"];
        assert!(access != "k" && secret.len() == 48, "{new}");
        assert_eq!((&new["name"], &new["boundary"]), (&json!("backup"), &boundary));
        // Ten days from now, as the old key had from its creation.
        assert_eq!(new["expires_at"], "2016-03-29T00:56:04Z");
        let old_end = "2016-03-19T01:56:04Z";
        let from = json!({"id": id_of("k"), "access": "k", "expires_at": old_end});
        assert_eq!(new["rotated_from"], from);
        let stored = world.stored(&access).await.unwrap();
        assert_eq!(stored.attributes["note"], json!({"a": 1}));
        assert_eq!(
            (stored.user_id.as_str(), stored.project_id.as_ref().unwrap().as_str()),
            (BOB, DEMO)
        );
        assert!(world.is_usable("k").await && world.is_usable(&access).await);
        let list = world.get(CREDENTIALS).token("dev-admin").send().await.json();
        let listed = list["credentials"].as_array().unwrap();
        let listed = listed.iter().find(|it| it["id"] == id_of(&access)).unwrap();
        assert_eq!(listed["rotated_from"], from, "the list finds a key whose answer was lost");
        world.clock.advance(DAY);
        assert!(!world.is_usable("k").await && world.is_usable(&access).await);
    }
}

#[tokio::test]
async fn i6_c6_e5_rotation_without_overlap_replaces_the_pair_in_place() {
    for at in 0..3 {
        let world = world();
        create(&world, &ec2(BOB, DEMO, "k")).await;
        let call = world.post(&paths("k")[at]).token("dev-admin").json(&overlap(0));
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (access, secret) = pair_in(&answer.json());
        assert_eq!(answer.json()["credential"]["rotated_from"], Value::Null);
        assert!(world.stored("k").await.is_none());
        let stored = world.stored(&access).await.unwrap();
        assert_eq!(stored.id.as_str(), id_of("k"));
        assert_eq!(stored.secret_key().unwrap().expose(), secret);
        let shown = world.get(&credential_path(&id_of("k"))).token("dev-bob").send().await;
        assert_eq!(pair_in(&shown.json()), (access, secret));
    }
}

#[tokio::test]
async fn i6_empty_body_means_a_day_and_other_bodies_are_400() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let rotate = || world.post("/credentials/k/rotate").token("dev-bob");
    for bad in [
        json!({"overlap_seconds": -1}),
        json!({"overlap_seconds": 2_592_001}),
        json!({"overlap_seconds": 1.5}),
        json!({"overlap_seconds": "1"}),
        json!({"overlap": 1}),
        json!([]),
        json!([0]),
        json!(null),
    ] {
        assert_eq!(rotate().json(&bad).send().await.status, 400, "{bad}");
    }
    let answer = rotate().send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let from = &answer.json()["credential"]["rotated_from"];
    assert_eq!(from["expires_at"], "2016-03-19T00:56:04Z");
    let longest = rotate().json(&overlap(2_592_000)).send().await.json();
    assert_eq!(longest["credential"]["rotated_from"], *from, "it ends sooner");
}

#[tokio::test]
async fn i6_c6_e5_rotation_only_takes_post() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "k")).await;
    for path in paths("k") {
        for method in ["GET", "PATCH", "DELETE", "PUT"] {
            let answer = world.call(method, &path).token("dev-admin").json(&json!({})).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.headers["allow"].to_str().unwrap().contains("POST"), "{path}");
        }
    }
    for path in ["/credentials/k/rotate/x", "/credentials//rotate", "/v3/credentials/k/rotate/x"] {
        assert_eq!(world.post(path).token("dev-admin").send().await.status, 418, "{path}");
    }
}

#[tokio::test]
async fn i6_c6_e5_caller_without_the_right_to_create_or_change_may_not_rotate() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let before = world.stored("k").await.unwrap();
    for token in
        ["dev-carol", "dev-reader", "dev-service", "no-role", "list-admin", "key-user", "trust"]
    {
        for path in paths("k") {
            let status = world.post(&path).token(token).send().await.status.as_u16();
            assert!([403, 404, 405].contains(&status), "{token} {path}: {status}");
        }
    }
    for path in paths("k") {
        assert_eq!(world.post(&path).send().await.status, 401, "{path}");
    }
    for path in paths("unknown") {
        let status = world.post(&path).token("dev-admin").send().await.status;
        assert_eq!(status, 404, "{path}");
    }
    assert_eq!(world.stored("k").await.unwrap(), before);
    for (token, status) in [("dev-bob", 201), ("key-admin", 201), ("dev-admin", 201)] {
        let answer = world.post("/credentials/k/rotate").token(token).send().await;
        assert_eq!(answer.status, status, "{token}: {}", answer.text());
    }
}

#[tokio::test]
async fn i6_c6_root_key_grant_and_pair_without_secret_are_409() {
    let world = World::new();
    let root = pair(DEMO, DEMO, "root");
    let made = world.post("/credentials").token("dev-admin").json(&root).send().await;
    assert_eq!(made.status, 201);
    let grant = json!({"OS-KSEC2-ec2Credentials": {
        "username": "granted", "key": "secretsecret", "signature": "s",
    }});
    let grants = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    assert_eq!(world.post(&grants).token("dev-admin").json(&grant).send().await.status, 201);
    let bare = pair_of(BOB, DEMO, r#"{"access": "bare"}"#);
    let made = world.post(CREDENTIALS).token("dev-admin").json(&bare).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    for access in ["root", "granted", "bare"] {
        let path = format!("/credentials/{access}/rotate");
        for seconds in [0, 60] {
            let call = world.post(&path).token("dev-admin").json(&overlap(seconds));
            let answer = call.send().await;
            assert_eq!(answer.status, 409, "{access}: {}", answer.text());
        }
        assert!(world.stored(access).await.unwrap().terms.expires_at().is_none());
    }
}

#[tokio::test]
async fn i6_c6_e5_full_quota_is_409_and_changes_nothing() {
    let world = World::with(|builder| builder.quota(Quota::AtMost(1)));
    world.mint(BOB, DEMO, "k").await;
    let before = world.stored("k").await.unwrap();
    for path in paths("k") {
        let answer = world.post(&path).token("dev-admin").send().await;
        assert_eq!(answer.status, 409, "{path}: {}", answer.text());
    }
    assert_eq!(world.stored("k").await.unwrap(), before);
    let in_place = world.post("/credentials/k/rotate").token("dev-bob").json(&overlap(0));
    assert_eq!(in_place.send().await.status, 200);
}

#[tokio::test]
async fn i6_disabled_key_stays_disabled_and_expired_key_is_409() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    let changed = world.patch("/credentials/k").token("dev-bob").json(&disable).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let rotated = world.post("/credentials/k/rotate").token("dev-bob").send().await;
    assert_eq!(rotated.status, 201);
    assert_eq!(rotated.json()["credential"]["blob"]["status"], "Inactive");
    let expire = json!({"credential": {"expires_at": "2016-03-18T00:00:00Z"}});
    let changed = world.patch("/credentials/k").token("dev-bob").json(&expire).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let before = world.stored("k").await.unwrap();
    for seconds in [0, 3_600] {
        let call = world.post("/credentials/k/rotate").token("dev-bob").json(&overlap(seconds));
        assert_eq!(call.send().await.status, 409);
    }
    assert_eq!(world.stored("k").await.unwrap(), before);
}

#[tokio::test]
async fn i6_whole_object_that_is_sent_back_keeps_the_original_life() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let first = world.post("/credentials/k/rotate").token("dev-bob").json(&overlap(3_600));
    assert_eq!(first.send().await.status, 201);
    let mut whole = world.get("/credentials/k").token("dev-bob").send().await.json();
    whole["credential"]["name"] = "renamed".into();
    let changed = world.patch("/credentials/k").token("dev-bob").json(&whole).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let again = world.post("/credentials/k/rotate").token("dev-bob").send().await.json();
    assert_eq!(again["credential"]["expires_at"], Value::Null, "the old key had no expiry");
    assert_eq!(again["credential"]["name"], "renamed");
}

#[tokio::test]
async fn i6_racing_rotations_make_whole_keys_only() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    let rotations: Vec<_> = (0..16)
        .map(|_| {
            let call = world.post("/credentials/k/rotate").token("dev-bob").json(&overlap(0));
            let path = call.send();
            tokio::spawn(path)
        })
        .collect();
    let mut rotated = 0;
    for rotation in rotations {
        let answer = rotation.await.unwrap();
        // A loser finds the key under another name.
        assert!([200, 404, 409].contains(&answer.status.as_u16()), "{}", answer.text());
        rotated += usize::from(answer.status == 200);
    }
    assert_eq!(rotated, 1);
    assert_eq!(world.get("/credentials").token("dev-bob").send().await.ids().len(), 1);
}

#[tokio::test]
async fn secret_is_shown_once_in_every_dialect() {
    let world = World::with(|builder| builder.show_secrets_once(true));
    let secret_in = |text: &str| text.contains("secret-of-k") || text.contains("secretsecret");
    let blob = r#"{"access": "k", "secret": "secret-of-k", "trust_id": null, "note": "kept"}"#;
    let made =
        world.post(CREDENTIALS).token("dev-bob").json(&pair_of(BOB, DEMO, blob)).send().await;
    assert_eq!(made.status, 201);
    assert!(secret_in(made.text()));
    let grants = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    let grant = json!({"OS-KSEC2-ec2Credentials": {
        "username": "granted", "key": "secretsecret", "signature": "s",
    }});
    let granted = world.post(&grants).token("dev-admin").json(&grant).send().await;
    assert_eq!(granted.status, 201);
    assert!(secret_in(granted.text()));
    let v3 = credential_path(&id_of("k"));
    for token in ["dev-bob", "dev-admin", "impersonator"] {
        for path in [
            "/credentials".to_owned(),
            format!("/credentials?user_id={BOB}"),
            "/credentials/k".to_owned(),
            CREDENTIALS.to_owned(),
            v3.clone(),
            format!("/v3/users/{BOB}/credentials/OS-EC2"),
            format!("/v3/users/{BOB}/credentials/OS-EC2/k"),
            grants.clone(),
            format!("{grants}/OS-KSEC2-ec2Credentials"),
        ] {
            let shown = world.get(&path).token(token).send().await;
            assert!(!secret_in(shown.text()), "{token} {path}: {}", shown.text());
        }
    }
    let shown = world.get(&v3).token("dev-bob").send().await.json();
    let blob: Value = serde_json::from_str(shown["credential"]["blob"].as_str().unwrap()).unwrap();
    assert_eq!(blob, json!({"access": "k", "trust_id": null, "note": "kept"}));
    // A client that changes what it was shown does not lose the secret.
    let mut whole = shown.clone();
    whole["credential"]["name"] = "renamed".into();
    let changed = world.patch(&v3).token("dev-bob").json(&whole).send().await;
    assert!(changed.status == 200 && !secret_in(changed.text()), "{}", changed.text());
    let stored = world.stored("k").await.unwrap();
    assert_eq!(stored.secret_key().unwrap().expose(), "secret-of-k");
    let changed = json!({"credential": {"blob": {"status": "Inactive"}}});
    let changed = world.patch("/credentials/k").token("dev-bob").json(&changed).send().await;
    assert!(changed.status == 200 && !secret_in(changed.text()));
    let rotated = world.post("/credentials/k/rotate").token("dev-bob").send().await;
    assert!(rotated.status == 201 && !secret_in(rotated.text()));
    assert_eq!(pair_in(&rotated.json()).1.len(), 48);
}

#[tokio::test]
async fn service_that_sees_key_pairs_sees_secrets_again() {
    let mut policy = RolePolicy::default();
    policy.service_sees_key_pairs = true;
    let world = World::with(|builder| builder.show_secrets_once(true).policy(policy));
    world.mint(ALICE, DEMO, "k").await;
    let path = format!("/v3/users/{ALICE}/credentials/OS-EC2/k");
    let shown = world.get(&path).token("dev-service").send().await;
    assert!(shown.text().contains("secret-of-k"), "{}", shown.text());
    let shown = world.get(&path).token("dev-alice").send().await;
    assert!(shown.status == 200 && !shown.text().contains("secret-of-k"));
}
