//! The rules of v2 grants: only admins may use them, and the user who is granted a key needs
//! a place in the project.

use tower_credentials::domain::Slot;

use super::{Expected, Made, Oracle, Rights, Success};
use crate::{
    facts::Facts,
    operations::{Operation, Wire},
    records::{Form, Seed},
};

impl Oracle<'_> {
    pub(super) fn v2(&self, rights: &Rights<'_>, operation: &Operation) -> Expected {
        if rights.is_refused_outright(Wire::V2) || !rights.is_admin() {
            return Expected::refused(403);
        }
        let (Operation::V2Grant { user, .. }
        | Operation::V2Delete(user, _)
        | Operation::V2Get(user, _)
        | Operation::V2List(user)
        | Operation::V2ListByType(user, _)
        | Operation::V2Update(user, _)) = *operation
        else {
            unreachable!("{operation:?}")
        };
        if self.lacks_user(user) {
            return Expected::refused(404);
        }
        let one = |slot, success: fn(usize) -> Success| match self.granted(user, slot) {
            Some(number) => Expected::granted(success(number)),
            None => Expected::refused(404),
        };
        match *operation {
            Operation::V2Grant { slot, .. } => self.v2_grant(rights, user, slot),
            Operation::V2Delete(_, slot) => one(slot, Success::Deleted),
            Operation::V2Get(_, slot) => one(slot, Success::Shown),
            Operation::V2Update(_, slot) => match self.granted(user, slot) {
                Some(number) => {
                    Expected::granted(Success::Changed(number, self.records[number].made()))
                }
                None => Expected::refused(404),
            },
            Operation::V2List(_) => self.v2_list(user, |_| true),
            Operation::V2ListByType(_, slot) => self.v2_list(user, |shown| shown == slot),
            _ => unreachable!("{operation:?}"),
        }
    }

    /// The record in a user's slot.
    fn granted(&self, user: &str, slot: Slot) -> Option<usize> {
        self.numbers(|seed| seed.user == user && seed.slot() == Some(slot)).first().copied()
    }

    /// Grants, and the user's other key pairs beside them.
    fn v2_list(&self, user: &str, shown: impl Fn(Slot) -> bool) -> Expected {
        let asked = |seed: &Seed| {
            let kind = seed.slot().unwrap_or(Slot::Ec2);
            seed.user == user && seed.form != Form::Totp && shown(kind)
        };
        // A root key belongs to no user, but the list of an admin may contain it.
        let must = self.numbers(|seed| asked(seed) && !seed.root);
        Expected::granted(Success::Listed { must, may: self.numbers(asked) })
    }

    /// A grant is for the user's default project, else the caller's project, else no project.
    fn v2_grant(&self, rights: &Rights<'_>, user: &'static str, slot: Slot) -> Expected {
        let default = self.facts.as_ref().and_then(|_| Facts::default_project(user));
        let project = default.or(rights.caller.project());
        if project.is_some_and(|project| self.lacks_place(user, project)) {
            return Expected::refused(403);
        }
        if self.granted(user, slot).is_some() {
            return Expected::refused(409);
        }
        let ec2 = slot != Slot::Password;
        let made = Made { slot: Some(slot), ec2, ..Made::pair(user, project) };
        Expected::granted(Success::Made(made))
    }
}
