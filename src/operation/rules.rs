//! [`S3OperationRules`]: from the head of a request to its operation.

use super::{
    batch::{self, ObjectToDelete},
    checks::{Checks, S3Check, S3Resource},
    error::{OperationError, ambiguous},
    extras,
    names::{S3Action, S3OperationName as Name},
    query::Query,
    request::S3Operation,
    row::{Need, Row, VERSION_ID},
    source::Source,
    table::{self, Level},
    target::{self, Target},
};
use crate::signature::request::{RequestHead, SIGNATURE_PARAMETERS};

/// The parameter in which SDKs name the operation. S3 ignores it.
const OF_SDKS: &str = "x-id";

const COPY_SOURCE: &str = "x-amz-copy-source";

/// How to read a request: what the store behind serves, and how it addresses buckets.
///
/// Each setter replaces the value that an earlier call of it set.
#[derive(Clone, Debug)]
#[must_use]
pub struct S3OperationRules {
    base_domains: Vec<String>,
    served: Vec<Name>,
    parameters: Vec<String>,
    strict_keys: bool,
}

impl S3OperationRules {
    /// The rules for a store of the common operations that is addressed by path.
    pub fn new() -> Self {
        Self {
            base_domains: Vec::new(),
            served: table::COMMON.to_vec(),
            parameters: Vec::new(),
            strict_keys: true,
        }
    }

    /// Sets the domains whose subdomains name buckets. Default: none.
    ///
    /// With one, a request for any other host has no operation, unless the host is an address
    /// or `localhost`.
    pub fn base_domains<I>(mut self, domains: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let domains = domains.into_iter().map(Into::into);
        self.base_domains = domains.map(|domain: String| domain.to_ascii_lowercase()).collect();
        self
    }

    /// Sets the operations that the store serves. A store that does not know a sub-resource may
    /// run the plain operation instead. Default: reads, writes, listings, multipart uploads,
    /// tags of objects, versions.
    pub fn serve(mut self, operations: impl IntoIterator<Item = Name>) -> Self {
        self.served = operations.into_iter().collect();
        self
    }

    /// Sets further parameters that every request may have. They must not change what the store
    /// does. Default: none.
    pub fn parameters<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.parameters = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether keys with empty or dot segments, backslashes, control characters or encoded
    /// escape sequences have no operation. Default: `true`. Set `false` only for a store to which
    /// a key is a sequence of bytes.
    pub fn strict_keys(mut self, strict: bool) -> Self {
        self.strict_keys = strict;
        self
    }

