//! Users, projects and places, and the settings of the layer under test.

use std::collections::{BTreeMap, BTreeSet};

use tower_credentials::{
    directory::{OpenDirectory, Project, StaticDirectory, User},
    domain::{ProjectId, UserId},
    policy::{DelegatedCallers, RolePolicy},
};

/// The project of most callers.
pub(crate) const HOME: &str = "project-home";
/// Another project.
pub(crate) const AWAY: &str = "project-away";
/// A project that does not exist.
pub(crate) const VOID: &str = "project-void";
/// Both a user and a project.
pub(crate) const TWIN: &str = "twin";

/// The user of most callers, with a place at home.
pub(crate) const ALICE: &str = "user-alice";
/// A colleague at home.
pub(crate) const BOB: &str = "user-bob";
/// A user with a place in the other project only.
pub(crate) const CAROL: &str = "user-carol";
/// A user with a place in both projects, whose default is the other project.
pub(crate) const FRANK: &str = "user-frank";
/// A user without a place anywhere.
pub(crate) const DAVE: &str = "user-dave";
/// A user who does not exist.
pub(crate) const GHOST: &str = "user-ghost";

pub(crate) const USERS: [&str; 7] = [ALICE, BOB, CAROL, FRANK, DAVE, GHOST, TWIN];
pub(crate) const PROJECTS: [&str; 4] = [HOME, AWAY, VOID, TWIN];

/// The facts in a directory, as the oracle sees them.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Every user, and whether it is enabled.
    pub(crate) users: BTreeMap<&'static str, bool>,
    /// Every project, and whether it is enabled.
    pub(crate) projects: BTreeMap<&'static str, bool>,
    /// Pairs of user and project.
    pub(crate) places: BTreeSet<(&'static str, &'static str)>,
    /// The places without a role.
    pub(crate) roleless: BTreeSet<(&'static str, &'static str)>,
    /// The rights of the delegations, if they are valid.
    pub(crate) delegations: Option<DelegationRights>,
}

/// The rights of all valid delegations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DelegationRights {
    pub(crate) user: &'static str,
    /// The project to which they are bound, if any.
    pub(crate) project: Option<&'static str>,
    pub(crate) with_role: bool,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self {
            users: [ALICE, BOB, CAROL, FRANK, DAVE, TWIN].map(|user| (user, true)).into(),
            projects: [HOME, AWAY, TWIN].map(|project| (project, true)).into(),
            places: [
                (ALICE, HOME),
                (BOB, HOME),
                (CAROL, AWAY),
                (FRANK, AWAY),
                (FRANK, HOME),
                (TWIN, TWIN),
            ]
            .into(),
            roleless: BTreeSet::new(),
            delegations: None,
        }
    }

    pub(crate) fn has_user(&self, id: &str) -> bool {
        self.users.contains_key(id)
    }

    pub(crate) fn has_project(&self, id: &str) -> bool {
        self.projects.contains_key(id)
    }

    pub(crate) fn has_place(&self, user: &str, project: &str) -> bool {
        self.places.iter().any(|place| *place == (user, project))
    }

    pub(crate) fn has_role(&self, user: &str, project: &str) -> bool {
        self.has_place(user, project)
            && !self.roleless.iter().any(|place| *place == (user, project))
    }

    /// The user's default project.
    pub(crate) fn default_project(user: &str) -> Option<&'static str> {
        match user {
            ALICE | BOB => Some(HOME),
            CAROL | FRANK => Some(AWAY),
            TWIN => Some(TWIN),
            _ => None,
        }
    }

    /// A directory of these facts.
    pub(crate) fn directory(&self) -> StaticDirectory {
        let mut directory = StaticDirectory::new();
        for (id, enabled) in &self.projects {
            let mut project = Project::new(ProjectId::new(*id).unwrap(), *id);
            project.enabled = *enabled;
            directory = directory.with_project(project);
        }
        for (id, enabled) in &self.users {
            let mut user = User::new(UserId::new(*id).unwrap(), *id);
            user.enabled = *enabled;
            user.default_project_id =
                Self::default_project(id).map(|project| ProjectId::new(project).unwrap());
            directory = directory.with_user(user);
        }
        for (user, project) in &self.places {
            let (user, project) = (UserId::new(*user).unwrap(), ProjectId::new(*project).unwrap());
            directory = directory.with_member(user, project, ["member"]);
        }
        directory
    }
}

/// The table of rights in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Keystone,
    Strict,
}

/// The directory of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryKind {
    /// The layer has no directory.
    Absent,
    /// A directory in which every user exists.
    Open,
    /// A directory of [`Facts::new`].
    Facts,
}

/// The settings of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    pub(crate) directory: DirectoryKind,
    pub(crate) delegated: DelegatedCallers,
    /// Whether gateways may read key pairs.
    pub(crate) service_reads: bool,
    /// Whether secrets are shown in the responses to creates and rotations only.
    pub(crate) shows_once: bool,
    /// The longest life of a key, in seconds.
    pub(crate) max_life: Option<i64>,
}

impl Setting {
    pub(crate) const fn new(name: &'static str, table: Table, directory: DirectoryKind) -> Self {
        let delegated = DelegatedCallers::Refused;
        let (service_reads, shows_once, max_life) = (false, false, None);
        Self { name, table, directory, delegated, service_reads, shows_once, max_life }
    }

    /// The facts in the layer's directory, if it has a directory with facts.
    pub(crate) fn facts(&self) -> Option<Facts> {
        (self.directory == DirectoryKind::Facts).then(Facts::new)
    }

    pub(crate) fn policy(&self) -> RolePolicy {
        let mut policy = match self.table {
            Table::Keystone => RolePolicy::keystone(),
            Table::Strict => RolePolicy::default(),
        };
        policy.delegated = self.delegated;
        policy.service_sees_key_pairs = self.service_reads;
        policy
    }

    pub(crate) fn directory(&self) -> Option<Box<dyn tower_credentials::directory::Directory>> {
        match self.directory {
            DirectoryKind::Absent => None,
            DirectoryKind::Open => Some(Box::new(OpenDirectory)),
            DirectoryKind::Facts => Some(Box::new(Facts::new().directory())),
        }
    }
}
