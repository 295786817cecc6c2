//! `/v3/users/{user}/credentials/OS-EC2`, compared with Keystone.

use crate::exchanges::{METHOD, METHOD_WHY, compare, row};

const HOME: &str = r#"{"tenant_id": "<home>"}"#;
const KEY: &[(&str, &str)] = &[("own", "/credential/access"), ("secret", "/credential/secret")];
const SECOND: &[(&str, &str)] =
    &[("second", "/credential/access"), ("second secret", "/credential/secret")];
const THIRD: &[(&str, &str)] =
    &[("third", "/credential/access"), ("third secret", "/credential/secret")];
const ELSEWHERE: &[(&str, &str)] =
    &[("elsewhere", "/credential/access"), ("its secret", "/credential/secret")];

#[tokio::test]
async fn key_pairs_are_created_and_listed_as_in_keystone() {
    compare(&[
        row("without a token", "nobody", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("none yet", "member", "GET /users/<ann>/credentials/OS-EC2"),
        row("a key", "member", "POST /users/<ann>/credentials/OS-EC2").body(HOME).keep(KEY),
        row("one for a member, by an admin", "admin", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME)
            .keep(SECOND),
        row("by a system admin", "system admin", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME)
            .keep(THIRD),
        row("by a domain admin", "domain admin", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("by an unscoped admin", "unscoped admin", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME),
        row("for another user", "second member", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("by a system reader", "system reader", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME),
        row("by a service", "service", "POST /users/<ann>/credentials/OS-EC2").body(HOME),
        row("one's own, by a reader", "reader", "POST /users/<reader>/credentials/OS-EC2")
            .body(HOME),
        row("one's own, unscoped", "unscoped member", "POST /users/<ann>/credentials/OS-EC2")
            .body(HOME),
        row("where one has no role", "member", "POST /users/<ann>/credentials/OS-EC2")
            .body(r#"{"tenant_id": "<other>"}"#)
            .keep(ELSEWHERE),
        row("for an unknown user", "admin", "POST /users/nobody/credentials/OS-EC2").body(HOME),
        row("nowhere", "member", "POST /users/<ann>/credentials/OS-EC2")
            .body(r#"{"tenant_id": "nowhere"}"#),
        row("without a project", "member", "POST /users/<ann>/credentials/OS-EC2").body("{}"),
        row("null as project", "member", "POST /users/<ann>/credentials/OS-EC2")
            .body(r#"{"tenant_id": null}"#),
        row("a number as project", "member", "POST /users/<ann>/credentials/OS-EC2")
            .body(r#"{"tenant_id": 1}"#)
            .status(404, 400, "a number is not an id"),
        row("no body", "member", "POST /users/<ann>/credentials/OS-EC2"),
        row("no JSON", "member", "POST /users/<ann>/credentials/OS-EC2").body("tenant"),
        row("an array", "member", "POST /users/<ann>/credentials/OS-EC2").body("[1]"),
        row("one's own list", "member", "GET /users/<ann>/credentials/OS-EC2"),
        row("one's own list, with a slash", "member", "GET /users/<ann>/credentials/OS-EC2/"),
        row("one's own, unscoped", "unscoped member", "GET /users/<ann>/credentials/OS-EC2"),
        row("a list, by an admin", "admin", "GET /users/<ann>/credentials/OS-EC2"),
        row("a list, by a system admin", "system admin", "GET /users/<ann>/credentials/OS-EC2"),
        row("a list, by a domain admin", "domain admin", "GET /users/<ann>/credentials/OS-EC2"),
        row("a list, by a system reader", "system reader", "GET /users/<ann>/credentials/OS-EC2"),
        row("a list, by a domain reader", "domain reader", "GET /users/<ann>/credentials/OS-EC2"),
        row("one's own, by domain", "domain reader", "GET /users/<reader>/credentials/OS-EC2"),
        row("a list, by a service", "service", "GET /users/<ann>/credentials/OS-EC2"),
        row("another user's list", "second member", "GET /users/<ann>/credentials/OS-EC2"),
        row("an unknown user's list", "member", "GET /users/nobody/credentials/OS-EC2"),
        row("an unknown user's list, by an admin", "admin", "GET /users/nobody/credentials/OS-EC2"),
        row("a list, without a token", "nobody", "GET /users/<ann>/credentials/OS-EC2"),
    ])
    .await;
}

#[tokio::test]
async fn key_pairs_are_shown_and_deleted_as_in_keystone() {
    compare(&[
        row("a key", "member", "POST /users/<ann>/credentials/OS-EC2").body(HOME).keep(KEY),
        row("another", "member", "POST /users/<ann>/credentials/OS-EC2").body(HOME).keep(SECOND),
        row("no key pair", "member", "POST /credentials")
            .body(r#"{"credential": {"type": "t", "user_id": "<ann>", "blob": "b"}}"#)
            .keep(&[("other", "/credential/id")]),
        row("one's own", "member", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("one's own, unscoped", "unscoped member", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("by an admin", "admin", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a system admin", "system admin", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a system reader", "system reader", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a domain admin", "domain admin", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a service", "service", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("another user's", "second member", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("under another user", "second member", "GET /users/<bob>/credentials/OS-EC2/<own>"),
        row("one's own under another", "member", "GET /users/<bob>/credentials/OS-EC2/<own>"),
        row("of an unknown user", "member", "GET /users/nobody/credentials/OS-EC2/<own>"),
        row(
            "of an unknown user, by an admin",
            "admin",
            "GET /users/nobody/credentials/OS-EC2/<own>",
        ),
        row("without a token", "nobody", "GET /users/<ann>/credentials/OS-EC2/<own>"),
        row("a missing one", "member", "GET /users/<ann>/credentials/OS-EC2/nothing"),
        row("a missing one", "admin", "GET /users/<ann>/credentials/OS-EC2/nothing"),
        row("a missing one", "domain admin", "GET /users/<ann>/credentials/OS-EC2/none"),
        row("a missing one", "domain reader", "GET /users/<ann>/credentials/OS-EC2/none"),
        row("a missing one", "service", "GET /users/<ann>/credentials/OS-EC2/none"),
        row("a missing one", "domain admin", "DELETE /users/<ann>/credentials/OS-EC2/no"),
        row("a missing one", "reader", "DELETE /users/<ann>/credentials/OS-EC2/no"),
        row("an unknown method", "member", "PATCH /users/<ann>/credentials/OS-EC2/<own>")
            .differs(405, METHOD, METHOD_WHY),
        row("an unknown method", "member", "PUT /users/<ann>/credentials/OS-EC2")
            .differs(405, METHOD, METHOD_WHY),
        row("a longer path", "member", "GET /users/<ann>/credentials/OS-EC2/<own>/more"),
        row("another user's", "second member", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a system reader", "system reader", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a domain admin", "domain admin", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("by a service", "service", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("unscoped", "unscoped member", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("a missing one", "member", "DELETE /users/<ann>/credentials/OS-EC2/nothing"),
        row("one's own", "member", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("one that is gone", "member", "DELETE /users/<ann>/credentials/OS-EC2/<own>"),
        row("by an admin", "admin", "DELETE /users/<ann>/credentials/OS-EC2/<second>"),
        row("none left", "member", "GET /users/<ann>/credentials/OS-EC2"),
    ])
    .await;
}
