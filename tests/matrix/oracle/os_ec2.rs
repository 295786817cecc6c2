//! The rules of OS-EC2, in both tables and under both prefixes.
//!
//! The user in the path must exist, but need not be the key's owner. The access key of a
//! missing key pair is 404, and that of another user's key pair is 403.

use super::{Expected, Made, Oracle, Rights, Success, limit};
use crate::{
    callers::At,
    operations::{Operation, Which, Wire},
    records::Seed,
};

impl Oracle<'_> {
    pub(super) fn os_ec2(&self, rights: &Rights<'_>, operation: &Operation) -> Expected {
        if rights.is_refused_outright(Wire::OsEc2) {
            return Expected::refused(403);
        }
        match *operation {
            Operation::Ec2Create { user, project, .. } => self.os_ec2_create(rights, user, project),
            Operation::Ec2CreateLimited { user, project } => {
                self.os_ec2_create(rights, user, Some(project)).with(limit)
            }
            Operation::Ec2Delete { user, which, .. } => self.os_ec2_delete(rights, user, which),
            Operation::Ec2List { user, .. } => self.os_ec2_list(rights, user),
            Operation::Ec2Rotate { user, which, overlap } => {
                self.os_ec2_rotate(rights, user, which, overlap)
            }
            Operation::Ec2Show { user, which, .. } => self.os_ec2_show(rights, user, which),
            _ => unreachable!("{operation:?}"),
        }
    }

    fn os_ec2_create(
        &self,
        rights: &Rights<'_>,
        user: &'static str,
        project: Option<&'static str>,
    ) -> Expected {
        let role = if rights.uses_keystone_table() {
            rights.is_admin() || rights.is_member()
        } else {
            rights.holds_management()
        };
        if !role || !rights.has_scope_of_os_ec2() {
            return Expected::refused(403);
        }
        let Some(project) = project else {
            // The project is missing. A caller without the right may get 403 before 404.
            let admin = rights.is_admin() && rights.caller.delegation.is_none();
            return Expected::refused_with(if admin { &[404] } else { &[403, 404] });
        };
        if !self.v3_mints(rights, user, Some(project), true) {
            return Expected::refused(403);
        }
        if let Some(refusal) = self.v3_existence(rights, user, Some(project)) {
            return refusal;
        }
        let made = Made { delegation: rights.stamp(), ..Made::pair(user, Some(project)) };
        Expected::granted(Success::Made(made))
    }

    fn os_ec2_list(&self, rights: &Rights<'_>, user: &'static str) -> Expected {
        let oneself = user == rights.caller.user;
        let permitted = if rights.uses_keystone_table() {
            rights.is_admin() || rights.is_system_reader() || oneself
        } else {
            // A list of another user's keys is limited to the token's project.
            let reaches = rights.impersonates() || rights.caller.project().is_some();
            rights.lists_all() && reaches || oneself && rights.holds_listing()
        };
        if !permitted || !reads_in_scope(rights, oneself) {
            return Expected::refused(403);
        }
        if self.lacks_user(user) {
            return Expected::refused(404);
        }
        let asked =
            |seed: &Seed| seed.user == user && seed.has_access_key() && rights.v3_sees(seed);
        let must = self.numbers(asked);
        Expected::granted(Success::listed(must))
    }

    fn os_ec2_show(&self, rights: &Rights<'_>, user: &'static str, which: Which) -> Expected {
        let sees = |seed: &Seed| {
            let scope = reads_in_scope(rights, rights.is(seed.owner()));
            scope && (rights.v3_sees(seed) || rights.is_reading_gateway())
        };
        self.os_ec2_one(rights, user, which, sees, Success::Shown)
    }

    fn os_ec2_delete(&self, rights: &Rights<'_>, user: &'static str, which: Which) -> Expected {
        let manages = |seed: &Seed| {
            let role = !rights.uses_keystone_table() || rights.is_admin() || rights.is_member();
            role && rights.has_scope_of_os_ec2() && rights.v3_manages(seed)
        };
        self.os_ec2_one(rights, user, which, manages, Success::Deleted)
    }

    pub(super) fn os_ec2_one(
        &self,
        rights: &Rights<'_>,
        user: &'static str,
        which: Which,
        may: impl Fn(&Seed) -> bool,
        success: impl Fn(usize) -> Success,
    ) -> Expected {
        let found = self.record(which).filter(|(_, seed)| seed.has_access_key());
        let permitted = found.is_none_or(|(_, seed)| may(seed));
        match found.filter(|_| !self.lacks_user(user)) {
            Some((number, _)) if permitted => Expected::granted(success(number)),
            Some(_) => Expected::refused(403),
            // A caller without a role for keys may get 403 first. The same is true of a
            // caller who may not do this to the key, under the path of a missing user.
            None if permitted && rights.has_key_role() => Expected::refused(404),
            None => Expected::refused_with(&[403, 404]),
        }
    }
}

/// Whether OS-EC2 permits a read with the token's scope: a project or the system. A token
/// without a scope may read the caller's own keys.
fn reads_in_scope(rights: &Rights<'_>, own: bool) -> bool {
    own && rights.caller.at == At::Unscoped || rights.has_scope_of_os_ec2()
}
