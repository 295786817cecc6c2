//! Boundaries, and the requests that they allow.

mod invalid;

use std::time::{Duration, SystemTime};

use http::Request;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{AuthType, Boundary, Reach, RequestFacts};
use crate::operation::{S3Action, S3OperationName, S3OperationRules};

type Headers<'a> = &'a [(&'a str, &'a str)];

fn parse(text: &str) -> Boundary {
    Boundary::parse(text, "alice").unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn policy(statements: &serde_json::Value) -> Boundary {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    parse(&json!({"policy": document}).to_string())
}

/// Returns whether a boundary allows a request, with further facts.
fn decide(
    boundary: &Boundary,
    line: &str,
    headers: Headers<'_>,
    add: impl Fn(RequestFacts<'_>) -> RequestFacts<'_>,
) -> bool {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target).header("host", "s3.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let rules = S3OperationRules::new().serve(S3OperationName::ALL.iter().copied());
    let operation = rules.classify((&request).into()).unwrap();
    boundary.allows(&add(RequestFacts::new(&operation, request.headers(), "alice")))
}

fn allows(boundary: &Boundary, line: &str) -> bool {
    decide(boundary, line, &[], |facts| facts)
}

/// A time in seconds.
fn at(text: &str) -> SystemTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap().into()
}

fn p1() -> Boundary {
    parse(r#"{"permission": "read", "buckets": ["data"]}"#)
}

fn p2() -> Boundary {
    parse(r#"{"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"]}"#)
}

fn p3() -> Boundary {
    parse(r#"{"permission": "write", "buckets": ["drop"], "prefixes": ["in/"]}"#)
}

fn p5() -> Boundary {
    policy(&json!([
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]},
        {"Effect": "Deny", "Action": ["s3:DeleteObject*", "s3:PutObject*"],
         "Resource": "arn:aws:s3:::data/keep/*"},
    ]))
}

fn p6() -> Boundary {
    policy(&json!([{"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectAcl"],
        "Resource": "arn:aws:s3:::data/*",
        "Condition": {"StringEquals": {"s3:x-amz-acl": "public-read"}}}]))
}

fn p7() -> Boundary {
    policy(&json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*",
        "Condition": {"NumericLessThan": {"s3:signatureAge": "600000"},
                      "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]))
}

#[test]
fn short_form_compiles_to_a_document() {
    let text = r#"{"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"],
        "objects": ["index.html"]}"#;
    let list = json!({"Sid": "List", "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"],
        "Resource": ["arn:aws:s3:::data"],
        "Condition": {"StringLike": {"s3:prefix": ["team/*"]}}});
    let expected = json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "Bucket", "Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:HeadBucket"],
         "Resource": ["arn:aws:s3:::data"]},
        list,
        {"Sid": "Objects", "Effect": "Allow", "Action": ["s3:AbortMultipartUpload",
            "s3:DeleteObject", "s3:DeleteObjectTagging", "s3:GetObject", "s3:GetObjectAttributes",
            "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes",
            "s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts", "s3:PutObject",
            "s3:PutObjectTagging"],
         "Resource": ["arn:aws:s3:::data/team/*", "arn:aws:s3:::data/index.html"]}]});
    assert_eq!(*parse(text).document(), expected);
}

