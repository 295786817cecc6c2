//! The rules of v3 credentials, in both tables.
//!
//! A record that the caller may not see and a missing record are both 403. A caller who may
//! do this to every record gets 404 for a missing record. Lists leave out records that the
//! caller may not see.

use tower_credentials::domain::Delegation;

use super::{Expected, Made, Oracle, Rights, Success, limit};
use crate::{
    operations::{Named, Operation, Which, Wire},
    records::{Form, Seed},
};

impl Oracle<'_> {
    pub(super) fn v3(&self, rights: &Rights<'_>, operation: &Operation) -> Expected {
        let barred = rights.is_refused_outright(Wire::V3);
        let of_key = rights.caller.delegation == Some(Delegation::Ec2Credential);
        match *operation {
            Operation::V3Create { project: Named::Absent, ec2: true, .. } => Expected::refused(400),
            Operation::V3List { .. } if barred && rights.may_list() && !of_key => {
                Expected::granted(Success::listed(Vec::new()))
            }
            Operation::V3Delete(Which::Missing)
            | Operation::V3Show(Which::Missing)
            | Operation::V3Rotate(Which::Missing, _)
            | Operation::V3Update(Which::Missing)
            | Operation::V3UpdateStatus(Which::Missing)
            | Operation::V3UpdateTerms(Which::Missing)
                if barred && rights.is_admin() && !of_key =>
            {
                Expected::refused_with(&[403, 404])
            }
            _ if barred => Expected::refused(403),
            Operation::V3Create { user, project, ec2 } => {
                self.v3_create(rights, user, project.project(), ec2)
            }
            Operation::V3CreateLimited { user, project } => {
                self.v3_create(rights, user, Some(project), true).with(limit)
            }
            Operation::V3Delete(which) => self.v3_change(rights, which, Success::Deleted),
            Operation::V3List { user, kind } => self.v3_list(rights, user, kind),
            Operation::V3Show(which) => self.v3_show(rights, which),
            // A change could replace both halves of a key pair, and no delegation would bind it.
            Operation::V3Rotate(which, _)
            | Operation::V3Update(which)
            | Operation::V3UpdateStatus(which)
            | Operation::V3UpdateTerms(which)
                if rights.is_delegated() && self.is_pair(which) =>
            {
                Expected::refused(403)
            }
            Operation::V3Rotate(which, overlap) => self.v3_rotate(rights, which, overlap),
            Operation::V3Update(which) => self.v3_update(rights, which),
            Operation::V3UpdateStatus(which) => {
                let expected = self.v3_update(rights, which);
                match expected.success {
                    // The status of other records is an attribute, which no change may add.
                    Some(Success::Changed(..)) if !self.is_pair(which) => Expected::refused(400),
                    _ => expected.with(|made| made.active = !made.active),
                }
            }
            Operation::V3UpdateTerms(which) => self.limited(self.v3_update(rights, which)),
            _ => unreachable!("{operation:?}"),
        }
    }

    fn is_pair(&self, which: Which) -> bool {
        self.record(which).is_some_and(|(_, seed)| seed.form != Form::Totp)
    }

    /// Whether the table lets the caller create a credential of this user for this project.
    pub(super) fn v3_mints(
        &self,
        rights: &Rights<'_>,
        user: &str,
        project: Option<&str>,
        ec2: bool,
    ) -> bool {
        let mints = if rights.uses_keystone_table() {
            // Without a directory, owners may name only their token's project.
            let limited = self.facts.is_none() && project.is_some();
            let reached = !limited || project == rights.caller.project();
            rights.is_admin() || rights.is(Some(user)) && reached
        } else {
            let own = ec2 || rights.is(Some(user)) || rights.is_admin();
            rights.manages(Some(user), project) && own
        };
        mints && rights.delegation_reaches(project, ec2) && !(ec2 && rights.is_restricted())
    }

    /// The refusal of a new credential whose user, project or place is missing.
    pub(super) fn v3_existence(
        &self,
        rights: &Rights<'_>,
        user: &str,
        project: Option<&str>,
    ) -> Option<Expected> {
        if self.lacks_user(user) || project.is_some_and(|id| self.lacks_project(id)) {
            return Some(Expected::refused(404));
        }
        let lacks = project.is_some_and(|id| self.lacks_place(user, id));
        (lacks && !rights.uses_keystone_table()).then(|| Expected::refused(403))
    }

    fn v3_create(
        &self,
        rights: &Rights<'_>,
        user: &'static str,
        project: Option<&'static str>,
        ec2: bool,
    ) -> Expected {
        if !self.v3_mints(rights, user, project, ec2) {
            return Expected::refused(403);
        }
        if let Some(refusal) = self.v3_existence(rights, user, project) {
            return refusal;
        }
        let made = Made { ec2, delegation: rights.stamp(), ..Made::pair(user, project) };
        Expected::granted(Success::Made(made))
    }

    fn v3_list(
        &self,
        rights: &Rights<'_>,
        user: Option<&'static str>,
        kind: Option<&'static str>,
    ) -> Expected {
        let asked = |seed: &Seed| {
            let is = if seed.form == Form::Totp { "totp" } else { "ec2" };
            user.is_none_or(|user| user == seed.user) && kind.is_none_or(|kind| kind == is)
        };
        if !rights.may_list() {
            return Expected::refused(403);
        }
        let may = self.numbers(|seed| asked(seed) && rights.v3_sees(seed));
        // A query by project leaves out records without a project.
        let by_project =
            !rights.uses_keystone_table() && rights.lists_all() && !rights.impersonates();
        let must = may.iter().copied();
        let must = must.filter(|number| !by_project || self.records[*number].project.is_some());
        Expected::granted(Success::Listed { must: must.collect(), may })
    }

    fn v3_show(&self, rights: &Rights<'_>, which: Which) -> Expected {
        if let Some((number, seed)) = self.record(which) {
            let visible = rights.v3_sees(seed);
            return Expected::granted_if(visible, Success::Shown(number));
        }
        let admin = rights.is_admin() && !rights.is_delegated();
        if admin || rights.uses_keystone_table() && rights.is_system_reader() {
            Expected::refused(404)
        } else if rights.is_admin() || rights.lists_all() && rights.impersonates() {
            // A 404 reveals nothing new to a caller who may see every record.
            Expected::refused_with(&[403, 404])
        } else {
            Expected::refused(403)
        }
    }

    fn v3_update(&self, rights: &Rights<'_>, which: Which) -> Expected {
        let changed = |number| Success::Changed(number, self.records[number].made());
        self.v3_change(rights, which, changed)
    }

    pub(super) fn v3_change(
        &self,
        rights: &Rights<'_>,
        which: Which,
        success: impl Fn(usize) -> Success,
    ) -> Expected {
        if let Some((number, seed)) = self.record(which) {
            return Expected::granted_if(rights.v3_manages(seed), success(number));
        }
        if rights.is_admin() && !rights.is_delegated() {
            Expected::refused(404)
        } else if rights.is_admin() || rights.impersonates() {
            Expected::refused_with(&[403, 404])
        } else {
            Expected::refused(403)
        }
    }
}
