//! A directory that tests can change while a layer uses it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tower_credentials::{
    async_trait,
    directory::{
        DelegatedAccess, Directory, DirectoryError, Membership, Project, Role, StaticDirectory,
        User,
    },
    domain::{Delegation, ProjectId, UserId},
};

/// The cause of failures. It must appear in errors but not in responses.
pub const CAUSE: &str = "connection to db-7.internal refused";

/// The users and projects of another directory, with changes.
#[derive(Debug)]
pub struct Registry {
    beneath: StaticDirectory,
    changes: Mutex<Changes>,
    revision: AtomicU64,
    silent: AtomicBool,
    failing: AtomicBool,
    down: AtomicBool,
    calls: AtomicUsize,
}

#[derive(Debug, Default)]
struct Changes {
    users: HashMap<String, Option<bool>>,
    projects: HashMap<String, Option<bool>>,
    roles: HashMap<(String, String), Option<Vec<Role>>>,
    delegations: HashMap<Delegation, DelegatedAccess>,
}

impl Registry {
    pub fn over(beneath: StaticDirectory) -> Self {
        Self {
            beneath,
            changes: Mutex::default(),
            revision: AtomicU64::default(),
            silent: AtomicBool::default(),
            failing: AtomicBool::default(),
            down: AtomicBool::default(),
            calls: AtomicUsize::default(),
        }
    }

    /// Sets whether it reports no revision, like a directory without a change feed.
    pub fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    /// Sets whether lookups fail while it still reports its revision.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// The number of lookups since the last call.
    pub fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    /// Enables or disables a user; `None` removes it.
    pub fn set_user(&self, id: &str, enabled: Option<bool>) {
        self.change(|changes| changes.users.insert(id.into(), enabled));
    }

    /// Enables or disables a project; `None` removes it.
    pub fn set_project(&self, id: &str, enabled: Option<bool>) {
        self.change(|changes| changes.projects.insert(id.into(), enabled));
    }

    pub fn set_roles(&self, user: &str, project: &str, names: &[&str]) {
        let place = (user.into(), project.into());
        self.change(|changes| changes.roles.insert(place, Some(roles(names))));
    }

    /// Removes the user from the project.
    pub fn remove_member(&self, user: &str, project: &str) {
        self.change(|changes| changes.roles.insert((user.into(), project.into()), None));
    }

    /// Makes a delegation valid, with these roles.
    pub fn delegate(
        &self,
        delegation: Delegation,
        user: &str,
        project: Option<&str>,
        names: &[&str],
    ) {
        let project_id = project.map(|id| ProjectId::new(id).unwrap());
        let access = DelegatedAccess::new(UserId::new(user).unwrap(), project_id, roles(names));
        self.change(|changes| changes.delegations.insert(delegation, access));
    }

    pub fn revoke(&self, delegation: &Delegation) {
        self.change(|changes| changes.delegations.remove(delegation));
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Changes) -> T) {
        change(&mut self.changes());
        self.revision.fetch_add(1, Ordering::Release);
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap()
    }

    fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    fn check_up(&self) -> Result<(), DirectoryError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fails = self.is_down() || self.failing.load(Ordering::SeqCst);
        if fails { Err(DirectoryError::new(CAUSE)) } else { Ok(()) }
    }
}

fn roles(names: &[&str]) -> Vec<Role> {
    names.iter().map(|name| Role::new(format!("id-of-{name}"), *name)).collect()
}

#[async_trait]
impl Directory for Registry {
    fn is_open(&self) -> bool {
        false
    }

    /// Returns `None` while it is down, because it does not learn of changes then.
    fn revision(&self) -> Option<u64> {
        let silent = self.silent.load(Ordering::SeqCst) || self.is_down();
        (!silent).then(|| self.revision.load(Ordering::Acquire))
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        self.check_up()?;
        let change = self.changes().users.get(id.as_str()).copied();
        let user = self.beneath.user(id).await?;
        Ok(user.filter(|_| change != Some(None)).map(|mut user| {
            user.enabled = change.flatten().unwrap_or(true);
            user
        }))
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        self.check_up()?;
        let change = self.changes().projects.get(id.as_str()).copied();
        let project = self.beneath.project(id).await?;
        Ok(project.filter(|_| change != Some(None)).map(|mut project| {
            project.enabled = change.flatten().unwrap_or(true);
            project
        }))
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.check_up()?;
        let key = (user_id.as_str().to_owned(), project_id.as_str().to_owned());
        let changed = self.changes().roles.get(&key).cloned();
        match changed {
            Some(roles) => Ok(roles.map(Membership::new)),
            None => self.beneath.membership(user_id, project_id).await,
        }
    }

    async fn delegation(
        &self,
        _: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.check_up()?;
        Ok(self.changes().delegations.get(delegation).cloned())
    }
}
