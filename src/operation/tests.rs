//! Requests, and what they do.

use http::Request;

use super::{S3Operation, S3OperationName as Name, S3OperationRules, S3Resource};

/// The rules of a store that serves everything and has a base domain.
fn rules() -> S3OperationRules {
    let all = Name::ALL.iter().copied();
    S3OperationRules::new().base_domains(["s3.test"]).serve(all)
}

fn request(line: &str, headers: &[(&str, &str)]) -> Request<()> {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "s3.test");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Describes an operation: its name, then its checks.
fn describe(operation: &S3Operation<'_>) -> String {
    let object = |bucket: &str, key: &str| format!("{bucket}/{key}");
    let checks = operation.checks().map(|check| {
        let on = match check.on {
            S3Resource::AllBuckets => "*".to_owned(),
            S3Resource::Bucket => operation.bucket().unwrap().to_owned(),
            S3Resource::Object => object(operation.bucket().unwrap(), operation.key().unwrap()),
            S3Resource::Source => {
                let (bucket, key) = operation.source().unwrap();
                object(bucket, key)
            }
        };
        let alternative = check.alternative.map_or(String::new(), |other| format!("|{other}"));
        let unversioned = check.unversioned.map_or(String::new(), |other| format!("&{other}"));
        format!("{}{alternative}{unversioned} {on}", check.action)
    });
    format!("{}: {}", operation.name(), checks.collect::<Vec<_>>().join(", "))
}

fn classified(line: &str, headers: &[(&str, &str)]) -> String {
    let request = request(line, headers);
    match rules().classify((&request).into()) {
        Ok(operation) => describe(&operation),
        Err(_) => "refused".to_owned(),
    }
}

type Headers = &'static [(&'static str, &'static str)];

const NONE: Headers = &[];

const RETENTION: Headers = &[
    ("x-amz-object-lock-mode", "COMPLIANCE"),
    ("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"),
];

