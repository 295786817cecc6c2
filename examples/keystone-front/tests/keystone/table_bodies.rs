//! Bodies of `POST /v3/credentials`, compared with Keystone.

use crate::exchanges::{Row, compare, row};

const fn create(what: &'static str, body: &'static str) -> Row {
    row(what, "admin", "POST /credentials").body(body)
}

const BODIES: &[Row] = &[
    create("nothing", ""),
    create("an empty object", "{}"),
    create("an array", "[]"),
    create("no JSON", "{"),
    create("a text", r#""credential""#),
    create("nothing in it", r#"{"credential": {}}"#),
    create("an array in it", r#"{"credential": []}"#),
    create("null in it", r#"{"credential": null}"#),
    create("no type", r#"{"credential": {"user_id": "<ann>", "blob": "b"}}"#),
    create("no blob", r#"{"credential": {"user_id": "<ann>", "type": "t"}}"#),
    create("no user", r#"{"credential": {"type": "t", "blob": "b"}}"#),
    create("a number as type", r#"{"credential": {"type": 1, "user_id": "<ann>", "blob": "b"}}"#),
    create("an object as blob", r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": {}}}"#),
    create("an empty type", r#"{"credential": {"type": "", "user_id": "<ann>", "blob": "b"}}"#)
        .status(201, 400, "an empty type has no meaning"),
    create("an empty blob", r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": ""}}"#)
        .status(201, 400, "an empty blob has no meaning"),
    create(
        "a key without a project",
        r#"{"credential": {"type": "ec2", "user_id": "<ann>",
            "blob": "{\"access\": \"<ann>3\", \"secret\": \"s\"}"}}"#,
    ),
    create(
        "a key with null as project",
        r#"{"credential": {"type": "ec2", "user_id": "<ann>",
            "project_id": null, "blob": "{\"access\": \"<ann>4\", \"secret\": \"s\"}"}}"#,
    ),
    create(
        "a key whose blob is no JSON",
        r#"{"credential": {"type": "ec2", "blob": "b",
            "user_id": "<ann>", "project_id": "<home>"}}"#,
    ),
    create(
        "a key whose blob has no access",
        r#"{"credential": {"type": "ec2",
            "user_id": "<ann>", "project_id": "<home>", "blob": "{\"secret\": \"s\"}"}}"#,
    ),
    create(
        "a key whose access is null",
        r#"{"credential": {"type": "ec2",
            "user_id": "<ann>", "project_id": "<home>", "blob": "{\"access\": null}"}}"#,
    ),
    create(
        "a key without a secret",
        r#"{"credential": {"type": "ec2", "user_id": "<ann>",
            "project_id": "<home>", "blob": "{\"access\": \"<ann>5\"}"}}"#,
    ),
    create(
        "a key in another case",
        r#"{"credential": {"type": "EC2", "user_id": "<ann>",
            "project_id": "<home>", "blob": "{\"access\": \"<ann>6\", \"secret\": \"s\"}"}}"#,
    )
    .status(201, 400, "Keystone creates a key that never verifies"),
    create(
        "more beside it",
        r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b"},
            "more": 1}"#,
    )
    .keep(&[("t1", "/credential/id")]),
    create(
        "more in it",
        r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b",
            "more": {"deep": [1, null]}}}"#,
    )
    .keep(&[("t2", "/credential/id")]),
    create(
        "an id of one's own",
        r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b",
            "id": "mine"}}"#,
    )
    .keep(&[("t3", "/credential/id")]),
    create(
        "a user who does not exist",
        r#"{"credential": {"type": "t", "user_id": "nobody",
            "blob": "b"}}"#,
    )
    .status(201, 404, "the owner must exist"),
    create(
        "a project that does not exist",
        r#"{"credential": {"type": "t", "user_id": "<ann>",
            "project_id": "nowhere", "blob": "b"}}"#,
    )
    .status(201, 404, "the project must exist"),
    create("no content type", r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b"}}"#)
        .content_type("")
        .keep(&[("t4", "/credential/id")]),
    create("another content type", r#"{"credential": {"type": "t", "user_id": "<ann>"}}"#)
        .content_type("text/plain"),
    row("a bad body and no token", "nobody", "POST /credentials").body("{").status(
        400,
        401,
        "the front authenticates before it reads the body",
    ),
    row("a bad body from a member", "member", "POST /credentials").body(r#"{"credential": {}}"#),
];

#[tokio::test]
async fn bodies_of_credentials_are_rejected_as_in_keystone() {
    compare(BODIES).await;
}
