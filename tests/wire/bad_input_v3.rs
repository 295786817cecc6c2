//! Invalid blobs, members and bodies of v3.

use serde_json::{Value, json};

use crate::world::{
    BOB, DEMO,
    v3::{
        CREDENTIALS, EC2TOKENS, S3TOKENS, Signing, assert_refused, blob_of, change, create,
        credential_path, ec2, ec2_path, id_of, ids, opaque, pair_of, world, world_with,
    },
};

#[tokio::test]
async fn blob_of_a_key_pair_must_be_the_json_text_of_an_object_with_strings() {
    let world = world();
    let deep = format!("{{\"access\":\"a\",\"x\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let long = "a".repeat(129);
    for blob in [
        "not json",
        "{",
        "[]",
        "null",
        "7",
        "\"a\"",
        "{}",
        "{'access':'a'}",
        r#"{"access":"a"} {"access":"b"}"#,
        r#"{"access":"a",}"#,
        r#"{"secret":"s"}"#,
        r#"{"Access":"a"}"#,
        r#"{"access":null}"#,
        r#"{"access":7}"#,
        r#"{"access":["a"]}"#,
        r#"{"access":{"a":"b"}}"#,
        r#"{"access":""}"#,
        r#"{"access":"a b"}"#,
        r#"{"access":"a:b"}"#,
        r#"{"access":"a/b"}"#,
        r#"{"access":"a\u0000"}"#,
        r#"{"access":"\u00e9"}"#,
        r#"{"access":"a","access":"a"}"#,
        r#"{"access":"a","secret":"s","secret":"s"}"#,
        r#"{"access":"a","secret":""}"#,
        r#"{"access":"a","secret":7}"#,
        r#"{"access":"a","secret":{"s":"s"}}"#,
        r#"{"access":"a","secret":"\ud800"}"#,
        "\u{feff}{\"access\":\"a\"}",
        &format!("{{\"access\":\"{long}\"}}"),
        &deep,
    ] {
        let body = pair_of(BOB, DEMO, blob);
        let answer = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
        assert_eq!(answer.status, 400, "{blob}");
        assert_refused(&answer, 400);
        assert!(!answer.text().contains("\"a\""), "{}", answer.text());
    }
    assert!(ids(&world.get(CREDENTIALS).token("dev-bob").send().await).is_empty());
}

#[tokio::test]
async fn duplicate_and_synonymous_members_are_400() {
    let world = world();
    for (one, other) in [
        ("a-b", "a_b"),
        ("a:b", "a_b"),
        ("a:b", "a-b"),
        ("user-id", "x"),
        ("user:id", "x"),
        ("project-id", "x"),
        ("project:id", "x"),
    ] {
        let mut body = opaque(BOB, "totp", "x");
        for name in [one, other] {
            body["credential"][name] = "y".into();
        }
        let answer = world.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
        assert_eq!(answer.status, 400, "{one} {other}");
        assert_refused(&answer, 400);
    }
    let good = opaque(BOB, "totp", "x").to_string();
    for (from, to) in [
        ("\"type\":\"totp\"", "\"type\":\"totp\",\"type\":\"totp\""),
        ("\"blob\"", "\"blob\":\"x\",\"blob\""),
        ("\"blob\"", "\"bl\\u006fb\":\"x\",\"blob\""),
        ("\"blob\"", "\"x\":[{\"y\":1,\"y\":1}],\"blob\""),
        ("{\"credential\"", "{\"credential\":{},\"credential\""),
    ] {
        let twice = good.replace(from, to);
        assert_ne!(twice, good);
        let call = world.post(CREDENTIALS).token("dev-bob").text("application/json", &twice);
        assert_refused(&call.send().await, 400);
    }
    assert!(ids(&world.get(CREDENTIALS).token("dev-bob").send().await).is_empty());
}

#[tokio::test]
async fn blob_of_a_megabyte_is_413_and_below_the_limit_is_returned_whole() {
    let blob = "\u{1F511}\n\"".repeat(170_000);
    let refusing = world();
    let body = opaque(BOB, "cert", &blob);
    let answer = refusing.post(CREDENTIALS).token("dev-bob").json(&body).send().await;
    assert_refused(&answer, 413);
    let world = world_with(|builder| builder.body_limit(4_000_000));
    let made = create(&world, &body).await;
    assert!(made["blob"] == blob, "the blob was changed");
    let shown = world
        .get(&credential_path(made["id"].as_str().unwrap()))
        .token("dev-bob")
        .send()
        .await
        .json();
    assert!(shown["credential"]["blob"] == blob, "the blob was changed");
}

#[tokio::test]
async fn json_that_is_broken_or_not_an_object_is_400_on_every_path_with_a_body() {
    let Signing { world, .. } = Signing::new().await;
    create(&world, &ec2(BOB, DEMO, "b")).await;
    let deep = format!("{{\"credential\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    for body in [
        &b" "[..],
        b"{",
        b"[]",
        b"null",
        b"7",
        b"1e999",
        b"\"text\"",
        b"{}{}",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":1e999}",
        b"\0",
        deep.as_bytes(),
    ] {
        for (method, uri) in [
            ("POST", CREDENTIALS.into()),
            ("PATCH", credential_path(&id_of("b"))),
            ("POST", ec2_path(BOB, "")),
            ("POST", S3TOKENS.into()),
            ("POST", EC2TOKENS.into()),
        ] {
            let call = world.call(method, &uri).token("dev-admin");
            let answer = call.header("content-type", "application/json").bytes(body).send().await;
            let shown = String::from_utf8_lossy(body).chars().take(40).collect::<String>();
            assert_eq!(answer.status, 400, "{method} {uri} {shown}");
            assert_refused(&answer, 400);
        }
    }
    assert!(world.is_usable("b").await);
}

#[tokio::test]
async fn refusal_does_not_repeat_the_request() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    let bad = |name: &str, value: Value| {
        let mut body = ec2(BOB, DEMO, "k");
        body["credential"][name] = value;
        body
    };
    let long = "hunter2".repeat(50);
    for body in [
        bad("blob", "hunter2".into()),
        bad("blob", blob_of("hunter2/", "s").into()),
        bad("blob", json!({"access": "hunter2"})),
        bad("type", long.clone().into()),
        bad("user_id", "hunter2/".into()),
        bad("user_id", "hunter2".into()),
        bad("project_id", "hunter2".into()),
        bad("hunter2-hunter2", 1.into()),
        json!("hunter2"),
        json!({"credential": "hunter2"}),
    ] {
        let mut body = body;
        if body["credential"].get("hunter2-hunter2").is_some() {
            body["credential"]["hunter2_hunter2"] = 2.into();
        }
        let answer = world.post(CREDENTIALS).token("dev-admin").json(&body).send().await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{body}");
        assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
    }
    let patch =
        world.patch(&credential_path(&id_of("b"))).token("dev-bob").json(&change("hunter2"));
    let list = world.get(&format!("{CREDENTIALS}?marker=hunter2&limit=hunter2")).token("dev-bob");
    for call in [patch, list] {
        let answer = call.send().await;
        assert_refused(&answer, 400);
        assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
    }
}

