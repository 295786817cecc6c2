//! [`Role`]: a role that keys can assume, and [`RoleSource`], which knows all roles.

use std::{
    collections::HashMap, error::Error as StdError, fmt, ops::RangeInclusive, sync::Arc,
    time::Duration,
};

use crate::{
    boundary::{Boundary, BoundaryError},
    domain::{ProjectId, UserId},
};

/// The shortest and the longest maximum of a role session.
const MIN_DURATION: Duration = Duration::from_hours(1);
const MAX_DURATION: Duration = Duration::from_hours(12);

/// The bounds of the length of an ARN, in characters.
const ARN: RangeInclusive<usize> = 20..=2_048;

/// A role: what a session may do that assumes it, and who may assume it.
///
/// A role gives nobody a right. A session may do what its user may, within the boundary of the key
/// that signed the request, the boundary of the role, and the policy of the request.
///
/// ```
/// use tower_credentials::{aws::Role, domain::UserId};
///
/// let role = Role::new("arn:aws:iam::000000000000:role/reader")?
///     .boundary(r#"{"permission": "read", "buckets": ["lake"]}"#)?
///     .user(UserId::new("alice")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Debug` leaves out the boundary and the external id.
#[derive(Clone)]
pub struct Role {
    arn: String,
    policy: Option<String>,
    max_duration: Duration,
    external_id: Option<String>,
    users: Vec<UserId>,
    projects: Vec<ProjectId>,
}

impl Role {
    /// Creates a role without a boundary, that nobody may assume, for at most an hour.
    ///
    /// # Errors
    ///
    /// [`InvalidRole::Arn`] if the ARN has less than 20 or more than 2,048 characters.
    pub fn new(arn: impl Into<String>) -> Result<Self, InvalidRole> {
        let arn = arn.into();
        if !ARN.contains(&arn.chars().count()) {
            return Err(InvalidRole::Arn);
        }
        let (users, projects) = (Vec::new(), Vec::new());
        let max_duration = MIN_DURATION;
        Ok(Self { arn, policy: None, max_duration, external_id: None, users, projects })
    }

    /// Sets the most that a session may do: a boundary in its short form, or
    /// `{"policy": DOCUMENT}`.
    ///
    /// # Errors
    ///
    /// [`InvalidRole::Boundary`] if [`Boundary::parse`] rejects it.
    pub fn boundary(mut self, boundary: &str) -> Result<Self, InvalidRole> {
        let parsed = Boundary::parse(boundary, "user").map_err(InvalidRole::Boundary)?;
        self.policy = Some(parsed.document().to_string());
        Ok(self)
    }

    /// Sets the longest session. Default: an hour.
    ///
    /// # Errors
    ///
    /// [`InvalidRole::Duration`] if it is less than an hour or more than 12 hours.
    pub fn longest(mut self, duration: Duration) -> Result<Self, InvalidRole> {
        if !(MIN_DURATION..=MAX_DURATION).contains(&duration) {
            return Err(InvalidRole::Duration);
        }
        self.max_duration = duration;
        Ok(self)
    }

    /// Sets the `ExternalId` that a request must have. Default: none, and any is accepted.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Lets the keys of this user assume the role.
    #[must_use]
    pub fn user(mut self, id: UserId) -> Self {
        self.users.push(id);
        self
    }

    /// Lets the keys in this project assume the role.
    #[must_use]
    pub fn project(mut self, id: ProjectId) -> Self {
        self.projects.push(id);
        self
    }

    /// Returns the ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub(crate) fn admits(&self, user_id: &UserId, project_id: Option<&ProjectId>) -> bool {
        self.users.contains(user_id) || project_id.is_some_and(|id| self.projects.contains(id))
    }

    pub(crate) fn is_external_id(&self, id: Option<&str>) -> bool {
        self.external_id.is_none() || self.external_id.as_deref() == id
    }

    /// Returns the policy document of the boundary.
    pub(crate) fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    pub(crate) fn max_duration(&self) -> Duration {
        self.max_duration
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role")
            .field("arn", &self.arn)
            .field("max_duration", &self.max_duration)
            .finish_non_exhaustive()
    }
}

/// Knows the roles that keys can assume.
pub trait RoleSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the role with this ARN.
    fn find(&self, arn: &str) -> Option<Arc<Role>>;
}

forward_pointers!(RoleSource {
    fn find(&self, arn: &str) -> Option<Arc<Role>>;
});

/// Roles that do not change.
#[derive(Clone, Debug, Default)]
pub struct StaticRoles(HashMap<String, Arc<Role>>);

impl StaticRoles {
    /// Creates a source without roles.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role. One with the same ARN replaces it.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.0.insert(role.arn.clone(), Arc::new(role));
        self
    }
}

impl RoleSource for StaticRoles {
    fn find(&self, arn: &str) -> Option<Arc<Role>> {
        self.0.get(arn).cloned()
    }
}

/// Why a role is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRole {
    /// The ARN has less than 20 or more than 2,048 characters.
    Arn,
    /// The boundary is not valid.
    Boundary(BoundaryError),
    /// The longest session is less than an hour or more than 12 hours.
    Duration,
}

impl fmt::Display for InvalidRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arn => f.write_str("the ARN of a role must have 20 to 2,048 characters"),
            Self::Boundary(error) => error.fmt(f),
            Self::Duration => f.write_str("the longest session of a role is 1 to 12 hours"),
        }
    }
}

impl StdError for InvalidRole {}