/// Requests, and what they need.
const REQUESTS: &[(&str, Headers, &str)] = &[
    ("GET /", NONE, "ListBuckets: ListAllMyBuckets *"),
    ("HEAD /data", NONE, "HeadBucket: ListBucket|HeadBucket data"),
    ("GET /data?list-type=2&prefix=team%2F&delimiter=%2F", NONE, "ListObjectsV2: ListBucket data"),
    ("GET /data/?list-type=2", NONE, "ListObjectsV2: ListBucket data"),
    ("GET /data?list-type=1", NONE, "ListObjects: ListBucket data"),
    ("GET /data", NONE, "ListObjects: ListBucket data"),
    ("GET /data?versions&prefix=team/x", NONE, "ListObjectVersions: ListBucketVersions data"),
    ("GET /data?uploads", NONE, "ListMultipartUploads: ListBucketMultipartUploads data"),
    ("GET /data?location", NONE, "GetBucketLocation: GetBucketLocation data"),
    ("GET /data?location=", NONE, "GetBucketLocation: GetBucketLocation data"),
    ("GET /data?policy", NONE, "GetBucketPolicy: GetBucketPolicy data"),
    (
        "GET /data?analytics",
        NONE,
        "ListBucketAnalyticsConfigurations: GetAnalyticsConfiguration data",
    ),
    (
        "GET /data?analytics&id=1",
        NONE,
        "GetBucketAnalyticsConfiguration: GetAnalyticsConfiguration data",
    ),
    (
        "PUT /data",
        &[("x-amz-acl", "public-read")],
        "CreateBucket: CreateBucket data, PutBucketAcl data",
    ),
    (
        "PUT /data",
        &[("x-amz-bucket-object-lock-enabled", "true")],
        "CreateBucket: CreateBucket data, PutBucketObjectLockConfiguration data, PutBucketVersioning data",
    ),
    ("GET /data/team/a?x-id=GetObject", NONE, "GetObject: GetObject data/team/a"),
    ("HEAD /data/other/a", NONE, "HeadObject: GetObject data/other/a"),
    ("GET /data/team/a?versionId=7", NONE, "GetObject: GetObjectVersion&GetObject data/team/a"),
    (
        "GET /data/team/a?attributes",
        NONE,
        "GetObjectAttributes: GetObject data/team/a, GetObjectAttributes data/team/a",
    ),
    ("GET /data/team/a?acl", NONE, "GetObjectAcl: GetObjectAcl data/team/a"),
    ("PUT /data/team/a", NONE, "PutObject: PutObject data/team/a"),
    ("PUT /data/team/a", &[("x-amz-acl", "private")], "PutObject: PutObject data/team/a"),
    (
        "PUT /data/team/a",
        &[("x-amz-acl", "public-read")],
        "PutObject: PutObject data/team/a, PutObjectAcl data/team/a",
    ),
    (
        "PUT /data/team/a?x-amz-acl=public-read",
        NONE,
        "PutObject: PutObject data/team/a, PutObjectAcl data/team/a",
    ),
    (
        "PUT /data/team/a",
        &[("x-amz-tagging", "k=v")],
        "PutObject: PutObject data/team/a, PutObjectTagging data/team/a",
    ),
    (
        "PUT /data/team/a",
        RETENTION,
        "PutObject: PutObject data/team/a, PutObjectRetention data/team/a",
    ),
    (
        "PUT /drop/in/a",
        &[("if-match", "\"e\"")],
        "PutObject: PutObject drop/in/a, GetObject drop/in/a",
    ),
    (
        "PUT /data/team/b",
        &[("x-amz-copy-source", "/data/other/a")],
        "CopyObject: PutObject data/team/b, GetObject data/other/a",
    ),
    (
        "PUT /data/team/b",
        &[("x-amz-copy-source", "data/team/a%3Fb?versionId=7")],
        "CopyObject: PutObject data/team/b, GetObjectVersion&GetObject data/team/a?b",
    ),
    ("POST /drop/in/a?uploads", NONE, "CreateMultipartUpload: PutObject drop/in/a"),
    ("PUT /drop/in/a?partNumber=1&uploadId=u", NONE, "UploadPart: PutObject drop/in/a"),
    (
        "PUT /drop/in/a?partNumber=2&uploadId=u",
        &[("x-amz-copy-source", "/drop/in/b")],
        "UploadPartCopy: PutObject drop/in/a, GetObject drop/in/b",
    ),
    ("POST /drop/in/a?uploadId=u", NONE, "CompleteMultipartUpload: PutObject drop/in/a"),
    ("DELETE /drop/in/a?uploadId=u", NONE, "AbortMultipartUpload: AbortMultipartUpload drop/in/a"),
    ("GET /drop/in/a?uploadId=u", NONE, "ListParts: ListMultipartUploadParts drop/in/a"),
    ("DELETE /data/team/a", NONE, "DeleteObject: DeleteObject data/team/a"),
    ("DELETE /data/team/a", &[("if-match", "*")], "DeleteObject: DeleteObject data/team/a"),
    (
        "DELETE /data/team/a?versionId=7",
        &[("x-amz-bypass-governance-retention", "true")],
        "DeleteObject: DeleteObjectVersion&DeleteObject data/team/a, BypassGovernanceRetention data/team/a",
    ),
    ("POST /data?delete", NONE, "DeleteObjects: "),
    ("GET /team/a", &[("host", "data.s3.test")], "GetObject: GetObject data/team/a"),
    ("GET /team/a", &[("host", "Data.S3.test:9000")], "GetObject: GetObject data/team/a"),
    ("GET /", &[("host", "data.s3.test")], "ListObjects: ListBucket data"),
    ("GET /data/a", &[("host", "127.0.0.1:9000")], "GetObject: GetObject data/a"),
    ("GET /data/a", &[("host", "[::1]:9000")], "GetObject: GetObject data/a"),
    ("GET /data/a?response-content-type=text/html", NONE, "GetObject: GetObject data/a"),
    ("GET /data/team%2Fa", NONE, "GetObject: GetObject data/team/a"),
    ("GET /data/team/100%25", NONE, "GetObject: GetObject data/team/100%"),
    ("PUT /data/team/", NONE, "PutObject: PutObject data/team/"),
    ("GET /data/a+b", NONE, "GetObject: GetObject data/a+b"),
    ("POST /data/a?select&select-type=2", NONE, "SelectObjectContent: GetObject data/a"),
    ("GET /data/a?X-Amz-Date=1&X-Amz-Signature=2", NONE, "GetObject: GetObject data/a"),
];