#[test]
fn wildcards_in_a_short_form_are_characters() {
    let boundary = parse(r#"{"permission": "read", "buckets": ["data"], "prefixes": ["a*$?/"]}"#);
    assert!(allows(&boundary, "GET /data/a*$%3F/x"));
    assert!(!allows(&boundary, "GET /data/abcd/x"));
    assert!(allows(&boundary, "GET /data?prefix=a*$%3F/"));
}

#[test]
fn requests_within_a_boundary_are_allowed() {
    let none: Headers<'_> = &[];
    let copy: Headers<'_> = &[("x-amz-copy-source", "/data/other/a")];
    let (acl, bypass) =
        (("x-amz-acl", "public-read"), ("x-amz-bypass-governance-retention", "true"));
    let lock: Headers<'_> = &[
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"),
    ];
    let all = policy(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]));
    let (p1, p2, p3, p5, p6, p7) = (p1(), p2(), p3(), p5(), p6(), p7());
    for (line, headers, boundary, expected) in [
        ("GET /", none, &p1, false),
        ("GET /", none, &all, true),
        ("HEAD /data", none, &p2, true),
        ("GET /data?list-type=2&prefix=team%2F&delimiter=%2F", none, &p2, true),
        ("GET /data?list-type=2", none, &p1, true),
        ("GET /data?list-type=2", none, &p2, false),
        ("GET /data?prefix=tea", none, &p2, false),
        ("GET /data?versions&prefix=team/x", none, &p2, true),
        ("GET /data?uploads", none, &p2, false),
        ("GET /data?location", none, &p2, true),
        ("GET /data?policy", none, &p1, false),
        ("GET /data?policy", none, &p5, true),
        ("PUT /data", &[acl], &p5, true),
        ("GET /data/team/a?x-id=GetObject", none, &p2, true),
        ("HEAD /data/other/a", none, &p2, false),
        ("GET /data/team/a?versionId=7", none, &p2, true),
        ("GET /data/team/a?versionId=7", none, &p7, false),
        ("GET /data/team/a?attributes", none, &p2, true),
        ("GET /data/team/a?acl", none, &p2, false),
        ("PUT /data/team/a", none, &p1, false),
        ("PUT /data/team/a", none, &p2, true),
        ("PUT /data/team/a", &[("x-amz-acl", "private")], &p2, true),
        ("PUT /data/team/a", &[("x-amz-acl", "private")], &p6, false),
        ("PUT /data/team/a", &[acl], &p2, false),
        ("PUT /data/team/a", &[acl], &p6, true),
        ("PUT /data/team/a", &[("x-amz-tagging", "k=v")], &p2, true),
        ("PUT /data/team/a", &[("x-amz-tagging", "k=v")], &p6, false),
        ("PUT /data/team/a", lock, &p2, false),
        ("PUT /data/team/a", lock, &p5, true),
        ("PUT /drop/in/a", &[("if-match", "\"e\"")], &p3, false),
        ("PUT /data/team/b", copy, &p2, false),
        ("PUT /data/team/b", copy, &p5, true),
        ("PUT /data/team/b", &[("x-amz-copy-source", "data/team/a%3Fb?versionId=7")], &p2, true),
        ("PUT /data/keep/b", &[("x-amz-copy-source", "/data/team/a")], &p5, false),
        ("POST /drop/in/a?uploads", none, &p3, true),
        ("PUT /drop/in/a?partNumber=1&uploadId=u", none, &p3, true),
        (
            "PUT /drop/in/a?partNumber=2&uploadId=u",
            &[("x-amz-copy-source", "/drop/in/b")],
            &p3,
            false,
        ),
        ("DELETE /data/team/a", none, &p2, true),
        ("DELETE /data/team/a", none, &p3, false),
        ("DELETE /data/team/a?versionId=7", none, &p2, false),
        ("DELETE /data/team/a?versionId=7", none, &p5, true),
        ("DELETE /data/keep/a?versionId=7", none, &p5, false),
        ("DELETE /data/team/a?versionId=7", &[bypass], &p2, false),
        ("DELETE /data/team/a?versionId=7", &[bypass], &p5, true),
        ("PUT /data/team/a?x-amz-acl=public-read", none, &p2, false),
        // The store may ignore a header in the query.
        ("PUT /data/team/a?x-amz-acl=public-read", none, &p6, false),
    ] {
        assert_eq!(decide(boundary, line, headers, |facts| facts), expected, "{line} {headers:?}");
    }
}

