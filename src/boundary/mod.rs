//! Boundaries: the most that a key may do, whatever its owner may.
//!
//! A boundary is a policy document of IAM, or a short form that compiles to one. [`Boundary::parse`]
//! accepts what it can enforce and rejects everything else: a condition that it does not know is
//! an error, never ignored. [`Boundary::allows`] decides about a request by its
//! [operation](crate::operation). A denial wins; what nothing allows is denied.
//!
//! ```
//! use http::{HeaderMap, Request};
//! use tower_credentials::{
//!     boundary::{Boundary, RequestFacts},
//!     operation::S3OperationRules,
//! };
//!
//! let text = r#"{"permission": "read", "buckets": ["data"], "prefixes": ["team/"]}"#;
//! let boundary = Boundary::parse(text, "alice")?;
//! let allows = |path: &str| -> Result<bool, Box<dyn std::error::Error>> {
//!     let request = Request::get(path).header("host", "s3.test").body(())?;
//!     let operation = S3OperationRules::new().classify((&request).into())?;
//!     Ok(boundary.allows(&RequestFacts::new(&operation, request.headers(), "alice")))
//! };
//! assert!(allows("/data/team/plan.txt")?);
//! assert!(!allows("/data/other/plan.txt")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Documents
//!
//! Version, Id, Statement; Sid, Effect, Action or `NotAction`, Resource or `NotResource`, Condition.
//! `*` and `?` are wildcards and also match `/`. Variables are `${aws:username}` and
//! `${aws:userid}` (both are the id of the key's owner), `${*}`, `${?}` and `${$}`. A `Deny` and a
//! `NotAction` must name actions that exist: a misspelt denial denies nothing. Other actions and
//! other services are accepted elsewhere, and never match.
//!
//! # Conditions
//!
//! A key that the request does not have is absent: a plain operator fails, a negated one and one
//! with `IfExists` hold. A key whose value cannot be seen, because it is in the body or in a
//! parameter that stores may ignore, is unknown: a statement with it cannot allow, and a denial
//! with it counts as if the condition held.
//!
//! `aws:PrincipalArn`, `aws:PrincipalType` and `aws:TokenIssueTime` are those of the
//! [session](crate::session), if one signs the request. Whoever has the key's secret can make a
//! session of any kind and name, so these conditions cannot restrict the key's owner.
//!
//! Sources: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic".

mod actions;
mod condition;
mod document;
mod error;
mod facts;
mod json;
mod keys;
mod pattern;
mod search;
mod short;
mod variables;

use serde_json::Value as JsonValue;

use self::{condition::Truth, document::Statement, json::Json, short::ShortForm};
pub use self::{
    error::BoundaryError,
    facts::{AuthType, Principal, RequestFacts},
};
use crate::operation::{S3Action, S3Check, S3Resource};

/// The largest document, in bytes of compact JSON.
const MAX_DOCUMENT: usize = 2_048;

/// The largest text, in bytes.
const MAX_TEXT: usize = 8 * MAX_DOCUMENT;

/// The name of the member, for paths in errors.
const MEMBER: &str = "boundary";

/// The name of a policy document that stands alone, for paths in errors.
const POLICY: &str = "policy";

/// What is wrong with a text that does not parse.
const NOT_JSON: &str = "not JSON, or with a duplicate member";

/// What a key may do at most.
#[derive(Clone, Debug)]
pub struct Boundary {
    document: JsonValue,
    statements: Vec<Statement>,
}

/// How much of a bucket's keys actions reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// All keys, whatever the request.
    All,
    /// No key.
    None,
    /// That depends on the key or on the request.
    Some,
}

impl Boundary {
    /// Parses a boundary in its short form, or `{"policy": DOCUMENT}`. Variables stand for the id of
    /// the key's owner.
    ///
    /// # Errors
    ///
    /// [`BoundaryError`] with the path of the member that is not valid.
    pub fn parse(text: &str, user_id: &str) -> Result<Self, BoundaryError> {
        let invalid = |_| BoundaryError::new(MEMBER, NOT_JSON);
        let json = parse(text, MEMBER)?;
        let Json::Object(members) = &json else {
            return Err(BoundaryError::new(MEMBER, "not an object"));
        };
        let place = format!("{MEMBER}.policy");
        if let Some((_, policy)) = members.iter().find(|(name, _)| name == "policy") {
            if members.len() > 1 {
                return Err(BoundaryError::new(MEMBER, "policy must be the only member"));
            }
            let document: JsonValue = serde_json::from_str(text).map_err(invalid)?;
            let document = document.get("policy").cloned().unwrap_or_default();
            return Self::of(document, policy, &place, user_id);
        }
        let document = ShortForm::parse(members, MEMBER)?.document();
        let policy = Json::parse(&document.to_string()).map_err(invalid)?;
        Self::of(document, &policy, MEMBER, user_id)
    }

    /// Parses a policy document. Variables stand for this user's id.
    ///
    /// # Errors
    ///
    /// [`BoundaryError`] with the path of the member that is not valid.
    pub fn parse_policy(text: &str, user_id: &str) -> Result<Self, BoundaryError> {
        let policy = parse(text, POLICY)?;
        let invalid = |_| BoundaryError::new(POLICY, NOT_JSON);
        Self::of(serde_json::from_str(text).map_err(invalid)?, &policy, POLICY, user_id)
    }

