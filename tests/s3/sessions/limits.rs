//! What a session may do: what its policies and its parent's boundary allow.

use serde_json::{Value, json};
use tower_credentials::signature::request::S3ErrorCode::AccessDenied;

use super::*;
use crate::boundaries::request_of;

fn allow(actions: &[&str], resources: &[&str]) -> Value {
    json!({"Version": "2012-10-17", "Statement":
        [{"Effect": "Allow", "Action": actions, "Resource": resources}]})
}

/// Sends the request of a line with the credentials of a session.
async fn is_allowed(gate: &Gate, credentials: &SessionCredentials, line: &str) -> bool {
    let mut unsigned = request_of(line);
    let token = credentials.session_token.expose().parse().unwrap();
    unsigned.headers_mut().insert("x-amz-security-token", token);
    let answer = gate.send(signer(gate, credentials).sign(unsigned).0).await;
    if answer.reached.is_none() {
        answer.refused(AccessDenied);
        return false;
    }
    assert!(answer.verified().operation.is_some(), "{line}");
    true
}

#[tokio::test]
async fn session_may_do_what_both_its_policy_and_its_parent_allow() {
    let gate = Gate::new().await;
    gate.bind(&json!({"policy": allow(&["s3:*"], &["arn:aws:s3:::b", "arn:aws:s3:::b/*"])})).await;
    let policy = allow(&["s3:GetObject"], &["arn:aws:s3:::b/a/*", "arn:aws:s3:::c/*"]);
    let credentials = mint(&session(&gate).with_policy(&policy.to_string()).unwrap());
    for (line, fine) in
        [("GET /b/a/x", true), ("PUT /b/a/x", false), ("GET /b/c/x", false), ("GET /c/x", false)]
    {
        assert_eq!(is_allowed(&gate, &credentials, line).await, fine, "{line}");
    }
    // A session without a policy has the boundary of its parent.
    let credentials = minted(&gate);
    for (line, fine) in [("PUT /b/a/x", true), ("GET /c/x", false)] {
        assert_eq!(is_allowed(&gate, &credentials, line).await, fine, "{line}");
    }
}

#[tokio::test]
async fn denial_on_either_side_wins() {
    let gate = Gate::new().await;
    let keep = json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::b/keep/*"},
    ]}});
    gate.bind(&keep).await;
    let own = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a/x"},
    ]});
    let credentials = mint(&session(&gate).with_policy(&own.to_string()).unwrap());
    for (line, fine) in [
        ("DELETE /b/keep/x", false),
        ("DELETE /b/old/x", true),
        ("GET /b/a/x", false),
        ("GET /b/a/y", true),
    ] {
        assert_eq!(is_allowed(&gate, &credentials, line).await, fine, "{line}");
    }
}

#[tokio::test]
async fn conditions_see_when_a_session_was_issued_and_whom_it_stands_for() {
    let gate = Gate::with(|builder| builder.account_id("123456789012")).await;
    let allow = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    let deny = |condition: Value| {
        let deny =
            json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": condition});
        json!({"policy": {"Version": "2012-10-17", "Statement": [allow, deny]}})
    };
    let session = minted(&gate);
    let own = gate.signer().sign(request("GET", "/b/x").body(Full::<Bytes>::default()).unwrap()).0;
    // The clock is at 03:04:05.
    for (condition, of_session, of_key) in [
        (json!({"DateLessThan": {"aws:TokenIssueTime": "2026-01-02T03:04:06Z"}}), false, true),
        (json!({"DateLessThan": {"aws:TokenIssueTime": "2026-01-02T03:04:05Z"}}), true, true),
        (json!({"Null": {"aws:TokenIssueTime": "false"}}), false, true),
        (json!({"StringEquals": {"aws:PrincipalType": "AssumedRole"}}), false, true),
        (json!({"StringEquals": {"aws:PrincipalType": "User"}}), true, false),
        (
            json!({"ArnEquals": {"aws:PrincipalArn":
                "arn:aws:sts::123456789012:assumed-role/alice/nightly"}}),
            false,
            true,
        ),
        (
            json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/alice"}}),
            true,
            false,
        ),
    ] {
        gate.bind(&deny(condition.clone())).await;
        let allowed = is_allowed(&gate, &session, "GET /b/x").await;
        assert_eq!(allowed, of_session, "{condition} with a session");
        let allowed = gate.send(own.clone()).await.reached.is_some();
        assert_eq!(allowed, of_key, "{condition} with a key");
    }
}

#[tokio::test]
async fn two_policies_both_limit_a_session() {
    let gate = Gate::new().await;
    let session = session(&gate);
    let session = session.with_policy(&allow(&["s3:*"], &["arn:aws:s3:::b/*"]).to_string());
    let session = session.unwrap().with_policy(&allow(&["s3:GetObject"], &["*"]).to_string());
    let credentials = mint(&session.unwrap());
    for (line, fine) in [("GET /b/x", true), ("PUT /b/x", false), ("GET /c/x", false)] {
        assert_eq!(is_allowed(&gate, &credentials, line).await, fine, "{line}");
    }
}

#[tokio::test]
async fn policy_that_only_denies_allows_nothing() {
    let gate = Gate::new().await;
    let deny = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Deny", "Action": "*", "Resource": "*"}});
    let credentials = mint(&session(&gate).with_policy(&deny.to_string()).unwrap());
    for line in ["GET /b/x", "GET /", "PUT /b"] {
        assert!(!is_allowed(&gate, &credentials, line).await, "{line}");
    }
}

#[tokio::test]
async fn variables_in_a_session_policy_are_the_owner_of_its_parent() {
    let gate = Gate::new().await;
    let policy = allow(&["s3:GetObject"], &["arn:aws:s3:::b/home/${aws:username}/*"]);
    let credentials = mint(&session(&gate).with_policy(&policy.to_string()).unwrap());
    for (line, fine) in [("GET /b/home/alice/x", true), ("GET /b/home/bob/x", false)] {
        assert_eq!(is_allowed(&gate, &credentials, line).await, fine, "{line}");
    }
}

#[tokio::test]
async fn deletion_of_many_objects_is_decided_for_each_key() {
    let gate = Gate::new().await;
    let actions = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject"];
    let policy = allow(&actions, &["arn:aws:s3:::b/a/*"]);
    let credentials = mint(&session(&gate).with_policy(&policy.to_string()).unwrap());
    for (key, fine) in [("a/x", true), ("c/x", false)] {
        let body = format!(
            "<Delete><Object><Key>a/1</Key></Object><Object><Key>{key}</Key></Object></Delete>"
        );
        let unsigned = request("POST", "/b?delete")
            .header("x-amz-security-token", credentials.session_token.expose());
        let signer = signer(&gate, &credentials).body(body.clone());
        let sent = signer.sign(unsigned.body(Full::<Bytes>::from(body)).unwrap()).0;
        assert_eq!(gate.send(sent).await.reached.is_some(), fine, "{key}");
    }
}

#[tokio::test]
async fn change_of_the_parents_boundary_counts_for_sessions_at_once() {
    let gate = Gate::new().await;
    let credentials = minted(&gate);
    gate.send(get(&gate, &credentials)).await.verified();
    gate.bind(&json!({"permission": "read", "buckets": ["photos"], "prefixes": ["cats/"]})).await;
    gate.send(get(&gate, &credentials)).await.refused(AccessDenied);
    assert!(is_allowed(&gate, &credentials, "GET /photos/cats/tom").await);
}
