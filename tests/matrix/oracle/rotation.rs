//! The rules of rotations, in every dialect.
//!
//! The caller must have the right to change the key and to create one like it, in the order
//! of the dialect. Then user, project and place are checked as for a create. At last, root keys,
//! grants, expired keys and records without a key pair are 409.

use super::{Expected, Made, Oracle, Rights, Success};
use crate::{
    operations::{Overlap, Which},
    records::{Form, Seed},
};

impl Oracle<'_> {
    pub(super) fn ibm_rotate(
        &self,
        rights: &Rights<'_>,
        which: Which,
        overlap: Overlap,
    ) -> Expected {
        // The roles for a create and for a change are the same.
        let expected = self.ibm_change(rights, which, |number| self.rotated(number, overlap));
        self.rotatable(which, expected, |seed| match seed.project {
            Some(project) => self.ibm_existence(seed.owner(), project),
            None => self.lacks_user(seed.user).then(|| Expected::refused(404)),
        })
    }

    pub(super) fn v3_rotate(
        &self,
        rights: &Rights<'_>,
        which: Which,
        overlap: Overlap,
    ) -> Expected {
        let expected = self.v3_change(rights, which, |number| self.rotated(number, overlap));
        if expected.success.is_some() && !self.mints_like(rights, which) {
            return Expected::refused(403);
        }
        self.rotatable(which, expected, |seed| self.existence_like(rights, seed))
    }

    pub(super) fn os_ec2_rotate(
        &self,
        rights: &Rights<'_>,
        user: &'static str,
        which: Which,
        overlap: Overlap,
    ) -> Expected {
        let may = |seed: &Seed| {
            let role = !rights.uses_keystone_table() || rights.is_admin() || rights.is_member();
            role && rights.has_scope_of_os_ec2()
                && !rights.is_delegated()
                && rights.v3_manages(seed)
                && self.mints_like(rights, which)
        };
        let expected =
            self.os_ec2_one(rights, user, which, may, |number| self.rotated(number, overlap));
        self.rotatable(which, expected, |seed| self.existence_like(rights, seed))
    }

    /// Whether the caller may create a key like this one through v3.
    fn mints_like(&self, rights: &Rights<'_>, which: Which) -> bool {
        self.record(which).is_some_and(|(_, seed)| {
            self.v3_mints(rights, seed.user, seed.project, seed.form != Form::Totp)
        })
    }

    fn existence_like(&self, rights: &Rights<'_>, seed: &Seed) -> Option<Expected> {
        if seed.root {
            let lacks = seed.project.is_some_and(|project| self.lacks_project(project));
            return lacks.then(|| Expected::refused(404));
        }
        self.v3_existence(rights, seed.user, seed.project)
    }

    /// The last checks of a rotation that the caller's rights allow.
    fn rotatable(
        &self,
        which: Which,
        expected: Expected,
        existence: impl Fn(&Seed) -> Option<Expected>,
    ) -> Expected {
        let Some((_, seed)) = self.record(which).filter(|_| expected.success.is_some()) else {
            return expected;
        };
        if let Some(refusal) = existence(seed) {
            return refusal;
        }
        let is_pair = matches!(seed.form, Form::Blob | Form::Pair);
        let expired = seed.limits.end.is_some_and(|end| end <= 0);
        if is_pair && !seed.root && !expired { expected } else { Expected::refused(409) }
    }

    /// The effect of a rotation of this record. In place, the record keeps its expiry.
    fn rotated(&self, number: usize, overlap: Overlap) -> Success {
        let seed = &self.records[number];
        let old = seed.made();
        if overlap == Overlap::None {
            return Success::Rotated { number, made: old, retired: None };
        }
        let end = match (seed.limits.end_of_successor(), self.max_life()) {
            (Some(end), Some(max)) => Some(end.min(max)),
            (end, max) => end.or(max),
        };
        let retired = Made { end: Some(seed.limits.end_after_rotation()), ..old.clone() };
        Success::Rotated { number, made: Made { end, ..old }, retired: Some(retired) }
    }
}
