//! `POST /credentials`.

use serde_json::{Value, json};
use tower_credentials::domain::{Quota, Status};

use crate::world::{ALICE, Answer, BOB, CAROL, DAVE, DEMO, OTHER, World, pair};

/// The request in IBM's documentation of the create.
fn sample() -> Value {
    json!({"credential": {
        "project_id": DEMO,
        "type": "ec2",
        "subject_ibm_id": "IBMid-61KR43CAFF",
        "user_id": ALICE,
    }})
}

async fn create(world: &World, token: &str, body: &Value) -> Answer {
    world.post("/credentials").token(token).json(body).send().await
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
}

#[tokio::test]
async fn i1_create_without_a_blob_generates_both_keys() {
    let world = World::new();
    let answer = create(&world, "dev-alice", &sample()).await;
    assert_eq!(answer.status, 201);

    let body = answer.json();
    let access = body["credential"]["id"].as_str().unwrap();
    let secret = body["credential"]["blob"]["secret"].as_str().unwrap();
    assert!(is_hex(access, 32) && is_hex(secret, 48), "{body}");
    // Exactly the members in IBM's documentation, in their order, and the time of creation.
    let expected = format!(
        "{{\"credential\":{{\"user_id\":\"{ALICE}\",\"blob\":{{\"access\":\"{access}\",\
         \"secret\":\"{secret}\",\"status\":\"Active\"}},\"project_id\":\"{DEMO}\",\
         \"type\":\"ec2\",\"subject_ibm_id\":\"IBMid-61KR43CAFF\",\"id\":\"{access}\",\
         \"created_at\":\"2016-03-18T00:56:04Z\"}}}}\n"
    );
    assert_eq!(answer.text(), expected);

    let stored = world.stored(access).await.unwrap();
    assert!(stored.is_usable(std::time::UNIX_EPOCH));
    assert_eq!(stored.secret_key().unwrap().expose(), secret);
}

#[tokio::test]
async fn i1_create_with_only_an_access_key_generates_the_secret() {
    let world = World::new();
    let body = json!({"credential": {"type": "ec2", "blob": {"access": "my-key"}}});
    let answer = create(&world, "dev-alice", &body).await;
    assert_eq!(answer.status, 201);
    let blob = &answer.json()["credential"]["blob"];
    assert_eq!((&blob["access"], &blob["status"]), (&json!("my-key"), &json!("Active")));
    assert!(is_hex(blob["secret"].as_str().unwrap(), 48));
}

#[tokio::test]
async fn i1_create_with_both_keys_stores_them_unchanged() {
    let world = World::new();
    let secret = "A secret/of ~any+ printable=\"\\\"text";
    let body = json!({"credential": {"type": "ec2", "id": "ignored", "blob": {
        "access": "AKIA_my.key-1", "secret": secret, "status": "Inactive", "extra": 1,
    }}});
    let answer = create(&world, "dev-alice", &body).await;
    assert_eq!(answer.status, 201);
    let expected = json!({"credential": {
        "user_id": ALICE, "project_id": DEMO, "type": "ec2", "id": "AKIA_my.key-1",
        "blob": {"access": "AKIA_my.key-1", "secret": secret, "status": "Inactive"},
        "created_at": "2016-03-18T00:56:04Z",
    }});
    assert_eq!(answer.json(), expected);
    let stored = world.stored("AKIA_my.key-1").await.unwrap();
    assert_eq!(stored.status, Status::Inactive);
    assert_eq!(stored.secret_key().unwrap().expose(), secret);
}

#[tokio::test]
async fn i1_create_accepts_a_blob_as_json_text_and_returns_an_object() {
    let world = World::new();
    let blob = json!({"access": "key", "secret": "s3cr3t"}).to_string();
    let body = json!({"credential": {"type": "ec2", "blob": blob}});
    let answer = create(&world, "dev-alice", &body).await;
    assert_eq!(answer.status, 201);
    let expected = json!({"access": "key", "secret": "s3cr3t", "status": "Active"});
    assert_eq!(answer.json()["credential"]["blob"], expected);
}

#[tokio::test]
async fn i1_create_is_the_same_with_and_without_the_slash() {
    let world = World::new();
    for uri in ["/credentials", "/credentials/", "/credentials?x=y", "/credentials/?x=y"] {
        let answer = world.post(uri).token("dev-alice").json(&sample()).send().await;
        assert_eq!(answer.status, 201, "{uri}");
    }
}

