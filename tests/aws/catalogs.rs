//! Session policies of Iceberg catalogs, byte for byte as the catalogs send them.
//!
//! Lakekeeper serializes a policy with `serde_json`, so members are in alphabetical order and
//! `Version` is the last. Earlier versions wrote two resources. Polaris uses the policy builder of
//! AWS's SDK for Java, which writes lists of one element as the element. Both escape `*`, `?` and `$`
//! in the location of a table.

use crate::front::{Client, Front};

const LAKEKEEPER_READS: &str = concat!(
    r#"{"Statement":[{"Action":["s3:GetObject","s3:GetObjectVersion"],"Effect":"Allow","#,
    r#""Resource":"arn:aws:s3:::lake/wh/t1/*","Sid":"TableAccess"},"#,
    r#"{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"wh/t1/*"}},"#,
    r#""Effect":"Allow","Resource":"arn:aws:s3:::lake","Sid":"ListBucketForFolder"},"#,
    r#"{"Action":"s3:GetBucketLocation","Effect":"Allow","Resource":"arn:aws:s3:::lake","#,
    r#""Sid":"GetBucketLocation"}],"Version":"2012-10-17"}"#,
);

const LAKEKEEPER_WRITES: &str = concat!(
    r#"{"Statement":[{"Action":["s3:GetObject","s3:GetObjectVersion","s3:PutObject","#,
    r#""s3:DeleteObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"#,
    r#""Effect":"Allow","Resource":"arn:aws:s3:::lake/wh/t1/*","Sid":"TableAccess"},"#,
    r#"{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"wh/t1/*"}},"#,
    r#""Effect":"Allow","Resource":"arn:aws:s3:::lake","Sid":"ListBucketForFolder"},"#,
    r#"{"Action":"s3:GetBucketLocation","Effect":"Allow","Resource":"arn:aws:s3:::lake","#,
    r#""Sid":"GetBucketLocation"},{"Action":["kms:Decrypt","kms:GenerateDataKey"],"#,
    r#""Effect":"Allow","Resource":"arn:aws:kms:eu-west-1:000000000000:key/k1","#,
    r#""Sid":"KmsAccess"}],"Version":"2012-10-17"}"#,
);

const LAKEKEEPER_BEFORE: &str = concat!(
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"TableAccess","Effect":"Allow","#,
    r#""Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"#,
    r#""Resource":["arn:aws:s3:::lake/wh/t1/","arn:aws:s3:::lake/wh/t1/*"]},"#,
    r#"{"Sid":"ListBucketForFolder","Effect":"Allow","Action":"s3:ListBucket","#,
    r#""Resource":"arn:aws:s3:::lake","Condition":{"StringLike":{"s3:prefix":"wh/t1/*"}}}]}"#,
);

/// The location is `wh/we*ird?$`.
const LAKEKEEPER_ESCAPES: &str = concat!(
    r#"{"Statement":[{"Action":["s3:GetObject","s3:GetObjectVersion"],"Effect":"Allow","#,
    r#""Resource":"arn:aws:s3:::lake/wh/we${*}ird${?}${$}/*","Sid":"TableAccess"},"#,
    r#"{"Action":"s3:ListBucket","#,
    r#""Condition":{"StringLike":{"s3:prefix":"wh/we${*}ird${?}${$}/*"}},"#,
    r#""Effect":"Allow","Resource":"arn:aws:s3:::lake","Sid":"ListBucketForFolder"},"#,
    r#"{"Action":"s3:GetBucketLocation","Effect":"Allow","Resource":"arn:aws:s3:::lake","#,
    r#""Sid":"GetBucketLocation"}],"Version":"2012-10-17"}"#,
);

