//! Every kind of caller.

use std::time::{Duration, UNIX_EPOCH};

use tower_credentials::{
    auth::StaticTokens,
    domain::{Caller, Delegation, ProjectId, Scope, UserId},
};

use crate::{
    facts::{ALICE, AWAY, CAROL, DAVE, FRANK, HOME, TWIN},
    world::START,
};

pub(crate) const ADMIN: &str = "admin";
pub(crate) const MANAGES_OWN: &str = "key_management_user";
pub(crate) const MANAGES_ALL: &str = "key_management_admin";
pub(crate) const LISTS_OWN: &str = "key_listing_user";
pub(crate) const LISTS_ALL: &str = "key_listing_admin";
pub(crate) const IMPERSONATE: &str = "impersonate";
pub(crate) const READER: &str = "reader";
pub(crate) const MEMBER: &str = "member";
pub(crate) const SERVICE: &str = "service";

/// Each role alone, and the sets of roles that matter.
const ROLES: [&[&str]; 34] = [
    &[],
    &[ADMIN],
    &[MANAGES_OWN],
    &[MANAGES_ALL],
    &[LISTS_OWN],
    &[LISTS_ALL],
    &[IMPERSONATE],
    &[READER],
    &[MEMBER],
    &[SERVICE],
    &[MANAGES_OWN, LISTS_OWN],
    &[MANAGES_OWN, LISTS_ALL],
    &[MANAGES_ALL, LISTS_OWN],
    &[MANAGES_ALL, LISTS_ALL],
    &[MANAGES_OWN, IMPERSONATE],
    &[MANAGES_ALL, IMPERSONATE],
    &[LISTS_OWN, IMPERSONATE],
    &[LISTS_ALL, IMPERSONATE],
    &[MANAGES_OWN, LISTS_OWN, IMPERSONATE],
    &[MANAGES_OWN, LISTS_ALL, IMPERSONATE],
    &[MANAGES_ALL, LISTS_OWN, IMPERSONATE],
    &[MANAGES_ALL, LISTS_ALL, IMPERSONATE],
    &[MANAGES_OWN, MANAGES_ALL],
    &[LISTS_OWN, LISTS_ALL],
    &[READER, MEMBER],
    &[READER, LISTS_OWN],
    &[READER, MANAGES_OWN],
    &[MEMBER, MANAGES_OWN],
    &[MEMBER, LISTS_OWN],
    &[MEMBER, MANAGES_OWN, LISTS_OWN],
    &[MEMBER, IMPERSONATE],
    &[SERVICE, MEMBER],
    &[SERVICE, LISTS_ALL],
    &[ADMIN, IMPERSONATE],
];

/// The scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Domain,
    Project(&'static str),
    System,
    Unscoped,
}

/// The token that the caller presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presents {
    Expired,
    Nothing,
    Valid,
    Wrong,
}

/// A caller, as the oracle sees it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) user: &'static str,
    pub(crate) at: At,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) delegation: Option<Delegation>,
    pub(crate) presents: Presents,
}

impl Subject {
    fn new(user: &'static str, at: At, roles: &[&'static str]) -> Self {
        let name = format!("{user} {at:?} [{}]", roles.join("+"));
        let roles = roles.to_vec();
        Self { name, user, at, roles, delegation: None, presents: Presents::Valid }
    }

    fn with_delegation(mut self, delegation: Delegation) -> Self {
        self.name = format!("{} by {delegation:?}", self.name);
        self.delegation = Some(delegation);
        self
    }

    fn presenting(mut self, presents: Presents) -> Self {
        self.name = format!("{} with token {presents:?}", self.name);
        self.presents = presents;
        self
    }

    pub(crate) fn has(&self, role: &str) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn has_any(&self, roles: &[&str]) -> bool {
        roles.iter().any(|role| self.has(role))
    }

    pub(crate) fn project(&self) -> Option<&'static str> {
        match self.at {
            At::Project(id) => Some(id),
            At::Domain | At::System | At::Unscoped => None,
        }
    }

    /// The token that the caller presents.
    pub(crate) fn token(&self) -> Option<&'static str> {
        match self.presents {
            Presents::Expired | Presents::Valid => Some(TOKEN),
            Presents::Nothing => None,
            Presents::Wrong => Some("unknown-token"),
        }
    }

    /// A validator that accepts only this caller's token.
    pub(crate) fn validator(&self) -> StaticTokens {
        let scope = match self.at {
            At::Domain => Scope::Domain("default".into()),
            At::Project(id) => Scope::Project(ProjectId::new(id).unwrap()),
            At::System => Scope::System,
            At::Unscoped => Scope::Unscoped,
        };
        let mut caller = Caller::new(UserId::new(self.user).unwrap(), scope);
        caller = caller.with_roles(self.roles.iter().copied());
        if let Some(delegation) = &self.delegation {
            caller = caller.with_delegation(delegation.clone());
        }
        if self.presents == Presents::Expired {
            caller = caller.with_expiry(UNIX_EPOCH + START - Duration::from_secs(1));
        }
        StaticTokens::new().with_token(TOKEN, self.user, caller)
    }
}

