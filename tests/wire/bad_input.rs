//! Invalid tokens, bodies, methods and paths: the layer rejects each in the dialect of the
//! request and writes nothing.

use std::time::Duration;

use serde_json::json;

use crate::{
    keystone_v2_json::{bobs, ec2},
    world::{ALICE, BOB, DEMO, World},
};

const KSEC2: &str = "http://docs.openstack.org/identity/api/ext/OS-KSEC2/v1.0";

/// Every operation of both dialects, with a body if it takes a body.
fn operations() -> Vec<(&'static str, String)> {
    let (collection, key) = ("/credentials".to_owned(), "/credentials/k".to_owned());
    let member = bobs("/ec2Credentials");
    let by_type = bobs("/ec2Credentials/ec2Credentials");
    vec![
        ("POST", collection.clone()),
        ("GET", collection),
        ("GET", key.clone()),
        ("PATCH", key.clone()),
        ("DELETE", key),
        ("GET", bobs("")),
        ("POST", bobs("")),
        ("GET", member.clone()),
        ("POST", member.clone()),
        ("DELETE", member),
        ("GET", by_type),
    ]
}

#[tokio::test]
async fn missing_wrong_and_expired_tokens_are_401_on_every_operation() {
    let world = World::new();
    world.mint(BOB, DEMO, "k").await;
    world.clock.advance(Duration::from_mins(1));
    for (method, uri) in operations() {
        let call = || world.call(method, &uri);
        for (case, call) in [
            ("no token", call()),
            ("an empty token", call().token("")),
            ("a wrong token", call().token("dev-admi")),
            ("a token that is no text", call().raw_header("x-auth-token", b"\xff")),
            ("an expired token", call().token("ends-in-a-minute")),
            ("half a scheme", call().header("authorization", "Bearer")),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.status, 401, "{case}: {method} {uri}");
            assert!(answer.headers.contains_key("www-authenticate"), "{case}: {method} {uri}");
        }
    }
    assert!(world.is_usable("k").await);
}

#[tokio::test]
async fn token_is_valid_until_its_last_moment() {
    let world = World::new();
    let get = async || world.get("/credentials").token("ends-in-a-minute").send().await.status;
    world.clock.advance(Duration::from_micros(59_999_999));
    assert_eq!(get().await, 200);
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(get().await, 401);
}

#[tokio::test]
async fn json_that_is_broken_or_not_an_object_is_400() {
    let world = World::new();
    let good = ec2().to_string();
    let truncated = &good[..good.len() - 1];
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let twice = "{\"credential\":{\"type\":\"ec2\"},\"credential\":{\"type\":\"ec2\"}}";
    let twice_within = "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"a\",\"user_id\":\"b\"}}";
    let bodies: [&[u8]; 20] = [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"1e999",
        b"\"text\"",
        b"{}{}",
        b"{\"credential\":{\"type\":\"ec2\"},}",
        b"{'credential':{}}",
        b"{\"credential\":{\"type\":\"ec2\"}}garbage",
        b"{\"credential\":{\"type\":\"ec2\",\"user_id\":\"\xff\xfe\"}}",
        b"{\"credential\":{\"type\":\"ec2\",\"user_id\":\"\\ud800\"}}",
        b"\0\0\0",
        truncated.as_bytes(),
        deep.as_bytes(),
        deep_object.as_bytes(),
        twice.as_bytes(),
        twice_within.as_bytes(),
    ];
    world.mint(BOB, DEMO, "k").await;
    for body in bodies {
        for (method, uri) in [
            ("POST", "/credentials".to_owned()),
            ("PATCH", "/credentials/k".to_owned()),
            ("POST", bobs("")),
            ("POST", bobs("/ec2Credentials")),
        ] {
            let call = world.call(method, &uri).token("dev-admin");
            let call = call.header("content-type", "application/json").bytes(body);
            let answer = call.send().await;
            let shown = String::from_utf8_lossy(body);
            let shown = shown.chars().take(60).collect::<String>();
            assert_eq!(answer.status, 400, "{method} {uri} {shown}");
        }
    }
    let list = world.get(&format!("/credentials?user_id={BOB}")).token("dev-admin").send().await;
    assert_eq!(list.ids(), ["k"]);
}

