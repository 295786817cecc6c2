//! The checks that a request needs: an action, and what it acts on.

use super::names::S3Action;

/// The most checks of a request: an upload with every header that adds one.
const MAX_CHECKS: usize = 12;

/// One action that a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Check {
    /// The action.
    pub action: S3Action,
    /// What it acts on.
    pub on: S3Resource,
    /// Another action that is enough instead. A denial of it refuses the request too.
    pub alternative: Option<S3Action>,
    /// The action without a version, for a request with one. A denial of it refuses the request
    /// too, since some stores ignore versions.
    pub unversioned: Option<S3Action>,
}

/// What an action acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum S3Resource {
    /// All buckets: `arn:aws:s3:::*`.
    AllBuckets,
    /// The bucket of the request.
    Bucket,
    /// The object of the request.
    Object,
    /// The object that a copy reads.
    Source,
}

/// The checks of a request, each once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checks {
    checks: [Option<S3Check>; MAX_CHECKS],
    len: usize,
}

impl Checks {
    /// Adds a check, unless it is there.
    pub(super) fn add(&mut self, action: S3Action, on: S3Resource) {
        self.push(S3Check { action, on, alternative: None, unversioned: None });
    }

    pub(super) fn push(&mut self, check: S3Check) {
        if self.iter().any(|known| (known.action, known.on) == (check.action, check.on)) {
            return;
        }
        // The table and the headers together have no more: a test adds them all.
        if let Some(free) = self.checks.get_mut(self.len) {
            *free = Some(check);
            self.len += 1;
        } else {
            debug_assert!(false, "a request has more checks than fit");
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = S3Check> {
        self.checks.iter().flatten().copied()
    }
}

impl IntoIterator for Checks {
    type Item = S3Check;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<S3Check>, MAX_CHECKS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.checks.into_iter().flatten()
    }
}
