//! Delegated callers, compared with Keystone.

use crate::exchanges::{compare, row};

const HOME: &str = r#"{"tenant_id": "<home>"}"#;
const OWN: &str = r#"{"credential": {"type": "ec2", "user_id": "<ann>", "project_id": "<home>",
    "blob": "{\"access\": \"<ann>1\", \"secret\": \"s\"}"}}"#;
const OTHER: &str = r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b"}}"#;
const BLOB: &str = r#"{"credential": {"blob": "{\"access\": \"<ann>1\", \"secret\": \"t\"}"}}"#;
const KEY: &[(&str, &str)] = &[("key", "/credential/access"), ("secret", "/credential/secret")];

#[tokio::test]
async fn delegated_callers_are_rejected_as_in_keystone() {
    compare(&[
        row("a key", "member", "POST /credentials").body(OWN).keep(&[("own", "/credential/id")]),
        row("another", "member", "POST /users/<ann>/credentials/OS-EC2").body(HOME).keep(KEY),
        row("create", "restricted", "POST /credentials").body(OTHER),
        row("create", "unrestricted", "POST /credentials").body(OTHER),
        row("create", "trustee", "POST /credentials").body(OTHER),
        row("create", "by key", "POST /credentials").body(OTHER),
        row("create", "admin's unrestricted", "POST /credentials").body(OTHER),
        row("list", "restricted", "GET /credentials"),
        row("list", "unrestricted", "GET /credentials"),
        row("list", "trustee", "GET /credentials"),
        row("list", "by key", "GET /credentials"),
        row("list", "admin's unrestricted", "GET /credentials?user_id=<ann>"),
        row("show", "restricted", "GET /credentials/<own>"),
        row("show", "unrestricted", "GET /credentials/<own>"),
        row("show", "trustee", "GET /credentials/<own>"),
        row("show", "by key", "GET /credentials/<own>"),
        row("show", "admin's unrestricted", "GET /credentials/<own>"),
        row("show what is not there", "unrestricted", "GET /credentials/nothing"),
        row("show what is not there", "admin's unrestricted", "GET /credentials/nothing").status(
            404,
            403,
            "the front rejects callers without any rights before the lookup",
        ),
        row("change", "restricted", "PATCH /credentials/<own>").body(BLOB),
        row("change", "unrestricted", "PATCH /credentials/<own>").body(BLOB),
        row("change", "trustee", "PATCH /credentials/<own>").body(BLOB),
        row("change", "by key", "PATCH /credentials/<own>").body(BLOB),
        row("delete", "restricted", "DELETE /credentials/<own>"),
        row("delete", "unrestricted", "DELETE /credentials/<own>"),
        row("delete", "trustee", "DELETE /credentials/<own>"),
        row("delete", "by key", "DELETE /credentials/<own>"),
        row("delete", "admin's unrestricted", "DELETE /credentials/<own>"),
        row("create a pair", "restricted", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("create a pair", "unrestricted", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("create a pair", "trustee", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("create a pair", "by key", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("create a pair", "admin's unrestricted", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME),
        row("list pairs", "restricted", "GET /users/<ann>/credentials/OS-EC2"),
        row("list pairs", "unrestricted", "GET /users/<ann>/credentials/OS-EC2"),
        row("list pairs", "trustee", "GET /users/<ann>/credentials/OS-EC2"),
        row("list pairs", "by key", "GET /users/<ann>/credentials/OS-EC2"),
        row("show a pair", "restricted", "GET /users/<ann>/credentials/OS-EC2/<key>"),
        row("show a pair", "unrestricted", "GET /users/<ann>/credentials/OS-EC2/<key>"),
        row("show a pair", "trustee", "GET /users/<ann>/credentials/OS-EC2/<key>"),
        row("show a pair", "by key", "GET /users/<ann>/credentials/OS-EC2/<key>"),
        row("a missing one", "unrestricted", "GET /users/<ann>/credentials/OS-EC2/none").status(
            404,
            403,
            "the front rejects callers without any rights before the lookup",
        ),
        row("a missing one", "trustee", "DELETE /users/<ann>/credentials/OS-EC2/none").status(
            404,
            403,
            "the front rejects callers without any rights before the lookup",
        ),
        row("a missing one", "by key", "GET /users/<ann>/credentials/OS-EC2/none"),
        row("delete a pair", "restricted", "DELETE /users/<ann>/credentials/OS-EC2/<key>"),
        row("delete a pair", "unrestricted", "DELETE /users/<ann>/credentials/OS-EC2/<key>"),
        row("delete a pair", "trustee", "DELETE /users/<ann>/credentials/OS-EC2/<key>"),
        row("delete a pair", "by key", "DELETE /users/<ann>/credentials/OS-EC2/<key>"),
        row("both are still there", "member", "GET /users/<ann>/credentials/OS-EC2"),
    ])
    .await;
}