#[tokio::test]
async fn i1_create_defaults_to_the_caller_and_the_scope_of_the_token() {
    let world = World::new();
    let minimal = json!({"credential": {"type": "ec2"}});
    let body = create(&world, "dev-carol", &minimal).await.json();
    assert_eq!(body["credential"]["user_id"], CAROL);
    assert_eq!(body["credential"]["project_id"], OTHER);

    // A caller without a scope has no default project.
    let answer = create(&world, "unscoped-admin", &minimal).await;
    assert_eq!(answer.status, 400);
    let named = json!({"credential": {"type": "ec2", "project_id": DEMO}});
    assert_eq!(create(&world, "unscoped-admin", &named).await.status, 201);
}

#[tokio::test]
async fn i1_create_returns_the_subject_only_if_it_was_sent() {
    let world = World::new();
    let with = create(&world, "dev-alice", &sample()).await.json();
    assert_eq!(with["credential"]["subject_ibm_id"], "IBMid-61KR43CAFF");
    let id = with["credential"]["id"].as_str().unwrap();
    let shown = world.get(&format!("/credentials/{id}")).token("dev-alice").send().await.json();
    assert_eq!(shown["credential"]["subject_ibm_id"], "IBMid-61KR43CAFF");

    let without = create(&world, "dev-alice", &json!({"credential": {"type": "ec2"}})).await;
    assert!(without.json()["credential"].get("subject_ibm_id").is_none());
}

#[tokio::test]
async fn i1_create_has_the_headers_of_the_sample() {
    let world = World::new();
    let answer = create(&world, "dev-alice", &sample()).await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("x-timestamp"), "1458262564.22774");
    assert_eq!(answer.header("date"), "Fri, 18 Mar 2016 00:56:04 GMT");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.headers.contains_key("accept-ranges"));

    let (random, time) = answer.header("x-trans-id").split_once('-').unwrap();
    assert!(is_hex(random.strip_prefix("tx").unwrap(), 21));
    assert_eq!(time, "0056eb5224");
    let again = create(&world, "dev-alice", &sample()).await;
    assert_ne!(answer.header("x-trans-id"), again.header("x-trans-id"));
}

#[tokio::test]
async fn i1_create_accepts_root_keys_of_existing_projects_without_a_user() {
    let world = World::new();
    let answer = create(&world, "key-admin", &pair(DEMO, DEMO, "root")).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["credential"]["user_id"], DEMO);
    let stored = world.stored("root").await.unwrap();
    assert!(stored.user_id.is_root_of(stored.project_id.as_ref().unwrap()));

    assert_eq!(create(&world, "dev-alice", &pair(DEMO, DEMO, "root2")).await.status, 403);
    assert_eq!(create(&world, "dev-admin", &pair("void", "void", "root2")).await.status, 404);
}

#[tokio::test]
async fn i1_create_400_if_the_body_does_not_follow_the_specification() {
    let world = World::new();
    let bodies = [
        json!({}),
        json!({"credential": null}),
        json!({"credential": []}),
        json!({"credential": "ec2"}),
        json!({"credentials": {"type": "ec2"}}),
        json!({"credential": {}}),
        json!({"credential": {"type": null}}),
        json!({"credential": {"type": 2}}),
        json!({"credential": {"type": "cert"}}),
        json!({"credential": {"type": "EC2"}}),
        json!({"credential": {"type": "ec2", "blob": {}}}),
        json!({"credential": {"type": "ec2", "blob": ""}}),
        json!({"credential": {"type": "ec2", "blob": "[]"}}),
        json!({"credential": {"type": "ec2", "blob": "{\"access\":\"a\",\"access\":\"a\"}"}}),
        json!({"credential": {"type": "ec2", "blob": 7}}),
        json!({"credential": {"type": "ec2", "blob": ["access"]}}),
        json!({"credential": {"type": "ec2", "blob": {"secret": "s3cr3t"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": ""}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": 7}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a/b"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a:b"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a b"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a".repeat(129)}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "secret": ""}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "secret": "line\nline"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "secret": ["s"]}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "secret": "s".repeat(257)}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "status": "active"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "status": "Suspended"}}}),
        json!({"credential": {"type": "ec2", "blob": {"access": "a", "status": true}}}),
        json!({"credential": {"type": "ec2", "subject_ibm_id": ""}}),
        json!({"credential": {"type": "ec2", "subject_ibm_id": 7}}),
        json!({"credential": {"type": "ec2", "subject_ibm_id": "a\u{0}b"}}),
        json!({"credential": {"type": "ec2", "subject_ibm_id": "s".repeat(257)}}),
        json!({"credential": {"type": "ec2", "user_id": ""}}),
        json!({"credential": {"type": "ec2", "user_id": {}}}),
        json!({"credential": {"type": "ec2", "user_id": "a/b"}}),
        json!({"credential": {"type": "ec2", "user_id": "a\u{1b}b"}}),
        json!({"credential": {"type": "ec2", "project_id": ""}}),
        json!({"credential": {"type": "ec2", "project_id": "p".repeat(257)}}),
    ];
    for body in bodies {
        let answer = create(&world, "dev-admin", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["code"], 400, "{body}");
        assert_eq!(answer.json()["error"]["title"], "Bad Request", "{body}");
    }
    assert!(world.get("/credentials").token("dev-admin").send().await.ids().is_empty());
}