#[tokio::test]
async fn refusal_does_not_repeat_the_request() {
    let world = World::new();
    for body in [
        "{\"credential\":{\"type\":\"ec2\",\"blob\":{\"access\":\"a\",\"secret\":\"hunter2\\n\"}}}",
        "{\"credential\":{\"type\":\"ec2\",\"blob\":{\"access\":\"hunter2/\"}}}",
        "{\"credential\":{\"type\":\"hunter2\"}}",
        "{\"hunter2",
        "hunter2",
    ] {
        for uri in ["/credentials", &bobs("")] {
            let call = world.post(uri).token("dev-admin").text("application/json", body);
            let answer = call.send().await;
            assert_eq!(answer.status, 400, "{uri} {body}");
            assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn xml_that_is_hostile_or_broken_is_400() {
    let world = World::new();
    let good = format!(
        "<ec2Credentials xmlns=\"{KSEC2}\" username=\"amy\" key=\"s3cr3t\" signature=\"\"/>"
    );
    let laughs = (1..10).map(|n| format!("<!ENTITY e{n} \"&e{0};&e{0};&e{0};&e{0};\">", n - 1));
    let laughs = laughs.collect::<Vec<_>>().concat();
    let bomb = format!("<!DOCTYPE x [<!ENTITY e0 \"ha\">{laughs}]>");
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let bodies = [
        String::new(),
        "text".into(),
        "<".into(),
        good.replace("/>", ">"),
        good.replace("/>", "></s3Credentials>"),
        good.replace("/>", "><nested/></ec2Credentials>"),
        good.replace("s3cr3t", "&unknown;"),
        good.replace("s3cr3t", "&#0;"),
        good.replace("s3cr3t", "&#10;"),
        good.replace("key=", "username="),
        good.replace("key=\"s3cr3t\"", ""),
        good.replace("username=\"amy\"", ""),
        good.replace("signature=\"\"", ""),
        good.replace("signature", "x:signature"),
        good.replace("\"s3cr3t\"", "s3cr3t"),
        good.replace(&format!(" xmlns=\"{KSEC2}\""), ""),
        good.replace("OS-KSEC2", "OS-KSS3"),
        good.replace("http:", "https:"),
        good.replace("ec2Credentials", "certCredentials"),
        format!("{good}{good}"),
        format!("{bomb}{}", good.replace("s3cr3t", "&e9;")),
        format!("{bomb}{good}"),
        format!("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">{good}"),
        format!("<?php echo ?>{good}"),
        deep,
        ec2().to_string(),
    ];
    for body in bodies {
        let answer = world.post(&bobs("")).token("dev-admin").xml(&body).send().await;
        assert_eq!(answer.status, 400, "{}", body.chars().take(200).collect::<String>());
        assert_eq!(answer.json()["badRequest"]["code"], 400);
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&utf16[..], b"\xff\xfe<", b"<ec2Credentials username=\"\xff\"/>", b"\0"] {
        let call = world.post(&bobs("")).token("dev-admin");
        let call = call.header("content-type", "application/xml").bytes(bytes);
        assert_eq!(call.send().await.status, 400);
    }
    assert!(world.stored("amy").await.is_none());
    let answer = world.post(&bobs("")).token("dev-admin").xml(&good).send().await;
    assert_eq!(answer.status, 201, "the document itself is valid");
}

#[tokio::test]
async fn unknown_methods_are_405_with_the_methods_of_the_path_for_any_caller() {
    let world = World::new();
    for (uri, allow, methods) in [
        ("/credentials", "GET, POST", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
        ("/credentials/", "GET, POST", ["PUT", "PATCH", "DELETE", "HEAD", "CONNECT", "get"]),
        ("/credentials/k", "DELETE, GET, PATCH", ["PUT", "POST", "HEAD", "OPTIONS", "TRACE", "X"]),
    ] {
        for method in methods {
            let answer = world.call(method, uri).send().await;
            assert_eq!(answer.status, 405, "{method} {uri}");
            assert_eq!(answer.header("allow"), allow, "{method} {uri}");
            assert_eq!(answer.json()["error"]["title"], "Method Not Allowed");
        }
    }
}

#[tokio::test]
async fn slashes_and_control_characters_in_ids_are_400() {
    let world = World::new();
    world.mint(ALICE, DEMO, "k").await;
    for bad in ["a%2Fb", "a%2fb", "%2F", "k%00", "k%0A", "%1b", "%7F", "%c2%85", "%ff", "%c3"] {
        for uri in [
            format!("/credentials/{bad}"),
            format!("/credentials/{bad}/"),
            format!("/v2.0/users/{bad}/OS-KSADM/credentials"),
            format!("/v2.0/users/{bad}/OS-KSS3/credentials/s3credentials"),
            bobs(&format!("/{bad}")),
            bobs(&format!("/s3credentials/{bad}")),
        ] {
            let answer = world.get(&uri).token("dev-admin").send().await;
            assert_eq!(answer.status, 400, "{uri}");
        }
    }
    for query in ["user_id=a%2Fb", "project_id=a%00b", "user_id=", "user_id=%ff", "marker=%ff"] {
        let answer = world.get(&format!("/credentials?{query}")).token("dev-admin").send().await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test]
async fn encoded_paths_double_slashes_and_deeper_paths_pass_through() {
    let world = World::new();
    for uri in [
        "//credentials",
        "/credentials//",
        "/credentials//k",
        "/credentials/k//",
        "/credentials/k/deeper",
        "/%63redentials",
        "/Credentials",
        "/credentialsx",
        "/credentials.json",
        "/x/credentials",
        "*",
    ] {
        for method in ["GET", "POST", "PUT"] {
            let answer = world.call(method, uri).token("dev-admin").send().await;
            assert_eq!(answer.status, 418, "{method} {uri}");
            assert_eq!(answer.text(), "short and stout");
        }
    }
}

#[tokio::test]
async fn ids_of_any_length_in_paths_and_markers_find_nothing() {
    let world = World::new();
    let long = "k".repeat(8_000);
    for method in ["GET", "DELETE"] {
        let uri = format!("/credentials/{long}");
        assert_eq!(world.call(method, &uri).token("dev-admin").send().await.status, 404);
    }
    let uri = format!("/credentials?marker={long}&end_marker={long}");
    assert!(world.get(&uri).token("dev-admin").send().await.ids().is_empty());
    let long_user = format!("/credentials?user_id={long}");
    assert_eq!(world.get(&long_user).token("dev-admin").send().await.status, 400);
}

#[tokio::test]
async fn roles_and_targets_in_a_request_do_not_affect_the_decision() {
    let world = World::new();
    let body = json!({"credential": {
        "type": "ec2", "user_id": BOB, "project_id": DEMO, "roles": ["admin"],
        "target": {"user_id": ALICE},
    }, "roles": ["admin"]});
    let uri = format!("/credentials?user_id={ALICE}&target.credential.user_id={ALICE}");
    let answer = world.post(&uri).token("dev-alice").json(&body).send().await;
    assert_eq!(answer.status, 403);
    let answer = world.post("/credentials").token("dev-bob").json(&body).send().await;
    assert_eq!(answer.status, 201);
    let id = answer.json()["credential"]["id"].as_str().unwrap().to_owned();
    let stored = world.stored(&id).await.unwrap();
    assert!(stored.delegation.is_none() && stored.attributes.is_empty());
}