#[test]
fn keys_of_a_batch_are_checked_one_by_one() {
    let request = Request::post("/data?delete").header("host", "s3.test").body(()).unwrap();
    let operation = S3OperationRules::new().classify((&request).into()).unwrap();
    let facts = RequestFacts::new(&operation, request.headers(), "alice");
    let (p2, p5) = (p2(), p5());
    let all = policy(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]));
    // The head does not say which keys are deleted.
    assert!(!p2.allows(&facts) && !all.allows(&facts));
    assert!(p2.allows_deletion(&facts, "team/a", None, false));
    assert!(!p2.allows_deletion(&facts, "keep/b", None, false));
    assert!(!p2.allows_deletion(&facts, "team/a", Some("7"), false));
    assert!(p5.allows_deletion(&facts, "team/a", Some("7"), true));
    assert!(!p5.allows_deletion(&facts, "keep/b", Some("7"), false));
    let deletes = [S3Action::DeleteObject, S3Action::DeleteObjectVersion];
    assert_eq!(all.reach(&deletes, "data"), Reach::All);
    assert_eq!(p5.reach(&deletes, "data"), Reach::Some);
    assert_eq!(p2.reach(&deletes, "data"), Reach::Some);
    assert_eq!(p2.reach(&deletes, "other"), Reach::None);
    assert_eq!(p1().reach(&deletes, "data"), Reach::None);
}