/// The token of every caller, which no response may repeat.
pub(crate) const TOKEN: &str = "token-that-no-response-repeats";

/// Every delegation that a caller may have.
pub(crate) fn delegations() -> [Delegation; 6] {
    [
        Delegation::Trust { id: "t".into() },
        Delegation::ApplicationCredential { id: "a".into(), restricted: false },
        Delegation::ApplicationCredential { id: "r".into(), restricted: true },
        Delegation::AccessToken { id: "o".into() },
        Delegation::Ec2Credential,
        Delegation::Other,
    ]
}

/// Every caller of the matrix.
pub(crate) fn all() -> Vec<Subject> {
    let mut all = Vec::new();
    for at in [At::Project(HOME), At::Project(AWAY), At::Unscoped] {
        all.extend(ROLES.map(|roles| Subject::new(ALICE, at, roles)));
    }
    // No role, each role alone, and the sets that reach other projects.
    let pairs = ROLES.iter().filter(|roles| roles.len() < 2 || roles.contains(&IMPERSONATE));
    for at in [At::Domain, At::System] {
        all.extend(pairs.clone().map(|roles| Subject::new(ALICE, at, roles)));
    }
    let users: &[&[&'static str]] = &[
        &[MANAGES_OWN, LISTS_OWN],
        &[MANAGES_ALL, LISTS_ALL],
        &[MANAGES_OWN, LISTS_OWN, IMPERSONATE],
        &[MANAGES_ALL, LISTS_ALL, IMPERSONATE],
        &[MEMBER, READER],
        &[ADMIN],
    ];
    for (user, project) in
        [(FRANK, HOME), (FRANK, AWAY), (CAROL, AWAY), (DAVE, HOME), (TWIN, TWIN), (TWIN, HOME)]
    {
        all.extend(users.iter().map(|roles| Subject::new(user, At::Project(project), roles)));
    }
    for role in [MANAGES_OWN, MANAGES_ALL, LISTS_OWN, LISTS_ALL] {
        all.push(Subject::new(TWIN, At::Project(TWIN), &[role]));
    }
    for role in [ADMIN, READER] {
        all.push(Subject::new(DAVE, At::System, &[role]));
    }
    all.extend(delegated());
    for presents in [Presents::Expired, Presents::Nothing, Presents::Wrong] {
        all.push(Subject::new(ALICE, At::Project(HOME), &[ADMIN]).presenting(presents));
    }
    all
}

/// Callers with a delegation.
pub(crate) fn delegated() -> Vec<Subject> {
    let mut all = Vec::new();
    for delegation in delegations() {
        for (at, roles) in [
            (At::Project(HOME), &[ADMIN][..]),
            (At::Project(HOME), &[MANAGES_ALL, LISTS_ALL, IMPERSONATE]),
            (At::Project(HOME), &[MANAGES_ALL, LISTS_ALL]),
            (At::Project(HOME), &[MANAGES_OWN, LISTS_OWN]),
            (At::Project(HOME), &[MEMBER, READER]),
            (At::Project(AWAY), &[MEMBER, MANAGES_OWN, LISTS_OWN]),
            (At::Unscoped, &[MEMBER, MANAGES_OWN, LISTS_OWN]),
            (At::System, &[ADMIN]),
        ] {
            all.push(Subject::new(ALICE, at, roles).with_delegation(delegation.clone()));
        }
    }
    all
}
