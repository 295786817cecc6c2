//! What an S3 request does: its operation, bucket and key, and the IAM actions that it needs.
//!
//! A store that authorizes requests itself starts with [`S3OperationRules::classify`]. Two servers
//! can read one request differently: a second sub-resource, an encoded slash, a dot segment or
//! an unknown parameter. Such a request has no operation here, but an [`OperationError`].
//!
//! ```
//! use http::Request;
//! use tower_credentials::operation::{S3Action, S3OperationName, S3OperationRules};
//!
//! let request = Request::get("/photos/2026/cat.jpg?versionId=7").header("host", "s3.test");
//! let request = request.body(())?;
//! let operation = S3OperationRules::new().classify((&request).into())?;
//! assert_eq!(operation.name(), S3OperationName::GetObject);
//! assert_eq!((operation.bucket(), operation.key()), (Some("photos"), Some("2026/cat.jpg")));
//! let actions: Vec<_> = operation.checks().map(|check| check.action).collect();
//! assert_eq!(actions, [S3Action::GetObjectVersion]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Sources: Amazon S3 API Reference; Amazon S3 User Guide, "Required permissions for Amazon S3
//! API operations"; Service Authorization Reference, Amazon S3.

mod batch;
mod checks;
mod error;
mod extras;
mod names;
mod query;
mod request;
mod row;
mod rules;
mod source;
mod table;
mod target;

#[cfg(feature = "s3")]
pub(crate) use self::extras::header_of_field;
#[cfg(feature = "s3")]
pub(crate) use self::target::bucket_below;
pub use self::{
    batch::ObjectToDelete,
    checks::{S3Check, S3Resource},
    error::OperationError,
    names::{S3Action, S3OperationName},
    request::S3Operation,
    rules::S3OperationRules,
};
pub(crate) use self::{
    query::decode,
    target::{is_bucket, is_strict_key},
};

#[cfg(test)]
mod tests;
