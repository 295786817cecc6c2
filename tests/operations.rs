//! Every operation of Amazon's own model of S3: what it is classified as, and which keys may do it.

use std::collections::BTreeMap;

use http::{HeaderName, Request};
use serde_json::Value;
use test_support::s3_model;
use tower_credentials::{
    boundary::{Boundary, RequestFacts},
    operation::{S3OperationName, S3OperationRules},
};

/// The operations whose minimal request is another operation, with that operation, or none.
const OTHERS: &[(&str, Option<&str>, &str)] = &[
    ("CreateSession", None, "it gives away a session, for directory buckets only"),
    ("GetBucketLifecycle", Some("GetBucketLifecycleConfiguration"), "the deprecated name"),
    ("GetBucketNotification", Some("GetBucketNotificationConfiguration"), "the deprecated name"),
    ("ListDirectoryBuckets", Some("ListBuckets"), "the host makes the difference"),
    ("PutBucketLifecycle", Some("PutBucketLifecycleConfiguration"), "the deprecated name"),
    ("PutBucketNotification", Some("PutBucketNotificationConfiguration"), "the deprecated name"),
    ("RenameObject", None, "directory buckets only; other stores overwrite the object"),
    ("WriteGetObjectResponse", None, "Object Lambda is another service"),
];

/// What keys may do: a reader and a writer of the whole bucket, and a reader and writer of the
/// prefix `team/`. No key may do an operation that is not listed.
const ALLOWED: &[(&str, &str)] = &[
    ("AbortMultipartUpload", "-wp"),
    ("CompleteMultipartUpload", "-wp"),
    ("CopyObject", "--p"),
    ("CreateMultipartUpload", "-wp"),
    ("DeleteObject", "--p"),
    ("DeleteObjectTagging", "--p"),
    ("DeleteObjects", "--p"),
    ("GetBucketLocation", "rwp"),
    ("GetObject", "r-p"),
    ("GetObjectAttributes", "r-p"),
    ("GetObjectTagging", "r-p"),
    ("HeadBucket", "rwp"),
    ("HeadObject", "r-p"),
    ("ListMultipartUploads", "r-p"),
    ("ListObjectVersions", "r-p"),
    ("ListObjects", "r-p"),
    ("ListObjectsV2", "r-p"),
    ("ListParts", "-wp"),
    ("PutObject", "-wp"),
    ("PutObjectTagging", "-wp"),
    ("SelectObjectContent", "r-p"),
    ("UploadPart", "-wp"),
    ("UploadPartCopy", "--p"),
];

const READER: &str = r#"{"permission": "read", "buckets": ["data"]}"#;
const WRITER: &str = r#"{"permission": "write", "buckets": ["data"]}"#;
const PREFIX: &str = r#"{"permission": "read-write", "buckets": ["data"], "prefixes": ["team/"]}"#;

/// The smallest request of an operation, for the bucket `data` or the key in it.
fn request_of(operation: &Value, key: &str) -> Request<()> {
    let texts = |member: &str| {
        let texts = operation[member].as_array().unwrap().iter();
        texts.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let uri = operation["uri"].as_str().unwrap();
    let uri = uri.replace("{Bucket}", "data").replace("{Key+}", key);
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    let mut query: Vec<String> =
        query.split('&').filter(|it| !it.is_empty()).map(Into::into).collect();
    query.extend(texts("parameters").iter().map(|name| format!("{name}=1")));
    if operation["has_prefix"] == true {
        query.push("prefix=team/".into());
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut request = Request::builder()
        .method(operation["method"].as_str().unwrap())
        .uri(format!("{path}{query}"))
        .header("host", "s3.test");
    for name in texts("headers") {
        request = request.header(name.parse::<HeaderName>().unwrap(), format!("data/{key}"));
    }
    request.body(()).unwrap()
}

fn rules() -> S3OperationRules {
    S3OperationRules::new().serve(S3OperationName::ALL.iter().copied())
}

fn name(operation: &Value) -> &str {
    operation["name"].as_str().unwrap()
}

#[test]
fn every_operation_of_amazons_model_is_classified() {
    let Some(operations) = s3_model::operations() else { return };
    assert!(operations.len() > 100, "{}", operations.len());
    let mut wrong = Vec::new();
    for operation in &operations {
        let request = request_of(operation, "team/a");
        let classified = rules().classify((&request).into()).ok();
        let classified = classified.map(|it| it.name().name());
        let other = OTHERS.iter().find(|(other, ..)| *other == name(operation));
        let expected = other.map_or(Some(name(operation)), |(_, expected, _)| *expected);
        if classified != expected {
            wrong.push(format!("{}: {classified:?}", name(operation)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Which of the three keys may do an operation, such as `r-p`.
fn allowed(operation: &Value, key: &str) -> String {
    let request = request_of(operation, key);
    let Ok(read) = rules().classify((&request).into()) else { return "---".into() };
    let keys = [(READER, 'r'), (WRITER, 'w'), (PREFIX, 'p')];
    let may = |(boundary, letter): (&str, char)| {
        let boundary = Boundary::parse(boundary, "alice").unwrap();
        let facts = RequestFacts::new(&read, request.headers(), "alice");
        let is_allowed = match read.name() {
            S3OperationName::DeleteObjects => boundary.allows_deletion(&facts, key, None, false),
            _ => boundary.allows(&facts),
        };
        if is_allowed { letter } else { '-' }
    };
    keys.map(may).into_iter().collect()
}

#[test]
fn operations_that_keys_with_a_boundary_may_do() {
    let Some(operations) = s3_model::operations() else { return };
    let found: BTreeMap<&str, String> = operations
        .iter()
        .map(|operation| (name(operation), allowed(operation, "team/a")))
        .filter(|(_, allowed)| allowed != "---")
        .collect();
    let expected: BTreeMap<&str, String> =
        ALLOWED.iter().map(|(name, allowed)| (*name, (*allowed).into())).collect();
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn operations_outside_the_prefix_are_denied() {
    let Some(operations) = s3_model::operations() else { return };
    for operation in operations.iter().filter(|it| it["uri"].as_str().unwrap().contains("{Key+}")) {
        assert!(!allowed(operation, "other/a").contains('p'), "{operation}");
    }
}
