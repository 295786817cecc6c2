//! Requests that a careless reading would let through.

use std::time::Duration;

use http::HeaderValue;
use tower_credentials::{operation::S3OperationRules, signature::request::S3ErrorCode};

use super::{assert_outside, gate, one_prefix, request_of, send};
use crate::gate::Gate;

/// Each with the reason why another server could read it as a request within the prefix, or run
/// another operation.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("an encoded slash after the bucket", "GET /data%2Fteam/a"),
    ("a prefix behind an encoded slash", "GET /data/other%2Fteam/a"),
    ("decoded twice", "GET /data/team/%252e%252e/x"),
    ("an escape that stays encoded", "GET /data/team/a%2500"),
    ("a dot segment", "GET /data/team/../secret"),
    ("an encoded dot segment", "GET /data/team/%2e%2e/secret"),
    ("a dot segment that names a bucket", "GET /data/team/../../other/x"),
    ("a single dot", "GET /data/team/./a"),
    ("an empty segment", "GET /data/team//a"),
    ("a key that begins with a slash", "GET /data//team/a"),
    ("no slash at the end of the prefix", "GET /data/team"),
    ("a backslash", "GET /data/team/..%5Cx"),
    ("a zero byte", "GET /data/team/a%00"),
    ("a control character", "GET /data/team/a%0Ab"),
    ("text that is not UTF-8", "GET /data/team/%FF"),
    ("a plus in the query", "GET /data?prefix=team/a+b"),
    ("an empty bucket", "GET //team/a"),
    ("a selector without a bucket", "GET /?acl"),
    ("a bucket in upper case", "GET /Data/team/a"),
    ("a host that is not below the domain", "GET /data/team/a | host: other.test"),
    ("a host that names another bucket", "GET /data/team/a | host: other.s3.test"),
    ("an encoded selector", "GET /data/team/a?%61cl"),
    ("a selector in upper case", "GET /data/team/a?ACL"),
    ("a semicolon in the query", "GET /data/team/a?x-id=GetObject;acl"),
    ("two selectors", "PUT /data/team/a?acl&uploadId=u&partNumber=1"),
    ("a selector that has a value", "GET /data/team/a?acl=1"),
    ("an upload without an id", "DELETE /data/team/a?uploadId="),
    ("a part without a number", "PUT /data/team/a?uploadId=u"),
    ("a part number without an upload", "PUT /data/team/a?partNumber=1"),
    ("a selector of buckets at an object", "GET /data/team/a?versioning"),
    ("a copy in another operation", "PUT /data/team/a?retention | x-amz-copy-source: /data/team/b"),
    ("a copy in a read", "GET /data/team/a | x-amz-copy-source: /data/team/b"),
    ("a source with an encoded slash", "PUT /data/team/a | x-amz-copy-source: data%2Fsecret"),
    ("a source with dot segments", "PUT /data/team/a | x-amz-copy-source: /data/team/../s"),
    ("a source outside", "PUT /data/team/a | x-amz-copy-source: /data/secret"),
    ("a source by ARN", "PUT /data/team/a | x-amz-copy-source: arn:aws:s3:::data/team/b"),
    ("a source with another parameter", "PUT /data/team/a | x-amz-copy-source: /data/team/b?x=1"),
    ("a source without a key", "PUT /data/team/a | x-amz-copy-source: data"),
    ("a rename", "PUT /data/team/a?renameObject | x-amz-rename-source: /data/team/b"),
    ("HEAD with a selector", "HEAD /data/team/a?acl"),
    ("a deletion at a key", "POST /data/team/a?delete"),
    (
        "a form's type for a deletion",
        "POST /data?delete | content-type: multipart/form-data; boundary=x",
    ),
    ("OPTIONS", "OPTIONS /data/team/a"),
    ("another method in a header", "GET /data/team/a | x-http-method-override: DELETE"),
    ("another method in another header", "GET /data/team/a | x-method-override: PUT"),
    ("another method in a parameter", "POST /data/team/a?uploads&_method=DELETE"),
    ("a listing without a prefix", "GET /data?list-type=2"),
    ("a listing of a wider prefix", "GET /data?prefix=tea"),
    ("a listing with an empty prefix", "GET /data?prefix="),
    ("a prefix in a header", "GET /data | prefix: team/"),
    ("a marker instead of a prefix", "GET /data?marker=team/"),
    ("a deletion of all", "DELETE /"),
    ("a creation without a bucket", "PUT /"),
    ("an unpacked archive", "PUT /data/team/a | x-amz-meta-snowball-auto-extract: true"),
    ("a response of Object Lambda", "POST /data/team/a | x-amz-request-route: r"),
    ("a redirected ACL", "PUT /data/team/a | x-amz-grant-read: id=1"),
    ("a retention", "PUT /data/team/a | x-amz-object-lock-legal-hold: OFF"),
    ("a parameter of another server", "GET /data/team/a?lambdaArn=x"),
    ("events of another server", "GET /data?events=s3:ObjectCreated&prefix=team/"),
    ("an archive's restoration", "POST /data/team/a?restore"),
    ("a session for directory buckets", "GET /data?session"),
];

