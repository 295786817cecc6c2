//! The ten codes in the documentation of the grant, each with its fault, in both formats.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    keystone_v2_json::{bobs, ec2},
    world::{
        ALICE, Answer, BOB, CAROL, DAVE, DEMO, World,
        failing::{DownDirectory, Flaky, Refusing},
        tokens,
    },
};

/// Sends the request that `build` returns in both formats, and checks the faults.
async fn fault(build: impl Fn() -> crate::world::Call, code: u16, name: &str) -> Answer {
    let json = build().header("accept", "application/json").send().await;
    assert_eq!(json.status, code, "{name}: {}", json.text());
    assert_eq!(json.header("content-type"), "application/json");
    let body = json.json();
    let members = body.as_object().unwrap();
    assert_eq!(members.keys().collect::<Vec<_>>(), [name]);
    assert_eq!(body[name]["code"], json!(code), "a number");
    let message = body[name]["message"].as_str().unwrap();
    assert!(!message.is_empty());

    let xml = build().header("accept", "application/xml").send().await;
    assert_eq!(xml.status, code, "{name}: {}", xml.text());
    assert_eq!(xml.header("content-type"), "application/xml");
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{name} xmlns=\"http://docs.openstack.org/identity/api/v2.0\" code=\"{code}\">\
         <message>{message}</message></{name}>\n"
    );
    assert_eq!(xml.text(), expected);
    json
}

fn grant(world: &World, body: &Value) -> crate::world::Call {
    world.post(&bobs("")).token("dev-admin").json(body)
}

#[tokio::test]
async fn k2_grant_201_created() {
    assert_eq!(grant(&World::new(), &ec2()).send().await.status, 201);
}

#[tokio::test]
async fn k2_grant_400_is_bad_request() {
    let world = World::new();
    fault(|| grant(&world, &json!({})), 400, "badRequest").await;
    fault(|| world.post(&bobs("")).token("dev-admin").xml("<a/>"), 400, "badRequest").await;
}

#[tokio::test]
async fn k2_grant_400_for_a_missing_or_invalid_member() {
    let world = World::new();
    let long = "x".repeat(1_025);
    let key = |members: Value| json!({"ec2Credentials": members});
    let password = |members: Value| json!({"passwordCredentials": members});
    for body in [
        key(json!({})),
        key(json!("text")),
        key(json!({"secret": "s", "signature": ""})),
        key(json!({"username": "u", "signature": ""})),
        key(json!({"username": "u", "secret": "s"})),
        key(json!({"username": null, "secret": "s", "signature": ""})),
        key(json!({"username": "", "secret": "s", "signature": ""})),
        key(json!({"username": "a/b", "secret": "s", "signature": ""})),
        key(json!({"username": "a:b", "secret": "s", "signature": ""})),
        key(json!({"username": 7, "secret": "s", "signature": ""})),
        key(json!({"username": "u", "secret": "", "signature": ""})),
        key(json!({"username": "u", "secret": "\u{7}", "signature": ""})),
        key(json!({"username": "u", "secret": ["s"], "signature": ""})),
        key(json!({"username": "u", "secret": "s", "signature": false})),
        key(json!({"username": "u", "secret": "s", "signature": "\u{0}"})),
        key(json!({"username": "u", "secret": "s", "signature": long})),
        key(json!({"username": "u".repeat(129), "secret": "s", "signature": ""})),
        key(json!({"username": "u", "secret": "s".repeat(257), "signature": ""})),
        password(json!({"username": "u"})),
        password(json!({"username": "u", "secret": "p"})),
        password(json!({"username": "u", "password": ""})),
        password(json!({"username": "", "password": "p"})),
        password(json!({"password": "p"})),
        password(json!({"username": "u", "password": long})),
        password(json!({"username": "a\u{ffff}", "password": "p"})),
        json!({"ec2Credentials": {"username": "u", "secret": "s", "signature": ""}, "also": 1}),
        json!({"certCredentials": {"username": "u", "secret": "s", "signature": ""}}),
        json!({"credential": {"type": "ec2"}}),
        json!({"OS-KSEC2-EC2CREDENTIALS": {"username": "u", "secret": "s", "signature": ""}}),
    ] {
        assert_eq!(grant(&world, &body).send().await.status, 400, "{body}");
    }
    let page = world.get(&bobs("")).token("dev-admin").send().await;
    assert_eq!(page.json()["credentials"], json!([]));
}