const POLARIS_READS: &str = concat!(
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","#,
    r#""Action":["kms:DescribeKey","kms:Decrypt"],"#,
    r#""Resource":"arn:aws:kms:eu-west-1:000000000000:key/*"},"#,
    r#"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::lake","#,
    r#""Condition":{"StringLike":{"s3:prefix":"wh/t1/*"}}},"#,
    r#"{"Effect":"Allow","Action":"s3:GetBucketLocation","Resource":"arn:aws:s3:::lake"},"#,
    r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"#,
    r#""Resource":"arn:aws:s3:::lake/wh/t1/*"}]}"#,
);

/// Two locations to read, of which one may be written.
const POLARIS_WRITES: &str = concat!(
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","#,
    r#""Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::lake/wh/t1/*"},"#,
    r#"{"Effect":"Allow","Action":["kms:DescribeKey","kms:Decrypt","kms:Encrypt","#,
    r#""kms:GenerateDataKey","kms:GenerateDataKeyWithoutPlaintext"],"#,
    r#""Resource":"arn:aws:kms:eu-west-1:000000000000:key/k1"},"#,
    r#"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::lake","#,
    r#""Condition":{"StringLike":{"s3:prefix":["wh/t1/*","wh/t2/*"]}}},"#,
    r#"{"Effect":"Allow","Action":"s3:GetBucketLocation","Resource":"arn:aws:s3:::lake"},"#,
    r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"#,
    r#""Resource":["arn:aws:s3:::lake/wh/t1/*","arn:aws:s3:::lake/wh/t2/*"]}]}"#,
);

/// A table in another partition of AWS, which is one namespace here.
const POLARIS_ELSEWHERE: &str = concat!(
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","#,
    r#""Action":"s3:GetBucketLocation","Resource":"arn:aws-us-gov:s3:::lake"},"#,
    r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"#,
    r#""Resource":"arn:aws-us-gov:s3:::lake/wh/t1/*"}]}"#,
);

/// Nothing is allowed, and an empty policy would be none.
const POLARIS_NOTHING: &str = concat!(
    r#"{"Version":"2012-10-17","#,
    r#""Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
);

const READS: [&str; 5] = [
    "GET /lake/wh/t1/data/f",
    "HEAD /lake/wh/t1/data/f",
    "GET /lake?list-type=2&prefix=wh%2Ft1%2F",
    "GET /lake?prefix=wh%2Ft1%2Fdata%2F&delimiter=%2F",
    "GET /lake/wh/t1/",
];
const LOCATION: [&str; 2] = ["GET /lake?location", "GET /lake/wh/t1/data/f?versionId=7"];
const WRITES: [&str; 5] = [
    "PUT /lake/wh/t1/data/f",
    "POST /lake/wh/t1/data/f?uploads",
    "PUT /lake/wh/t1/data/f?partNumber=1&uploadId=u",
    "POST /lake/wh/t1/data/f?uploadId=u",
    "DELETE /lake/wh/t1/data/f",
];
const PARTS: [&str; 2] =
    ["DELETE /lake/wh/t1/data/f?uploadId=u", "GET /lake/wh/t1/data/f?uploadId=u"];
const OUTSIDE: [&str; 15] = [
    "GET /",
    "HEAD /lake",
    "DELETE /lake",
    "PUT /new",
    "GET /lake",
    "GET /lake?list-type=2&prefix=wh%2Ft1",
    "GET /lake?list-type=2&prefix=wh%2Ft10%2F",
    "GET /lake?versions&prefix=wh%2Ft1%2F",
    "GET /lake?uploads&prefix=wh%2Ft1%2F",
    "GET /lake?policy",
    "GET /lake/wh/t10/f",
    "GET /lake/wh/t1",
    "PUT /lake/wh/t3/f",
    "GET /other/wh/t1/f",
    "GET /lake/wh/t1/f?acl",
];

/// A session that a catalog asks for with this policy, as it does.
async fn session(front: &Front, policy: &str) -> Client {
    let params = [
        ("Action", "AssumeRole"),
        ("RoleSessionName", "lakekeeper-sts"),
        ("Policy", policy),
        ("DurationSeconds", "3600"),
    ];
    front.sts(&Client::alice(), &params).await.issued()
}