/// Requests within the prefix.
pub(crate) const ALLOWED: &[&str] = &[
    "GET /data/team%2Fa",
    "GET /data/team/100%25",
    "GET /data/team/a+b",
    "PUT /data/team/",
    "GET /data/team/...",
    "GET /data/team/a?response-content-type=text/html",
    "GET /data?prefix=team%2Fa%20b",
    "GET /data?prefix=team/&start-after=zzz&list-type=2",
    "PUT /data/team/a | x-amz-copy-source: /data/team/b+c",
    "GET /team/a | host: data.s3.test:9000",
    "GET /team/a | host: DATA.S3.test",
    "GET /data/team/a | host: 127.0.0.1:9000",
    "GET /data/team/a | host: localhost",
];

#[tokio::test]
async fn request_that_two_servers_read_differently_is_refused() {
    let gate = gate().await;
    gate.bind(&one_prefix()).await;
    for (reason, line) in REFUSED {
        assert_outside(&send(&gate, line).await, &format!("{line} ({reason})"));
    }
    for line in ALLOWED {
        let answer = send(&gate, line).await;
        assert!(answer.reached.is_some(), "{line}: {}", answer.body);
    }
}

#[tokio::test]
async fn keys_without_a_boundary_are_not_read() {
    let gate = gate().await;
    for (reason, line) in REFUSED {
        // Forms are only accepted with a signature among their fields.
        if line.contains("multipart") {
            continue;
        }
        let answer = send(&gate, line).await;
        assert!(answer.reached.is_some(), "{line} ({reason}): {}", answer.body);
    }
}

#[tokio::test]
async fn unsigned_header_is_refused_on_a_presigned_request() {
    let gate = gate().await;
    gate.bind(&one_prefix()).await;
    for (name, value) in [("x-amz-acl", "public-read"), ("x-amz-copy-source", "/data/team/b")] {
        let signer = gate.signer().presigning(Duration::from_mins(1));
        let mut request = signer.sign(request_of("PUT /data/team/a")).0;
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        let answer = gate.send(request).await;
        assert!(answer.reached.is_none() && answer.code == Some(S3ErrorCode::AccessDenied));
    }
}

#[tokio::test]
async fn store_without_a_sub_resource_gets_no_request_for_it() {
    // A store that ignores an unknown parameter would overwrite or delete the object.
    let gate = Gate::new().await;
    gate.bind(&serde_json::json!({"policy": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]}}))
        .await;
    for line in ["PUT /data/a?retention", "DELETE /data?policy", "GET /data/a?torrent"] {
        assert_outside(&send(&gate, line).await, line);
    }
    send(&gate, "PUT /data/a?tagging").await.verified();
}

#[tokio::test]
async fn store_of_opaque_keys_may_accept_all_of_them() {
    let operations = S3OperationRules::new().strict_keys(false);
    let gate = Gate::with(|builder| builder.operations(operations)).await;
    gate.bind(&one_prefix()).await;
    for line in ["GET /data/team//a", "GET /data/team/%252e%252e/x"] {
        send(&gate, line).await.verified();
    }
    assert_outside(&send(&gate, "GET /data/other//a").await, "GET");
}