#[tokio::test]
async fn missing_wrong_and_expired_tokens_are_401_on_every_operation() {
    let Signing { world, .. } = Signing::new().await;
    create(&world, &ec2(BOB, DEMO, "b")).await;
    for (method, uri) in [
        ("GET", CREDENTIALS.into()),
        ("POST", CREDENTIALS.into()),
        ("GET", credential_path(&id_of("b"))),
        ("PATCH", credential_path(&id_of("b"))),
        ("DELETE", credential_path(&id_of("b"))),
        ("GET", ec2_path(BOB, "")),
        ("POST", ec2_path(BOB, "")),
        ("GET", ec2_path(BOB, "/b")),
        ("DELETE", ec2_path(BOB, "/b")),
        ("POST", S3TOKENS.into()),
        ("POST", EC2TOKENS.into()),
    ] {
        // The body is invalid too, but only authenticated callers learn that.
        let call = || world.call(method, &uri).text("text/plain", "{");
        for call in [
            call(),
            call().token(""),
            call().token("dev-bo"),
            call().token("ends-in-a-minute"),
            call().header("authorization", "Basic !"),
            call().token("wrong").header("authorization", "Bearer dev-admin"),
        ] {
            assert_refused(&call.send().await, 401);
        }
    }
    assert!(world.is_usable("b").await);
}
