//! Headers that add checks, in a header or as a parameter of a presigned request.
//!
//! Sources: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations" and
//! "Preventing object overwrites with conditional writes".

use http::{HeaderMap, Method};

use super::{
    checks::{
        Checks,
        S3Resource::{Bucket, Object, Source},
    },
    error::{OperationError, ambiguous},
    names::{S3Action as Action, S3OperationName as Name},
    query::Query,
};

/// The prefix of the names of Amazon's headers.
const OF_AMAZON: &str = "x-amz-";

/// The beginning of the content types of forms with files.
const MULTIPART: &str = "multipart/";

/// The parameters of Amazon's that only headers may have.
const HEADERS_ONLY: [&str; 3] = ["x-amz-copy-source", "x-amz-rename-source", "x-amz-request-"];

/// Adds the checks that headers and their twins in the query need.
pub(super) fn add(
    checks: &mut Checks,
    name: Name,
    method: &Method,
    headers: &HeaderMap,
    query: &Query<'_>,
) -> Result<bool, OperationError> {
    let mut bypasses = false;
    let mut previous = "";
    for (header, value) in headers {
        let header = header.as_str();
        if !concerns(header) {
            continue;
        }
        if header == previous {
            return Err(ambiguous("a header occurs twice"));
        }
        previous = header;
        let value = value.to_str().map_err(|_| ambiguous("a header is not ASCII"))?;
        if header == "content-type" {
            if *method == Method::POST && is_multipart(value) {
                return Err(ambiguous("a form is signed in the header or the query"));
            }
            continue;
        }
        bypasses |= add_one(checks, name, header, value)?;
    }
    for (parameter, value) in query.iter() {
        if !is_of_amazon(parameter) {
            continue;
        }
        let lower = parameter.to_ascii_lowercase();
        if HEADERS_ONLY.iter().any(|start| lower.starts_with(start))
            && lower != "x-amz-request-payer"
        {
            return Err(ambiguous("the query has a parameter that only a header may have"));
        }
        if headers.contains_key(&*lower) {
            return Err(ambiguous("a header occurs in the query too"));
        }
        bypasses |= add_one(checks, name, &lower, &value)?;
    }
    Ok(bypasses)
}

/// The headers, parameters and fields in which frameworks look for another method.
const OTHER_METHOD: [&str; 4] =
    ["_method", "x-http-method", "x-http-method-override", "x-method-override"];

/// Refuses headers that name another method.
pub(super) fn refuse_other_method(headers: &HeaderMap) -> Result<(), OperationError> {
    if OTHER_METHOD.iter().any(|name| headers.contains_key(*name)) {
        return Err(ambiguous("a header names another method"));
    }
    Ok(())
}

/// Adds the checks that the fields of a form need.
pub(super) fn add_fields<'a>(
    checks: &mut Checks,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), OperationError> {
    for (field, value) in fields {
        let name = header_of_field(field);
        if name.starts_with("x-minio-") {
            return Err(ambiguous("a form with fields of MinIO's is not supported"));
        }
        add_one(checks, Name::PostObject, &name, value)?;
    }
    Ok(())
}

/// Returns the name of the header that a field of a form stands for.
pub(crate) fn header_of_field(field: &str) -> String {
    match &*field.to_ascii_lowercase() {
        "acl" => "x-amz-acl".to_owned(),
        "tagging" => "x-amz-tagging".to_owned(),
        name => name.to_owned(),
    }
}

/// Returns whether a parameter stands for one of Amazon's headers.
pub(super) fn is_of_amazon(parameter: &str) -> bool {
    let start = parameter.get(..OF_AMAZON.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(OF_AMAZON))
}

/// Returns whether a header can change what a request does.
fn concerns(header: &str) -> bool {
    match header {
        "content-type" | "if-match" => true,
        // Signed with every request, and without an effect on the operation.
        "x-amz-content-sha256" | "x-amz-date" => false,
        _ => header.starts_with(OF_AMAZON) || OTHER_METHOD.contains(&header),
    }
}