/// Checks what a session with this policy may do.
async fn check(policy: &str, allowed: &[&[&str]], denied: &[&[&str]]) {
    let front = Front::new().await;
    let client = session(&front, policy).await;
    for (lines, expected) in [(allowed, true), (denied, false)] {
        for line in lines.concat() {
            let (method, target) = line.split_once(' ').unwrap();
            let admitted = front.admits(&client, method, target).await;
            assert_eq!(admitted, expected, "{line} with {policy}");
        }
    }
}

#[tokio::test]
async fn lakekeeper_policy_to_read_allows_to_read_one_table() {
    check(LAKEKEEPER_READS, &[&READS, &LOCATION], &[&WRITES, &PARTS, &OUTSIDE]).await;
}

#[tokio::test]
async fn lakekeeper_policy_to_write_allows_to_write_one_table() {
    check(LAKEKEEPER_WRITES, &[&READS, &LOCATION, &WRITES, &PARTS], &[&OUTSIDE]).await;
}

#[tokio::test]
async fn earlier_lakekeeper_policy_has_no_action_for_locations_and_parts() {
    check(LAKEKEEPER_BEFORE, &[&READS, &WRITES], &[&LOCATION, &PARTS, &OUTSIDE]).await;
}

#[tokio::test]
async fn escaped_characters_of_a_lakekeeper_location_stand_for_themselves() {
    let allowed = [
        "GET /lake/wh/we%2Aird%3F%24/f",
        "GET /lake?list-type=2&prefix=wh%2Fwe%2Aird%3F%24%2F",
        "GET /lake?location",
    ];
    let denied = [
        "GET /lake/wh/weXird%3F%24/f",
        "GET /lake/wh/we%2AirdX%24/f",
        "GET /lake/wh/we%2Aird%3FX/f",
        "GET /lake?list-type=2&prefix=wh%2FweXird%3F%24%2F",
        "PUT /lake/wh/we%2Aird%3F%24/f",
    ];
    check(LAKEKEEPER_ESCAPES, &[&allowed], &[&denied, &READS, &OUTSIDE]).await;
}

#[tokio::test]
async fn polaris_policy_to_read_allows_to_read_one_table() {
    check(POLARIS_READS, &[&READS, &LOCATION], &[&WRITES, &PARTS, &OUTSIDE]).await;
}

#[tokio::test]
async fn polaris_policy_to_write_allows_to_write_one_of_its_tables() {
    let other = ["GET /lake/wh/t2/data/f", "GET /lake?list-type=2&prefix=wh%2Ft2%2Fdata%2F"];
    let writes = ["PUT /lake/wh/t2/data/f", "DELETE /lake/wh/t2/data/f"];
    let allowed: &[&[&str]] = &[&READS, &LOCATION, &WRITES, &other];
    check(POLARIS_WRITES, allowed, &[&writes, &PARTS, &OUTSIDE]).await;
}

#[tokio::test]
async fn polaris_policy_of_another_partition_names_the_same_buckets() {
    let lists = ["GET /lake?list-type=2&prefix=wh%2Ft1%2F"];
    let reads = ["GET /lake/wh/t1/data/f", "HEAD /lake/wh/t1/data/f"];
    check(POLARIS_ELSEWHERE, &[&reads, &LOCATION], &[&lists, &WRITES, &OUTSIDE]).await;
}

#[tokio::test]
async fn polaris_policy_that_only_denies_allows_nothing() {
    check(POLARIS_NOTHING, &[], &[&READS, &LOCATION, &WRITES, &PARTS, &OUTSIDE]).await;
    // The session still knows who it is.
    let front = Front::new().await;
    let client = session(&front, POLARIS_NOTHING).await;
    front.sts(&client, &[("Action", "GetCallerIdentity")]).await.ok();
}
