//! Computes the expected response to a request that is signed with a key.
//!
//! A key may do at most what its owner's token for the key's project may do now. With a
//! directory, the user and the project must exist and be enabled, and the user must have a
//! place in the project. A root key requires only its project. A key without a project is
//! valid on a data plane, but `s3tokens` and `ec2tokens` reject it, because every token they
//! return has a project. Without a directory, every key that was created remains valid.
//!
//! A key that was created under a delegation is refused unless the plane accepts delegated
//! keys. There the delegation must be valid for the same user and project. The user does
//! not need a place: a trustee need not have one.
//!
//! No plane admits a key from its expiry on. A key with a boundary passes only requests within
//! it, and only on planes that enforce it. `s3tokens` and `ec2tokens` refuse such a key unless
//! the operator accepts it: then the response has the boundary.

use super::Made;
use crate::facts::Facts;

/// A data plane, where signatures are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Ec2Tokens,
    /// `ec2tokens` where it accepts keys with a boundary.
    Ec2TokensBounded,
    /// `ec2tokens` whose issuer ignores the expiry of the key.
    Ec2TokensCareless,
    /// `S3AuthLayer` with the directory.
    Layer,
    /// `S3AuthLayer` without a directory.
    LayerAlone,
    /// `S3AuthLayer` with the directory, where it accepts delegated keys.
    LayerDelegated,
    S3Tokens,
    /// `s3tokens` where it accepts keys with a boundary.
    S3TokensBounded,
    /// `S3sAuth` with the directory, behind the guard.
    S3s,
    /// `S3sAuth` without a directory, behind the guard.
    S3sAlone,
    /// `S3sAuth` with the directory and `S3sAccess`, behind the guard.
    S3sBounded,
    /// `S3sAuth` with the directory, where it accepts delegated keys, behind the guard.
    S3sDelegated,
}

impl Plane {
    pub(crate) const ALL: [Self; 12] = [
        Self::Ec2Tokens,
        Self::Ec2TokensBounded,
        Self::Ec2TokensCareless,
        Self::Layer,
        Self::LayerAlone,
        Self::LayerDelegated,
        Self::S3Tokens,
        Self::S3TokensBounded,
        Self::S3s,
        Self::S3sAlone,
        Self::S3sBounded,
        Self::S3sDelegated,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2Tokens => "ec2tokens",
            Self::Ec2TokensBounded => "ec2tokens bounded",
            Self::Ec2TokensCareless => "ec2tokens careless",
            Self::Layer => "S3AuthLayer",
            Self::LayerAlone => "S3AuthLayer alone",
            Self::LayerDelegated => "S3AuthLayer delegated",
            Self::S3Tokens => "s3tokens",
            Self::S3TokensBounded => "s3tokens bounded",
            Self::S3s => "S3sAuth",
            Self::S3sAlone => "S3sAuth alone",
            Self::S3sBounded => "S3sAuth bounded",
            Self::S3sDelegated => "S3sAuth delegated",
        }
    }

    /// Whether the plane has a directory.
    pub(crate) fn has_directory(self) -> bool {
        !matches!(self, Self::LayerAlone | Self::S3sAlone)
    }

    /// Whether the plane returns tokens or signers instead of passing requests.
    pub(crate) fn returns_signers(self) -> bool {
        matches!(
            self,
            Self::Ec2Tokens
                | Self::Ec2TokensBounded
                | Self::Ec2TokensCareless
                | Self::S3Tokens
                | Self::S3TokensBounded
        )
    }

    /// Whether the plane enforces boundaries, or passes them on.
    pub(crate) fn enforces_boundaries(self) -> bool {
        !matches!(
            self,
            Self::Ec2Tokens
                | Self::Ec2TokensCareless
                | Self::S3Tokens
                | Self::S3s
                | Self::S3sAlone
                | Self::S3sDelegated
        )
    }

    /// Whether the plane differs from another one only for keys with an expiry or a boundary.
    pub(crate) fn is_for_limited(self) -> bool {
        matches!(
            self,
            Self::Ec2TokensBounded
                | Self::Ec2TokensCareless
                | Self::S3TokensBounded
                | Self::S3sBounded
        )
    }

    /// Whether the plane differs from another one only for delegated keys.
    pub(crate) fn is_for_delegated(self) -> bool {
        matches!(self, Self::LayerDelegated | Self::S3sDelegated)
    }
}

/// Whether the plane admits a valid signature with the key, given these facts, so many
/// microseconds after the clock of the requests. The signed request is within the boundary.
pub(crate) fn admits(plane: Plane, facts: &Facts, made: &Made, now: i64) -> bool {
    let delegated = made.delegation.is_some();
    let valid = match plane {
        Plane::LayerAlone | Plane::S3sAlone => !delegated,
        Plane::Layer | Plane::S3s | Plane::S3sBounded => !delegated && owner_is_valid(facts, made),
        Plane::LayerDelegated | Plane::S3sDelegated => owner_is_valid(facts, made),
        Plane::Ec2Tokens
        | Plane::Ec2TokensBounded
        | Plane::Ec2TokensCareless
        | Plane::S3Tokens
        | Plane::S3TokensBounded => owner_is_valid(facts, made) && has_role(facts, made),
    };
    // A token that outlives its key is not returned.
    let careless = plane == Plane::Ec2TokensCareless && made.end.is_some();
    let bounded = made.bounded && !plane.enforces_boundaries();
    let expired = made.end.is_some_and(|end| end <= now);
    made.active && made.ec2 && valid && !careless && !bounded && !expired
}

/// Whether the owner could get a token for the key's project, given these facts.
pub(crate) fn owner_is_valid(facts: &Facts, made: &Made) -> bool {
    let project = made.project.is_none_or(|id| facts.projects.get(id) == Some(&true));
    let user = facts.users.get(made.user) == Some(&true);
    let place = match (&made.delegation, made.project) {
        (Some(_), project) => facts.delegations.is_some_and(|rights| {
            let bound = rights.project.is_none_or(|bound| project == Some(bound));
            rights.user == made.user && bound
        }),
        (None, Some(project)) => facts.has_place(made.user, project),
        (None, None) => true,
    };
    project && (made.root || user && place)
}

/// Whether a token for the key's project would have a role. A root key needs none.
fn has_role(facts: &Facts, made: &Made) -> bool {
    let Some(project) = made.project else { return false };
    match made.delegation {
        Some(_) => facts.delegations.is_some_and(|rights| rights.with_role),
        None => made.root || facts.has_role(made.user, project),
    }
}
