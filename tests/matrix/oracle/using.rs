//! The expected response to a request that is signed with a key.
//!
//! A key does on a data plane at most what its owner's own token for its project could do
//! now. With a directory, the user and the project exist and are enabled, and the user has
//! a place in the project. A root key needs its project alone. A key without a project
//! verifies and reaches no project; no token is for no project, so the calls that answer
//! with a token refuse it. Without a directory, what the create admitted stands.
//!
//! A key that was made under a delegation is refused, but where delegated keys are
//! accepted. There the delegation stands for the same user and project, in place of a
//! place: a trustee need not have one.

use super::Made;
use crate::facts::Facts;

/// Where a signature is honored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Ec2Tokens,
    /// `S3AuthLayer` with the directory.
    Layer,
    /// `S3AuthLayer` without a directory.
    LayerAlone,
    /// `S3AuthLayer` with the directory, where it accepts delegated keys.
    LayerDelegated,
    S3Tokens,
    /// `S3sAuth` with the directory, behind the guard.
    S3s,
    /// `S3sAuth` without a directory, behind the guard.
    S3sAlone,
    /// `S3sAuth` with the directory, where it accepts delegated keys, behind the guard.
    S3sDelegated,
}

impl Plane {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ec2Tokens,
        Self::Layer,
        Self::LayerAlone,
        Self::LayerDelegated,
        Self::S3Tokens,
        Self::S3s,
        Self::S3sAlone,
        Self::S3sDelegated,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2Tokens => "ec2tokens",
            Self::Layer => "S3AuthLayer",
            Self::LayerAlone => "S3AuthLayer alone",
            Self::LayerDelegated => "S3AuthLayer delegated",
            Self::S3Tokens => "s3tokens",
            Self::S3s => "S3sAuth",
            Self::S3sAlone => "S3sAuth alone",
            Self::S3sDelegated => "S3sAuth delegated",
        }
    }

    /// Whether the plane knows the facts.
    pub(crate) fn has_directory(self) -> bool {
        !matches!(self, Self::LayerAlone | Self::S3sAlone)
    }

    /// Whether the plane differs from another one for delegated keys alone.
    pub(crate) fn is_for_delegated(self) -> bool {
        matches!(self, Self::LayerDelegated | Self::S3sDelegated)
    }
}

/// Whether a valid signature with the key is admitted while these are the facts.
pub(crate) fn admits(plane: Plane, facts: &Facts, made: &Made) -> bool {
    let delegated = made.delegation.is_some();
    let stands = match plane {
        Plane::LayerAlone | Plane::S3sAlone => !delegated,
        Plane::Layer | Plane::S3s => !delegated && owner_stands(facts, made),
        Plane::LayerDelegated | Plane::S3sDelegated => owner_stands(facts, made),
        Plane::Ec2Tokens | Plane::S3Tokens => owner_stands(facts, made) && has_role(facts, made),
    };
    made.active && made.ec2 && stands
}

/// Whether the owner's own token for the key's project could be had while these are the
/// facts.
pub(crate) fn owner_stands(facts: &Facts, made: &Made) -> bool {
    let project = made.project.is_none_or(|id| facts.projects.get(id) == Some(&true));
    let user = facts.users.get(made.user) == Some(&true);
    let place = match (&made.delegation, made.project) {
        (Some(_), project) => facts.standing.is_some_and(|standing| {
            let bound = standing.project.is_none_or(|bound| project == Some(bound));
            standing.user == made.user && bound
        }),
        (None, Some(project)) => facts.has_place(made.user, project),
        (None, None) => true,
    };
    project && (made.root || user && place)
}

/// Whether a token for the key's project would hold a role; a root key needs none.
fn has_role(facts: &Facts, made: &Made) -> bool {
    let Some(project) = made.project else { return false };
    match made.delegation {
        Some(_) => facts.standing.is_some_and(|standing| standing.with_role),
        None => made.root || facts.has_role(made.user, project),
    }
}
