//! The expected response to each request, computed without the crate's policy.
//!
//! The rules in short; the modules below spell them out for each dialect.
//!
//! * A caller without a valid token is refused with 401, whatever it asks.
//! * A delegated caller manages nothing, unless the setting admits it; a token that came
//!   of a key never does.
//! * `admin` may do everything, in every scope.
//! * `key_management_user` creates, changes and deletes the caller's own keys in the
//!   token's project; `key_management_admin` those of any user there and root keys.
//! * `key_listing_user` lists and shows the caller's own keys; `key_listing_admin` those
//!   of the token's project.
//! * `impersonate` extends both to other projects, and shows others' secrets.
//! * Keystone's table replaces this in v3 and OS-EC2 only: owners need no role but
//!   `member` for changes through OS-EC2, and a system reader sees everything.
//! * With a directory, user and project of a new key exist, and the user has a place in
//!   the project; a root key needs its project alone. Keystone's table leaves the place
//!   to the moment of use.

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
    using::{Plane, admits, owner_stands},
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

/// What a request that is granted does. Numbers are those of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    Changed(usize),
    Deleted(usize),
    /// A list of all of `must`, and beside them of nothing but some of `may`.
    Listed {
        must: Vec<usize>,
        may: Vec<usize>,
    },
    Made(Made),
    Shown(usize),
    Validated,
}

impl Success {
    /// A list of exactly these.
    fn listed(must: Vec<usize>) -> Self {
        Self::Listed { must, may: Vec::new() }
    }
}

/// The answers that the rules admit: mostly one.
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

    fn refused(status: u16) -> Self {
        Self { success: None, refusals: vec![status] }
    }

    /// Refused; the rules leave open with which of these.
    fn refused_with(statuses: &[u16]) -> Self {
        Self { success: None, refusals: statuses.to_vec() }
    }

    /// Whether the rules leave open whether it is granted.
    pub(crate) fn is_open(&self) -> bool {
        self.success.is_some() && !self.refusals.is_empty()
    }
}

/// The rules, for a layer that is set up like this, over these records.
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
            // Without a directory the path is the app's own.
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

    /// Whether the caller may read the secret of the record in an answer that is not an
    /// error.
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

    /// The numbers of the records for which this is true.
    fn numbers(&self, holds: impl Fn(&Seed) -> bool) -> Vec<usize> {
        let numbered = self.records.iter().enumerate();
        numbered.filter(|(_, seed)| holds(seed)).map(|(number, _)| number).collect()
    }

    /// Whether a directory says that this user does not exist.
    fn lacks_user(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_user(id))
    }

    /// Whether a directory says that this project does not exist.
    fn lacks_project(&self, id: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_project(id))
    }

    /// Whether a directory says that the user has no place in the project.
    fn lacks_place(&self, user: &str, project: &str) -> bool {
        self.facts.as_ref().is_some_and(|facts| !facts.has_place(user, project))
    }
}
