//! Computes the expected response to each request without the crate's policy.
//!
//! The rules in short; the modules below state them for each dialect:
//!
//! * A caller without a valid token gets 401 for every request.
//! * A delegated caller manages nothing unless the setting allows it. A token that was
//!   obtained with a key never manages anything.
//! * `admin` may do everything, in every scope.
//! * `key_management_user` creates, changes and deletes the caller's own keys in the
//!   token's project; `key_management_admin` the keys of any user there, and root keys.
//! * `key_listing_user` lists and shows the caller's own keys; `key_listing_admin` all keys
//!   of the token's project.
//! * `impersonate` extends both to other projects, and shows others' secrets.
//! * Keystone's table replaces this in v3 and OS-EC2 only. Owners need no role, except
//!   `member` for changes through OS-EC2. A system reader sees everything.
//! * With a directory, user and project of a new key must exist, and the user must have a
//!   place in the project. A root key requires only its project. Keystone's table requires
//!   the place when the key is used, not when it is created.

mod ibm;
mod os_ec2;
mod rights;
mod using;
mod v2;
mod v3;

use tower_credentials::domain::{Delegation, Slot};

use crate::{
    callers::{Presents, Subject},
    facts::{Facts, Setting},
    operations::{Operation, Which, Wire},
    records::Seed,
};

pub(crate) use self::{
    rights::Rights,
    using::{Plane, admits, owner_is_valid},
};

/// The record that a create stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Made {
    pub(crate) user: &'static str,
    pub(crate) project: Option<&'static str>,
    pub(crate) root: bool,
    pub(crate) active: bool,
    pub(crate) ec2: bool,
    pub(crate) slot: Option<Slot>,
    pub(crate) delegation: Option<Delegation>,
}

impl Made {
    /// A key pair of this owner.
    fn pair(user: &'static str, project: Option<&'static str>) -> Self {
        Self { user, project, root: false, active: true, ec2: true, slot: None, delegation: None }
    }
}

/// The effect of a granted request. Numbers are those of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    Changed(usize),
    Deleted(usize),
    /// Lists all of `must`, possibly some of `may`, and nothing else.
    Listed {
        must: Vec<usize>,
        may: Vec<usize>,
    },
    Made(Made),
    Shown(usize),
    Validated,
}

impl Success {
    /// Lists exactly these records.
    fn listed(must: Vec<usize>) -> Self {
        Self::Listed { must, may: Vec::new() }
    }
}

/// The responses that the rules allow, usually one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) success: Option<Success>,
    /// The statuses of a refusal.
    pub(crate) refusals: Vec<u16>,
}

impl Expected {
    fn granted(success: Success) -> Self {
        Self { success: Some(success), refusals: Vec::new() }
    }

    /// Granted if permitted, otherwise 403.
    fn granted_if(permitted: bool, success: Success) -> Self {
        if permitted { Self::granted(success) } else { Self::refused(403) }
    }

    fn refused(status: u16) -> Self {
        Self { success: None, refusals: vec![status] }
    }

    /// Refused with one of these statuses. The rules do not say which.
    fn refused_with(statuses: &[u16]) -> Self {
        Self { success: None, refusals: statuses.to_vec() }
    }

    /// Whether the rules allow both a success and a refusal.
    pub(crate) fn is_undecided(&self) -> bool {
        self.success.is_some() && !self.refusals.is_empty()
    }
}

/// The rules for a layer with this setting over these records.
#[derive(Debug)]
pub(crate) struct Oracle<'a> {
    pub(crate) setting: Setting,
    pub(crate) facts: Option<Facts>,
    pub(crate) records: &'a [Seed],
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(setting: Setting, records: &'a [Seed]) -> Self {
        Self { setting, facts: setting.facts(), records }
    }

    pub(crate) fn rights(&self, caller: &'a Subject) -> Rights<'a> {
        Rights { setting: self.setting, caller }
    }

    /// The expected responses to the request.
    pub(crate) fn expected(&self, caller: &'a Subject, operation: &Operation) -> Expected {
        if operation.wire() == Wire::Tokens && self.facts.is_none() {
            // Without a directory the request passes through to the app.
            return Expected::refused(418);
        }
        if caller.presents != Presents::Valid {
            return Expected::refused(401);
        }
        let rights = self.rights(caller);
        match operation.wire() {
            Wire::Ibm => self.ibm(&rights, operation),
            Wire::OsEc2 => self.os_ec2(&rights, operation),
            Wire::Tokens if rights.validates() => Expected::granted(Success::Validated),
            Wire::Tokens => Expected::refused(403),
            Wire::V2 => self.v2(&rights, operation),
            Wire::V3 => self.v3(&rights, operation),
        }
    }

    /// Whether a successful response may contain the secret of the record.
    pub(crate) fn shows_secret(
        &self,
        caller: &'a Subject,
        operation: &Operation,
        seed: &Seed,
    ) -> bool {
        let rights = self.rights(caller);
        if rights.is_refused_outright(operation.wire()) {
            return false;
        }
        match operation.wire() {
            Wire::Ibm => rights.reads_secret(seed),
            Wire::Tokens => false,
            Wire::V2 => rights.is_admin(),
            Wire::V3 | Wire::OsEc2 => rights.v3_reads_secret(seed),
        }
    }

    fn record(&self, which: Which) -> Option<(usize, &'a Seed)> {
        match which {
            Which::Missing => None,
            Which::Record(number) => Some((number, &self.records[number])),
        }
    }

    /// The numbers of the records for which the predicate is true.
    fn numbers(&self, predicate: impl Fn(&Seed) -> bool) -> Vec<usize> {
        let numbered = self.records.iter().enumerate();
        numbered.filter(|(_, seed)| predicate(seed)).map(|(number, _)| number).collect()
    }

    /// Whether there is a directory and the user does not exist.
    fn lacks_user(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_user(id))
    }

    /// Whether there is a directory and the project does not exist.
    fn lacks_project(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_project(id))
    }

    /// Whether there is a directory and the user has no place in the project.
    fn lacks_place(&self, user: &str, project: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_place(user, project))
    }
}
