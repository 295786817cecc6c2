//! The object that a copy reads: `x-amz-copy-source`.

use std::borrow::Cow;

use super::{
    error::{OperationError, ambiguous},
    query::decode,
    target,
};

/// The source of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source<'a> {
    pub(super) bucket: Cow<'a, str>,
    pub(super) key: Cow<'a, str>,
    pub(super) version_id: Option<Cow<'a, str>>,
}

impl<'a> Source<'a> {
    /// Parses `[/]bucket/key[?versionId=VERSION]`. A `+` is a plus.
    pub(super) fn parse(text: &'a str, strict: bool) -> Result<Self, OperationError> {
        let malformed = ambiguous("x-amz-copy-source is not [/]bucket/key[?versionId=VERSION]");
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').ok_or(malformed)?;
        target::check_bucket(bucket)?;
        let key = target::key(key, strict)?.ok_or(malformed)?;
        let version_id = match query {
            None => None,
            Some(query) => {
                let version = query.strip_prefix("versionId=").ok_or(malformed)?;
                let is_plain = !version.is_empty() && !version.contains(['&', '?', '=']);
                Some(decode(version).filter(|_| is_plain).ok_or(malformed)?)
            }
        };
        Ok(Self { bucket: bucket.into(), key, version_id })
    }

    pub(super) fn into_owned(self) -> Source<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Source {
            bucket: owned(self.bucket),
            key: owned(self.key),
            version_id: self.version_id.map(owned),
        }
    }
}