#[test]
fn operations_need_the_actions_of_the_documentation() {
    for (line, headers, expected) in REQUESTS {
        assert_eq!(classified(line, headers), *expected, "{line} {headers:?}");
    }
}

#[test]
fn requests_that_servers_read_differently_have_no_operation() {
    let none = &[][..];
    for (line, headers) in [
        // Two selectors, or one in another place or spelling.
        ("GET /data/team/a?acl&tagging", none),
        ("PUT /data/a?acl&uploadId=u&partNumber=1", none),
        ("GET /data/a?%61cl", none),
        ("GET /data/a?ACL", none),
        ("GET /data/a?acl&acl", none),
        ("GET /data/a?acl=1", none),
        ("GET /data/a?versioning", none),
        ("POST /data/a?delete", none),
        ("HEAD /data/a?acl", none),
        ("HEAD /data?versions", none),
        ("PUT /data/a?renameObject", none),
        ("GET /data?session", none),
        ("PUT /data/a?uploadId=u", none),
        ("PUT /data/a?partNumber=1", none),
        ("DELETE /data/a?uploadId=", none),
        ("DELETE /data/a?versionId=", none),
        ("PUT /data/a?uploadId=u&partNumber=0", none),
        ("PUT /data/a?uploadId=u&partNumber=10001", none),
        ("PUT /data/a?uploadId=u&partNumber=%2B1", none),
        ("PUT /data?analytics", none),
        ("POST /data/a?select", none),
        // Parameters that the operation does not have, and characters that parsers differ on.
        ("GET /data/team/a?foo=1", none),
        ("GET /data?prefix=team/a+b", none),
        ("GET /data/a?x-id=GetObject;acl", none),
        ("GET /data/a?&acl", none),
        ("PUT /data/a?response-content-type=text/html", none),
        ("GET /data?prefix=%FF", none),
        // Methods.
        ("PUT /", none),
        ("DELETE /", none),
        ("HEAD /", none),
        ("OPTIONS /data/a", none),
        ("POST /data", none),
        // Buckets and hosts.
        ("GET /data%2Fteam/a", none),
        ("GET //team/a", none),
        ("GET /?acl", none),
        ("GET /Data/team/a", none),
        ("GET /../a", none),
        ("GET /arn:aws:s3:::data/a", none),
        ("GET /data/a", &[("host", "other.test")]),
        ("GET /data/a", &[("host", ".s3.test")]),
        // Keys.
        ("GET /data/team/%2e%2e/other/a", none),
        ("GET /data/team/../secret", none),
        ("GET /data/./a", none),
        ("GET /data//team/a", none),
        ("GET /data/team//a", none),
        ("GET /data/team/%252e%252e/x", none),
        ("GET /data/team/..%5Cx", none),
        ("GET /data/team/a%00", none),
        ("GET /data/team/%FF", none),
        ("GET /data/team/100%", none),
        // Sources of copies.
        ("PUT /data/a", &[("x-amz-copy-source", "data%2Fsecret")]),
        ("PUT /data/a", &[("x-amz-copy-source", "/data/team/../s")]),
        ("PUT /data/a", &[("x-amz-copy-source", "/data/a?versionId=")]),
        ("PUT /data/a", &[("x-amz-copy-source", "/data/a?x=1")]),
        ("PUT /data/a", &[("x-amz-copy-source", "arn:aws:s3:::data/a")]),
        ("PUT /data/a", &[("x-amz-copy-source", "data")]),
        ("PUT /data/a", &[("x-amz-copy-source", "/data/a"), ("x-amz-copy-source", "/data/b")]),
        ("PUT /data/a?x-amz-copy-source=/data/b", none),
        ("GET /data/a", &[("x-amz-copy-source", "/data/b")]),
        ("PUT /data/a?tagging", &[("x-amz-copy-source", "/data/b")]),
        // Headers.
        ("PUT /data/a?x-amz-acl=private", &[("x-amz-acl", "public-read")]),
        ("PUT /data/a", &[("x-amz-acl", "private"), ("x-amz-acl", "public-read")]),
        ("GET /data/a", &[("x-http-method-override", "DELETE")]),
        ("POST /data?delete", &[("content-type", "multipart/form-data; boundary=x")]),
        ("POST /data?delete", &[("content-type", " Multipart/form-data, text/plain")]),
        ("PUT /data/a", &[("x-amz-meta-snowball-auto-extract", "true")]),
        (
            "POST /WriteGetObjectResponse",
            &[("x-amz-request-route", "r"), ("x-amz-request-token", "t")],
        ),
    ] {
        assert_eq!(classified(line, headers), "refused", "{line} {headers:?}");
    }
}