    fn of(
        document: JsonValue,
        policy: &Json,
        place: &str,
        user_id: &str,
    ) -> Result<Self, BoundaryError> {
        if document.to_string().len() > MAX_DOCUMENT {
            return Err(BoundaryError::size(place, "larger than 2,048 bytes"));
        }
        let statements = document::compile(policy, place, user_id)?;
        Ok(Self { document, statements })
    }

    /// Returns the policy document.
    #[must_use]
    pub fn document(&self) -> &JsonValue {
        &self.document
    }

    /// Returns whether a request is within the boundary: every check of its operation is allowed
    /// and none is denied.
    ///
    /// `DeleteObjects` names its keys in its body, so that its head alone is never allowed: ask
    /// [`allows_deletion`](Self::allows_deletion) about each key.
    #[must_use]
    pub fn allows(&self, facts: &RequestFacts<'_>) -> bool {
        let operation = facts.operation();
        let mut checks = operation.checks().peekable();
        checks.peek().is_some() && checks.all(|check| self.passes(check, facts, operation.key()))
    }

    /// Returns whether `DeleteObjects` may delete a key of its body.
    #[must_use]
    pub fn allows_deletion(
        &self,
        facts: &RequestFacts<'_>,
        key: &str,
        version_id: Option<&str>,
        has_etag: bool,
    ) -> bool {
        let facts = facts.of_version(version_id);
        let mut checks = facts.operation().checks_of_deletion(version_id.is_some(), has_etag);
        checks.all(|check| self.passes(check, &facts, Some(key)))
    }

    /// Returns how many keys of a bucket actions reach, without a request: `All` only if statements
    /// without conditions allow every action on every key, and no denial could match one.
    #[must_use]
    pub fn reach(&self, actions: &[S3Action], bucket: &str) -> Reach {
        let keys = [bucket, "/"];
        let concerns = |statement: &Statement, action| statement.actions.contains(action);
        let is_open = |action: &S3Action| {
            let allowed = self.statements.iter().any(|it| {
                !it.denies && it.conditions.is_empty() && concerns(it, *action) && it.covers(&keys)
            });
            let denied = self.statements.iter().any(|statement| {
                statement.denies && concerns(statement, *action) && statement.overlaps(&keys)
            });
            allowed && !denied
        };
        if actions.iter().all(is_open) {
            return Reach::All;
        }
        let may_allow = |statement: &Statement| {
            let concerns = actions.iter().any(|action| concerns(statement, *action));
            !statement.denies && concerns && statement.overlaps(&keys)
        };
        if self.statements.iter().any(may_allow) { Reach::Some } else { Reach::None }
    }

    fn passes(&self, check: S3Check, facts: &RequestFacts<'_>, key: Option<&str>) -> bool {
        let mut is_allowed = false;
        for statement in &self.statements {
            let concerns = |action| statement.actions.contains(action);
            let concerned = if statement.denies {
                let others = [check.alternative, check.unversioned];
                concerns(check.action) || others.into_iter().flatten().any(concerns)
            } else {
                concerns(check.action) || check.alternative.is_some_and(concerns)
            };
            if concerned && statement.matches(check, facts, key) {
                if statement.denies {
                    return false;
                }
                is_allowed = true;
            }
        }
        is_allowed
    }
}

/// Parses a text of limited size.
fn parse(text: &str, place: &str) -> Result<Json, BoundaryError> {
    // White space does not count towards the size of a document, but has an end.
    if text.len() > MAX_TEXT {
        return Err(BoundaryError::size(place, "larger than 16 KiB"));
    }
    Json::parse(text).map_err(|_| BoundaryError::new(place, NOT_JSON))
}

impl Statement {
    /// Returns whether resource and conditions match. The actions have been compared.
    fn matches(&self, check: S3Check, facts: &RequestFacts<'_>, key: Option<&str>) -> bool {
        let operation = facts.operation();
        let bucket = operation.bucket().unwrap_or_default();
        let is_matching = match (check.on, operation.source()) {
            (S3Resource::AllBuckets, _) => self.matches_resource(&["*"]),
            (S3Resource::Bucket, _) => self.matches_resource(&[bucket]),
            (S3Resource::Object, _) => {
                self.matches_resource(&[bucket, "/", key.unwrap_or_default()])
            }
            (S3Resource::Source, source) => {
                let (bucket, key) = source.unwrap_or_default();
                self.matches_resource(&[bucket, "/", key])
            }
        };
        is_matching
            && self.conditions.iter().all(|(condition, having)| {
                let value = facts.value(&condition.key, check, *having);
                match condition.holds(&value) {
                    Truth::Holds => true,
                    Truth::Fails => false,
                    Truth::Unknown => self.denies,
                }
            })
    }

    fn matches_resource(&self, parts: &[&str]) -> bool {
        self.resources.iter().any(|pattern| pattern.matches(parts)) != self.excludes
    }

    /// Returns whether the statement is about every resource with this beginning.
    fn covers(&self, start: &[&str]) -> bool {
        if self.excludes {
            return !self.resources.iter().any(|pattern| pattern.overlaps(start));
        }
        self.resources.iter().any(|pattern| pattern.covers(start))
    }

    /// Returns whether the statement could be about a resource with this beginning.
    fn overlaps(&self, start: &[&str]) -> bool {
        if self.excludes {
            return !self.resources.iter().any(|pattern| pattern.covers(start));
        }
        self.resources.iter().any(|pattern| pattern.overlaps(start))
    }
}

#[cfg(test)]
mod tests;
