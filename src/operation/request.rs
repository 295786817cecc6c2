//! [`S3Operation`]: what a request does.

use std::borrow::Cow;

use super::{
    checks::{Checks, S3Check, S3Resource},
    names::{S3Action, S3OperationName},
    query::Query,
    row,
    source::Source,
};

/// What a request does.
///
/// Texts are decoded once. They borrow from the request where nothing was encoded.
#[derive(Clone, Debug)]
pub struct S3Operation<'a> {
    pub(super) name: S3OperationName,
    pub(super) bucket: Option<Cow<'a, str>>,
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) query: Query<'a>,
    pub(super) source: Option<Source<'a>>,
    pub(super) checks: Checks,
    pub(super) bypasses_retention: bool,
}

impl S3Operation<'_> {
    /// Returns the operation.
    #[must_use]
    pub fn name(&self) -> S3OperationName {
        self.name
    }

    /// Returns the bucket. `None` for `ListBuckets`.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Returns the key. `None` for operations on buckets.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the version that the query names.
    #[must_use]
    pub fn version_id(&self) -> Option<Cow<'_, str>> {
        self.query.get(row::VERSION_ID)
    }

    /// Returns a parameter of the query, such as `prefix`; empty if it has no value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query.get(name)
    }

    /// Returns whether the query has a parameter with this name, in any case.
    pub(crate) fn has_parameter_ignoring_case(&self, name: &str) -> bool {
        self.query.names().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Returns bucket and key of the object that a copy reads.
    #[must_use]
    pub fn source(&self) -> Option<(&str, &str)> {
        self.source.as_ref().map(|source| (&*source.bucket, &*source.key))
    }

    /// Returns the version of the object that a copy reads.
    #[must_use]
    pub fn source_version_id(&self) -> Option<&str> {
        self.source.as_ref()?.version_id.as_deref()
    }

    /// Returns the operation with copies of the texts that it borrows.
    #[must_use]
    pub fn into_owned(self) -> S3Operation<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        // Destructured in full so that a new field cannot be forgotten here.
        let Self { name, bucket, key, query, source, checks, bypasses_retention } = self;
        S3Operation {
            name,
            bucket: bucket.map(owned),
            key: key.map(owned),
            query: query.into_owned(),
            source: source.map(Source::into_owned),
            checks,
            bypasses_retention,
        }
    }

    /// Returns whether `DeleteObjects` also deletes objects under a retention, which each key of its
    /// body must be allowed.
    #[cfg(feature = "s3")]
    pub(crate) fn bypasses_retention(&self) -> bool {
        self.bypasses_retention
    }

    /// Returns what must be allowed. All checks must pass.
    ///
    /// `DeleteObjects` has none: each key in its body has the checks of
    /// [`checks_of_deletion`](Self::checks_of_deletion).
    pub fn checks(&self) -> impl Iterator<Item = S3Check> {
        self.checks.iter()
    }

    /// Returns what must be allowed for a key in the body of `DeleteObjects`: with a version, and
    /// with an `ETag` that must match.
    pub fn checks_of_deletion(
        &self,
        has_version: bool,
        has_etag: bool,
    ) -> impl Iterator<Item = S3Check> {
        let on = S3Resource::Object;
        let mut checks = Checks::default();
        if has_version {
            checks.push(S3Check {
                action: S3Action::DeleteObjectVersion,
                on,
                alternative: None,
                unversioned: Some(S3Action::DeleteObject),
            });
        } else {
            checks.add(S3Action::DeleteObject, on);
        }
        if has_etag {
            checks.add(S3Action::GetObject, on);
        }
        if self.bypasses_retention {
            checks.add(S3Action::BypassGovernanceRetention, on);
        }
        checks.into_iter()
    }
}