#[tokio::test]
async fn k2_grant_401_is_unauthorized() {
    let world = World::new();
    let answer = fault(|| world.post(&bobs("")).json(&ec2()), 401, "unauthorized").await;
    assert_eq!(answer.header("www-authenticate"), "Keystone");
    fault(|| world.post(&bobs("")).token("wrong").json(&ec2()), 401, "unauthorized").await;
    let expired = World::of(Refusing::Expired, Arc::new(Flaky::default()), |builder| builder);
    fault(|| grant(&expired, &ec2()), 401, "unauthorized").await;
}

#[tokio::test]
async fn k2_grant_403_is_forbidden_or_user_disabled() {
    let world = World::new();
    fault(|| world.post(&bobs("")).token("dev-bob").json(&ec2()), 403, "forbidden").await;
    let daves = format!("/v2.0/users/{DAVE}/OS-KSADM/credentials");
    fault(|| world.post(&daves).token("dev-admin").json(&ec2()), 403, "forbidden").await;
    let disabled = World::of(Refusing::Disabled, Arc::new(Flaky::default()), |builder| builder);
    fault(|| grant(&disabled, &ec2()), 403, "userDisabled").await;
}

#[tokio::test]
async fn k1_to_k6_404_is_item_not_found() {
    let world = World::new();
    let long = "u".repeat(257);
    for user in ["no-such-user", "%20", long.as_str()] {
        let path = format!("/v2.0/users/{user}/OS-KSADM/credentials");
        fault(|| world.post(&path).token("dev-admin").json(&ec2()), 404, "itemNotFound").await;
        for rest in ["", "/ec2Credentials", "/ec2Credentials/ec2Credentials", "?marker=x"] {
            let uri = format!("{path}{rest}");
            fault(|| world.get(&uri).token("dev-admin"), 404, "itemNotFound").await;
        }
        let member = format!("{path}/ec2Credentials");
        fault(|| world.delete(&member).token("dev-admin"), 404, "itemNotFound").await;
    }
    for uri in [bobs("/ec2Credentials"), bobs("/unknown"), bobs("?marker=unknown")] {
        fault(|| world.get(&uri).token("dev-admin"), 404, "itemNotFound").await;
    }
}

#[tokio::test]
async fn k1_to_k6_405_is_bad_method_and_lists_the_methods() {
    let world = World::new();
    for (rest, allow, methods) in [
        ("", "GET, POST", &["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"][..]),
        ("/s3credentials", "DELETE, GET, POST", &["PUT", "PATCH", "HEAD"]),
        ("/s3credentials/s3credentials", "GET", &["POST", "DELETE", "PUT"]),
    ] {
        for method in methods {
            for prefix in ["OS-KSADM", "OS-KSS3", "OS-OS-KSS3"] {
                let uri = format!("/v2.0/users/{BOB}/{prefix}/credentials{rest}");
                let answer = fault(|| world.call(method, &uri), 405, "badMethod").await;
                assert_eq!(answer.header("allow"), allow, "{method} {uri}");
            }
        }
    }
}

#[tokio::test]
async fn k2_grant_409_is_conflict() {
    let world = World::new();
    assert_eq!(grant(&world, &ec2()).send().await.status, 201);
    fault(|| grant(&world, &ec2()), 409, "conflict").await;
    let carols = format!("/v2.0/users/{CAROL}/OS-KSADM/credentials");
    fault(|| world.post(&carols).token("dev-admin").json(&ec2()), 409, "conflict").await;
}