#[test]
fn base_domain_below_another_one_has_no_operation() {
    let rules = S3OperationRules::new().base_domains(["s3.test", "eu.s3.test"]);
    let bucket = |host: &str| {
        let request = request("GET /a", &[("host", host)]);
        let operation = rules.classify((&request).into()).ok()?;
        operation.bucket().map(ToOwned::to_owned)
    };
    assert_eq!(bucket("data.eu.s3.test").as_deref(), Some("data"));
    assert_eq!(bucket("data.s3.test").as_deref(), Some("data"));
    assert_eq!(bucket("eu.s3.test"), None);
}

#[test]
fn operation_that_is_not_served_has_no_operation() {
    let request = request("PUT /data/a?acl", &[]);
    assert!(S3OperationRules::new().classify((&request).into()).is_err());
    assert!(rules().classify((&request).into()).is_ok());
}

#[test]
fn all_headers_that_add_checks_fit_together() {
    let headers = [
        ("x-amz-copy-source", "/data/b"),
        ("x-amz-acl", "public-read"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "OFF"),
        ("x-amz-object-annotation-directive", "COPY"),
        ("if-match", "\"e\""),
    ];
    let request = request("PUT /data/a", &headers);
    let operation = rules().classify((&request).into()).unwrap();
    let expected = "CopyObject: PutObject data/a, GetObject data/b, PutObjectAcl data/a, \
        PutObjectTagging data/a, PutObjectRetention data/a, PutObjectLegalHold data/a, \
        GetObjectAnnotation data/b, PutObjectAnnotation data/a, GetObject data/a";
    assert_eq!(describe(&operation), expected);
}

#[test]
fn opaque_keys_are_taken_as_they_are_without_strict_checks() {
    let request = request("GET /data/a//../b", &[]);
    let operation = rules().strict_keys(false);
    let operation = operation.classify((&request).into()).unwrap();
    assert_eq!(operation.key(), Some("a//../b"));
}

#[test]
fn each_key_of_a_batch_has_its_own_checks() {
    let headers = [("x-amz-bypass-governance-retention", "true")];
    let request = request("POST /data?delete", &headers);
    let operation = rules().classify((&request).into()).unwrap();
    let actions = |version, etag| {
        let checks = operation.checks_of_deletion(version, etag);
        checks.map(|check| check.action.name()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(actions(false, false), "DeleteObject BypassGovernanceRetention");
    assert_eq!(actions(true, true), "DeleteObjectVersion GetObject BypassGovernanceRetention");
}
