//! `/v3/credentials`, compared with Keystone.

use crate::exchanges::{METHOD, METHOD_WHY, compare, row};

const OWN: &str = r#"{"credential": {"type": "ec2", "user_id": "<ann>", "project_id": "<home>",
    "blob": "{\"access\": \"<ann>1\", \"secret\": \"s\"}"}}"#;
const BOBS: &str = r#"{"credential": {"type": "ec2", "user_id": "<bob>", "project_id": "<home>",
    "blob": "{\"access\": \"<bob>1\", \"secret\": \"s\"}"}}"#;
const CERTIFICATE: &str =
    r#"{"credential": {"type": "cert", "user_id": "<ann>", "blob": "pem", "note": "kept"}}"#;
const NEW_BLOB: &str =
    r#"{"credential": {"blob": "{\"access\": \"<ann>1\", \"secret\": \"t\", \"more\": 1}"}}"#;

#[tokio::test]
async fn credentials_are_created_and_shown_as_in_keystone() {
    compare(&[
        row("no token", "nobody", "GET /credentials"),
        row("an invalid token", "a made-up token", "GET /credentials"),
        row("a revoked token", "revoked", "GET /credentials"),
        row("none yet", "member", "GET /credentials"),
        row("a key", "member", "POST /credentials").body(OWN).keep(&[("own", "/credential/id")]),
        row("the same key again", "member", "POST /credentials").body(OWN),
        row("the same key for another", "admin", "POST /credentials").body(
            r#"{"credential": {"type": "ec2", "user_id": "<bob>", "project_id": "<home>",
                "blob": "{\"access\": \"<ann>1\", \"secret\": \"s\"}"}}"#,
        ),
        row("a certificate", "member", "POST /credentials")
            .body(CERTIFICATE)
            .keep(&[("certificate", "/credential/id")]),
        row("another user's", "member", "POST /credentials").body(BOBS),
        row("another user's, by a reader", "reader", "POST /credentials").body(BOBS),
        row("another user's, by a system reader", "system reader", "POST /credentials").body(BOBS),
        row("another user's, by a service", "service", "POST /credentials").body(BOBS),
        row("another user's, by an admin", "admin", "POST /credentials")
            .body(BOBS)
            .keep(&[("bobs", "/credential/id")]),
        row("by a system admin", "system admin", "POST /credentials")
            .body(r#"{"credential": {"type": "a", "user_id": "<bob>", "blob": "b"}}"#)
            .keep(&[("a", "/credential/id")]),
        row("by a domain admin", "domain admin", "POST /credentials")
            .body(r#"{"credential": {"type": "b", "user_id": "<bob>", "blob": "b"}}"#)
            .keep(&[("b", "/credential/id")]),
        row("by an unscoped admin", "unscoped admin", "POST /credentials")
            .body(r#"{"credential": {"type": "c", "user_id": "<bob>", "blob": "b"}}"#),
        row("one's own, by a reader", "reader", "POST /credentials")
            .body(r#"{"credential": {"type": "c", "user_id": "<reader>", "blob": "b"}}"#)
            .keep(&[("c", "/credential/id")]),
        row("one's own, unscoped", "unscoped member", "POST /credentials")
            .body(r#"{"credential": {"type": "d", "user_id": "<ann>", "blob": "b"}}"#)
            .keep(&[("d", "/credential/id")]),
        row("one's own list", "member", "GET /credentials"),
        row("one's own list, with a slash", "member", "GET /credentials/"),
        row("one's own keys", "member", "GET /credentials?type=ec2"),
        row("one's own certificates", "member", "GET /credentials?type=cert"),
        row("an unknown type", "member", "GET /credentials?type=nothing"),
        row("another user's list", "member", "GET /credentials?user_id=<bob>"),
        row("a list, by an admin", "admin", "GET /credentials?user_id=<bob>"),
        row("two filters", "admin", "GET /credentials?user_id=<bob>&type=ec2"),
        row("a list, by a system admin", "system admin", "GET /credentials?user_id=<bob>"),
        row("a list, by a domain admin", "domain admin", "GET /credentials?user_id=<bob>"),
        row("a list, by a system reader", "system reader", "GET /credentials?user_id=<bob>"),
        row("a list, by a domain reader", "domain reader", "GET /credentials?user_id=<bob>"),
        row("a list, by a service", "service", "GET /credentials?user_id=<bob>"),
        row("a list of an unknown user", "admin", "GET /credentials?user_id=no-one"),
        row("a part of a type", "member", "GET /credentials?type__contains=er"),
        row("a start of a type", "member", "GET /credentials?type__istartswith=CER"),
        row("more than there are", "member", "GET /credentials?limit=900"),
        row("an unknown filter", "member", "GET /credentials?color=red"),
        row("one's own", "member", "GET /credentials/<own>"),
        row("one's own, unscoped", "unscoped member", "GET /credentials/<own>"),
        row("one's own certificate", "member", "GET /credentials/<certificate>"),
        row("another user's", "second member", "GET /credentials/<own>"),
        row("another user's, by a reader", "reader", "GET /credentials/<own>"),
        row("by a system reader", "system reader", "GET /credentials/<own>"),
        row("by a domain reader", "domain reader", "GET /credentials/<own>"),
        row("by a service", "service", "GET /credentials/<own>"),
        row("by an admin", "admin", "GET /credentials/<own>"),
        row("by a domain admin", "domain admin", "GET /credentials/<own>"),
        row("by an unscoped admin", "unscoped admin", "GET /credentials/<own>"),
        row("without a token", "nobody", "GET /credentials/<own>"),
        row("a missing one", "member", "GET /credentials/nothing"),
        row("a missing one, by an admin", "admin", "GET /credentials/nothing"),
        row("a missing one, by a system reader", "system reader", "GET /credentials/no"),
    ])
    .await;
}

#[tokio::test]
async fn credentials_are_changed_and_deleted_as_in_keystone() {
    compare(&[
        row("a key", "member", "POST /credentials").body(OWN).keep(&[("own", "/credential/id")]),
        row("a certificate", "member", "POST /credentials")
            .body(CERTIFICATE)
            .keep(&[("certificate", "/credential/id")]),
        row("a new blob", "member", "PATCH /credentials/<own>").body(NEW_BLOB),
        row("the new blob is there", "member", "GET /credentials/<own>"),
        row("a new blob, by an admin", "admin", "PATCH /credentials/<own>").body(NEW_BLOB),
        row("by another user", "second member", "PATCH /credentials/<own>").body(NEW_BLOB),
        row("by a system reader", "system reader", "PATCH /credentials/<own>").body(NEW_BLOB),
        row("without a token", "nobody", "PATCH /credentials/<own>").body(NEW_BLOB),
        row("no blob", "member", "PATCH /credentials/<own>").body(r#"{"credential": {}}"#),
        row("an invalid blob", "member", "PATCH /credentials/<own>")
            .body(r#"{"credential": {"blob": "text"}}"#),
        row("a blob without a key", "member", "PATCH /credentials/<own>")
            .body(r#"{"credential": {"blob": "{\"secret\": \"s\"}"}}"#),
        row("a trust", "member", "PATCH /credentials/<own>")
            .body(r#"{"credential": {"blob": "{\"access\": \"<ann>1\", \"trust_id\": \"t\"}"}}"#),
        row("another access key", "member", "PATCH /credentials/<own>")
            .body(r#"{"credential": {"blob": "{\"access\": \"<ann>2\", \"secret\": \"s\"}"}}"#),
        row("a certificate's blob", "member", "PATCH /credentials/<certificate>")
            .body(r#"{"credential": {"blob": "new"}}"#),
        row("another owner", "member", "PATCH /credentials/<certificate>")
            .body(r#"{"credential": {"blob": "new", "user_id": "<bob>"}}"#),
        row("another type", "member", "PATCH /credentials/<certificate>")
            .body(r#"{"credential": {"blob": "new", "type": "other"}}"#),
        row("the same type", "member", "PATCH /credentials/<certificate>")
            .body(r#"{"credential": {"blob": "new", "type": "cert"}}"#)
            .status(400, 200, "`openstack credential set` sends the type"),
        row("an unknown member", "member", "PATCH /credentials/<certificate>")
            .body(r#"{"credential": {"blob": "new", "color": "red"}}"#),
        row("no JSON", "member", "PATCH /credentials/<certificate>").body("blob"),
        row("a missing one", "member", "PATCH /credentials/nothing").body(NEW_BLOB),
        row("a missing one, by an admin", "admin", "PATCH /credentials/no").body(NEW_BLOB),
        row("an unknown method", "member", "PUT /credentials/<own>")
            .body(NEW_BLOB)
            .differs(405, METHOD, METHOD_WHY),
        row("an unknown method", "member", "PATCH /credentials")
            .body(NEW_BLOB)
            .differs(405, METHOD, METHOD_WHY),
        row("a longer path", "member", "GET /credentials/<own>/more"),
        row("what may be asked", "member", "OPTIONS /credentials/<own>").differs(
            200,
            &["content-type"],
            "the response has no body",
        ),
        row("only the head", "member", "HEAD /credentials/<own>"),
        row("by another user", "second member", "DELETE /credentials/<own>"),
        row("by a system reader", "system reader", "DELETE /credentials/<own>"),
        row("by a service", "service", "DELETE /credentials/<own>"),
        row("without a token", "nobody", "DELETE /credentials/<own>"),
        row("one's own", "member", "DELETE /credentials/<own>"),
        row("one that is gone", "member", "DELETE /credentials/<own>"),
        row("one that is gone, by an admin", "admin", "DELETE /credentials/<own>"),
        row("one that is gone", "member", "GET /credentials/<own>"),
        row("by an admin", "admin", "DELETE /credentials/<certificate>"),
    ])
    .await;
}
