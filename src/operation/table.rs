//! Which operation a method, a kind of path and a query name, and which actions it needs.
//!
//! Sources: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations"; Amazon S3
//! API Reference. Where both differ, a row needs the actions of both.

mod bucket;
mod object;

use http::Method;

use self::{bucket::BUCKET, object::OBJECT};
use super::{
    names::{S3Action as Action, S3OperationName as Name},
    row::{Need, PART_NUMBER, Row, Selector, VERSION_ID, row},
};

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Service,
    Bucket,
    Object,
}

/// Returns the selector with this name, if it is one.
pub(super) fn selector(level: Level, name: &str) -> Option<&'static Selector> {
    let selectors = match level {
        Level::Service => return None,
        Level::Bucket => BUCKET,
        Level::Object => OBJECT,
    };
    let found = selectors.binary_search_by(|selector| selector.name.cmp(name)).ok()?;
    selectors.get(found)
}

/// Returns the rows of requests without a selector.
pub(super) fn plain(level: Level, method: &Method) -> &'static [Row] {
    match (level, method) {
        (Level::Service, &Method::GET) => LIST_BUCKETS,
        (Level::Bucket, &Method::GET) => LIST_OBJECTS,
        (Level::Bucket, &Method::HEAD) => HEAD_BUCKET,
        (Level::Bucket, &Method::PUT) => CREATE_BUCKET,
        (Level::Bucket, &Method::DELETE) => DELETE_BUCKET,
        (Level::Object, &Method::GET) => GET_OBJECT,
        (Level::Object, &Method::HEAD) => HEAD_OBJECT,
        (Level::Object, &Method::PUT) => PUT_OBJECT,
        (Level::Object, &Method::DELETE) => DELETE_OBJECT,
        _ => &[],
    }
}

/// The operations that nearly every store serves.
pub(super) const COMMON: &[Name] = &[
    Name::AbortMultipartUpload,
    Name::CompleteMultipartUpload,
    Name::CopyObject,
    Name::CreateBucket,
    Name::CreateMultipartUpload,
    Name::DeleteBucket,
    Name::DeleteObject,
    Name::DeleteObjectTagging,
    Name::DeleteObjects,
    Name::GetBucketLocation,
    Name::GetBucketVersioning,
    Name::GetObject,
    Name::GetObjectAttributes,
    Name::GetObjectTagging,
    Name::HeadBucket,
    Name::HeadObject,
    Name::ListBuckets,
    Name::ListMultipartUploads,
    Name::ListObjectVersions,
    Name::ListObjects,
    Name::ListObjectsV2,
    Name::ListParts,
    Name::PostObject,
    Name::PutBucketVersioning,
    Name::PutObject,
    Name::PutObjectTagging,
    Name::UploadPart,
    Name::UploadPartCopy,
];

/// The parameters of a listing that both versions of it have.
macro_rules! listing {
    ($($own:literal),*) => {
        &["delimiter", "encoding-type", "list-type", "max-keys", "prefix", $($own),*]
    };
}

/// The parameters of a read of an object.
const READ: &[&str] = &[
    PART_NUMBER,
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    VERSION_ID,
];

const LIST_BUCKETS: &[Row] = &[row(Name::ListBuckets, &[Action::ListAllMyBuckets]).with(&[
    "bucket-region",
    "continuation-token",
    "max-buckets",
    "prefix",
])];

const LIST_OBJECTS: &[Row] = &[
    row(Name::ListObjectsV2, &[Action::ListBucket])
        .needs(&[Need::Value("list-type", "2")])
        .with(listing!("continuation-token", "fetch-owner", "start-after")),
    row(Name::ListObjects, &[Action::ListBucket]).with(listing!("marker")),
];

const HEAD_BUCKET: &[Row] = &[row(Name::HeadBucket, &[Action::ListBucket])];
const CREATE_BUCKET: &[Row] = &[row(Name::CreateBucket, &[Action::CreateBucket])];
const DELETE_BUCKET: &[Row] = &[row(Name::DeleteBucket, &[Action::DeleteBucket])];

const GET_OBJECT: &[Row] =
    &[row(Name::GetObject, &[Action::GetObject]).version(&[Action::GetObjectVersion]).with(READ)];

const HEAD_OBJECT: &[Row] =
    &[row(Name::HeadObject, &[Action::GetObject]).version(&[Action::GetObjectVersion]).with(READ)];

const PUT_OBJECT: &[Row] = &[
    row(Name::CopyObject, &[Action::PutObject]).needs(&[Need::CopySource]),
    row(Name::PutObject, &[Action::PutObject]),
];

const DELETE_OBJECT: &[Row] =
    &[row(Name::DeleteObject, &[Action::DeleteObject]).version(&[Action::DeleteObjectVersion])];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_sorted_and_every_operation_has_a_row() {
        for selectors in [BUCKET, OBJECT] {
            assert!(selectors.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let methods = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::POST];
        let levels = [Level::Service, Level::Bucket, Level::Object];
        let plain = levels.iter().flat_map(|level| methods.iter().map(|one| plain(*level, one)));
        let selected = BUCKET.iter().chain(OBJECT);
        let selected = selected.flat_map(|selector| methods.iter().map(|one| selector.rows(one)));
        let rows: Vec<&Row> = plain.chain(selected).flatten().collect();
        for name in Name::ALL {
            // The upload of a form has no head that names it.
            let is_form = *name == Name::PostObject;
            assert_eq!(
                rows.iter().filter(|row| row.name == *name).count(),
                1 - usize::from(is_form),
                "{name}"
            );
        }
    }
}
