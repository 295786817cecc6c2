//! Requests and boundaries: which pairs fit.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use tower_credentials::{
    operation::S3OperationName as Name,
    s3::{ClientAddress, ClientTls},
};

use super::{assert_outside, gate, request_of, send};

fn policy(statements: &Value) -> Value {
    json!({"policy": {"Version": "2012-10-17", "Statement": statements}})
}

fn boundary(number: u32) -> Value {
    let all_of_data = json!(["arn:aws:s3:::data", "arn:aws:s3:::data/*"]);
    match number {
        1 => json!({"permission": "read", "buckets": ["data"]}),
        2 => super::one_prefix(),
        3 => json!({"permission": "write", "buckets": ["drop"], "prefixes": ["in/"]}),
        4 => policy(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}])),
        5 => policy(&json!([
            {"Effect": "Allow", "Action": "s3:*", "Resource": all_of_data},
            {"Effect": "Deny", "Action": ["s3:DeleteObject*", "s3:PutObject*"],
             "Resource": "arn:aws:s3:::data/keep/*"},
        ])),
        6 => policy(&json!([
            {"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectAcl"],
             "Resource": "arn:aws:s3:::data/*",
             "Condition": {"StringEquals": {"s3:x-amz-acl": "public-read"}}},
        ])),
        _ => policy(&json!([
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*",
             "Condition": {"NumericLessThan": {"s3:signatureAge": 600_000},
                           "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        ])),
    }
}

#[tokio::test]
async fn request_passes_only_if_its_boundary_allows_it() {
    const RETAINED: &str = "x-amz-object-lock-mode: COMPLIANCE | \
                            x-amz-object-lock-retain-until-date: 2030-01-01T00:00:00Z";
    let retained = format!("PUT /data/team/a | {RETAINED}");
    // The request, the boundaries that allow it, those that do not.
    let vectors: &[(&str, &[u32], &[u32])] = &[
        ("GET /", &[4], &[1, 2, 3, 5]),
        ("HEAD /data", &[1, 2, 4, 5], &[3, 6]),
        ("GET /data?list-type=2&prefix=team%2F&delimiter=%2F", &[1, 2, 5], &[3]),
        ("GET /data?list-type=2", &[1], &[2]),
        ("GET /data?versions&prefix=team/x", &[1, 2], &[3]),
        ("GET /data?uploads", &[1], &[2]),
        ("GET /data?location", &[1, 2], &[3]),
        ("GET /data?policy", &[4, 5], &[1, 2]),
        ("PUT /data | x-amz-acl: public-read", &[4, 5], &[1, 2]),
        ("GET /data/team/a?x-id=GetObject", &[1, 2, 4, 5], &[3, 6]),
        ("HEAD /data/team/a", &[1, 2], &[3]),
        ("HEAD /data/other/a", &[1], &[2]),
        ("GET /data/team/a?versionId=7", &[1, 2], &[7]),
        ("GET /data/team/a?attributes", &[1, 2], &[7]),
        ("GET /data/team/a?acl", &[4, 5], &[1, 2]),
        ("GET /data/team/a?acl&tagging", &[], &[1, 2, 4, 5]),
        ("GET /data/team/a?foo=1", &[], &[2, 4]),
        ("PUT /data/team/a", &[2, 4, 5], &[1, 3]),
        ("PUT /data/team/a | x-amz-acl: private", &[2], &[6]),
        ("PUT /data/team/a | x-amz-acl: public-read", &[4, 6], &[2]),
        ("PUT /data/team/a | x-amz-tagging: k=v", &[2], &[6]),
        (&retained, &[5], &[2]),
        ("PUT /drop/in/a", &[3, 4], &[2]),
        ("PUT /drop/in/a | if-match: \"e\"", &[4], &[3]),
        ("PUT /data/team/b | x-amz-copy-source: /data/team/a", &[2, 5], &[1]),
        ("PUT /data/team/b | x-amz-copy-source: /data/other/a", &[5], &[2]),
        ("PUT /data/team/b | x-amz-copy-source: data/team/a%3Fb?versionId=7", &[2], &[3]),
        ("PUT /data/keep/b | x-amz-copy-source: /data/team/a", &[4], &[5]),
        ("POST /drop/in/a?uploads", &[3], &[2]),
        ("PUT /drop/in/a?partNumber=1&uploadId=u", &[3], &[2]),
        ("POST /drop/in/a?uploadId=u", &[3], &[2]),
        ("DELETE /drop/in/a?uploadId=u", &[3], &[2]),
        ("PUT /drop/in/a?uploadId=u", &[], &[3, 4]),
        ("PUT /drop/in/a?partNumber=2&uploadId=u | x-amz-copy-source: /drop/in/b", &[4], &[3]),
        ("DELETE /data/team/a", &[2, 5], &[1, 3]),
        ("DELETE /data/keep/a", &[4], &[2, 5]),
        ("DELETE /data/team/a?versionId=7", &[5], &[2]),
        ("DELETE /data/team/a?versionId=7 | x-amz-bypass-governance-retention: true", &[5], &[2]),
        ("GET /team/a | host: data.s3.test", &[1, 2], &[3]),
    ];
    let gate = gate().await;
    for number in 1..=7 {
        gate.bind(&boundary(number)).await;
        for (line, allowing, denying) in vectors {
            if allowing.contains(&number) {
                let answer = send(&gate, line).await;
                assert!(answer.reached.is_some(), "P{number} {line}: {}", answer.body);
            } else if denying.contains(&number) {
                assert_outside(&send(&gate, line).await, line);
            }
        }
    }
}

#[tokio::test]
async fn presigned_request_is_checked_when_it_is_used() {
    let gate = gate().await;
    gate.bind(&super::one_prefix()).await;
    let presign =
        |line: &str| gate.signer().presigning(Duration::from_mins(20)).sign(request_of(line)).0;
    gate.send(presign("PUT /data/team/a")).await.verified();
    for line in ["PUT /data/team/a?x-amz-acl=public-read", "DELETE /data/other/a"] {
        assert_outside(&gate.send(presign(line)).await, line);
    }
    let signed_before = presign("PUT /data/team/a");
    gate.bind(&json!({"permission": "read", "buckets": ["data"]})).await;
    assert_outside(&gate.send(signed_before).await, "PUT");
}

#[tokio::test]
async fn conditions_see_the_address_the_age_and_tls() {
    let gate = gate().await;
    gate.bind(&boundary(7)).await;
    let line = "GET /data/a";
    let presigned = || gate.signer().presigning(Duration::from_mins(20)).sign(request_of(line)).0;
    let with_peer = |peer: &str| {
        let mut request = presigned();
        request.extensions_mut().insert(ClientAddress(peer.parse::<IpAddr>().unwrap()));
        request
    };
    assert_outside(&gate.send(presigned()).await, line);
    gate.send(with_peer("10.1.2.3")).await.verified();
    gate.send(with_peer("::ffff:10.1.2.3")).await.verified();
    assert_outside(&gate.send(with_peer("192.0.2.1")).await, line);
    let old = with_peer("10.1.2.3");
    gate.clock.advance(Duration::from_secs(700));
    assert_outside(&gate.send(old).await, line);

    let condition = json!({"Bool": {"aws:SecureTransport": "true"},
                           "NumericGreaterThanEquals": {"s3:TlsVersion": 1.2}});
    gate.bind(&policy(&json!([{"Effect": "Allow", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::data/*", "Condition": condition}])))
        .await;
    for (tls, is_allowed) in [
        (None, false),
        (Some(ClientTls::None), false),
        (Some(ClientTls::Version(None)), false),
        (Some(ClientTls::Version(Some(1.1))), false),
        (Some(ClientTls::Version(Some(1.3))), true),
    ] {
        let mut request = gate.signer().sign(request_of(line)).0;
        // A client cannot set it.
        request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
        if let Some(tls) = tls {
            request.extensions_mut().insert(tls);
        }
        assert_eq!(gate.send(request).await.reached.is_some(), is_allowed, "{tls:?}");
    }
}

#[tokio::test]
async fn store_finds_what_the_request_does_beside_the_key() {
    let gate = gate().await;
    let line = "GET /team/a%20b?versionId=7 | host: data.s3.test";
    assert!(send(&gate, line).await.verified().operation.is_none(), "without a boundary");
    gate.bind(&super::one_prefix()).await;
    let operation = send(&gate, line).await.verified().operation.unwrap();
    assert_eq!(operation.name(), Name::GetObject);
    assert_eq!((operation.bucket(), operation.key()), (Some("data"), Some("team/a b")));
    assert_eq!(operation.version_id().as_deref(), Some("7"));
}

#[tokio::test]
async fn stored_boundary_that_cannot_be_enforced_allows_nothing() {
    let gate = gate().await;
    for text in ["", "{}", r#"{"permission":"read","buckets":["*"],"until":7}"#] {
        gate.change(|key| key.terms.set_boundary(Some(text.into()))).await;
        assert_outside(&send(&gate, "GET /data/a").await, text);
    }
}

#[tokio::test]
async fn change_of_a_boundary_takes_effect_on_the_next_request() {
    let gate = gate().await;
    gate.bind(&super::one_prefix()).await;
    send(&gate, "GET /data/team/a").await.verified();
    gate.bind(&json!({"permission": "write", "buckets": ["data"]})).await;
    assert_outside(&send(&gate, "GET /data/team/a").await, "GET");
    gate.change(|key| key.terms.set_boundary(None)).await;
    send(&gate, "GET /other/a?acl&tagging").await.verified();
}
