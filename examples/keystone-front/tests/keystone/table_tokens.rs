//! `/v3/s3tokens`, compared with Keystone; `/v3/ec2tokens` is forwarded.

use crate::exchanges::{METHOD, METHOD_WHY, Row, compare, row};

/// The key of `<s3v2>` and the other signatures.
const KEY: &str = r#"{"credential": {"type": "ec2", "user_id": "<ann>", "project_id": "<home>",
    "blob": "{\"access\": \"<ann>s\", \"secret\": \"the-secret-of-ann\"}"}}"#;

#[tokio::test]
async fn signatures_are_validated_as_in_keystone() {
    const fn check(what: &'static str, body: &'static str) -> Row {
        row(what, "service", "POST /s3tokens").body(body)
    }
    const V4: &str = r#"{"credentials": <s3v4>}"#;
    compare(&[
        check("a key that does not exist yet", V4),
        row("the key", "member", "POST /credentials").body(KEY),
        check("version 4", V4),
        check("version 2", r#"{"credentials": <s3v2>}"#),
        check("the other wrapper", r#"{"credential": <s3v4>}"#),
        check("the third wrapper", r#"{"ec2Credentials": <s3v4>}"#),
        row("by an admin", "admin", "POST /s3tokens").body(V4),
        row("by a system admin", "system admin", "POST /s3tokens").body(V4),
        row("by a domain admin", "domain admin", "POST /s3tokens").body(V4),
        row("by the owner", "member", "POST /s3tokens").body(V4),
        row("by a reader", "reader", "POST /s3tokens").body(V4),
        row("by a system reader", "system reader", "POST /s3tokens").body(V4),
        row("without a token", "nobody", "POST /s3tokens").body(V4),
        row("with a made-up token", "a made-up token", "POST /s3tokens").body(V4),
        row("another method", "service", "GET /s3tokens").differs(405, METHOD, METHOD_WHY),
        check("nothing", ""),
        check("an empty object", "{}"),
        check("no JSON", "{"),
        check("nothing in it", r#"{"credentials": {}}"#),
        check("no access key", r#"{"credentials": {"token": "QQ==", "signature": "s"}}"#),
        check("no token", r#"{"credentials": {"access": "<ann>s", "signature": "s"}}"#).status(
            500,
            400,
            "Keystone fails",
        ),
        check("no signature", r#"{"credentials": {"access": "<ann>s", "token": "QQ=="}}"#).status(
            500,
            400,
            "Keystone fails",
        ),
        check(
            "a wrong signature",
            r#"{"credentials": {"access": "<ann>s", "token": "UFVUCgoKCi9h", "signature": "s"}}"#,
        ),
        check(
            "a token that is no base64",
            r#"{"credentials": {"access": "<ann>s", "token": "*", "signature": "s"}}"#,
        ),
        check(
            "an unknown key",
            r#"{"credentials": {"access": "nothing", "token": "UFVUCgoKCi9h", "signature": "s"}}"#,
        ),
        check(
            "an unknown key, and nothing that can be signed",
            r#"{"credentials": {"access": "nothing", "token": "QQ==", "signature": "s"}}"#,
        )
        .status(404, 401, "the front parses the string before it looks up the key"),
        row("EC2, version 2", "service", "POST /ec2tokens").body(r#"{"credentials": <ec2v2>}"#),
        row("EC2, by a member", "member", "POST /ec2tokens").body(r#"{"credentials": <ec2v2>}"#),
        row("EC2, nothing", "service", "POST /ec2tokens").body("{}"),
        row("a key without a role", "admin", "POST /credentials").body(
            r#"{"credential": {"type": "ec2", "user_id": "<ann>", "project_id": "<other>",
                "blob": "{\"access\": \"<ann>n\", \"secret\": \"the-secret-of-ann\"}"}}"#,
        ),
    ])
    .await;
}