/// Adds the checks of one header. Returns whether it bypasses a retention.
fn add_one(
    checks: &mut Checks,
    name: Name,
    header: &str,
    value: &str,
) -> Result<bool, OperationError> {
    let writes = matches!(
        name,
        Name::PutObject | Name::CopyObject | Name::CreateMultipartUpload | Name::PostObject
    );
    let creates_bucket = name == Name::CreateBucket;
    match header {
        "x-amz-acl" if value == "private" => {}
        "x-amz-acl" => add_acl(checks, writes, creates_bucket),
        _ if header.starts_with("x-amz-grant-") => add_acl(checks, writes, creates_bucket),
        "x-amz-bucket-object-lock-enabled" if creates_bucket && !is_false(value) => {
            checks.add(Action::PutBucketObjectLockConfiguration, Bucket);
            checks.add(Action::PutBucketVersioning, Bucket);
        }
        "x-amz-object-ownership" if creates_bucket => {
            checks.add(Action::PutBucketOwnershipControls, Bucket);
        }
        "x-amz-tagging" if writes => checks.add(Action::PutObjectTagging, Object),
        "x-amz-tagging-directive" if writes && value != "COPY" => {
            checks.add(Action::PutObjectTagging, Object);
        }
        "x-amz-object-lock-mode" | "x-amz-object-lock-retain-until-date" if writes => {
            checks.add(Action::PutObjectRetention, Object);
        }
        "x-amz-object-lock-legal-hold" if writes => checks.add(Action::PutObjectLegalHold, Object),
        _ if writes && header.starts_with("x-amz-object-lock-event-hold") => {
            checks.add(Action::PutObjectRetention, Object);
            checks.add(Action::PutObjectLegalHold, Object);
        }
        "x-amz-bypass-governance-retention" if !is_false(value) => {
            if matches!(name, Name::DeleteObject | Name::PutObjectRetention) {
                checks.add(Action::BypassGovernanceRetention, Object);
            }
            return Ok(name == Name::DeleteObjects);
        }
        "if-match" => {
            let reads = match name {
                Name::PutObject | Name::CompleteMultipartUpload | Name::CopyObject => true,
                Name::DeleteObject => value != "*",
                _ => false,
            };
            if reads {
                checks.add(Action::GetObject, Object);
            }
        }
        "x-amz-object-annotation-directive" if name == Name::CopyObject && value != "EXCLUDE" => {
            checks.add(Action::GetObjectAnnotation, Source);
            checks.add(Action::PutObjectAnnotation, Object);
        }
        "x-amz-copy-source" if !matches!(name, Name::CopyObject | Name::UploadPartCopy) => {
            return Err(ambiguous("only a copy may have x-amz-copy-source"));
        }
        "x-amz-rename-source" => return Err(ambiguous("a rename is not supported")),
        "x-amz-request-route" | "x-amz-request-token" => {
            return Err(ambiguous("a response of Object Lambda is not supported"));
        }
        "x-amz-meta-snowball-auto-extract" if !is_false(value) => {
            return Err(ambiguous("an archive that the store unpacks is not supported"));
        }
        _ if OTHER_METHOD.contains(&header) => {
            return Err(ambiguous("a header or field names another method"));
        }
        _ => {}
    }
    Ok(false)
}

fn add_acl(checks: &mut Checks, writes: bool, creates_bucket: bool) {
    if writes {
        checks.add(Action::PutObjectAcl, Object);
    }
    if creates_bucket {
        checks.add(Action::PutBucketAcl, Bucket);
    }
}

fn is_false(value: &str) -> bool {
    value.eq_ignore_ascii_case("false")
}

/// Returns whether a server could take the body for a form, however lenient its parser is.
fn is_multipart(content_type: &str) -> bool {
    let start = content_type.trim_start().get(..MULTIPART.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}