    /// Reads what a request does, from its head alone.
    ///
    /// # Errors
    ///
    /// [`OperationError`] if that is not certain, or the store does not serve the operation. See
    /// [`classify_form`](Self::classify_form) for a form that uploads a file.
    pub fn classify<'a>(&self, head: RequestHead<'a>) -> Result<S3Operation<'a>, OperationError> {
        let host = head.host().map_err(|_| ambiguous("the request has no host, or two"))?;
        let path = head.uri().path();
        let target = Target::parse(host, path, &self.base_domains, self.strict_keys)?;
        let query = Query::parse(head.uri().query().unwrap_or_default())?;
        let copies = head.headers().contains_key(COPY_SOURCE);
        let row = self.row(target.level(), head, &query, copies)?;
        let mut checks = Checks::default();
        add_actions(&mut checks, row, target.level(), query.has(VERSION_ID));
        let source = self.source(&mut checks, head, row.name)?;
        let (method, headers) = (head.method(), head.headers());
        let bypasses_retention = extras::add(&mut checks, row.name, method, headers, &query)?;
        let Target { bucket, key } = target;
        Ok(S3Operation { name: row.name, bucket, key, query, source, checks, bypasses_retention })
    }

    /// Reads what the upload of a form does: from its head, the key that the file is stored under,
    /// and the names and values of its other fields.
    ///
    /// # Errors
    ///
    /// [`OperationError`] if that is not certain, or the store does not serve forms.
    pub fn classify_form<'a>(
        &self,
        head: RequestHead<'a>,
        key: &'a str,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<S3Operation<'a>, OperationError> {
        let host = head.host().map_err(|_| ambiguous("the request has no host, or two"))?;
        let target = Target::parse(host, head.uri().path(), &self.base_domains, self.strict_keys)?;
        if target.level() != Level::Bucket || head.uri().query().is_some() {
            return Err(ambiguous("a form is not posted to a bucket"));
        }
        if self.strict_keys && !target::is_strict_key(key) {
            return Err(ambiguous("two stores could read the key differently"));
        }
        if !self.served.contains(&Name::PostObject) {
            return Err(ambiguous("the operation is not served"));
        }
        extras::refuse_other_method(head.headers())?;
        let mut checks = Checks::default();
        checks.add(S3Action::PutObject, S3Resource::Object);
        extras::add_fields(&mut checks, fields)?;
        Ok(S3Operation {
            name: Name::PostObject,
            bucket: target.bucket,
            key: Some(key.into()),
            query: Query::parse("")?,
            source: None,
            checks,
            bypasses_retention: false,
        })
    }

    /// Returns whether a key is one that every store reads alike.
    #[cfg(feature = "s3s")]
    pub(crate) fn is_key(&self, key: &str) -> bool {
        !self.strict_keys || target::is_strict_key(key)
    }

    /// Parses the body of `DeleteObjects`. Returns the objects that it names, in their order.
    ///
    /// # Errors
    ///
    /// [`OperationError`] if the body is malformed, names no object or more than 1,000, or if two
    /// parsers could read it differently: comments, CDATA, other elements, keys with white space
    /// at an end.
    pub fn objects_to_delete(&self, body: &[u8]) -> Result<Vec<ObjectToDelete>, OperationError> {
        batch::parse(body, self.strict_keys)
    }

    /// Returns the only row that fits the request.
    fn row(
        &self,
        level: Level,
        head: RequestHead<'_>,
        query: &Query<'_>,
        copies: bool,
    ) -> Result<&'static Row, OperationError> {
        let mut selected = None;
        for (name, value) in query.iter() {
            let Some(selector) = table::selector(level, name) else { continue };
            if selected.replace(selector).is_some() {
                return Err(ambiguous("two parameters select an operation"));
            }
            if !selector.has_value() && !value.is_empty() {
                return Err(ambiguous("a parameter that selects an operation has a value"));
            }
        }
        let rows = match selected {
            Some(selector) => selector.rows(head.method()),
            None => table::plain(level, head.method()),
        };
        let is_met = |need: &Need| match need {
            Need::CopySource => copies,
            Need::Parameter(name) => query.has(name),
            Need::Value(name, value) => query.get(name).as_deref() == Some(*value),
        };
        let row = rows.iter().find(|row| row.needs.iter().all(is_met));
        let row = row.ok_or(ambiguous("no operation has this method, path and query"))?;
        let is_known = |name: &str| {
            selected.is_some_and(|selector| selector.name == name)
                || row.companions.contains(&name)
                || SIGNATURE_PARAMETERS.contains(&name)
                || name == OF_SDKS
                || extras::is_of_amazon(name)
                || self.parameters.iter().any(|known| known == name)
        };
        if !query.names().all(is_known) {
            return Err(ambiguous("the query has a parameter that the operation does not have"));
        }
        if !self.served.contains(&row.name) {
            return Err(ambiguous("the operation is not served"));
        }
        Ok(row)
    }

    /// Parses the source of a copy, and adds its check.
    fn source<'a>(
        &self,
        checks: &mut Checks,
        head: RequestHead<'a>,
        name: Name,
    ) -> Result<Option<Source<'a>>, OperationError> {
        if !matches!(name, Name::CopyObject | Name::UploadPartCopy) {
            return Ok(None);
        }
        let Some(value) = head.headers().get(COPY_SOURCE) else { return Ok(None) };
        let value = value.to_str().map_err(|_| ambiguous("x-amz-copy-source is not ASCII"))?;
        let source = Source::parse(value, self.strict_keys)?;
        let on = S3Resource::Source;
        if source.version_id.is_some() {
            checks.push(S3Check {
                action: S3Action::GetObjectVersion,
                on,
                alternative: None,
                unversioned: Some(S3Action::GetObject),
            });
        } else {
            checks.add(S3Action::GetObject, on);
        }
        Ok(Some(source))
    }
}

impl Default for S3OperationRules {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds the actions of a row.
fn add_actions(checks: &mut Checks, row: &Row, level: Level, has_version: bool) {
    let on = match level {
        Level::Service => S3Resource::AllBuckets,
        Level::Bucket => S3Resource::Bucket,
        Level::Object => S3Resource::Object,
    };
    for (at, plain) in row.actions.iter().enumerate() {
        let versioned = row.versioned.get(at).filter(|_| has_version);
        checks.push(S3Check {
            action: *versioned.unwrap_or(plain),
            on,
            // A request for a bucket has no prefix that a listing could be allowed for.
            alternative: (row.name == Name::HeadBucket).then_some(S3Action::HeadBucket),
            unversioned: versioned.map(|_| *plain),
        });
    }
}