#[tokio::test]
async fn k2_grant_409_if_the_quota_is_full_and_other_dialects_keys_count() {
    let world = World::with(|builder| builder.quota(tower_credentials::domain::Quota::AtMost(1)));
    world.mint(BOB, DEMO, "minted").await;
    let answer = fault(|| grant(&world, &ec2()), 409, "conflict").await;
    let message = answer.json()["conflict"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("maximum number"), "{message}");
}

#[tokio::test]
async fn k2_grant_413_is_over_limit() {
    let world = World::with(|builder| builder.body_limit(100));
    let long = format!("{}{}", ec2(), " ".repeat(100));
    let call = || world.post(&bobs("")).token("dev-admin").text("application/json", &long);
    fault(call, 413, "overLimit").await;
}

#[tokio::test]
async fn k2_grant_415_is_bad_media_type() {
    let world = World::new();
    let body = ec2().to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "xml", "*/*"] {
        let call = || world.post(&bobs("")).token("dev-admin").text(media_type, &body);
        fault(call, 415, "badMediaType").await;
    }
    let untyped = || world.post(&bobs("")).token("dev-admin").bytes(body.as_bytes());
    fault(untyped, 415, "badMediaType").await;
    let crossed = || world.post(&bobs("")).token("dev-admin").xml(&body);
    fault(crossed, 400, "badRequest").await;
}

#[tokio::test]
async fn k1_to_k6_503_is_service_unavailable_during_every_outage() {
    let store = Arc::new(Flaky::default());
    store.set_down(true);
    for world in [
        World::of(tokens(), store, |builder| builder),
        World::of(Refusing::Down, Arc::new(Flaky::default()), |builder| builder),
        World::with(|builder| builder.directory(DownDirectory)),
    ] {
        let member = bobs("/ec2Credentials");
        let by_type = bobs("/ec2Credentials/ec2Credentials");
        for (method, uri) in [
            ("POST", &bobs("")),
            ("GET", &bobs("")),
            ("GET", &member),
            ("POST", &member),
            ("DELETE", &member),
            ("GET", &by_type),
        ] {
            let call = || world.call(method, uri).token("dev-admin").json(&ec2());
            let answer = fault(call, 503, "serviceUnavailable").await;
            assert_eq!(answer.header("retry-after"), "5", "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn suffix_takes_precedence_over_accept_in_faults() {
    let world = World::new();
    let xml = world.get(&bobs(".xml")).header("accept", "application/json").send().await;
    assert!(xml.text().contains("<unauthorized "), "{}", xml.text());
    let json = world.get(&bobs(".json")).header("accept", "application/xml").send().await;
    assert_eq!(json.json()["unauthorized"]["code"], 401);
    // The format of the request does not affect the format of the response.
    let sent = world.post(&bobs("")).token("dev-admin").xml("<broken").send().await;
    assert_eq!(sent.json()["badRequest"]["code"], 400);
}

#[tokio::test]
async fn k2_grant_checks_in_a_fixed_order() {
    let world = World::with(|builder| builder.quota(tower_credentials::domain::Quota::AtMost(1)));
    world.mint(BOB, DEMO, "taken").await;
    let body = json!({"ec2Credentials": {"username": "taken", "secret": "s", "signature": ""}});
    for (token, user, status) in [
        ("wrong", "no-such-user", 401),
        ("dev-alice", "no-such-user", 403),
        ("dev-admin", "no-such-user", 404),
        ("dev-admin", DAVE, 403),
        ("dev-admin", BOB, 409),
        ("dev-admin", ALICE, 409),
    ] {
        let uri = format!("/v2.0/users/{user}/OS-KSADM/credentials");
        let answer = world.post(&uri).token(token).json(&body).send().await;
        assert_eq!(answer.status, status, "{token} for {user}");
    }
}