#[test]
fn denial_counts_for_requests_with_a_version_too() {
    let boundary = policy(&json!([
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/secret/*"},
        {"Effect": "Deny", "Action": "s3:HeadBucket", "Resource": "arn:aws:s3:::closed"},
    ]));
    assert!(!allows(&boundary, "GET /data/secret/a?versionId=7"));
    assert!(allows(&boundary, "GET /data/open/a?versionId=7"));
    assert!(!allows(&boundary, "HEAD /closed"));
}

#[test]
fn presigned_request_is_bound_to_its_age_and_address() {
    let boundary = p7();
    let signed = at("2026-01-02T03:04:05Z");
    let read = |age: u64, address: Option<&str>| {
        decide(&boundary, "GET /data/a", &[], |facts| {
            let facts = facts.signed(AuthType::Query, Some(signed));
            let facts = facts.now(signed + Duration::from_secs(age));
            match address {
                Some(address) => facts.source_ip(address.parse().unwrap()),
                None => facts,
            }
        })
    };
    assert!(!read(700, Some("10.1.2.3")));
    assert!(!read(60, None));
    assert!(!read(60, Some("11.1.2.3")));
    assert!(read(60, Some("10.1.2.3")));
}

#[test]
fn documents_decide_as_in_iam() {
    let home = json!([
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bkt",
         "Condition": {"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/*"]}}},
        {"Effect": "Allow", "Action": "s3:*", "Resource":
            ["arn:aws:s3:::bkt/home/${aws:username}", "arn:aws:s3:::bkt/home/${aws:username}/*"]},
    ]);
    let list = |operator: &str, values: serde_json::Value| {
        json!([{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bkt",
                "Condition": {operator: {"s3:prefix": values}}}])
    };
    let max_keys = json!([{"Effect": "Allow", "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::bkt",
        "Condition": {"NumericLessThanEquals": {"s3:max-keys": 10}}}]);
    let both = json!([{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bkt",
        "Condition": {"StringEquals": {"s3:prefix": "a/", "s3:delimiter": "/"}}}]);
    let escaped = json!([{"Effect": "Allow", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bkt/we${*}ird${?}/*"}]);
    let not_action =
        json!([{"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "arn:aws:s3:::bkt/*"}]);
    let not_resource = json!([
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*",
         "NotResource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*"]}]);
    let case = json!([{"Effect": "Allow", "Action": "S3:getobject", "Resource": "arn:aws:s3:::bkt/Docs/*"}]);
    let other = json!([{"Effect": "Allow", "Action": ["s3:Get?bject", "s3:NoSuchAction"],
            "Resource": "arn:aws:s3:::bkt/*"},
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:eu-1:1:key/2"}]);
    for (statements, line, expected) in [
        (&home, "GET /bkt?prefix=home/alice/", true),
        (&home, "GET /bkt?prefix=", true),
        (&home, "GET /bkt", false),
        (&home, "GET /bkt/home/alice/x", true),
        (&home, "GET /bkt/home/bob/x", false),
        (&escaped, "GET /bkt/we*ird%3F/x", true),
        (&escaped, "GET /bkt/weXird%3F/x", false),
        (&not_action, "PUT /bkt/x", true),
        (&not_action, "DELETE /bkt/x", false),
        (&not_resource, "GET /ckt/x", false),
        (&not_resource, "GET /bkt/x", true),
        (&max_keys, "GET /bkt?max-keys=10", true),
        (&max_keys, "GET /bkt?max-keys=11", false),
        (&max_keys, "GET /bkt", false),
        (&max_keys, "GET /bkt?max-keys=x", false),
        (&list("StringLike", json!(["t/", "t/*"])), "GET /bkt?prefix=t/", true),
        (&list("StringLike", json!(["t/", "t/*"])), "GET /bkt?prefix=t2/", false),
        (&list("StringLikeIfExists", json!("a/*")), "GET /bkt", true),
        (&list("StringLikeIfExists", json!("a/*")), "GET /bkt?prefix=b/", false),
        (&list("ForAnyValue:StringLike", json!(["a/*", "b/*"])), "GET /bkt?prefix=b/x", true),
        (&list("ForAnyValue:StringLike", json!(["a/*", "b/*"])), "GET /bkt", false),
        (&list("StringNotEquals", json!("secret/")), "GET /bkt", true),
        (&list("StringNotEquals", json!("secret/")), "GET /bkt?prefix=secret/", false),
        (&list("StringEqualsIgnoreCase", json!("A/")), "GET /bkt?prefix=a/", true),
        (&list("Null", json!("true")), "GET /bkt", true),
        (&list("Null", json!(true)), "GET /bkt?prefix=a", false),
        (&both, "GET /bkt?prefix=a/&delimiter=/", true),
        (&both, "GET /bkt?prefix=a/", false),
        (&case, "GET /bkt/Docs/x", true),
        (&case, "GET /bkt/docs/x", false),
        (&other, "GET /bkt/x", true),
        (&other, "PUT /bkt/x", false),
    ] {
        assert_eq!(allows(&policy(statements), line), expected, "{line} {statements}");
    }
}

#[test]
fn dates_and_encryption_are_compared_with_the_facts() {
    let january = policy(&json!([{"Effect": "Allow", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bkt/*", "Condition": {
            "DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"},
            "DateLessThan": {"aws:CurrentTime": "2026-02-01T00:00:00Z"}}}]));
    let read = |now: &str| decide(&january, "GET /bkt/x", &[], |facts| facts.now(at(now)));
    assert!(read("2026-01-15T00:00:00Z"));
    assert!(!read("2026-02-01T00:00:00Z"));
    assert!(!allows(&january, "GET /bkt/x"));
    for seconds in [0, u64::from(u32::MAX) * 1_000, u64::MAX >> 1] {
        let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let Some(now) = now else { continue };
        assert!(!decide(&january, "GET /bkt/x", &[], |facts| facts.now(now)));
    }

    let tls = policy(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]));
    let read = |encrypted| decide(&tls, "GET /bkt/x", &[], |facts| facts.tls(encrypted, None));
    assert!(read(true) && !read(false));
    // What is unknown counts as denied.
    assert!(!allows(&tls, "GET /bkt/x"));
}

#[test]
fn tags_and_locks_in_the_body_are_unknown() {
    let tagged =
        policy(&json!([{"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectTagging"],
        "Resource": "*", "Condition": {"StringEquals": {"s3:RequestObjectTag/team": "red"}}}]));
    let put = |tags| decide(&tagged, "PUT /bkt/x", &[("x-amz-tagging", tags)], |facts| facts);
    assert!(
        put("a=b&team=red")
            && !put("team=red&%zz=1")
            && !put("team=blue")
            && !put("team=red&team=red")
            && !put("team=r+d")
    );
    assert!(!allows(&tagged, "PUT /bkt/x?tagging"));
    let keys = policy(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": ["s3:PutObject", "s3:PutObjectTagging"], "Resource": "*",
         "Condition": {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["admin"]}}}]));
    let put = |tags| decide(&keys, "PUT /bkt/x", &[("x-amz-tagging", tags)], |facts| facts);
    assert!(put("a=b") && !put("a=b&admin=1"));
    assert!(!allows(&keys, "PUT /bkt/x?tagging"));
    let locked = policy(&json!([{"Effect": "Allow", "Action": "s3:PutObjectLegalHold",
        "Resource": "*", "Condition": {"StringEquals": {"s3:object-lock-legal-hold": "ON"}}}]));
    assert!(!allows(&locked, "PUT /bkt/x?legal-hold"));
}
