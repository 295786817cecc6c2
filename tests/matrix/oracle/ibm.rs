//! The rules of IBM's dialect.
//!
//! Refusals, in this order:
//!
//! 1. The caller has no role for the operation: 403.
//! 2. The caller names itself, and an existing project in which it has no place: 405.
//! 3. The caller's scope and roles do not cover the target: 403.
//! 4. The user or the project does not exist: 404.
//! 5. The user has no place in the project: 405.
//!
//! A key that the caller may not see is 404.

use super::{Expected, Made, Oracle, Rights, Success, limit};
use crate::{
    callers::At,
    operations::{Operation, Which, Wire},
    records::Seed,
};

impl Oracle<'_> {
    pub(super) fn ibm(&self, rights: &Rights<'_>, operation: &Operation) -> Expected {
        let of = |user: Option<&'static str>| user.unwrap_or(rights.caller.user);
        match *operation {
            Operation::IbmUpdateToNull(_) => Expected::refused(400),
            // Neither the request nor the token names a project: the request is malformed.
            Operation::IbmCreate { project: None, .. } if rights.caller.project().is_none() => {
                Expected::refused(400)
            }
            _ if rights.is_refused_outright(Wire::Ibm) => Expected::refused(403),
            Operation::IbmCreate { user, project, inactive, .. } => {
                let project = project.or(rights.caller.project());
                let project = project.expect("checked above");
                self.ibm_create(rights, of(user), project, !inactive)
            }
            Operation::IbmCreateLimited { user, project } => {
                self.ibm_create(rights, user, project, true).with(limit)
            }
            Operation::IbmDelete(which) => self.ibm_change(rights, which, Success::Deleted),
            Operation::IbmList { user, project } => self.ibm_list(rights, user, project),
            Operation::IbmShow(which) => self.ibm_show(rights, which),
            Operation::IbmRotate(which, overlap) => self.ibm_rotate(rights, which, overlap),
            Operation::IbmUpdate(which) => {
                let changed = |number| Success::Changed(number, self.records[number].made());
                self.ibm_change(rights, which, changed).with(|made| made.active = false)
            }
            Operation::IbmUpdateTerms(which) => {
                let changed = |number| Success::Changed(number, self.records[number].made());
                self.limited(self.ibm_change(rights, which, changed))
            }
            _ => unreachable!("{operation:?}"),
        }
    }

    fn ibm_create(
        &self,
        rights: &Rights<'_>,
        user: &'static str,
        project: &'static str,
        active: bool,
    ) -> Expected {
        if !rights.holds_management() {
            return Expected::refused(403);
        }
        // On the wire a root key's user is its project.
        let root = user == project;
        let owner = (!root).then_some(user);
        if let Some(refusal) = self.ibm_target(rights, owner, project) {
            return refusal;
        }
        let manages = rights.manages(owner, Some(project))
            && rights.delegation_reaches(Some(project), true)
            && !rights.is_restricted();
        if !manages {
            return Expected::refused(403);
        }
        if let Some(refusal) = self.ibm_existence(owner, project) {
            return refusal;
        }
        let delegation = rights.stamp();
        let made = Made { root, active, delegation, ..Made::pair(user, Some(project)) };
        Expected::granted(Success::Made(made))
    }

    /// Step 2: the caller's own user id with a project in which it has no place.
    fn ibm_target(
        &self,
        rights: &Rights<'_>,
        owner: Option<&str>,
        project: &str,
    ) -> Option<Expected> {
        let oneself = rights.is(owner) && !self.lacks_user(rights.caller.user);
        let exists = !self.lacks_project(project);
        let lacks = oneself && exists && self.lacks_place(rights.caller.user, project);
        lacks.then(|| Expected::refused(405))
    }

    /// Steps 4 and 5, for callers whose role covers the project.
    pub(super) fn ibm_existence(&self, owner: Option<&str>, project: &str) -> Option<Expected> {
        if owner.is_some_and(|user| self.lacks_user(user)) || self.lacks_project(project) {
            return Some(Expected::refused(404));
        }
        let lacks = owner.is_some_and(|user| self.lacks_place(user, project));
        lacks.then(|| Expected::refused(405))
    }

    fn ibm_list(
        &self,
        rights: &Rights<'_>,
        user: Option<&'static str>,
        project: Option<&'static str>,
    ) -> Expected {
        if !rights.holds_listing() {
            return Expected::refused(403);
        }
        let sees = |seed: &Seed| ibm_sees(rights, seed);
        let Some(project) = project else {
            return self.ibm_list_of_user(rights, user.unwrap_or(rights.caller.user));
        };
        // A project without a user selects its root keys.
        let owner = user.filter(|user| *user != project);
        if let Some(refusal) = self.ibm_target(rights, owner, project) {
            return refusal;
        }
        if !rights.covers(project) || !(rights.is(owner) || rights.lists_all()) {
            return Expected::refused(403);
        }
        if let Some(refusal) = self.ibm_existence(owner, project) {
            return refusal;
        }
        let wire_user = user.unwrap_or(project);
        let asked = |seed: &Seed| seed.user == wire_user && seed.project == Some(project);
        let must = self.numbers(|seed| {
            sees(seed) && asked(seed) && (user.is_some_and(|user| user != project) || seed.root)
        });
        let may = self.numbers(|seed| sees(seed) && asked(seed));
        Expected::granted(Success::Listed { must, may })
    }

    fn ibm_list_of_user(&self, rights: &Rights<'_>, user: &'static str) -> Expected {
        let oneself = user == rights.caller.user;
        if !oneself && !rights.lists_all() {
            return Expected::refused(403);
        }
        let reaches =
            oneself || rights.impersonates() || matches!(rights.caller.at, At::Project(_));
        if !reaches {
            return Expected::refused(403);
        }
        // The id of the token's project names its root keys.
        let root = !oneself && rights.caller.project() == Some(user) && !self.lacks_project(user);
        if !root && self.lacks_user(user) {
            return Expected::refused(404);
        }
        let asked = |seed: &Seed| seed.user == user && ibm_sees(rights, seed);
        let must = self.numbers(|seed| asked(seed) && (!root || seed.root));
        Expected::granted(Success::Listed { must, may: self.numbers(asked) })
    }

    fn ibm_show(&self, rights: &Rights<'_>, which: Which) -> Expected {
        if !rights.holds_listing() {
            return Expected::refused(403);
        }
        match self.record(which) {
            Some((number, seed)) if ibm_sees(rights, seed) => {
                Expected::granted(Success::Shown(number))
            }
            _ => Expected::refused(404),
        }
    }

    pub(super) fn ibm_change(
        &self,
        rights: &Rights<'_>,
        which: Which,
        success: impl Fn(usize) -> Success,
    ) -> Expected {
        if !rights.holds_management() {
            return Expected::refused(403);
        }
        let Some((number, seed)) = self.record(which).filter(|(_, seed)| seed.has_access_key())
        else {
            return Expected::refused(404);
        };
        let manages = rights.manages(seed.owner(), seed.project)
            && rights.delegation_reaches(seed.project, true);
        if manages {
            Expected::granted(success(number))
        } else if ibm_sees(rights, seed) {
            Expected::refused(403)
        } else {
            Expected::refused(404)
        }
    }
}

fn ibm_sees(rights: &Rights<'_>, seed: &Seed) -> bool {
    let listed = rights.lists(seed.owner(), seed.project);
    seed.has_access_key() && listed && rights.delegation_reaches(seed.project, true)
}