#[tokio::test]
async fn i1_create_404_for_an_unknown_user_or_storage_account() {
    let world = World::new();
    for body in [pair("no-such-user", DEMO, "k"), pair(ALICE, "nowhere", "k")] {
        let answer = create(&world, "dev-admin", &body).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["title"], "Not Found");
    }
}

#[tokio::test]
async fn i1_create_405_if_the_user_has_no_place_in_the_storage_account() {
    let world = World::new();
    let answer = create(&world, "dev-admin", &pair(BOB, OTHER, "k")).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "GET, POST");
    assert_eq!(answer.json()["error"]["code"], 405);
    assert_eq!(answer.json()["error"]["message"], "The user has no access to the project.");
}

#[tokio::test]
async fn i1_create_409_if_the_user_has_the_maximum_number_of_keys() {
    let world = World::with(|builder| builder.quota(Quota::AtMost(2)));
    for access in ["one", "two"] {
        assert_eq!(create(&world, "dev-admin", &pair(BOB, DEMO, access)).await.status, 201);
    }
    let answer = create(&world, "dev-admin", &pair(BOB, DEMO, "three")).await;
    assert_eq!(answer.status, 409);
    let message = "The user has reached the maximum number of credentials.";
    assert_eq!(answer.json()["error"]["message"], message);

    // Other users have their own quota, and deleted keys do not count.
    assert_eq!(create(&world, "dev-admin", &pair(ALICE, DEMO, "three")).await.status, 201);
    assert_eq!(world.delete("/credentials/one").token("dev-admin").send().await.status, 204);
    assert_eq!(create(&world, "dev-admin", &pair(BOB, DEMO, "four")).await.status, 201);
}

#[tokio::test]
async fn i1_create_409_if_any_user_has_the_access_key() {
    let world = World::new();
    world.mint(BOB, DEMO, "taken").await;
    for (user, project) in [(BOB, DEMO), (CAROL, OTHER)] {
        let answer = create(&world, "dev-admin", &pair(user, project, "taken")).await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.json()["error"]["message"], "The credential already exists.");
    }
    assert_eq!(world.stored("taken").await.unwrap().user_id.as_str(), BOB);
}

/// Starts with a request that has all faults, and fixes one fault in each step.
#[tokio::test]
async fn i1_create_checks_in_a_fixed_order() {
    let world = World::with(|builder| builder.quota(Quota::AtMost(1)));
    world.mint(BOB, DEMO, "taken").await;
    let steps = [
        ("no-such-token", "no-such-user", "nowhere", 401),
        ("dev-reader", "no-such-user", "nowhere", 403),
        ("dev-alice", "no-such-user", "nowhere", 403),
        ("dev-admin", "no-such-user", "nowhere", 404),
        ("dev-admin", DAVE, "nowhere", 404),
        ("dev-admin", DAVE, DEMO, 405),
        ("dev-admin", BOB, DEMO, 409),
    ];
    for (token, user, project, status) in steps {
        let answer = create(&world, token, &pair(user, project, "taken")).await;
        assert_eq!(answer.status, status, "{token} {user} {project}");
    }
    let full = create(&world, "dev-admin", &pair(BOB, DEMO, "taken")).await.json();
    let message = full["error"]["message"].as_str().unwrap();
    assert!(message.contains("maximum number"), "the quota comes before the duplicate");
}

#[tokio::test]
async fn i1_create_415_if_the_body_is_declared_as_anything_but_json() {
    let world = World::new();
    let body = sample().to_string();
    for media_type in ["text/plain", "application/xml", "multipart/form-data", "json", ""] {
        let call = world.post("/credentials").token("dev-alice").text(media_type, &body);
        assert_eq!(call.send().await.status, 415, "{media_type}");
    }
    for media_type in
        ["application/json", "Application/JSON; charset=utf-8", "application/vnd.ibm.x+json"]
    {
        let call = world.post("/credentials").token("dev-alice").text(media_type, &body);
        assert_eq!(call.send().await.status, 201, "{media_type}");
    }
    let untyped = world.post("/credentials").token("dev-alice").bytes(body.as_bytes());
    assert_eq!(untyped.send().await.status, 201);
}
